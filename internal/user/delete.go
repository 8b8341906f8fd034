package user

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// A Leaving is where the accounts of users who are no more are removed.
type Leaving interface {
	// Remove removes an account, but not another that has its user name by now. It
	// is no error if it is gone.
	Remove(ctx context.Context, a Account) error
}

// A Note is kept of each account that is to be removed.
type Note interface {
	// Forget notes that an account is gone.
	Forget(ctx context.Context, a Account) error
}

// A Remover removes users.
type Remover struct {
	store    Store
	tenants  Tenants
	accounts Leaving
	notes    Note
}

// NewRemover returns a Remover of the users in store, and of their accounts.
func NewRemover(store Store, tenants Tenants, accounts Leaving, notes Note) *Remover {
	return &Remover{store, tenants, accounts, notes}
}

// Remove removes a user, whose e-mail address is free then. It fails as
// Editor.Update does, and with fault.Forbidden if the user is the caller. The
// account goes at once, or else with the next sweep.
func (s *Remover) Remove(ctx context.Context, c identity.Caller, id identity.UserID, versions []int64) error {
	removed, err := conflict.Retry(ctx, func() (User, error) { return s.tryRemove(ctx, c, id, versions) })
	if err != nil {
		return err
	}
	if err := s.removeAccount(ctx, Account{removed.ID, removed.Username}); err != nil {
		slog.WarnContext(ctx, "account left for the sweeper", "user_id", id, "error", err)
	}
	return nil
}

func (s *Remover) tryRemove(ctx context.Context, c identity.Caller, id identity.UserID, versions []int64) (User, error) {
	m, err := find(ctx, s.store, s.tenants, c, id)
	if err != nil {
		return User{}, err
	}
	if err := m.admitWriter(c, versions); err != nil {
		return User{}, err
	}
	if id == c.Subject {
		return User{}, fault.New(fault.Forbidden, "nobody deletes themselves")
	}
	change, err := m.change(ctx, s.store, c, User{}, audit.By(c).Did(audit.UserDeleted, m.TenantID, Target(id)))
	if err != nil {
		return User{}, err
	}
	if err := s.store.Change(ctx, change); err != nil {
		return User{}, fmt.Errorf("delete user %s: %w", id, err)
	}
	return m.User, nil
}

func (s *Remover) removeAccount(ctx context.Context, a Account) error {
	if err := s.accounts.Remove(ctx, a); err != nil {
		return err
	}
	return s.notes.Forget(ctx, a)
}
