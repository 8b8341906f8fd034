package provisioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
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
		if o, err = r.end(ctx, o, tenant.Active, activated); err != nil {
			return errors.Join(err, r.note(ctx, task, stepActivate, err))
		}
	}
	if o.State != operation.Succeeded {
		return nil
	}
	if err := discard(ctx, r.operations, vault, o); err != nil {
		slog.WarnContext(ctx, "passwords left for the sweeper", "operation_id", o.ID, "error", err)
	}
	return nil
}

// activated returns the operation as it is when it has succeeded. It names its
// passwords until they are gone.
func activated(o operation.Operation, now time.Time) operation.Operation {
	o.State, o.EndedAt, o.DueAt = operation.Succeeded, &now, now.Add(lookAgainIn)
	succeed(o.Step(stepActivate), now)
	return o
}

// discard removes the passwords of an operation that has succeeded.
func discard(ctx context.Context, operations Operations, vault Vault, o operation.Operation) error {
	if o.Secret == "" {
		return nil
	}
	if err := vault.Drop(ctx, o.Secret); err != nil {
		return err
	}
	after := o
	after.Secret = ""
	after.Version++
	return operations.Save(ctx, o, after)
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
	for _, step := range o.Steps {
		if step.Name != stepActivate && isMade(step) {
			return fmt.Errorf("operation %s cannot end while its step %s is not undone", o.ID, step.Name)
		}
	}
	_, err = r.end(ctx, o, tenant.Failed, func(o operation.Operation, now time.Time) operation.Operation {
		return failed(o, now, cause)
	})
	return err
}

// failed returns the operation as it is when it has failed.
func failed(o operation.Operation, now time.Time, cause Cause) operation.Operation {
	o.State, o.EndedAt, o.DueAt = operation.Failed, &now, now.Add(secretsKept)
	step := culprit(o.Steps)
	step.State, step.EndedAt = operation.Failed, cmp.Or(step.EndedAt, &now)
	step.Error = cmp.Or(step.Error, cause.Detail)
	o.Failure = &operation.Failure{
		Step:   step.Name,
		Code:   cause.Code,
		Detail: step.Error,
		Hint:   hint(step.Name, cause.Code),
	}
	return o
}

// culprit returns the step that an operation failed at: the one that was begun
// and not done, or else the first that was not begun.
func culprit(steps []operation.Step) *operation.Step {
	for _, states := range [][]operation.State{{operation.Failed, operation.Running}, {operation.Pending}} {
		for i, step := range steps {
			if slices.Contains(states, step.State) {
				return &steps[i]
			}
		}
	}
	return &steps[len(steps)-1]
}

// end writes the end of an operation together with the tenant's status.
func (r *Runner) end(ctx context.Context, before operation.Operation, status tenant.Status, change func(operation.Operation, time.Time) operation.Operation) (operation.Operation, error) {
	tBefore, err := r.tenants.Get(ctx, before.TenantID)
	if err != nil {
		return before, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	after := before
	after.Steps = slices.Clone(before.Steps)
	after = change(after, now)
	after.Version++
	tAfter := tBefore
	switch {
	case tBefore.Status == tenant.Provisioning:
		tAfter.Status, tAfter.UpdatedAt, tAfter.Version = status, now, tBefore.Version+1
		if after.Failure != nil {
			tAfter.StatusReason = new(after.Failure.Detail)
		}
	case status == tenant.Active:
		return before, fault.New(fault.IllegalTransition, "the tenant is %s, not %s", tBefore.Status, tenant.Provisioning)
	}
	action := audit.TenantProvisioned
	if status == tenant.Failed {
		action = audit.TenantFailed
	}
	told := bySystem(before).Did(action, before.TenantID, tenant.Target(before.TenantID), tenant.Changes(tBefore, tAfter)...)
	if err := r.operations.SaveWithTenant(ctx, before, after, tBefore, tAfter, told, nil); err != nil {
		return before, transient(fmt.Errorf("end operation %s: %w", before.ID, err))
	}
	return after, nil
}

// transient takes the kind from what a race between two writers, or a read that
// is behind, can give rise to, so that the workflow tries again where it would
// give up.
func transient(err error) error {
	if errors.Is(err, fault.Conflict) || errors.Is(err, fault.NotFound) {
		return errors.New(err.Error())
	}
	return err
}

// A Cause is why the workflow gave a step up: the kind of the failure or one of
// the codes here, and a text for those who asked for the tenant.
type Cause struct {
	Code   string
	Detail string
}

// The codes of failures that are no fault of an input.
const (
	codeInternal     = "internal"
	codeNotReady     = "not-ready"
	codeWorkflowDead = "workflow-dead"
)

// The causes that say nothing of what went wrong inside.
var (
	Internal = Cause{codeInternal, "internal error; the log of the step's function has the cause"}
	NotReady = Cause{codeNotReady, "what the step makes or removes was not ready in time"}
)

// NewCause returns what may be told of an error: that of a fault, and nothing of
// any other.
func NewCause(err error) Cause {
	if errors.Is(err, operation.ErrNotReady) {
		return NotReady
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return Internal
	}
	if len(f.Fields) == 0 {
		return Cause{string(f.Kind), f.Detail}
	}
	var details []string
	for _, field := range f.Fields {
		details = append(details, strings.TrimPrefix(field.Pointer, "#/")+" "+field.Detail)
	}
	return Cause{string(f.Kind), strings.Join(details, "; ")}
}

// hint says what an operator can do about a failure.
func hint(step, code string) string {
	kind := fault.Kind(code)
	switch {
	case step == stepDatabase && kind == fault.Conflict:
		return "remove or rename the table that has the tenant's table name, then POST /operations/{id}/retry"
	case step == stepDatabase && code == codeNotReady:
		return "see whether the account may have another table, then POST /operations/{id}/retry"
	case step == stepIdentity && kind == fault.Invalid:
		return "retry with an admin_password that the user pool's policy allows; the admin_email cannot be changed"
	case step == stepIdentity && slices.Contains([]fault.Kind{fault.Conflict, fault.EmailTaken, fault.UsernameTaken}, kind):
		return "remove the account that has the name or the e-mail address, then POST /operations/{id}/retry"
	case step == stepSIP && kind == fault.Invalid:
		return "retry with a sip_password"
	case code == codeWorkflowDead:
		return "find out what ended the execution of the workflow, then POST /operations/{id}/retry"
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
	return r.Fail(ctx, task, Cause{codeWorkflowDead, "the workflow ended without finishing the operation"})
}
