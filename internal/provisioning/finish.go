package provisioning

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

// secretsKept is how long the passwords of a failed operation wait for a retry.
const secretsKept = 7 * 24 * time.Hour

// Activate ends an operation well: the tenant is active from then on, and the
// passwords of the request are no more.
func (r *Runner) Activate(ctx context.Context, vault Vault, task Task) error {
	o, begun, err := r.mark(ctx, task, stepActivate, begin)
	if err != nil {
		return err
	}
	if begun {
		if err := r.end(ctx, o, tenant.Active, activated); err != nil {
			return err
		}
	}
	if !begun && o.State != operation.Succeeded {
		return nil
	}
	return vault.Drop(ctx, task.OperationID)
}

// activated returns the operation as it is when it has succeeded.
func activated(o operation.Operation, now time.Time) operation.Operation {
	o.State, o.EndedAt, o.Secret = operation.Succeeded, &now, ""
	succeed(o.Step(stepActivate), now)
	return o
}

// A Cause is why the workflow gave a step up: the name of the error, and its
// text.
type Cause struct {
	Code   string
	Detail string
}

// Fail ends an operation whose steps are undone. What was reserved for the
// tenant stays reserved for a retry.
func (r *Runner) Fail(ctx context.Context, task Task, cause Cause) error {
	o, err := r.operations.Get(ctx, task.OperationID)
	if err != nil {
		return err
	}
	if o.Done() || o.Attempt != task.Attempt {
		return nil
	}
	return r.end(ctx, o, tenant.Failed, func(o operation.Operation, now time.Time) operation.Operation {
		o.State, o.EndedAt = operation.Failed, &now
		o.Failure = newFailure(o, cause)
		o.DueAt = now.Add(secretsKept)
		return o
	})
}

// end writes the end of an operation together with the tenant's status.
func (r *Runner) end(ctx context.Context, before operation.Operation, status tenant.Status, change func(operation.Operation, time.Time) operation.Operation) error {
	tBefore, err := r.tenants.Get(ctx, before.TenantID)
	if err != nil {
		return err
	}
	if err := tBefore.Status.CanBecome(status); err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	before.Steps = slices.Clone(before.Steps)
	after := before
	after.Steps = slices.Clone(before.Steps)
	after = change(after, now)
	after.Version++
	tAfter := tBefore
	tAfter.Status, tAfter.UpdatedAt, tAfter.Version = status, now, tBefore.Version+1
	if err := r.operations.SaveWithTenant(ctx, before, after, tBefore, tAfter, nil); err != nil {
		return transient(fmt.Errorf("end operation %s: %w", before.ID, err))
	}
	return nil
}

// transient takes the kind from a conflict between two writers, so that the
// workflow tries again where it would give up.
func transient(err error) error {
	if errors.Is(err, fault.Conflict) {
		return errors.New(err.Error())
	}
	return err
}

// newFailure says which step an operation failed at, and what to do about it.
func newFailure(o operation.Operation, cause Cause) *operation.Failure {
	f := &operation.Failure{Code: cause.Code, Detail: cause.Detail}
	for _, step := range o.Steps {
		if step.State == operation.Failed || step.State == operation.Running {
			f.Step = step.Name
			if step.Error != "" {
				f.Detail = step.Error
			}
		}
	}
	f.Hint = hint(f.Step, fault.Kind(f.Code))
	return f
}

// hint says what an operator can do about a failure.
func hint(step string, kind fault.Kind) string {
	switch {
	case step == stepDatabase && kind == fault.Conflict:
		return "remove or rename the table that has the tenant's table name, then POST /operations/{id}/retry"
	case step == stepIdentity && kind == fault.Invalid:
		return "retry with an admin_password that the user pool's policy allows"
	case step == stepIdentity && kind == fault.Conflict:
		return "remove the account that has the name or the e-mail address, then POST /operations/{id}/retry"
	case step == stepSIP && kind == fault.Invalid:
		return "retry with a sip_password"
	}
	return "find the cause in the log of the step's function, mend it, then POST /operations/{id}/retry"
}

// Rollback undoes the steps of an operation whose workflow is dead, and fails
// it. Steps are given in their order.
func (r *Runner) Rollback(ctx context.Context, task Task, steps ...Step) error {
	for _, step := range slices.Backward(steps) {
		if err := r.Undo(ctx, step, task); err != nil {
			return fmt.Errorf("undo step %s: %w", step.Name(), err)
		}
	}
	slog.WarnContext(ctx, "rolled back an operation whose workflow was dead", "operation_id", task.OperationID)
	return r.Fail(ctx, task, Cause{Code: "workflow-dead", Detail: "the workflow ended without finishing the operation"})
}
