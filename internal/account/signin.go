package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// What the directory of accounts takes at most.
const (
	maxName           = 128
	maxStoredPassword = 256
)

// Credentials are what somebody signs in with.
type Credentials struct {
	Login       string // the user name, or the e-mail address
	Password    string
	NewPassword *string // nil but at the first sign-in of an invited user
}

// Faults returns every rule that the credentials break.
func (c Credentials) Faults() fault.Fields {
	var f fault.Fields
	if c.Login == "" {
		f.Add("#/username", "must be the user name or the e-mail address")
	}
	if c.Password == "" {
		f.Add("#/password", "must be the password")
	}
	if c.NewPassword != nil {
		user.PasswordFault(&f, "#/new_password", *c.NewPassword)
		if f == nil && *c.NewPassword == c.Password {
			f.Add("#/new_password", "must not be the password that was mailed")
		}
	}
	return f
}

// A Directory is the directory of accounts, as far as people sign in to it.
type Directory interface {
	// SignIn fails with fault.InvalidCredentials unless the password is that of the
	// account, with fault.NewPasswordRequired if another is due, with
	// fault.UserNotConfirmed, and with fault.TooManyRequests.
	SignIn(ctx context.Context, username, password string) (Tokens, error)
	// SignInAnew is SignIn where another password is due. It fails with
	// fault.Invalid where none is.
	SignInAnew(ctx context.Context, username, password, newPassword string) (Tokens, error)
	// Find returns the account with a user name, or fault.NotFound.
	Find(ctx context.Context, username string) (Account, error)
}

// Users is the store of users, as far as they sign in.
type Users interface {
	// Get returns the user as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.UserID) (user.User, error)
	EmailFinder
	// Create writes a user who belongs to no tenant. It fails with fault.Conflict
	// if the user is there already, and with fault.EmailTaken.
	Create(ctx context.Context, u user.User, r audit.Record) error
}

// A Session is what a sign-in or a refresh gives.
type Session struct {
	AccessToken  string
	RefreshToken string
	ExpiresIn    time.Duration
	TenantID     identity.TenantID // "" for those who belong to no tenant
}

// An Auditor keeps records of what changes nothing.
type Auditor interface {
	Record(ctx context.Context, r audit.Record) error
}

// A Desk signs people in.
type Desk struct {
	accounts  Directory
	users     Users
	tenants   TenantGetter
	onboarder Onboarder
	auditor   Auditor
}

// NewDesk returns a Desk that signs in to the accounts of a directory.
func NewDesk(accounts Directory, users Users, tenants TenantGetter, onboarder Onboarder, auditor Auditor) *Desk {
	return &Desk{accounts, users, tenants, onboarder, auditor}
}

// SignIn fails as Directory.SignIn does, with fault.UserDisabled, with
// fault.TenantDeleting, and with fault.EmailTaken if another account with the same
// address was confirmed first. It gives an account that has no place on the
// platform yet its place.
func (d *Desk) SignIn(ctx context.Context, requestID string, c Credentials) (Session, error) {
	username, err := d.username(ctx, c)
	if err != nil {
		return Session{}, err
	}
	tokens, err := d.signIn(ctx, username, c)
	if err != nil {
		return Session{}, err
	}
	u, err := d.user(ctx, requestID, tokens)
	if err != nil {
		return Session{}, err
	}
	if err := admit(ctx, d.tenants, u); err != nil {
		return Session{}, err
	}
	if c.NewPassword != nil {
		c.Password = *c.NewPassword
	}
	if tokens, err = d.outlast(ctx, u, c.Password, tokens); err != nil {
		return Session{}, err
	}
	told := audit.By(identity.Caller{Subject: u.ID, RequestID: requestID}).Did(audit.UserSignedIn, u.TenantID, user.Target(u.ID))
	if err := d.auditor.Record(ctx, told); err != nil {
		return Session{}, fmt.Errorf("record the sign-in of user %s: %w", u.ID, err)
	}
	return newSession(tokens, u), nil
}

var (
	errDisabled    = fault.New(fault.UserDisabled, "the account is disabled; an owner or admin of your tenant can enable it")
	errCredentials = fault.New(fault.InvalidCredentials, "the user name or the password is wrong")
)

// A TenantGetter reads tenants.
type TenantGetter interface {
	// Get returns the tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
}

// admit fails unless a user may have a session: with fault.UserDisabled, and with
// fault.TenantDeleting if their tenant is locked.
func admit(ctx context.Context, tenants TenantGetter, u user.User) error {
	if u.Disabled {
		return errDisabled
	}
	if u.TenantID == "" {
		return nil
	}
	t, err := tenants.Get(ctx, u.TenantID)
	if err != nil {
		return fmt.Errorf("read the tenant of user %s: %w", u.ID, err)
	}
	return t.AdmitReader(identity.Caller{Subject: u.ID, TenantID: u.TenantID, Role: u.Role})
}

