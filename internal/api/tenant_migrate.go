package api

import (
	"context"
	"errors"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/work"
)

// TenantMigrator is what MigrateTenant needs of a provisioning.Migrator.
type TenantMigrator interface {
	Migrate(ctx context.Context, c identity.Caller, id identity.TenantID, receipt work.Receipt) (operation.Operation, error)
}

// MigrateTenant serves POST /tenants/{tenant_id}/migrate. It answers 202 with the
// operation that brings the tenant's databases to the latest version of their schema,
// and 409 while another runs on the tenant, or if its status does not allow it.
func MigrateTenant(tenants TenantMigrator, operations RunningFinder, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:        "MigrateTenant",
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
			receipt := func(o operation.Operation) (*idempotency.Record, error) { return r.Receipt(accepted(o)) }
			o, err := tenants.Migrate(ctx, r.Caller, r.TenantID(), receipt)
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
