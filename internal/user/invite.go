package user

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	// holdFor is how long a request has an invitation to itself: longer than it can
	// take.
	holdFor = 30 * time.Second
	// undoFor is the same for a sweep.
	undoFor = time.Minute
	// deadAfter is how long an invitation may be under way before it is undone.
	deadAfter = 3 * time.Minute
)

// A Draft is a user who is still to be invited.
type Draft struct {
	Email    string
	FullName string
	Role     identity.Role
	TenantID identity.TenantID // "" for the caller's own
}

// Faults returns every rule that the draft breaks.
func (d Draft) Faults() fault.Fields {
	var f fault.Fields
	if !tenant.IsEmail(d.Email) {
		f.Add("#/email", "must be an e-mail address")
	}
	fullNameFault(&f, d.FullName)
	if roles := identity.TenantRoles(); !slices.Contains(roles, d.Role) {
		f.Add("#/role", "must be one of %s", list(roles))
	}
	return f
}

// An Invitation is under way from the time at which its e-mail address is held
// until there is a user. Whoever tries again what a request did not finish goes on
// with the same invitation.
type Invitation struct {
	ID    string // a UUID, and the user name of the account
	Email string
	// HeldUntil is until when one request has the invitation to itself. In the store
	// it tells that request from all others.
	HeldUntil time.Time
	// DeadAt is when the invitation is to be undone.
	DeadAt time.Time
}

// A Joining is that of an invited user to a tenant.
type Joining struct {
	Invitation Invitation
	User       User
	Tenant     TenantChange
	By         Standing
	Records    []audit.Record
	Receipt    *idempotency.Record // nil where no answer is to be remembered
}

// ErrHoldLost says that another has the invitation by now.
var ErrHoldLost = errors.New("the invitation is held by another")

// InvitationStore keeps invitations that are under way, and who came by them.
type InvitationStore interface {
	// Hold reserves the e-mail address of an invitation, or takes the invitation
	// over from a request that did not finish it. It fails with fault.EmailTaken,
	// and with fault.InProgress if a request still has the invitation to itself.
	Hold(ctx context.Context, i Invitation) error
	// Release frees the e-mail address, if the hold is still that of i.
	Release(ctx context.Context, i Invitation) error
	// Join writes the user, whose e-mail address is bound then. It fails with
	// idempotency.ErrRecorded if the receipt is there already, with ErrHoldLost, with
	// fault.Conflict if the tenant is not as the joining takes it to be, and with
	// fault.Forbidden if whoever invites has lost their standing.
	Join(ctx context.Context, j Joining) error
}

// DeadInvitations knows the invitations that were not finished.
type DeadInvitations interface {
	// DeadInvitations returns those that are to be undone by now.
	DeadInvitations(ctx context.Context, now time.Time) ([]Invitation, error)
}

// Directory is where the accounts of invited users are made.
type Directory interface {
	// AdminCreate makes an account, or finds the one with that name. Without a
	// password an invitation is mailed.
	AdminCreate(ctx context.Context, username, email, password string) (identity.UserID, error)
	// AdminDelete removes an account. It is no error if it is gone.
	AdminDelete(ctx context.Context, username string) error
}

// An Inviter invites users.
type Inviter struct {
	store     InvitationStore
	tenants   Tenants
	directory Directory
}

// NewInviter returns an Inviter of users to be kept in store.
func NewInviter(store InvitationStore, tenants Tenants, directory Directory) *Inviter {
	return &Inviter{store, tenants, directory}
}

