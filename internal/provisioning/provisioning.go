// Package provisioning brings tenants about: it takes requests for them, and
// holds the steps of the workflow that makes them, each with a way back. It knows
// neither HTTP nor AWS.
package provisioning

import (
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// A Creation is all that must come about together when a tenant is asked for.
type Creation struct {
	Tenant    tenant.Tenant
	Operation operation.Operation
	// Owner is the user who signed up, or nil if a platform admin asks.
	Owner *user.User
	// Receipt is the record of the answer, or nil if the client named no key.
	Receipt *idempotency.Record
}

// An Account is a confirmed account that asks for its place on the platform.
type Account struct {
	ID       identity.UserID
	Username string
	Email    string
	// Business accounts get a tenant of their own, developers none.
	Business bool
	// OrganizationName names the tenant; where it is "", the user name does.
	OrganizationName string
}
