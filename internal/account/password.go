package account

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/user"
)

// pace is what answers about forgotten passwords keep to: each comes when a whole
// number of paces have passed since the request, so that the time tells nobody
// which accounts there are. It is longer than the directory takes.
const pace = 1500 * time.Millisecond

// A PasswordReset is the code from the mail, whom it was sent to, and the password
// that is to be.
type PasswordReset struct {
	Login       string // the user name, or the e-mail address
	Code        string
	NewPassword string
}

// Faults returns every rule that the reset breaks.
func (p PasswordReset) Faults() fault.Fields {
	var f fault.Fields
	LoginFault(&f, "#/username", p.Login)
	codeFault(&f, p.Code)
	user.PasswordFault(&f, "#/new_password", p.NewPassword)
	return f
}

// LoginFault adds a fault unless an account may have the user name or the e-mail
// address.
func LoginFault(f *fault.Fields, pointer, login string) {
	if !plausible(login) {
		f.Add(pointer, "must be the user name or the e-mail address")
	}
}

// A Resetter is the directory of accounts, as far as it resets forgotten
// passwords.
type Resetter interface {
	// SendResetCode mails a code to an account, unless it cannot have one. It does
	// not say whether it did.
	SendResetCode(ctx context.Context, username string) error
	// ResetPassword takes the code, and has the trigger for that do what is in
	// Aftermath. It fails with fault.Invalid if that is not the code, which is also
	// what it says of an account that is not there, and with ErrTriggerFailed, when
	// the password is reset all the same.
	ResetPassword(ctx context.Context, username, code, password, requestID string) error
	// Find returns the account with a user name, or fault.NotFound.
	Find(ctx context.Context, username string) (Account, error)
}

// A Recovery lets people back in who forgot their password. It tells nobody which
// accounts there are, neither by its answers nor by the time they take.
type Recovery struct {
	accounts  Resetter
	emails    EmailFinder
	aftermath *Aftermath
}

// NewRecovery returns the Recovery of the accounts of a directory.
func NewRecovery(accounts Resetter, users interface {
	EmailFinder
	SessionEnder
}, auditor Auditor,
) *Recovery {
	return &Recovery{accounts, users, NewAftermath(users, auditor)}
}

// An Aftermath is what follows when a forgotten password was replaced. The
// directory's trigger sees to it, as whoever asked for it may die before they do.
type Aftermath struct{ sessions sessionEnd }

// NewAftermath returns the aftermath for the users that there are.
func NewAftermath(users SessionEnder, auditor Auditor) *Aftermath {
	return &Aftermath{sessionEnd{users, auditor}}
}

// PasswordReset ends all sessions of an account.
func (a *Aftermath) PasswordReset(ctx context.Context, id identity.UserID, requestID string) error {
	by := audit.By(identity.Caller{Subject: id, RequestID: requestID})
	return a.sessions.end(ctx, by, audit.UserPasswordReset, id)
}

// Forgot mails a code to an account, if there is one that may have it.
func (r *Recovery) Forgot(ctx context.Context, login string) error {
	return evenly(ctx, func() error {
		username, err := usernameOf(ctx, r.emails, login)
		if err != nil {
			return err
		}
		return r.accounts.SendResetCode(ctx, username)
	})
}

// Reset takes the code from the mail, and ends all sessions of the account. It
// fails with fault.Invalid if that is not the code.
func (r *Recovery) Reset(ctx context.Context, requestID string, p PasswordReset) error {
	return evenly(ctx, func() error {
		username, err := usernameOf(ctx, r.emails, p.Login)
		if err != nil {
			return err
		}
		err = r.accounts.ResetPassword(ctx, username, p.Code, p.NewPassword, requestID)
		if !errors.Is(err, ErrTriggerFailed) {
			return err
		}
		a, err := r.accounts.Find(ctx, username)
		if err != nil {
			return fmt.Errorf("find the account after a reset: %w", err)
		}
		return r.aftermath.PasswordReset(ctx, a.ID, requestID)
	})
}

// evenly calls f, and returns when a whole number of paces have passed.
func evenly(ctx context.Context, f func() error) error {
	start := time.Now()
	err := f()
	paces := time.Since(start)/pace + 1
	if err2 := wait(ctx, time.Until(start.Add(paces*pace))); err2 != nil {
		return err2
	}
	return err
}

