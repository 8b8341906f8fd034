package work

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	// StepWithin is how long a step may take, with all its attempts, before the
	// sweeper looks whether the workflow still goes on.
	StepWithin  = 3 * time.Minute
	saves       = 5
	saveBackoff = 20 * time.Millisecond
)

// A Step is one part of a workflow. It may be done any number of times: what is
// done already stays as it is.
type Step interface {
	// Name is the step's name in the operation.
	Name() string
	// Apply does the step. It fails with operation.ErrNotReady while what it began
	// is not there yet, or not gone.
	Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error
}

// A WayBack is that of a step. It may be gone any number of times too.
type WayBack interface {
	// Name is the step's name in the operation.
	Name() string
	// Undo removes what Apply made, and nothing that anyone else did. It fails with
	// operation.ErrNotReady while that is on its way out.
	Undo(ctx context.Context, o operation.Operation, t tenant.Tenant) error
}

// A TwoWayStep has a way back.
type TwoWayStep interface {
	Step
	WayBack
}

// A Task is what a workflow asks of a step.
type Task struct {
	OperationID operation.ID
	Attempt     int
}

// A Runner runs steps and writes down how far an operation has come.
type Runner struct {
	operations Operations
	tenants    tenant.Store
}

// NewRunner returns a Runner.
func NewRunner(operations Operations, tenants tenant.Store) *Runner {
	return &Runner{operations, tenants}
}

// Apply does a step of an operation, if the operation has that step and it is
// neither done nor undone. A task of an earlier attempt does nothing.
func (r *Runner) Apply(ctx context.Context, step Step, task Task) error {
	o, begun, err := r.mark(ctx, task, step.Name(), begin)
	if err != nil || !begun {
		return err
	}
	t, err := r.tenants.Get(ctx, o.TenantID)
	if err != nil {
		return err
	}
	if err := step.Apply(ctx, o, t); err != nil {
		if errors.Is(err, operation.ErrNotReady) {
			return err
		}
		return errors.Join(err, r.note(ctx, task, step.Name(), err))
	}
	_, _, err = r.mark(ctx, task, step.Name(), succeed)
	return err
}

// Undo removes what a step of an operation made, if that has a way back.
func (r *Runner) Undo(ctx context.Context, step WayBack, task Task) error {
	o, err := r.operations.Get(ctx, task.OperationID)
	if err != nil {
		return err
	}
	if at := o.Step(step.Name()); !o.HasWayBack() || o.Done() || o.Attempt != task.Attempt || at == nil || !Made(*at) {
		return nil
	}
	t, err := r.tenants.Get(ctx, o.TenantID)
	if err != nil {
		return err
	}
	if err := step.Undo(ctx, o, t); err != nil {
		return err
	}
	_, _, err = r.mark(ctx, task, step.Name(), undo)
	return err
}

// Made reports whether a step has made something, or may have.
func Made(s operation.Step) bool {
	return s.State == operation.Running || s.State == operation.Succeeded
}

// A marking changes the state of a step. It returns false where there is nothing
// to change.
type marking func(s *operation.Step, now time.Time) bool

// begin leaves a step that was undone as it is: a late duplicate must not do it
// again.
func begin(s *operation.Step, now time.Time) bool {
	if s.State != operation.Pending && s.State != operation.Running {
		return false
	}
	s.State, s.EndedAt, s.Error = operation.Running, nil, ""
	s.Attempts++
	if s.StartedAt == nil {
		s.StartedAt = &now
	}
	return true
}

func succeed(s *operation.Step, now time.Time) bool {
	if s.State != operation.Running {
		return false
	}
	s.State, s.EndedAt, s.Error = operation.Succeeded, &now, ""
	return true
}

// undo marks a step that was done as undone. One that was not is what the
// operation failed at.
func undo(s *operation.Step, now time.Time) bool {
	if !Made(*s) {
		return false
	}
	if s.State == operation.Succeeded {
		s.State = operation.Undone
	} else {
		s.State = operation.Failed
	}
	s.EndedAt = &now
	return true
}

// note writes down why a step failed.
func (r *Runner) note(ctx context.Context, task Task, name string, cause error) error {
	_, _, err := r.mark(ctx, task, name, func(s *operation.Step, _ time.Time) bool {
		if s.State != operation.Running {
			return false
		}
		s.Error = NewCause(cause).Detail
		return true
	})
	return err
}

// mark changes the state of a step. It reports whether there was anything to
// change: nothing is where the operation has no such step, has ended, or is in a
// later attempt.
func (r *Runner) mark(ctx context.Context, task Task, name string, change marking) (operation.Operation, bool, error) {
	for attempt := 1; ; attempt++ {
		before, err := r.operations.Get(ctx, task.OperationID)
		if err != nil {
			return before, false, err
		}
		after := before
		after.Steps = slices.Clone(before.Steps)
		step := after.Step(name)
		now := time.Now().UTC().Truncate(time.Millisecond)
		if step == nil || before.Done() || before.Attempt != task.Attempt || !change(step, now) {
			return before, false, nil
		}
		after.State = operation.Running
		after.DueAt = now.Add(StepWithin)
		after.Version++
		err = r.operations.Save(ctx, before, after)
		if !errors.Is(err, fault.Conflict) {
			return after, err == nil, err
		}
		if attempt == saves {
			return after, false, fmt.Errorf("operation %s is changed by many at once", task.OperationID)
		}
		if err := pause(ctx, attempt); err != nil {
			return after, false, err
		}
	}
}

// pause waits a random while, longer with each attempt.
func pause(ctx context.Context, attempt int) error {
	select {
	case <-time.After(rand.N(saveBackoff << attempt)): //nolint:gosec // spreads attempts, keeps no secret
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
