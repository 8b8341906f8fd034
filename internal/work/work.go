// Package work runs operations: it has their workflows started, does their steps,
// and writes down how far each has come. It knows neither HTTP nor AWS, nor what
// the steps are for.
package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

// StartWithin is how long the start of a workflow may take before the sweeper
// makes up for it.
const StartWithin = 15 * time.Second

// startPatience is how long a caller waits for that start. Whoever calls may
// itself have little time: Cognito waits 5 s for its triggers.
const startPatience = 3 * time.Second

// Operations is the store of operations.
type Operations interface {
	Get(ctx context.Context, id operation.ID) (operation.Operation, error)
	// Save replaces before by after, or fails with fault.Conflict if the stored
	// version is not that of before.
	Save(ctx context.Context, before, after operation.Operation) error
	// SaveWithTenant is Save together with a change of the tenant. It frees the
	// tenant for other operations when the operation ends, and takes it again when
	// it goes on. Receipt is nil where no answer is to be remembered.
	SaveWithTenant(ctx context.Context, before, after operation.Operation, tBefore, tAfter tenant.Tenant, r audit.Record, receipt *idempotency.Record) error
}

// A Starter starts the workflow of an operation's attempt. Starting what was started is no
// error.
type Starter interface {
	Start(ctx context.Context, o operation.Operation) error
}

// A Machine starts workflows, and knows what became of them.
type Machine interface {
	Starter
	// State says whether the workflow of the operation's attempt was started, and
	// whether it still runs.
	State(ctx context.Context, o operation.Operation) (started, running bool, err error)
}

// Start starts the workflow of an operation. What fails here is not the caller's
// concern: the operation is written, and the sweeper starts what was not started.
func Start(ctx context.Context, starter Starter, o operation.Operation) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := starter.Start(ctx, o); err != nil {
		slog.WarnContext(ctx, "workflow left for the sweeper", "operation_id", o.ID, "error", err)
	}
}

// A Receipt makes the record of an answer, to be written with the operation that
// it tells of, or nil if the client named no key.
type Receipt func(operation.Operation) (*idempotency.Record, error)

// NewPasswords take the place of those of the first request when an operation is
// run again.
type NewPasswords struct {
	AdminPassword patch.Field[string]
	SIPPassword   patch.Field[string]
}

// Failed returns an operation. It fails with fault.OperationNotFailed unless that
// has failed.
func Failed(ctx context.Context, operations Operations, id operation.ID) (operation.Operation, error) {
	o, err := operations.Get(ctx, id)
	if err == nil && o.State != operation.Failed {
		err = fault.New(fault.OperationNotFailed, "the operation is %s; only a failed one can be retried", o.State)
	}
	return o, err
}

// Again returns an operation as it is before its next attempt.
func Again(o operation.Operation) operation.Operation {
	o.Steps = slices.Clone(o.Steps)
	for i, step := range o.Steps {
		o.Steps[i] = operation.Step{Name: step.Name, State: operation.Pending, Attempts: step.Attempts}
	}
	o.State, o.EndedAt, o.Failure = operation.Pending, nil, nil
	o.Attempt++
	o.DueAt = time.Now().UTC().Truncate(time.Millisecond).Add(StartWithin)
	o.Version++
	return o
}

// Past returns an operation that goes on as it is after a step that took one
// transaction.
func Past(o operation.Operation, step string, now time.Time) operation.Operation {
	o.Steps = slices.Clone(o.Steps)
	if s := o.Step(step); begin(s, now) {
		succeed(s, now)
	}
	o.State, o.DueAt = operation.Running, now.Add(StepWithin)
	o.Version++
	return o
}

// ChangeTenant changes a tenant while an operation runs on it. Nobody else may,
// but for a late duplicate of the same step.
func ChangeTenant(ctx context.Context, tenants tenant.Store, o operation.Operation, action audit.Action, edit func(*tenant.Tenant)) error {
	before, err := tenants.Get(ctx, o.TenantID)
	if err != nil {
		return err
	}
	after := before
	edit(&after)
	if after == before {
		return nil
	}
	after.Version++
	told := Origin(o).Did(action, o.TenantID, tenant.Target(o.TenantID), tenant.Changes(before, after)...)
	if err := tenants.Update(ctx, before, after, told); err != nil {
		return Transient(fmt.Errorf("change tenant %s: %w", o.TenantID, err))
	}
	return nil
}

// Origin is that of what the workflow of an operation does.
func Origin(o operation.Operation) audit.Origin { return audit.BySystem(string(o.Kind), o.ID) }

// Transient takes the kind from what a race between two writers, or a read that
// is behind, can give rise to, so that the workflow tries again where it would
// give up.
func Transient(err error) error {
	if errors.Is(err, fault.Conflict) || errors.Is(err, fault.NotFound) {
		return errors.New(err.Error())
	}
	return err
}
