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
	Service       Role = "service"   // a service of the platform, by its key
)

// TenantRoles returns the roles of a tenant, in falling order.
func TenantRoles() []Role { return []Role{Owner, Admin, Supervisor, Agent} }

// ranks orders the roles by whom they may act on.
var ranks = map[Role]int{PlatformAdmin: 5, Owner: 4, Admin: 3, Supervisor: 2, Agent: 1, Developer: 0, Applicant: 0, Service: 0}

// Above reports whether the role stands above another, so that whoever has that
// may neither give this one nor act on those who have it.
func (r Role) Above(other Role) bool { return ranks[r] > ranks[other] }

// A Scope is something that a service may do.
type Scope string

// The scopes.
const (
	UsageWrite Scope = "usage:write"
	CallsWrite Scope = "calls:write"
	SIPRead    Scope = "sip:read"
	HealthRead Scope = "health:read"
)

// Scopes returns all of them.
func Scopes() []Scope { return []Scope{UsageWrite, CallsWrite, SIPRead, HealthRead} }

// A Caller is whoever sent a request, as the authorizer found it. The zero
// value is nobody.
type Caller struct {
	Subject  UserID   // for a service, the id of its key
	TenantID TenantID // "" for those who belong to no tenant
	Role     Role

	// Scopes is what a service may do.
	Scopes []Scope
	// TenantIDs is the tenants that a service's key is bound to; none is all.
	TenantIDs []TenantID

	// Impersonation is set where a platform admin acts as the subject.
	Impersonation *Impersonation

	// RequestID names the request.
	RequestID string
}

// An Impersonation is a session in which a platform admin acts as a member of a
// tenant.
type Impersonation struct {
	ID    string
	Actor UserID
	Mode  Mode
}

// A Mode is what an impersonation may be used for.
type Mode string

// The modes.
const (
	ReadOnly Mode = "read_only"
	Full     Mode = "full"
)

// Anonymous reports whether nobody is known to be calling.
func (c Caller) Anonymous() bool { return c.Subject == "" }

// IsPlatformAdmin reports whether the caller may act on every tenant.
func (c Caller) IsPlatformAdmin() bool { return c.Role == PlatformAdmin }

// Sees reports whether the tenant exists as far as the caller is concerned.
func (c Caller) Sees(id TenantID) bool {
	switch c.Role {
	case PlatformAdmin:
		return true
	case Service:
		return len(c.TenantIDs) == 0 || slices.Contains(c.TenantIDs, id)
	case Owner, Admin, Supervisor, Agent:
		return c.TenantID != "" && c.TenantID == id
	case Developer, Applicant:
	}
	return false
}

// A Rule says who may call an operation. The zero value lets nobody in.
type Rule struct {
	public  bool
	roles   []Role
	scope   Scope
	byProxy bool
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

// Services lets in services that have a scope.
func Services(scope Scope) Rule { return Rule{scope: scope} }

// OrServices returns the rule with services that have a scope let in too.
func (r Rule) OrServices(scope Scope) Rule {
	r.scope = scope
	return r
}

// ByProxy returns the rule for an operation that changes something and that an
// impersonation may be used for, if it is full. Every other change is the
// user's own to make.
func (r Rule) ByProxy() Rule {
	r.byProxy = true
	return r
}

// IsPublic reports whether the rule needs no token.
func (r Rule) IsPublic() bool { return r.public }

// AllowsProxy reports whether an impersonation may be used for a change.
func (r Rule) AllowsProxy() bool { return r.byProxy }

// Scope returns the scope that lets services in, or "".
func (r Rule) Scope() Scope { return r.scope }

// Allows reports whether c may call the operation.
func (r Rule) Allows(c Caller) bool {
	if c.Role == Service {
		return r.public || r.scope != "" && slices.Contains(c.Scopes, r.scope)
	}
	return r.public || slices.Contains(r.roles, c.Role)
}
