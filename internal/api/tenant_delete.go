package api

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

// TenantDeleter is what DeleteTenant needs of a deprovisioning.Deleter.
type TenantDeleter interface {
	Delete(ctx context.Context, c identity.Caller, id identity.TenantID, versions []int64) (operation.Operation, error)
}

// DeleteTenant serves DELETE /tenants/{tenant_id}. It answers 202 with the
// operation that takes the tenant apart when the grace period is over. Calls that
// go on, another operation, and a status that does not allow it are 409, and
// another version than that in If-Match is 412.
func DeleteTenant(tenants TenantDeleter, operations RunningFinder) Operation {
	return Operation{
		Name:  "DeleteTenant",
		Allow: identity.Roles(identity.PlatformAdmin),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			o, err := tenants.Delete(ctx, r.Caller, r.TenantID(), r.IfMatch())
			if errors.Is(err, fault.OperationRunning) {
				return nil, nameRunning(ctx, err, operations, r.TenantID())
			}
			if err != nil {
				return nil, err
			}
			return accepted(o), nil
		},
	}
}

// TenantRestorer is what RestoreTenant needs of a deprovisioning.Restorer.
type TenantRestorer interface {
	Restore(ctx context.Context, c identity.Caller, id identity.TenantID, receipt deprovisioning.Receipt) (tenant.Tenant, error)
}

// RestoreTenant serves POST /tenants/{tenant_id}/restore. It answers 200 with the
// tenant, which is what it was before it was to be deleted, and 409 unless it can
// still be restored.
func RestoreTenant(tenants TenantRestorer, usages UsageFinder, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:        "RestoreTenant",
		Allow:       identity.Roles(identity.PlatformAdmin),
		Idempotency: &Idempotency{Records: records, Key: hashKey},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			_, faults, err := DecodeOptional[struct{}](r)
			if err != nil {
				return nil, err
			}
			if err := faults.Err(); err != nil {
				return nil, err
			}
			used, err := usages.Usage(ctx, r.TenantID(), time.Now())
			if err != nil {
				return nil, err
			}
			receipt := func(t tenant.Tenant) (*idempotency.Record, error) { return r.Receipt(restored(t, used)) }
			t, err := tenants.Restore(ctx, r.Caller, r.TenantID(), receipt)
			if err != nil {
				return nil, err
			}
			return restored(t, used), nil
		},
	}
}

func restored(t tenant.Tenant, used usage.Usage) *Response {
	return OK(newTenantView(t, used)).WithVersion(t.Version)
}
