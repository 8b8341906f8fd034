package api

import (
	"context"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// SignInner is what CreateToken needs of an account.Desk.
type SignInner interface {
	SignIn(ctx context.Context, requestID string, c account.Credentials) (account.Session, error)
}

// CreateToken serves POST /auth/token. It answers 401 if the credentials are
// wrong, 403 if the account may not sign in as it is, and 409 if another account
// with its e-mail address was confirmed first.
func CreateToken(desk SignInner, limits AttemptLimiter) Operation {
	return Operation{
		Name:  "CreateToken",
		Allow: identity.Public(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[credentials](r)
			if err != nil {
				return nil, err
			}
			c := account.Credentials(in)
			if err := faults.And(c.Faults()).Err(); err != nil {
				return nil, err
			}
			if err := limits.Admit(ctx, r.attempt("CreateToken", c.Login)); err != nil {
				return nil, err
			}
			session, err := desk.SignIn(ctx, r.ID, c)
			if err != nil {
				return nil, err
			}
			return OK(newTokenView(session)), nil
		},
	}
}

// credentials is the body of POST /auth/token.
type credentials struct {
	Login       string  `json:"username"`
	Password    string  `json:"password"`
	NewPassword *string `json:"new_password"`
}

// tokenView is a session as clients see it.
type tokenView struct {
	AccessToken  string             `json:"access_token"`
	RefreshToken string             `json:"refresh_token"`
	TokenType    string             `json:"token_type"`
	ExpiresIn    int                `json:"expires_in"`
	TenantID     *identity.TenantID `json:"tenant_id"`
}

func newTokenView(s account.Session) tokenView {
	return tokenView{s.AccessToken, s.RefreshToken, "Bearer", int(s.ExpiresIn.Seconds()), orNull(s.TenantID)}
}

// orNull returns nil for an id that there is not.
func orNull[ID ~string](id ID) *ID {
	if id == "" {
		return nil
	}
	return &id
}

// Refresher is what RefreshToken needs of account.Sessions.
type Refresher interface {
	Refresh(ctx context.Context, token string) (account.Session, error)
}

// RefreshToken serves POST /auth/refresh. It answers 401 if the refresh token is
// not good, and 403 if its user is disabled.
func RefreshToken(sessions Refresher, limits AttemptLimiter) Operation {
	return Operation{
		Name:  "RefreshToken",
		Allow: identity.Public(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[refreshDraft](r)
			if err != nil {
				return nil, err
			}
			var rules fault.Fields
			if in.RefreshToken == "" {
				rules.Add("#/refresh_token", "must be the refresh token of a sign-in")
			}
			if err := faults.And(rules).Err(); err != nil {
				return nil, err
			}
			if err := limits.Admit(ctx, r.attempt("RefreshToken", "")); err != nil {
				return nil, err
			}
			session, err := sessions.Refresh(ctx, in.RefreshToken)
			if err != nil {
				return nil, err
			}
			return OK(newTokenView(session)), nil
		},
	}
}

// refreshDraft is the body of POST /auth/refresh.
type refreshDraft struct {
	RefreshToken string `json:"refresh_token"`
}
