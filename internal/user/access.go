package user

import (
	"context"
	"slices"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A Getter reads users.
type Getter interface {
	// Get returns the user as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.UserID) (User, error)
}

// Tenants reads tenants.
type Tenants interface {
	// Get returns the tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
}

// A member is a user with their tenant, or nil for those who belong to none.
type member struct {
	User
	tenant *tenant.Tenant
}

// find returns a user, if there is one as far as the caller is concerned.
func find(ctx context.Context, users Getter, tenants Tenants, c identity.Caller, id identity.UserID) (member, error) {
	u, err := users.Get(ctx, id)
	if err != nil {
		return member{}, err
	}
	if u.TenantID == "" {
		if !c.IsPlatformAdmin() {
			return member{}, NotFound(id)
		}
		return member{u, nil}, nil
	}
	if !c.Sees(u.TenantID) {
		return member{}, NotFound(id)
	}
	t, err := tenants.Get(ctx, u.TenantID)
	return member{u, &t}, err
}

// Find returns a user for a caller who may read what belongs to the user's tenant.
// It fails with fault.NotFound if there is none as far as the caller is concerned,
// and as Tenant.AdmitReader does.
func Find(ctx context.Context, users Getter, tenants Tenants, c identity.Caller, id identity.UserID) (User, error) {
	m, err := find(ctx, users, tenants, c, id)
	if err != nil || m.tenant == nil {
		return m.User, err
	}
	return m.User, m.tenant.AdmitReader(c)
}

// admitWriter fails unless the caller may change the user, who has one of the
// versions if there are any: as Tenant.AdmitWriter does, with fault.Stale, and
// with fault.Forbidden if the user stands above the caller, or is the caller and not
// what the caller's token told up to a minute ago.
func (m member) admitWriter(c identity.Caller, versions []int64) error {
	if m.tenant != nil {
		if err := m.tenant.AdmitWriter(c); err != nil {
			return err
		}
	}
	if m.ID == c.Subject && (m.Disabled || m.Role != c.Role) {
		return fault.New(fault.Forbidden, "your role was changed, or you were disabled, since you signed in")
	}
	if m.Role.Above(c.Role) {
		return fault.New(fault.Forbidden, "your role, %s, may not act on the role %s", c.Role, m.Role)
	}
	if versions != nil && !slices.Contains(versions, m.Version) {
		return fault.New(fault.Stale, "the user has changed since; get it again and look at what changed")
	}
	return nil
}

// admitRole fails unless the caller may give a role.
func admitRole(c identity.Caller, role identity.Role) error {
	if role.Above(c.Role) {
		return fault.New(fault.Forbidden, "your role, %s, may not give the role %s", c.Role, role)
	}
	return nil
}