// Invite makes a user of a tenant, and mails them an invitation. The id is that of
// the invitation: where it comes again, what was not finished is. It fails with
// fault.Invalid, with fault.EmailTaken, with fault.InProgress if a request with
// the same id is still under way, as Tenant.AdmitWriter does, and with
// fault.Forbidden if the role stands above the caller. Receipt makes the record of
// the answer.
func (s *Inviter) Invite(ctx context.Context, c identity.Caller, id string, d Draft, receipt func(User) (*idempotency.Record, error)) (User, error) {
	d.FullName = strings.TrimSpace(d.FullName)
	d.TenantID = cmp.Or(d.TenantID, c.TenantID)
	if _, err := s.admit(ctx, c, d.TenantID); err != nil {
		return User{}, err
	}
	if err := d.Faults().Err(); err != nil {
		return User{}, err
	}
	if err := admitRole(c, d.Role); err != nil {
		return User{}, err
	}
	i := newInvitation(id, d.Email, holdFor)
	if err := s.store.Hold(ctx, i); err != nil {
		return User{}, err
	}
	u, err := s.complete(ctx, c, i, d, receipt)
	if fault.KindOf(err) != "" {
		if err := s.undo(ctx, i); err != nil {
			slog.WarnContext(ctx, "invitation left for the sweeper", "error", err)
		}
	}
	return u, err
}

func newInvitation(id, email string, hold time.Duration) Invitation {
	return Invitation{ID: id, Email: email, HeldUntil: now().Add(hold), DeadAt: now().Add(deadAfter)}
}

// admit returns the tenant, if the caller may invite people to it.
func (s *Inviter) admit(ctx context.Context, c identity.Caller, id identity.TenantID) (tenant.Tenant, error) {
	if !c.Sees(id) {
		return tenant.Tenant{}, tenant.NotFound(id)
	}
	t, err := s.tenants.Get(ctx, id)
	if err != nil {
		return t, err
	}
	if t.Status == tenant.Failed {
		return t, fault.New(fault.Conflict, "the tenant could not be provisioned; people can be invited when it is active")
	}
	return t, t.AdmitWriter(c)
}

// complete makes the account and the user of an invitation that is held.
func (s *Inviter) complete(ctx context.Context, c identity.Caller, i Invitation, d Draft, receipt func(User) (*idempotency.Record, error)) (User, error) {
	id, err := s.directory.AdminCreate(ctx, i.ID, d.Email, "")
	if err != nil {
		return User{}, fmt.Errorf("create the account of an invited user: %w", err)
	}
	u := User{
		ID: id, Username: i.ID, Email: d.Email, FullName: d.FullName, Role: d.Role, TenantID: d.TenantID,
		CreatedAt: now(), Version: 1,
	}
	record, err := receipt(u)
	if err != nil {
		return User{}, err
	}
	told := audit.By(c).Did(audit.UserInvited, u.TenantID, Target(u.ID), Changes(User{}, u)...)
	return conflict.Retry(ctx, func() (User, error) {
		t, err := s.admit(ctx, c, u.TenantID)
		if err != nil {
			return User{}, err
		}
		ch := TenantChange{Before: t, After: t}
		if u.OwnerCount() > 0 && t.OwnerID == nil {
			ch.After = owned(t, u.ID)
		}
		records := append([]audit.Record{told}, ch.records(c)...)
		return u, s.store.Join(ctx, Joining{i, u, ch, standing(c), records, record})
	})
}

// undo removes the account of an invitation that is held, and frees its e-mail
// address, in this order: as long as that is held, nobody else makes the account.
func (s *Inviter) undo(ctx context.Context, i Invitation) error {
	if err := s.directory.AdminDelete(ctx, i.ID); err != nil {
		return err
	}
	return s.store.Release(ctx, i)
}

// Sweep undoes the invitations that were not finished.
func (s *Inviter) Sweep(ctx context.Context, invitations DeadInvitations) error {
	dead, err := invitations.DeadInvitations(ctx, time.Now())
	errs := []error{err}
	for _, i := range dead {
		if err := s.takeBack(ctx, i); err != nil {
			errs = append(errs, fmt.Errorf("undo invitation %s: %w", i.ID, err))
		}
	}
	return errors.Join(errs...)
}

// takeBack undoes an invitation, unless another request has it or finished it
// meanwhile.
func (s *Inviter) takeBack(ctx context.Context, dead Invitation) error {
	i := newInvitation(dead.ID, dead.Email, undoFor)
	err := s.store.Hold(ctx, i)
	if errors.Is(err, fault.InProgress) || errors.Is(err, fault.EmailTaken) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.undo(ctx, i)
}
