package api

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// PresenceKeeper keeps when users were last seen.
type PresenceKeeper interface {
	// Seen notes that a user is there. It fails with fault.NotFound if there is no
	// such user any more.
	Seen(ctx context.Context, id identity.UserID, at time.Time) error
}

// Heartbeat serves POST /users/me/heartbeat: the caller is online for two minutes.
func Heartbeat(users PresenceKeeper, tenants TenantGetter) Operation {
	return Operation{
		Name:  "Heartbeat",
		Allow: identity.Roles(identity.TenantRoles()...),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			if err := admitReader(ctx, tenants, r.Caller, r.Caller.TenantID); err != nil {
				return nil, err
			}
			err := users.Seen(ctx, r.Caller.Subject, time.Now().UTC().Truncate(time.Millisecond))
			if errors.Is(err, fault.NotFound) {
				return nil, account.ErrNoUser(err)
			}
			if err != nil {
				return nil, err
			}
			return NoContent(), nil
		},
	}
}
