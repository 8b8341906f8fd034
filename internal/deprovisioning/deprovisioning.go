// Package deprovisioning takes tenants apart: it takes requests for that and for
// their restoring, and holds the steps of the workflow that does it when the grace
// period is over. It knows neither HTTP nor AWS.
package deprovisioning

import (
	"context"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

// Tenants is the store of tenants, as far as they come and go.
type Tenants interface {
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
	// Delete replaces before by after, which is to be taken apart by the operation,
	// or does nothing. It fails with fault.Conflict if the stored version is not
	// that of before, with fault.OperationRunning if another operation runs on the
	// tenant, and with fault.DeleteBlocked while calls go on.
	Delete(ctx context.Context, before, after tenant.Tenant, o operation.Operation, r audit.Record) error
}

// Running knows which operation runs on a tenant.
type Running interface {
	// Running returns its id, or fault.NotFound.
	Running(ctx context.Context, id identity.TenantID) (operation.ID, error)
}
