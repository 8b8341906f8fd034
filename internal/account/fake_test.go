package account_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// entry is an account with its password.
type entry struct {
	account.Account
	password string
	invited  bool // another password is due
	admin    bool // member of the group platform-admins
}

// directory keeps accounts in a map, by user name.
type directory struct {
	entries map[string]*entry

	autoConfirm bool
	// preSignUp and postConfirmation are the errors of the triggers.
	preSignUp, postConfirmation error
	aftermath                   *account.Aftermath // what a trigger does after a reset
	signIns                     int
	signedOut                   []string
	// takes is how long the directory takes to mail a code or to take one.
	takes time.Duration
	codes []string // whom codes were mailed to
}

func newDirectory(entries ...*entry) *directory {
	d := &directory{entries: map[string]*entry{}}
	for _, e := range entries {
		d.entries[e.Username] = e
	}
	return d
}

func (d *directory) SignUp(_ context.Context, draft account.Draft) (identity.UserID, bool, error) {
	if d.preSignUp != nil {
		return "", false, d.preSignUp
	}
	if _, taken := d.entries[draft.Username]; taken {
		return "", false, account.ErrUsernameTaken(nil)
	}
	e := &entry{password: draft.Password, Account: account.Account{
		ID: identity.UserID("id of " + draft.Username), Username: draft.Username, Email: draft.Email,
		Role: draft.Role, Confirmed: d.autoConfirm,
	}}
	d.entries[draft.Username] = e
	if d.autoConfirm && d.postConfirmation != nil {
		return "", false, d.postConfirmation
	}
	return e.ID, d.autoConfirm, nil
}

func (d *directory) Confirm(_ context.Context, username, code string) error {
	e, ok := d.entries[username]
	switch {
	case !ok || code != "123456":
		return fault.Fields{{Pointer: "#/code", Detail: "is wrong"}}.Err()
	case d.preSignUp != nil:
		return d.preSignUp
	}
	e.Confirmed = true
	return d.postConfirmation
}

func (d *directory) SignIn(_ context.Context, username, password string) (account.Tokens, error) {
	d.signIns++
	e, ok := d.entries[username]
	switch {
	case !ok || e.password != password:
		return account.Tokens{}, fault.New(fault.InvalidCredentials, "the user name or the password is wrong")
	case e.invited:
		return account.Tokens{}, fault.New(fault.NewPasswordRequired, "a new password is due")
	case !e.Confirmed:
		return account.Tokens{}, fault.New(fault.UserNotConfirmed, "enter the code")
	}
	return e.tokens(), nil
}

func (d *directory) SignInAnew(_ context.Context, username, password, newPassword string) (account.Tokens, error) {
	e, ok := d.entries[username]
	switch {
	case !ok || e.password != password:
		return account.Tokens{}, fault.New(fault.InvalidCredentials, "the user name or the password is wrong")
	case !e.invited:
		return account.Tokens{}, fault.Fields{{Pointer: "#/new_password", Detail: "is not due"}}.Err()
	}
	e.password, e.invited = newPassword, false
	return e.tokens(), nil
}

func (e *entry) tokens() account.Tokens {
	return account.Tokens{
		Access: "access of " + e.Username, Refresh: "refresh.of." + e.Username, ExpiresIn: time.Hour,
		UserID: e.ID, Username: e.Username, AuthTime: time.Now().Truncate(time.Second), PlatformAdmin: e.admin,
	}
}

func (d *directory) Refresh(_ context.Context, username, token string) (account.Tokens, error) {
	e, ok := d.entries[username]
	if !ok || token != "refresh.of."+username {
		return account.Tokens{}, fault.New(fault.TokenInvalid, "the refresh token is not good")
	}
	t := e.tokens()
	t.Refresh = ""
	return t, nil
}

func (d *directory) SendResetCode(_ context.Context, username string) error {
	time.Sleep(d.takes)
	if username == "broken" {
		return errDown
	}
	if e, ok := d.entries[username]; ok && e.Confirmed && !e.invited {
		d.codes = append(d.codes, username)
	}
	return nil
}

var errDown = errors.New("the directory is down")

func (d *directory) ResetPassword(ctx context.Context, username, code, password, requestID string) error {
	time.Sleep(d.takes)
	if !slices.Contains(d.codes, username) || code != "123456" {
		return fault.Fields{{Pointer: "#/code", Detail: "is wrong"}}.Err()
	}
	d.entries[username].password = password
	if d.postConfirmation != nil {
		return d.postConfirmation
	}
	return d.aftermath.PasswordReset(ctx, d.entries[username].ID, requestID)
}

