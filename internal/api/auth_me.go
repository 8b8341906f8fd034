package api

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// UserGetter reads users.
type UserGetter interface {
	// Get returns the user as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.UserID) (user.User, error)
}

// OwnedTenantGetter reads tenants.
type OwnedTenantGetter interface {
	// Get returns the tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
}

// GetMe serves GET /auth/me. It answers 403 while the caller's tenant is being
// deleted.
func GetMe(users UserGetter, tenants OwnedTenantGetter) Operation {
	return Operation{
		Name:  "GetMe",
		Allow: identity.Anyone(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			u, err := users.Get(ctx, r.Caller.Subject)
			if errors.Is(err, fault.NotFound) {
				return nil, account.ErrNoUser(err)
			}
			if err != nil {
				return nil, err
			}
			owner, err := ownerOf(ctx, tenants, u)
			if err != nil {
				return nil, err
			}
			return OK(meView{
				UserID: u.ID, Username: u.Username, Email: u.Email,
				OwnerID: owner, TenantID: orNull(u.TenantID), Role: u.Role,
				Impersonation: r.impersonation(),
			}), nil
		},
	}
}

// ownerOf returns the owner of a user's tenant, or nil if there is none. It fails
// as Tenant.AdmitReader does.
func ownerOf(ctx context.Context, tenants OwnedTenantGetter, u user.User) (*identity.UserID, error) {
	if u.TenantID == "" {
		return nil, nil
	}
	t, err := tenants.Get(ctx, u.TenantID)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t.OwnerID, t.AdmitReader(identity.Caller{Subject: u.ID, TenantID: u.TenantID, Role: u.Role})
}

// meView is the caller, as they see themselves.
type meView struct {
	UserID        identity.UserID    `json:"user_id"`
	Username      string             `json:"username"`
	Email         string             `json:"email"`
	OwnerID       *identity.UserID   `json:"owner_id"`
	TenantID      *identity.TenantID `json:"tenant_id"`
	Role          identity.Role      `json:"role"`
	Impersonation *proxyView         `json:"impersonation"`
}

// proxyView is the session in which somebody else acts as the caller.
type proxyView struct {
	ID        string          `json:"id"`
	ActorID   identity.UserID `json:"actor_id"`
	Mode      identity.Mode   `json:"mode"`
	ExpiresAt timestamp       `json:"expires_at"`
}

// impersonation returns the session that the request belongs to, or nil.
func (r *Request) impersonation() *proxyView {
	i := r.Caller.Impersonation
	if i == nil {
		return nil
	}
	return &proxyView{i.ID, i.Actor, i.Mode, timestamp(time.Unix(r.expiresAt, 0))}
}
