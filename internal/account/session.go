package account

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/user"
)

// A refreshToken is the directory's token together with the user name, without
// which the directory does not take it back.
type refreshToken struct {
	username string
	token    string
}

// String returns the form in which clients hold the token.
func (t refreshToken) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(t.username)) + "." + t.token
}

func parseRefreshToken(text string) (refreshToken, bool) {
	name, token, found := strings.Cut(text, ".")
	username, err := base64.RawURLEncoding.Strict().DecodeString(name)
	return refreshToken{string(username), token}, found && err == nil && token != "" && plausible(string(username))
}

// A Refresher is the directory of accounts, as far as sessions go on in it.
type Refresher interface {
	// Refresh fails with fault.TokenInvalid or fault.TokenExpired unless the token
	// is good.
	Refresh(ctx context.Context, username, token string) (Tokens, error)
}

// A UserGetter reads users.
type UserGetter interface {
	// Get returns the user as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.UserID) (user.User, error)
}

// Sessions carries sessions on.
type Sessions struct {
	accounts Refresher
	users    UserGetter
	tenants  TenantGetter
}

// NewSessions returns the sessions of the accounts of a directory.
func NewSessions(accounts Refresher, users UserGetter, tenants TenantGetter) *Sessions {
	return &Sessions{accounts, users, tenants}
}

var errRefresh = fault.New(fault.TokenInvalid, "the refresh token is not one that this API issued, or it was withdrawn; sign in again")

// Refresh gives a session its next access token. It fails with fault.TokenInvalid
// or fault.TokenExpired unless the refresh token is good, with
// fault.UserDisabled, and with fault.TenantDeleting.
func (s *Sessions) Refresh(ctx context.Context, token string) (Session, error) {
	old, ok := parseRefreshToken(token)
	if !ok {
		return Session{}, errRefresh
	}
	tokens, err := s.accounts.Refresh(ctx, old.username, old.token)
	if err != nil {
		return Session{}, err
	}
	u, err := s.users.Get(ctx, tokens.UserID)
	if errors.Is(err, fault.NotFound) || err == nil && u.Ended(tokens.AuthTime) {
		return Session{}, errRefresh
	}
	if err != nil {
		return Session{}, err
	}
	if err := admit(ctx, s.tenants, u); err != nil {
		return Session{}, err
	}
	if tokens.Refresh == "" {
		tokens.Refresh = old.token
	}
	return newSession(tokens, u), nil
}

// A SignOuter is the directory of accounts, as far as sessions end in it.
type SignOuter interface {
	// SignOut ends all sessions of an account.
	SignOut(ctx context.Context, username string) error
}

// A SessionEnder is the store of users, as far as it keeps when their sessions
// were ended.
type SessionEnder interface {
	UserGetter
	// EndSessions ends the sessions of a user that began at the time given or
	// before. It fails with fault.NotFound if there is no such user.
	EndSessions(ctx context.Context, id identity.UserID, at time.Time, r audit.Record) error
}

// An Exit signs people out.
type Exit struct {
	accounts SignOuter
	users    SessionEnder
}

// NewExit returns an Exit from the accounts of a directory.
func NewExit(accounts SignOuter, users SessionEnder) *Exit { return &Exit{accounts, users} }

// Logout ends all sessions of a user: access tokens as soon as the authorizer
// looks again, refresh tokens at once. It fails with fault.TokenInvalid if there
// is no such user any more.
func (e *Exit) Logout(ctx context.Context, c identity.Caller) error {
	u, err := e.users.Get(ctx, c.Subject)
	if err == nil {
		told := audit.By(c).Did(audit.UserSignedOut, u.TenantID, user.Target(u.ID))
		err = e.users.EndSessions(ctx, u.ID, now(), told)
	}
	if errors.Is(err, fault.NotFound) {
		return ErrNoUser(err)
	}
	if err != nil {
		return err
	}
	return e.accounts.SignOut(ctx, u.Username)
}

// ErrNoUser says that a good token is of somebody who is no user: the next
// sign-in makes them one, if they may be.
func ErrNoUser(cause error) error {
	return fault.Wrap(cause, fault.TokenInvalid, "the account has no place on the platform; sign in again")
}
