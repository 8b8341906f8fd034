// Package authorizer is the edge that finds out who calls the API. It looks at
// the token and at the user, never at the route: API Gateway keeps one answer for
// all routes.
package authorizer

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/apikey"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/impersonation"
	"github.com/tenantry/tenantry/internal/opaque"
	"github.com/tenantry/tenantry/internal/token"
	"github.com/tenantry/tenantry/internal/user"
)

// A Request is what is read of an event of API Gateway's, payload format 2.0.
type Request struct {
	// IdentitySource holds the header Authorization.
	IdentitySource []string `json:"identitySource"`
}

// An Answer is a simple response, as API Gateway takes it. It always lets the
// request pass: the operation refuses a caller who has not proved who they are,
// in a form that clients can read.
type Answer struct {
	IsAuthorized bool                  `json:"isAuthorized"`
	Context      api.AuthorizerContext `json:"context"`
}

// A TokenVerifier verifies access tokens.
type TokenVerifier interface {
	// Verify fails with fault.TokenExpired or fault.TokenInvalid unless the token
	// is good.
	Verify(ctx context.Context, token string) (token.Claims, error)
}

// Users is the store of users.
type Users interface {
	// Get returns the user as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.UserID) (user.User, error)
}

// Keys is the store of services' keys.
type Keys interface {
	// ByHash returns the key whose token has the hash, or fault.NotFound.
	ByHash(ctx context.Context, hash opaque.Hash) (apikey.Key, error)
}

// Impersonations is the store of the sessions in which platform admins act as
// others.
type Impersonations interface {
	// ByHash returns the session whose token has the hash, or fault.NotFound.
	ByHash(ctx context.Context, hash opaque.Hash) (impersonation.Session, error)
}

// Stores is where what tokens stand for is kept.
type Stores struct {
	Tokens         TokenVerifier
	Users          Users
	Keys           Keys
	Impersonations Impersonations
}

// New returns a function that finds out who calls. It fails only if it cannot
// find out.
func New(s Stores) func(context.Context, Request) (Answer, error) {
	return func(ctx context.Context, r Request) (Answer, error) {
		caller, err := s.find(ctx, bearer(r.IdentitySource))
		if kind := fault.KindOf(err); kind == fault.TokenInvalid || kind == fault.TokenExpired {
			return Answer{true, api.AuthorizerContext{Problem: kind}}, nil
		}
		if err != nil {
			return Answer{}, err
		}
		return Answer{true, caller}, nil
	}
}

// errWithdrawn says that a token is no good any more, though it has not expired.
var errWithdrawn = fault.New(fault.TokenInvalid, "the token was withdrawn")

func (s Stores) find(ctx context.Context, token string) (api.AuthorizerContext, error) {
	switch {
	case strings.HasPrefix(token, opaque.ServiceKey):
		return s.service(ctx, opaque.HashOf(token))
	case strings.HasPrefix(token, opaque.Impersonation):
		return s.impersonation(ctx, opaque.HashOf(token))
	}
	return s.user(ctx, token)
}

func (s Stores) user(ctx context.Context, token string) (api.AuthorizerContext, error) {
	claims, err := s.Tokens.Verify(ctx, token)
	if err != nil {
		return api.AuthorizerContext{}, err
	}
	u, err := s.Users.Get(ctx, claims.Subject)
	if errors.Is(err, fault.NotFound) {
		return api.AuthorizerContext{Subject: claims.Subject, Role: identity.Applicant, ExpiresAt: claims.Expires.Unix()}, nil
	}
	if err != nil {
		return api.AuthorizerContext{}, err
	}
	if u.Disabled || u.Ended(claims.AuthTime) {
		return api.AuthorizerContext{}, errWithdrawn
	}
	return api.AuthorizerContext{Subject: u.ID, TenantID: u.TenantID, Role: u.Role, ExpiresAt: claims.Expires.Unix()}, nil
}

func (s Stores) service(ctx context.Context, hash opaque.Hash) (api.AuthorizerContext, error) {
	k, err := s.Keys.ByHash(ctx, hash)
	if err != nil {
		return api.AuthorizerContext{}, goneIsWithdrawn(err)
	}
	if k.Expired(time.Now()) {
		return api.AuthorizerContext{}, fault.New(fault.TokenExpired, "the key has expired")
	}
	c := api.AuthorizerContext{Subject: identity.UserID(k.ID), Role: identity.Service, Scopes: k.Scopes, TenantIDs: k.TenantIDs}
	if k.ExpiresAt != nil {
		c.ExpiresAt = k.ExpiresAt.Unix()
	}
	return c, nil
}

// impersonation looks at the session and at both its users. Operations look at
// the session again.
func (s Stores) impersonation(ctx context.Context, hash opaque.Hash) (api.AuthorizerContext, error) {
	session, err := s.Impersonations.ByHash(ctx, hash)
	if err != nil {
		return api.AuthorizerContext{}, goneIsWithdrawn(err)
	}
	actor, err := s.Users.Get(ctx, session.Actor)
	if err != nil {
		return api.AuthorizerContext{}, goneIsWithdrawn(err)
	}
	if err := session.Admit(time.Now(), actor); err != nil {
		return api.AuthorizerContext{}, err
	}
	u, err := s.Users.Get(ctx, session.Subject)
	if err != nil {
		return api.AuthorizerContext{}, goneIsWithdrawn(err)
	}
	if u.Disabled || u.TenantID != session.TenantID {
		return api.AuthorizerContext{}, errWithdrawn
	}
	return api.AuthorizerContext{
		Subject: u.ID, TenantID: u.TenantID, Role: u.Role, ExpiresAt: session.ExpiresAt.Unix(),
		ImpersonationID: string(session.ID), Actor: session.Actor, Mode: session.Mode,
	}, nil
}

// goneIsWithdrawn says of a token that what it stands for is gone.
func goneIsWithdrawn(err error) error {
	if errors.Is(err, fault.NotFound) {
		return errWithdrawn
	}
	return err
}

// bearer returns the token of an Authorization header, or "" if it holds none.
func bearer(source []string) string {
	if len(source) != 1 {
		return ""
	}
	return api.Bearer(source[0])
}
