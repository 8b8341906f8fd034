package user

import (
	"context"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A Reset is that of a user's password by somebody else: it ends the user's
// sessions.
type Reset struct {
	User    User
	Tenant  *tenant.Tenant // whose status must still be that; nil for those who belong to none
	At      time.Time
	Record  audit.Record
	Receipt *idempotency.Record // nil where no answer is to be remembered
}

// ResetStore keeps users whose passwords are reset.
type ResetStore interface {
	Getter
	// Reset writes a reset. It fails with idempotency.ErrRecorded if the receipt is
	// there already, and with fault.Conflict if user or tenant are not as the reset
	// takes them to be.
	Reset(ctx context.Context, r Reset) error
}

// Mailer is the directory of accounts, as far as it mails people what lets them
// choose a password.
type Mailer interface {
	// Readmit mails an account whose invitation is open that invitation again, with
	// a new password, and any other a code to reset the password, without which
	// nobody signs in any more. It says which it was. It fails with fault.NotFound
	// and with fault.Invalid if no mail can be sent to the account.
	Readmit(ctx context.Context, username string) (invited bool, err error)
}

// A Resetter resets passwords.
type Resetter struct {
	store   ResetStore
	tenants Tenants
	mailer  Mailer
}

// NewResetter returns a Resetter of the passwords of the users in store.
func NewResetter(store ResetStore, tenants Tenants, mailer Mailer) *Resetter {
	return &Resetter{store, tenants, mailer}
}

// Reset mails a user what lets them choose a password, and says whether that is
// their invitation again. It ends the user's sessions. It fails as Editor.Update
// does. Receipt makes the record of the answer.
func (s *Resetter) Reset(ctx context.Context, c identity.Caller, id identity.UserID, receipt func(invited bool) (*idempotency.Record, error)) (invited bool, err error) {
	m, err := s.find(ctx, c, id)
	if err != nil {
		return false, err
	}
	if invited, err = s.mailer.Readmit(ctx, m.Username); err != nil {
		return false, fmt.Errorf("mail user %s: %w", id, err)
	}
	record, err := receipt(invited)
	if err != nil {
		return false, err
	}
	_, err = conflict.Retry(ctx, func() (struct{}, error) {
		if m, err = s.find(ctx, c, id); err != nil {
			return struct{}{}, err
		}
		told := audit.By(c).Did(audit.UserPasswordReset, m.TenantID, Target(id))
		return struct{}{}, s.store.Reset(ctx, Reset{User: m.User, Tenant: m.tenant, At: now(), Record: told, Receipt: record})
	})
	return invited, err
}

func (s *Resetter) find(ctx context.Context, c identity.Caller, id identity.UserID) (member, error) {
	m, err := find(ctx, s.store, s.tenants, c, id)
	if err != nil {
		return m, err
	}
	return m, m.admitWriter(c, nil)
}
