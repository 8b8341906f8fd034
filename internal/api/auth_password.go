package api

import (
	"context"
	"net/http"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// PasswordForgetter is what ForgetPassword needs of an account.Recovery.
type PasswordForgetter interface {
	Forgot(ctx context.Context, login string) error
}

// ForgetPassword serves POST /auth/password/forgot. It answers 202 whether there
// is such an account or not, and takes the same time.
func ForgetPassword(recovery PasswordForgetter, limits AttemptLimiter) Operation {
	return Operation{
		Name:  "ForgetPassword",
		Allow: identity.Public(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[forgottenPassword](r)
			if err != nil {
				return nil, err
			}
			var rules fault.Fields
			account.LoginFault(&rules, "#/username", in.Login)
			if err := faults.And(rules).Err(); err != nil {
				return nil, err
			}
			if err := limits.Admit(ctx, r.attempt("ForgetPassword", in.Login)); err != nil {
				return nil, err
			}
			if err := recovery.Forgot(ctx, in.Login); err != nil {
				return nil, err
			}
			resp := OK(messageView{"If there is such an account, a code is on its way to its e-mail address. Choose a new password with it: POST /auth/password/reset."})
			resp.Status = http.StatusAccepted
			return resp, nil
		},
	}
}

// forgottenPassword is the body of POST /auth/password/forgot.
type forgottenPassword struct {
	Login string `json:"username"`
}

// PasswordResetter is what ResetPassword needs of an account.Recovery.
type PasswordResetter interface {
	Reset(ctx context.Context, requestID string, p account.PasswordReset) error
}

// ResetPassword serves POST /auth/password/reset. It answers 422 alike if the code
// is wrong or has expired, and if there is no such account.
func ResetPassword(recovery PasswordResetter, limits AttemptLimiter) Operation {
	return Operation{
		Name:  "ResetPassword",
		Allow: identity.Public(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[passwordReset](r)
			if err != nil {
				return nil, err
			}
			p := account.PasswordReset(in)
			if err := faults.And(p.Faults()).Err(); err != nil {
				return nil, err
			}
			if err := limits.Admit(ctx, r.attempt("ResetPassword", p.Login)); err != nil {
				return nil, err
			}
			if err := recovery.Reset(ctx, r.ID, p); err != nil {
				return nil, err
			}
			return OK(messageView{"The password is changed, and all sessions are ended. Sign in with POST /auth/token."}), nil
		},
	}
}

// passwordReset is the body of POST /auth/password/reset.
type passwordReset struct {
	Login       string `json:"username"`
	Code        string `json:"code"`
	NewPassword string `json:"new_password"`
}

// PasswordChanger is what ChangePassword needs of an account.Renewal.
type PasswordChanger interface {
	Change(ctx context.Context, c identity.Caller, accessToken string, p account.PasswordChange) error
}

// ChangePassword serves POST /auth/password/change. It answers 422 if the old
// password is wrong: the caller is known, so that it is one member of the body
// that has to be mended. It ends all sessions of the caller.
func ChangePassword(renewal PasswordChanger, limits AttemptLimiter) Operation {
	return Operation{
		Name:  "ChangePassword",
		Allow: identity.Anyone(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[passwordChange](r)
			if err != nil {
				return nil, err
			}
			p := account.PasswordChange(in)
			if err := faults.And(p.Faults()).Err(); err != nil {
				return nil, err
			}
			if err := limits.Admit(ctx, r.attempt("ChangePassword", string(r.Caller.Subject))); err != nil {
				return nil, err
			}
			if err := renewal.Change(ctx, r.Caller, Bearer(r.Header("authorization")), p); err != nil {
				return nil, err
			}
			return NoContent(), nil
		},
	}
}

// passwordChange is the body of POST /auth/password/change.
type passwordChange struct {
	Old string `json:"old_password"`
	New string `json:"new_password"`
}