func (d *directory) ChangePassword(_ context.Context, accessToken, oldPassword, newPassword string) error {
	e, ok := d.entries[strings.TrimPrefix(accessToken, "access of ")]
	switch {
	case !ok:
		return fault.New(fault.TokenInvalid, "the token is not good")
	case e.password != oldPassword:
		return fault.Fields{{Pointer: "#/old_password", Detail: "is wrong"}}.Err()
	}
	e.password = newPassword
	return nil
}

func (d *directory) SignOut(_ context.Context, username string) error {
	d.signedOut = append(d.signedOut, username)
	return nil
}

func (d *directory) Find(_ context.Context, username string) (account.Account, error) {
	e, ok := d.entries[username]
	if !ok {
		return account.Account{}, fault.New(fault.NotFound, "there is no such account")
	}
	return e.Account, nil
}

// users keeps users in a map, by their id.
type users map[identity.UserID]user.User

func (u users) Get(_ context.Context, id identity.UserID) (user.User, error) {
	found, ok := u[id]
	if !ok {
		return user.User{}, fault.New(fault.NotFound, "there is no user %q", id)
	}
	return found, nil
}

func (u users) byEmail(email string) (user.User, bool) {
	for _, candidate := range u {
		if user.FoldEmail(candidate.Email) == user.FoldEmail(email) {
			return candidate, true
		}
	}
	return user.User{}, false
}

func (u users) ByEmail(_ context.Context, email string) (string, error) {
	found, ok := u.byEmail(email)
	if !ok {
		return "", fault.New(fault.NotFound, "no account has the e-mail address")
	}
	return found.Username, nil
}

func (u users) EmailHeld(_ context.Context, email string) (bool, error) {
	_, held := u.byEmail(email)
	return held, nil
}

func (u users) Create(_ context.Context, created user.User, _ audit.Record) error {
	if _, ok := u.byEmail(created.Email); ok {
		return fault.New(fault.EmailTaken, "the e-mail address belongs to another account")
	}
	u[created.ID] = created
	return nil
}

func (u users) EndSessions(ctx context.Context, id identity.UserID, at time.Time, _ audit.Record) error {
	found, err := u.Get(ctx, id)
	found.SessionsEndedAt = at
	if err == nil {
		u[id] = found
	}
	return err
}

// tenants are those whose id is a status, and others, which are active.
type tenants struct{}

func (tenants) Get(_ context.Context, id identity.TenantID) (tenant.Tenant, error) {
	if status := tenant.Status(id); slices.Contains(tenant.Statuses(), status) {
		return tenant.Tenant{ID: id, Status: status}, nil
	}
	return tenant.Tenant{ID: id, Status: tenant.Active}, nil
}

// records keeps what the audit is told.
type records []audit.Record

func (r *records) Record(_ context.Context, told audit.Record) error {
	*r = append(*r, told)
	return nil
}

// endings are users whose ends of sessions the audit is told of.
type endings struct {
	users
	told  *records
	marks map[identity.UserID]user.ChangeMark
}

func (e endings) EndSessions(ctx context.Context, id identity.UserID, at time.Time, r audit.Record) error {
	*e.told = append(*e.told, r)
	return e.users.EndSessions(ctx, id, at, r)
}

func (e endings) BeginChange(_ context.Context, id identity.UserID, _ time.Time) (user.ChangeMark, error) {
	if _, ok := e.users[id]; !ok {
		return "", user.NotFound(id)
	}
	e.marks[id] = "mark"
	return "mark", nil
}

func (e endings) EndChange(ctx context.Context, id identity.UserID, m user.ChangeMark, at time.Time, r audit.Record) error {
	if err := e.DropChange(ctx, id, m); err != nil {
		return err
	}
	return e.EndSessions(ctx, id, at, r)
}

func (e endings) DropChange(_ context.Context, id identity.UserID, m user.ChangeMark) error {
	if e.marks[id] != m {
		return errors.New("there is no such mark")
	}
	delete(e.marks, id)
	return nil
}

// onboarder makes users, as provisioning does.
type onboarder struct{ users users }

func (o onboarder) Onboard(ctx context.Context, a provisioning.Account) error {
	u := user.User{ID: a.ID, Username: a.Username, Email: a.Email, Role: identity.Developer}
	if a.Business {
		u.Role, u.TenantID = identity.Owner, identity.TenantID(a.ID)
	}
	return o.users.Create(ctx, u, audit.Record{})
}
