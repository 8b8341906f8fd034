package user

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
)

const maxFullName = 255

// A Patch is a change of a user.
type Patch struct {
	FullName patch.Field[string]
	Role     patch.Field[identity.Role]
	Disabled patch.Field[bool]
}

// An Editor changes users.
type Editor struct {
	store   Store
	tenants Tenants
}

// NewEditor returns an Editor of the users in store.
func NewEditor(store Store, tenants Tenants) *Editor { return &Editor{store, tenants} }

// Update changes a user. It fails with fault.NotFound if there is none as far as
// the caller is concerned, with the faults of Tenant.AdmitWriter, with fault.Stale
// if versions, where there are any, do not hold the user's version, with
// fault.LastOwner, and with fault.Forbidden if the user or the role stands above
// the caller. Faults are what is wrong with the patch besides.
func (s *Editor) Update(ctx context.Context, c identity.Caller, id identity.UserID, versions []int64, p Patch, faults fault.Fields) (User, error) {
	return conflict.Retry(ctx, func() (User, error) { return s.tryUpdate(ctx, c, id, versions, p, faults) })
}

func (s *Editor) tryUpdate(ctx context.Context, c identity.Caller, id identity.UserID, versions []int64, p Patch, faults fault.Fields) (User, error) {
	m, err := find(ctx, s.store, s.tenants, c, id)
	if err != nil {
		return User{}, err
	}
	if err := m.admitWriter(c, versions); err != nil {
		return User{}, err
	}
	if err := faults.And(p.faults(m.User)).Err(); err != nil {
		return User{}, err
	}
	after := p.apply(m.User)
	if after == m.User {
		return after, nil
	}
	if err := admitChange(c, m.User, after); err != nil {
		return User{}, err
	}
	after.Version++
	told := audit.By(c).Did(audit.UserUpdated, after.TenantID, Target(id), Changes(m.User, after)...)
	change, err := m.change(ctx, s.store, c, after, told)
	if err != nil {
		return User{}, err
	}
	if err := s.store.Change(ctx, change); err != nil {
		return User{}, fmt.Errorf("update user %s: %w", id, err)
	}
	return after, nil
}

// apply returns u with the change. Whoever is disabled has no sessions any more.
func (p Patch) apply(u User) User {
	after := u
	after.FullName = strings.TrimSpace(p.FullName.Or(u.FullName))
	after.Role = p.Role.Or(u.Role)
	after.Disabled = p.Disabled.Or(u.Disabled)
	if after.Disabled && !u.Disabled {
		after.SessionsEndedAt = now()
	}
	return after
}

// faults returns every rule that the patch breaks for a user.
func (p Patch) faults(u User) fault.Fields {
	var f fault.Fields
	if p.FullName.Set {
		fullNameFault(&f, p.FullName.Value)
	}
	if roles := rolesOf(u); p.Role.Set && !slices.Contains(roles, p.Role.Value) {
		f.Add("#/role", "must be one of %s", list(roles))
	}
	return f
}

func fullNameFault(f *fault.Fields, name string) {
	if n := utf8.RuneCountInString(strings.TrimSpace(name)); n < 1 || n > maxFullName {
		f.Add("#/full_name", "must be 1 to %d characters after trimming", maxFullName)
	}
}

// rolesOf returns the roles that a user may have. Nobody becomes a platform admin
// by the API.
func rolesOf(u User) []identity.Role {
	switch {
	case u.TenantID != "":
		return identity.TenantRoles()
	case u.Role == identity.PlatformAdmin:
		return []identity.Role{identity.PlatformAdmin, identity.Developer}
	}
	return []identity.Role{identity.Developer}
}

func list(roles []identity.Role) string {
	var names []string
	for _, role := range roles {
		names = append(names, string(role))
	}
	return strings.Join(names, ", ")
}

// admitChange fails unless the caller may make a change of a user.
func admitChange(c identity.Caller, before, after User) error {
	if before.ID == c.Subject {
		switch {
		case after.Disabled && !before.Disabled:
			return fault.New(fault.Forbidden, "nobody disables themselves")
		case before.Role == identity.PlatformAdmin && after.Role != before.Role:
			return fault.New(fault.Forbidden, "a platform admin's role is for another platform admin to take")
		}
	}
	return admitRole(c, after.Role)
}
