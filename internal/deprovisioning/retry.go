package deprovisioning

import (
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// NewRetrier returns what runs failed deprovisionings again. The tenant is purging,
// and stays so.
func NewRetrier(operations work.Operations, tenants tenant.Store, starter work.Starter) *work.Retrier {
	return work.NewRetrier(operations, tenants, starter, func(tenant.Tenant) error { return nil })
}
