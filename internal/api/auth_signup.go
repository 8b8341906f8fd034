package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
)

// SignUpper is what SignUp needs of an account.Registration.
type SignUpper interface {
	SignUp(ctx context.Context, d account.Draft) (id identity.UserID, confirmed bool, err error)
}

// SignUp serves POST /auth/signup. It answers 201 with the new account, and 409 if
// its user name or e-mail address is taken.
func SignUp(accounts SignUpper, limits AttemptLimiter) Operation {
	return Operation{
		Name:  "SignUp",
		Allow: identity.Public(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[signUpDraft](r)
			if err != nil {
				return nil, err
			}
			d := in.draft()
			if err := faults.And(d.Faults()).Err(); err != nil {
				return nil, err
			}
			if err := limits.Admit(ctx, r.attempt("SignUp", d.Email)); err != nil {
				return nil, err
			}
			id, confirmed, err := accounts.SignUp(ctx, d)
			if err != nil {
				return nil, err
			}
			resp := OK(signedUpView{id, d.Username, d.Email, d.Role, signedUpMessage(confirmed)})
			resp.Status = http.StatusCreated
			return resp, nil
		},
	}
}

// signUpDraft is the body of POST /auth/signup.
type signUpDraft struct {
	Username         string                    `json:"username"`
	Email            string                    `json:"email"`
	Password         string                    `json:"password"`
	Role             patch.Field[account.Role] `json:"role"`
	OrganizationName *string                   `json:"organization_name"`
}

func (d signUpDraft) draft() account.Draft {
	return account.Draft{
		Profile: account.Profile{
			Username:         d.Username,
			Email:            d.Email,
			Role:             d.Role.Or(account.Business),
			OrganizationName: trimmed(d.OrganizationName),
		},
		Password: d.Password,
	}
}

func trimmed(s *string) *string {
	if s == nil {
		return nil
	}
	return new(strings.TrimSpace(*s))
}

// signedUpView is a new account as clients see it.
type signedUpView struct {
	UserID   identity.UserID `json:"user_id"`
	Username string          `json:"username"`
	Email    string          `json:"email"`
	Role     account.Role    `json:"role"`
	Message  string          `json:"message"`
}

func signedUpMessage(confirmed bool) string {
	if confirmed {
		return "The account is made. Sign in with POST /auth/token."
	}
	return "The account is made. Enter the code that we sent to the e-mail address."
}
