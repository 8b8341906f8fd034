package deprovisioning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// A Deleter takes requests for the deletion of tenants.
type Deleter struct {
	tenants Tenants
	running Running
	starter work.Starter
	grace   time.Duration
}

// NewDeleter returns a Deleter. Grace is how long a tenant can be restored.
func NewDeleter(tenants Tenants, running Running, starter work.Starter, grace time.Duration) *Deleter {
	return &Deleter{tenants, running, starter, grace}
}

// Delete has a tenant taken apart when the grace period is over. Its members are
// locked out at once. It fails with fault.Stale if versions, where there are any,
// do not hold the tenant's version, with fault.OperationRunning while an operation
// runs on the tenant, with fault.IllegalTransition if its status does not allow
// it, and with fault.DeleteBlocked while calls go on.
func (s *Deleter) Delete(ctx context.Context, c identity.Caller, id identity.TenantID, versions []int64) (operation.Operation, error) {
	o, err := conflict.Retry(ctx, func() (operation.Operation, error) { return s.delete(ctx, c, id, versions) })
	if err != nil {
		return o, err
	}
	work.Start(ctx, s.starter, o)
	return o, nil
}

func (s *Deleter) delete(ctx context.Context, c identity.Caller, id identity.TenantID, versions []int64) (operation.Operation, error) {
	before, err := s.tenants.Get(ctx, id)
	if err != nil {
		return operation.Operation{}, err
	}
	if versions != nil && !slices.Contains(versions, before.Version) {
		return operation.Operation{}, fault.New(fault.Stale, "the tenant has changed since; get it again and look at what changed")
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	purgeAt := wholeSeconds(now.Add(s.grace))
	after, err := before.Delete(now, purgeAt)
	if err != nil {
		return operation.Operation{}, s.orRunning(ctx, id, err)
	}
	o := newOperation(after, now, purgeAt)
	told := audit.For(audit.By(c), o.ID).Did(audit.TenantDeleting, id, tenant.Target(id), tenant.Changes(before, after)...)
	if err := s.tenants.Delete(ctx, before, after, o, told); err != nil {
		return o, fmt.Errorf("delete tenant %s: %w", id, err)
	}
	return o, nil
}

// orRunning returns err, unless an operation runs on the tenant, which says more.
func (s *Deleter) orRunning(ctx context.Context, id identity.TenantID, err error) error {
	_, err2 := s.running.Running(ctx, id)
	switch {
	case errors.Is(err2, fault.NotFound):
		return err
	case err2 != nil:
		return err2
	}
	return fault.Wrap(err, fault.OperationRunning, "an operation runs on the tenant")
}

// wholeSeconds rounds up: an execution waits for whole seconds, and is not to end
// early.
func wholeSeconds(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }

func newOperation(t tenant.Tenant, now, purgeAt time.Time) operation.Operation {
	o := operation.Operation{
		ID:        operation.ID(uuid.NewString()),
		Kind:      operation.Deprovision,
		TenantID:  t.ID,
		State:     operation.Pending,
		Attempt:   1,
		CreatedAt: now,
		NotBefore: purgeAt,
		DueAt:     now.Add(work.StartWithin),
		Version:   1,
	}
	for _, name := range stepNames {
		if applies(name, t) {
			o.Steps = append(o.Steps, operation.Step{Name: name, State: operation.Pending})
		}
	}
	return o
}

// applies reports whether a tenant may have what a step removes.
func applies(step string, t tenant.Tenant) bool {
	switch step {
	case stepDatabase:
		return t.Isolation == tenant.Dedicated
	case stepMongoDB:
		return t.MongoDatabase != nil
	}
	return true
}