// username returns the name of the account that the credentials are for.
func (d *Desk) username(ctx context.Context, c Credentials) (string, error) {
	if !plausible(c.Login) || utf8.RuneCountInString(c.Password) > maxStoredPassword {
		return "", errCredentials
	}
	return usernameOf(ctx, d.users, c.Login)
}

// An EmailFinder finds accounts by their e-mail address.
type EmailFinder interface {
	// ByEmail returns the user name of the account that an e-mail address belongs
	// to, or fault.NotFound.
	ByEmail(ctx context.Context, email string) (username string, err error)
}

// usernameOf returns the name of the account that a user name or an e-mail address
// is for. An address that leads to no account is tried as a name, so that it is
// answered as any other.
func usernameOf(ctx context.Context, emails EmailFinder, login string) (string, error) {
	if !strings.Contains(login, "@") {
		return login, nil
	}
	username, err := emails.ByEmail(ctx, login)
	if errors.Is(err, fault.NotFound) {
		return login, nil
	}
	return username, err
}

// plausible reports whether the directory could have an account of that name.
func plausible(name string) bool {
	return name != "" && utf8.RuneCountInString(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r)
	})
}

func (d *Desk) signIn(ctx context.Context, username string, c Credentials) (Tokens, error) {
	if c.NewPassword != nil {
		return d.accounts.SignInAnew(ctx, username, c.Password, *c.NewPassword)
	}
	return d.accounts.SignIn(ctx, username, c.Password)
}

// user returns whoever signed in, and makes their row if there is none yet.
func (d *Desk) user(ctx context.Context, requestID string, t Tokens) (user.User, error) {
	u, err := d.users.Get(ctx, t.UserID)
	if !errors.Is(err, fault.NotFound) {
		return u, err
	}
	a, err := d.accounts.Find(ctx, t.Username)
	if err != nil {
		return user.User{}, fmt.Errorf("find the account of user %s: %w", t.UserID, err)
	}
	if t.PlatformAdmin {
		err = d.createPlatformAdmin(ctx, requestID, a)
	} else {
		err = Onboard(ctx, d.onboarder, a)
	}
	if err != nil {
		return user.User{}, err
	}
	return d.users.Get(ctx, t.UserID)
}

// createPlatformAdmin makes the row of a platform admin, unless another sign-in
// has just made it.
func (d *Desk) createPlatformAdmin(ctx context.Context, requestID string, a Account) error {
	if a.Email == "" {
		return fault.New(fault.Forbidden, "the account has no e-mail address, which users must have")
	}
	u, told := NewPlatformAdmin(a, a.Username, audit.By(identity.Caller{Subject: a.ID, RequestID: requestID}))
	err := d.users.Create(ctx, u, told)
	if errors.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// NewPlatformAdmin returns the platform admin that an account becomes, and what the
// audit is told of that.
func NewPlatformAdmin(a Account, fullName string, by audit.Origin) (user.User, audit.Record) {
	u := user.User{
		ID:        a.ID,
		Username:  a.Username,
		Email:     a.Email,
		FullName:  fullName,
		Role:      identity.PlatformAdmin,
		CreatedAt: now(),
		Version:   1,
	}
	return u, by.Did(audit.UserCreated, "", user.Target(u.ID), user.Changes(user.User{}, u)...)
}

const (
	outlastAttempts = 3
	clockSkew       = 50 * time.Millisecond
)

// outlast returns tokens of a session that is not ended. One that began in the
// second in which all sessions were ended counts as ended, so where the tokens
// are of such a session, it waits for the next second and signs in again.
func (d *Desk) outlast(ctx context.Context, u user.User, password string, t Tokens) (Tokens, error) {
	for range outlastAttempts {
		if !u.Ended(t.AuthTime) {
			return t, nil
		}
		next := u.SessionsEndedAt.Truncate(time.Second).Add(time.Second + clockSkew)
		if err := wait(ctx, min(time.Until(next), 2*time.Second)); err != nil {
			return Tokens{}, err
		}
		var err error
		if t, err = d.accounts.SignIn(ctx, t.Username, password); err != nil {
			return Tokens{}, err
		}
	}
	if u.Ended(t.AuthTime) {
		return Tokens{}, fmt.Errorf("a session of user %s begins before the last was ended: clocks differ", u.ID)
	}
	return t, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newSession(t Tokens, u user.User) Session {
	return Session{
		AccessToken:  t.Access,
		RefreshToken: refreshToken{t.Username, t.Refresh}.String(),
		ExpiresIn:    t.ExpiresIn,
		TenantID:     u.TenantID,
	}
}
