// Package identity says who calls, and what a role may do. It knows neither
// tenants nor users, only their names, so that every other package can use it.
package identity

import "slices"

// A TenantID names a tenant. It is a UUID in its canonical form.
type TenantID string

// A UserID names a user. It is the subject (sub) of the user's account, a UUID
// in its canonical form.
type UserID string

// A Role is what a user is to the platform, or to one tenant.
type Role string

// The roles. The four of a tenant stand in falling order of what they may do.
const (
	PlatformAdmin Role = "platform_admin"
	Owner         Role = "owner"
	Admin         Role = "admin"
	Supervisor    Role = "supervisor"
	Agent         Role = "agent"
	Developer     Role = "developer" // an account without a tenant
	Applicant     Role = "applicant" // a business account whose tenant is still to be made
)

// A Caller is whoever sent a request, as the authorizer found it. The zero
// value is nobody.
type Caller struct {
	Subject  UserID
	TenantID TenantID // "" for those who belong to no tenant
	Role     Role
}

// Anonymous reports whether nobody is known to be calling.
func (c Caller) Anonymous() bool { return c.Subject == "" }

// IsPlatformAdmin reports whether the caller may act on every tenant.
func (c Caller) IsPlatformAdmin() bool { return c.Role == PlatformAdmin }

// Sees reports whether the tenant exists as far as the caller is concerned.
func (c Caller) Sees(id TenantID) bool {
	return c.IsPlatformAdmin() || c.TenantID != "" && c.TenantID == id
}

// A Rule says who may call an operation. The zero value lets nobody in.
type Rule struct {
	public bool
	roles  []Role
}

// Public lets everybody in, with or without a token.
func Public() Rule { return Rule{public: true} }

// Anyone lets in whoever has proved who they are.
func Anyone() Rule {
	return Roles(PlatformAdmin, Owner, Admin, Supervisor, Agent, Developer, Applicant)
}

// Members lets in platform admins and all members of a tenant.
func Members() Rule { return Roles(PlatformAdmin, Owner, Admin, Supervisor, Agent) }

// Managers lets in platform admins, and the owners and admins of a tenant.
func Managers() Rule { return Roles(PlatformAdmin, Owner, Admin) }

// Roles lets in the roles named.
func Roles(roles ...Role) Rule { return Rule{roles: roles} }

// IsPublic reports whether the rule needs no token.
func (r Rule) IsPublic() bool { return r.public }

// Allows reports whether c may call the operation.
func (r Rule) Allows(c Caller) bool { return r.public || slices.Contains(r.roles, c.Role) }
