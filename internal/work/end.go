package work

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	// LookAgainIn is how long the sweeper leaves alone what it has looked at.
	LookAgainIn = time.Minute
	// secretsKept is how long the passwords of a failed operation wait for a retry.
	secretsKept = 7 * 24 * time.Hour
)

// An Ending is what the end of an operation is to its tenant, and how the audit
// calls it. It returns the tenant as it is then.
type Ending struct {
	Action audit.Action
	Target audit.Target // of the action; the tenant unless it is set
	Tenant func(o operation.Operation, t tenant.Tenant, now time.Time) (tenant.Tenant, error)
}

// Finish does the last step of an operation, which is to end it well. It returns
// the operation as it is then; where there was nothing to do, as it was before.
// Ending says what that is to the operation. It fails while another step is not done:
// an execution that was taken for dead may go on while the sweeper undoes its steps.
func (r *Runner) Finish(ctx context.Context, task Task, step string, ending func(operation.Operation) Ending) (operation.Operation, error) {
	o, begun, err := r.mark(ctx, task, step, begin)
	if err != nil || !begun {
		return o, err
	}
	ended, err := o, othersDone(o, step)
	if err == nil {
		ended, err = r.end(ctx, o, ending(o), func(o operation.Operation, now time.Time) operation.Operation {
			o.State, o.EndedAt, o.DueAt = operation.Succeeded, &now, now.Add(LookAgainIn)
			succeed(o.Step(step), now)
			return o
		})
	}
	if err != nil {
		return o, errors.Join(err, r.note(ctx, task, step, err))
	}
	return ended, nil
}

// othersDone fails while a step of an operation other than its last is not done.
func othersDone(o operation.Operation, last string) error {
	for _, step := range o.Steps {
		if step.Name != last && step.State != operation.Succeeded {
			return fmt.Errorf("operation %s cannot end while its step %s is not done", o.ID, step.Name)
		}
	}
	return nil
}

// Always is the ending, or failing, of every operation.
func Always[E Ending | Failing](e E) func(operation.Operation) E {
	return func(operation.Operation) E { return e }
}

// FailedAsItWas is the failing of an operation that leaves the tenant as it is: a
// retry goes on with it.
func FailedAsItWas(id operation.ID, hint func(step, code string) string) Failing {
	return Failing{
		Ending: Ending{
			Action: audit.OperationFailed,
			Target: audit.Of("operation", id),
			Tenant: func(_ operation.Operation, t tenant.Tenant, _ time.Time) (tenant.Tenant, error) { return t, nil },
		},
		Hint: hint,
	}
}

// A Failing is the Ending of an operation that cannot be done.
type Failing struct {
	Ending
	// Ready fails while the operation may not end yet. It may be nil.
	Ready func(operation.Operation) error
	// Hint says what an operator can do about the failure of a step.
	Hint func(step, code string) string
}

// Fail ends an operation that cannot be done. An attempt that is over is left as
// it is. Failing says what the failure is to the operation.
func (r *Runner) Fail(ctx context.Context, task Task, cause Cause, failing func(operation.Operation) Failing) error {
	o, err := r.operations.Get(ctx, task.OperationID)
	if err != nil || o.Done() || o.Attempt != task.Attempt {
		return err
	}
	f := failing(o)
	if f.Ready != nil {
		if err := f.Ready(o); err != nil {
			return err
		}
	}
	_, err = r.end(ctx, o, f.Ending, func(o operation.Operation, now time.Time) operation.Operation {
		return failed(o, now, cause, f.Hint)
	})
	return err
}

// failed returns the operation as it is when it has failed.
func failed(o operation.Operation, now time.Time, cause Cause, hint func(step, code string) string) operation.Operation {
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

// end writes the end of an operation together with its tenant.
func (r *Runner) end(ctx context.Context, before operation.Operation, e Ending, change func(operation.Operation, time.Time) operation.Operation) (operation.Operation, error) {
	tBefore, err := r.tenants.Get(ctx, before.TenantID)
	if err != nil {
		return before, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	after := before
	after.Steps = slices.Clone(before.Steps)
	after = change(after, now)
	after.Version++
	tAfter, err := e.Tenant(after, tBefore, now)
	if err != nil {
		return before, err
	}
	target := cmp.Or(e.Target, tenant.Target(before.TenantID))
	told := Origin(before).Did(e.Action, before.TenantID, target, tenant.Changes(tBefore, tAfter)...)
	if err := r.operations.SaveWithTenant(ctx, before, after, tBefore, tAfter, told, nil); err != nil {
		return before, Transient(fmt.Errorf("end operation %s: %w", before.ID, err))
	}
	return after, nil
}
