package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/user"
)

// A Registry is the directory of accounts, as far as accounts come about in it.
type Registry interface {
	// SignUp makes an account, and says whether it is confirmed already. It fails
	// with fault.UsernameTaken, fault.Invalid and ErrTriggerFailed.
	SignUp(ctx context.Context, d Draft) (id identity.UserID, confirmed bool, err error)
	// Confirm takes the code that was mailed. It fails with fault.Invalid if that
	// is not the code, with fault.Conflict if the account is confirmed already, and
	// with ErrTriggerFailed.
	Confirm(ctx context.Context, username, code string) error
	// SignIn fails with fault.InvalidCredentials unless the password is that of the
	// account.
	SignIn(ctx context.Context, username, password string) (Tokens, error)
	// Find returns the account with a user name, or fault.NotFound.
	Find(ctx context.Context, username string) (Account, error)
}

// A Registration takes sign-ups. The directory's triggers have their part in it:
// they onboard an account when it is confirmed. Registration makes up for those
// that failed.
type Registration struct {
	accounts  Registry
	emails    EmailHolder
	onboarder Onboarder
}

// NewRegistration returns a Registration of accounts in a directory.
func NewRegistration(accounts Registry, emails EmailHolder, onboarder Onboarder) *Registration {
	return &Registration{accounts, emails, onboarder}
}

// SignUp makes an account, and says whether it is confirmed already. It fails
// with fault.Invalid, fault.UsernameTaken and fault.EmailTaken.
func (r *Registration) SignUp(ctx context.Context, d Draft) (id identity.UserID, confirmed bool, err error) {
	if err := d.Faults().Err(); err != nil {
		return "", false, err
	}
	if err := d.Admit(ctx, r.emails); err != nil {
		return "", false, err
	}
	id, confirmed, err = r.accounts.SignUp(ctx, d)
	if errors.Is(err, ErrTriggerFailed) {
		id, err = r.makeUpFor(ctx, d, err)
		return id, err == nil, err
	}
	return id, confirmed, err
}

// makeUpFor onboards the account that a sign-up left behind when a trigger
// failed. That the password opens it proves that it is the caller's, and not
// another's with the same name.
func (r *Registration) makeUpFor(ctx context.Context, d Draft, cause error) (identity.UserID, error) {
	a, err := r.accounts.Find(ctx, d.Username)
	if errors.Is(err, fault.NotFound) {
		return "", errors.Join(d.Admit(ctx, r.emails), cause)
	}
	if err != nil {
		return "", err
	}
	_, err = r.accounts.SignIn(ctx, d.Username, d.Password)
	if errors.Is(err, fault.InvalidCredentials) || err == nil && user.FoldEmail(a.Email) != user.FoldEmail(d.Email) {
		return "", ErrUsernameTaken(cause)
	}
	if err != nil {
		return "", fmt.Errorf("sign in after %w: %w", cause, err)
	}
	return a.ID, Onboard(ctx, r.onboarder, a)
}

// ErrUsernameTaken says that a user name belongs to another account.
func ErrUsernameTaken(cause error) error {
	return &fault.Error{
		Kind:   fault.UsernameTaken,
		Detail: "the user name belongs to another account",
		Fields: fault.Fields{{Pointer: "#/username", Detail: "is taken"}},
		Err:    cause,
	}
}

// A Confirmation is the code from the mail, and whom it was sent to.
type Confirmation struct {
	Username string
	Code     string
}

// Faults returns every rule that the confirmation breaks.
func (c Confirmation) Faults() fault.Fields {
	var f fault.Fields
	UsernameFault(&f, "#/username", c.Username)
	codeFault(&f, c.Code)
	return f
}

const maxCode = 2048

func codeFault(f *fault.Fields, code string) {
	if code == "" || len(code) > maxCode || strings.ContainsFunc(code, unicode.IsSpace) {
		f.Add("#/code", "must be the code from the mail")
	}
}

// UsernameFault adds a fault unless the name may be that of an account which
// waits for its code. An e-mail address leads to an account only when it is
// confirmed.
func UsernameFault(f *fault.Fields, pointer, name string) {
	if !plausible(name) || strings.Contains(name, "@") {
		f.Add(pointer, "must be the user name of the account")
	}
}

// Confirm takes the code that was mailed, and gives the account its place on the
// platform. It fails with fault.Invalid if that is not the code, with
// fault.Conflict if the account is confirmed already, and with fault.EmailTaken
// if another account with the same address was confirmed first.
func (r *Registration) Confirm(ctx context.Context, c Confirmation) error {
	err := r.accounts.Confirm(ctx, c.Username, c.Code)
	if !errors.Is(err, ErrTriggerFailed) {
		return err
	}
	a, err2 := r.accounts.Find(ctx, c.Username)
	if err2 != nil {
		return fmt.Errorf("find the account after %w: %w", err, err2)
	}
	if !a.Confirmed {
		return err
	}
	return Onboard(ctx, r.onboarder, a)
}
