// Package authorizer is the edge that finds out who calls the API. It looks at
// the token and at the user, never at the route: API Gateway keeps one answer for
// all routes.
package authorizer

import (
	"context"
	"errors"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
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

// New returns a function that finds out who calls. It fails only if it cannot
// find out.
func New(tokens TokenVerifier, users Users) func(context.Context, Request) (Answer, error) {
	return func(ctx context.Context, r Request) (Answer, error) {
		caller, err := find(ctx, tokens, users, r)
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

func find(ctx context.Context, tokens TokenVerifier, users Users, r Request) (api.AuthorizerContext, error) {
	claims, err := tokens.Verify(ctx, bearer(r.IdentitySource))
	if err != nil {
		return api.AuthorizerContext{}, err
	}
	u, err := users.Get(ctx, claims.Subject)
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

// bearer returns the token of an Authorization header, or "" if it holds none.
func bearer(source []string) string {
	if len(source) != 1 {
		return ""
	}
	return api.Bearer(source[0])
}
