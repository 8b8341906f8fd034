package api

import (
	"context"
	"net/http"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// Confirmer is what ConfirmSignUp needs of an account.Registration.
type Confirmer interface {
	Confirm(ctx context.Context, c account.Confirmation) error
}

// ConfirmSignUp serves POST /auth/confirm. It answers 409 if the account is
// confirmed already, or another with its e-mail address was first.
func ConfirmSignUp(accounts Confirmer, limits AttemptLimiter) Operation {
	return Operation{
		Name:  "ConfirmSignUp",
		Allow: identity.Public(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[confirmation](r)
			if err != nil {
				return nil, err
			}
			c := account.Confirmation(in)
			if err := faults.And(c.Faults()).Err(); err != nil {
				return nil, err
			}
			if err := limits.Admit(ctx, r.attempt("ConfirmSignUp", c.Username)); err != nil {
				return nil, err
			}
			if err := accounts.Confirm(ctx, c); err != nil {
				return nil, err
			}
			return OK(messageView{"The account is confirmed. Sign in with POST /auth/token."}), nil
		},
	}
}

// confirmation is the body of POST /auth/confirm.
type confirmation struct {
	Username string `json:"username"`
	Code     string `json:"code"`
}

// CodeSender sends codes.
type CodeSender interface {
	// ResendCode mails a new code to an account that waits for one. It does not say
	// whether there is one.
	ResendCode(ctx context.Context, username string) error
}

// ResendConfirmation serves POST /auth/confirm/resend. It answers 202 whether
// there is such an account or not.
func ResendConfirmation(accounts CodeSender, limits AttemptLimiter) Operation {
	return Operation{
		Name:  "ResendConfirmation",
		Allow: identity.Public(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[confirmationResend](r)
			if err != nil {
				return nil, err
			}
			var rules fault.Fields
			account.UsernameFault(&rules, "#/username", in.Username)
			if err := faults.And(rules).Err(); err != nil {
				return nil, err
			}
			if err := limits.Admit(ctx, r.attempt("ResendConfirmation", in.Username)); err != nil {
				return nil, err
			}
			if err := accounts.ResendCode(ctx, in.Username); err != nil {
				return nil, err
			}
			resp := OK(messageView{"If the account waits to be confirmed, a new code is on its way."})
			resp.Status = http.StatusAccepted
			return resp, nil
		},
	}
}

// confirmationResend is the body of POST /auth/confirm/resend.
type confirmationResend struct {
	Username string `json:"username"`
}

// messageView says what happened, or what to do next.
type messageView struct {
	Message string `json:"message"`
}
