package api

import (
	"context"
	"net/http"

	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
)

// UserResetter is what ResetUserPassword needs of a user.Resetter.
type UserResetter interface {
	Reset(ctx context.Context, c identity.Caller, id identity.UserID, receipt func(invited bool) (*idempotency.Record, error)) (invited bool, err error)
}

// ResetUserPassword serves POST /users/{user_id}/reset-password. It answers 202
// when a mail is on its way: the invitation again as long as that is open, or else
// a code. Where a request dies before it has answered, the same again sends
// another mail.
func ResetUserPassword(users UserResetter, operations RunningFinder, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:        "ResetUserPassword",
		Allow:       identity.Managers(),
		Idempotency: &Idempotency{Records: records, Key: hashKey},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			invited, err := users.Reset(ctx, r.Caller, r.userID(), func(invited bool) (*idempotency.Record, error) {
				return r.Receipt(passwordMailed(invited))
			})
			if err != nil {
				return nil, nameBusy(ctx, err, operations)
			}
			return passwordMailed(invited), nil
		},
	}
}

// passwordMailed returns the answer to a reset.
func passwordMailed(invited bool) *Response {
	message := "The user's sessions are ended, and a code is on its way to their e-mail address. They choose a new password with it: POST /auth/password/reset."
	if invited {
		message = "The invitation is on its way again, with another password for the first sign-in."
	}
	resp := OK(messageView{message})
	resp.Status = http.StatusAccepted
	return resp
}
