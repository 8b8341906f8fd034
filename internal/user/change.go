package user

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A Change is what becomes of a user, and with that of the user's tenant.
type Change struct {
	Before User
	After  User // the zero value where the user is removed
	// Tenant is the change of the tenant, or nil for those who belong to none.
	Tenant  *TenantChange
	By      Standing
	Records []audit.Record
}

// A Standing is what gives somebody the right to a change: a user who must still
// have a role, and not be disabled, when the change is made. The caller's token told
// of it up to a minute ago. The zero value asks for nothing.
type Standing struct {
	ID   identity.UserID
	Role identity.Role
}

// standing returns what gives c the right to change others.
func standing(c identity.Caller) Standing { return Standing{c.Subject, c.Role} }

// A TenantChange is what becomes of the tenant of a user who is changed.
type TenantChange struct {
	Before tenant.Tenant // whose status must still be that
	After  tenant.Tenant // the same, or with another owner
	// Heir is the user whom After names its owner in place of another, or "". They
	// must still be an owner who is not disabled.
	Heir identity.UserID
}

// A Store keeps users.
type Store interface {
	Getter
	// Change makes a change, all of it or nothing. It fails with fault.Conflict if
	// user or tenant are not as the change takes them to be, or if it would leave the
	// tenant without an owner, and with fault.Forbidden if whoever makes it has lost
	// their standing.
	Change(ctx context.Context, c Change) error
	// OtherOwner returns the owner of a tenant who is not disabled and has been its
	// user for the longest, leaving out one, or fault.NotFound.
	OtherOwner(ctx context.Context, id identity.TenantID, than identity.UserID) (identity.UserID, error)
}

// change returns the change of a member to after, which the caller asks for.
func (m member) change(ctx context.Context, store Store, c identity.Caller, after User, told audit.Record) (Change, error) {
	ch := Change{Before: m.User, After: after, Records: []audit.Record{told}}
	if m.ID != c.Subject { // whose own row has the version that was read
		ch.By = standing(c)
	}
	if m.tenant == nil {
		return ch, nil
	}
	succession, err := succeed(ctx, store, *m.tenant, m.User, after)
	if err != nil {
		return ch, err
	}
	ch.Tenant = &succession
	if succession.Heir == ch.By.ID { // who must be more than that
		ch.By = Standing{}
	}
	ch.Records = append(ch.Records, succession.records(c)...)
	return ch, nil
}

// succeed returns what becomes of a tenant when a user is changed. Its owner is
// always one who is not disabled, as long as there is one. It fails with
// fault.LastOwner if it would be left without.
func succeed(ctx context.Context, store Store, t tenant.Tenant, before, after User) (TenantChange, error) {
	ch := TenantChange{Before: t, After: t}
	switch {
	case after.OwnerCount() > before.OwnerCount() && t.OwnerID == nil:
		ch.After = owned(t, after.ID)
	case after.OwnerCount() < before.OwnerCount():
		heir, err := store.OtherOwner(ctx, t.ID, before.ID)
		if errors.Is(err, fault.NotFound) {
			return ch, fault.New(fault.LastOwner, "the user is the last owner of the tenant; make another user an owner first")
		}
		if err != nil {
			return ch, err
		}
		if t.OwnerID != nil && *t.OwnerID == before.ID {
			ch.After, ch.Heir = owned(t, heir), heir
		}
	}
	return ch, nil
}

// owned returns the tenant with another owner.
func owned(t tenant.Tenant, owner identity.UserID) tenant.Tenant {
	t.OwnerID = &owner
	return t.Changed(now())
}

// records returns what the audit is told of the change of a tenant.
func (ch TenantChange) records(c identity.Caller) []audit.Record {
	if ch.After.Version == ch.Before.Version {
		return nil
	}
	return []audit.Record{audit.By(c).Did(audit.TenantUpdated, ch.After.ID, tenant.Target(ch.After.ID), tenant.Changes(ch.Before, ch.After)...)}
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
