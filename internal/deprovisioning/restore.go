package deprovisioning

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// stopPatience is how long a caller waits for the end of an execution.
const stopPatience = 3 * time.Second

// Operations is the store of operations, and of which runs on a tenant.
type Operations interface {
	work.Operations
	Running
}

// A Stopper ends executions.
type Stopper interface {
	// Stop ends the execution of the operation's attempt. It is no error if there
	// is none, or if it has ended.
	Stop(ctx context.Context, o operation.Operation) error
}

// A Restorer takes requests for the restoring of tenants.
type Restorer struct {
	tenants    tenant.Store
	operations Operations
	stopper    Stopper
}

// NewRestorer returns a Restorer.
func NewRestorer(tenants tenant.Store, operations Operations, stopper Stopper) *Restorer {
	return &Restorer{tenants, operations, stopper}
}

// A Receipt makes the record of an answer, to be written with the tenant that it
// tells of, or nil if the client named no key.
type Receipt func(tenant.Tenant) (*idempotency.Record, error)

// Restore makes a tenant what it was before it was to be deleted, and cancels the
// operation that was to take it apart. It fails with fault.IllegalTransition
// unless the tenant can still be restored.
func (s *Restorer) Restore(ctx context.Context, c identity.Caller, id identity.TenantID, receipt Receipt) (tenant.Tenant, error) {
	var cancelled operation.Operation
	t, err := conflict.Retry(ctx, func() (t tenant.Tenant, err error) {
		t, cancelled, err = s.restore(ctx, c, id, receipt)
		return t, err
	})
	if err != nil {
		return t, err
	}
	s.stop(ctx, cancelled)
	return t, nil
}

func (s *Restorer) restore(ctx context.Context, c identity.Caller, id identity.TenantID, receipt Receipt) (tenant.Tenant, operation.Operation, error) {
	var before operation.Operation
	tBefore, err := s.tenants.Get(ctx, id)
	if err != nil {
		return tBefore, before, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	tAfter, err := tBefore.Restore(now)
	if err != nil {
		return tBefore, before, err
	}
	running, err := s.operations.Running(ctx, id)
	if err != nil {
		return tBefore, before, again(err)
	}
	if before, err = s.operations.Get(ctx, running); err != nil {
		return tBefore, before, err
	}
	after := before
	after.State, after.EndedAt = operation.Cancelled, &now
	after.Version++
	record, err := receipt(tAfter)
	if err != nil {
		return tBefore, before, err
	}
	told := audit.For(audit.By(c), before.ID).Did(audit.TenantRestored, id, tenant.Target(id), tenant.Changes(tBefore, tAfter)...)
	if err := s.operations.SaveWithTenant(ctx, before, after, tBefore, tAfter, told, record); err != nil {
		return tBefore, before, fmt.Errorf("restore tenant %s: %w", id, err)
	}
	return tAfter, after, nil
}

// again makes what is not there any more a conflict: the tenant has gone on since
// it was read.
func again(err error) error {
	if errors.Is(err, fault.NotFound) {
		return fault.Wrap(err, fault.Conflict, "the tenant was changed by another request meanwhile")
	}
	return err
}

// stop ends the execution of an operation that was cancelled. What is lost here
// does no harm: the steps of such an operation do nothing.
func (s *Restorer) stop(ctx context.Context, o operation.Operation) {
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	if err := s.stopper.Stop(ctx, o); err != nil {
		slog.WarnContext(ctx, "execution left to itself", "operation_id", o.ID, "error", err)
	}
}