// A PasswordChange is a password, and the one that is to be in its place.
type PasswordChange struct {
	Old string
	New string
}

// Faults returns every rule that the change breaks.
func (p PasswordChange) Faults() fault.Fields {
	var f fault.Fields
	if p.Old == "" || utf8.RuneCountInString(p.Old) > maxStoredPassword {
		f.Add("#/old_password", "must be the present password")
	}
	user.PasswordFault(&f, "#/new_password", p.New)
	if len(f) == 0 && p.Old == p.New {
		f.Add("#/new_password", "must not be the present password")
	}
	return f
}

// A PasswordChanger is the directory of accounts, as far as passwords are changed
// in it.
type PasswordChanger interface {
	// ChangePassword fails with fault.Invalid unless the old password is that of
	// the account that the access token is for, and with fault.TokenInvalid if the
	// token is not good.
	ChangePassword(ctx context.Context, accessToken, oldPassword, newPassword string) error
}

// A ChangeStore is the store of users, as far as it knows of changes of passwords
// that are under way.
type ChangeStore interface {
	UserGetter
	// BeginChange marks a user. Unless the mark is taken away within a time that is
	// longer than a request may take, all sessions end that began by then: whoever was
	// about to do that has died. It fails with fault.NotFound if there is no such user.
	BeginChange(ctx context.Context, id identity.UserID, at time.Time) (user.ChangeMark, error)
	// EndChange takes a mark away, and ends the sessions that began at the time given
	// or before. It fails with fault.NotFound.
	EndChange(ctx context.Context, id identity.UserID, m user.ChangeMark, at time.Time, r audit.Record) error
	// DropChange takes the mark of a change away that did not come about.
	DropChange(ctx context.Context, id identity.UserID, m user.ChangeMark) error
}

// A Renewal changes passwords for those who know them.
type Renewal struct {
	accounts PasswordChanger
	users    ChangeStore
	auditor  Auditor
}

// NewRenewal returns the Renewal of the passwords of a directory.
func NewRenewal(accounts PasswordChanger, users ChangeStore, auditor Auditor) *Renewal {
	return &Renewal{accounts, users, auditor}
}

// Change changes the password of a caller, whose access token it takes, and ends
// all their sessions, also if it dies in between. It fails as PasswordChanger does.
// An account that is no user yet has no sessions that go on.
func (r *Renewal) Change(ctx context.Context, c identity.Caller, accessToken string, p PasswordChange) error {
	u, err := r.users.Get(ctx, c.Subject)
	if errors.Is(err, fault.NotFound) {
		if err := r.accounts.ChangePassword(ctx, accessToken, p.Old, p.New); err != nil {
			return err
		}
		return r.auditor.Record(ctx, audit.By(c).Did(audit.UserPasswordChanged, "", user.Target(c.Subject)))
	}
	if err != nil {
		return err
	}
	mark, err := r.users.BeginChange(ctx, u.ID, now())
	if err != nil {
		return err
	}
	err = r.accounts.ChangePassword(ctx, accessToken, p.Old, p.New)
	if fault.KindOf(err) != "" {
		return errors.Join(err, r.users.DropChange(ctx, u.ID, mark))
	}
	if err != nil {
		return err // the password may be changed all the same
	}
	changed := audit.By(c).Did(audit.UserPasswordChanged, u.TenantID, user.Target(u.ID))
	return r.users.EndChange(ctx, u.ID, mark, now(), changed)
}

// now returns the time, to the millisecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// A sessionEnd ends sessions when a password is replaced.
type sessionEnd struct {
	users   SessionEnder
	auditor Auditor
}

// end ends all sessions of an account, and records why. An account that is no
// user yet has none that go on.
func (e sessionEnd) end(ctx context.Context, by audit.Origin, why audit.Action, id identity.UserID) error {
	u, err := e.users.Get(ctx, id)
	if errors.Is(err, fault.NotFound) {
		return e.auditor.Record(ctx, by.Did(why, "", user.Target(id)))
	}
	if err != nil {
		return err
	}
	return e.users.EndSessions(ctx, id, now(), by.Did(why, u.TenantID, user.Target(id)))
}
