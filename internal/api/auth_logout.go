package api

import (
	"context"

	"github.com/tenantry/tenantry/internal/identity"
)

// LoggerOut is what Logout needs of an account.Exit.
type LoggerOut interface {
	Logout(ctx context.Context, c identity.Caller) error
}

// Logout serves POST /auth/logout. It ends all sessions of the caller.
func Logout(exit LoggerOut) Operation {
	return Operation{
		Name:  "Logout",
		Allow: identity.Anyone(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			if err := exit.Logout(ctx, r.Caller); err != nil {
				return nil, err
			}
			return NoContent(), nil
		},
	}
}
