package api

import (
	"context"

	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/impersonation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/patch"
)

// ImpersonationBeginner is what CreateImpersonation needs of an
// impersonation.Service.
type ImpersonationBeginner interface {
	Begin(ctx context.Context, c identity.Caller, d impersonation.Draft, receipt impersonation.Receipt) (impersonation.Session, string, error)
}

// CreateImpersonation serves POST /impersonations. It answers 201 with a token
// that acts as the user, which is shown only there.
func CreateImpersonation(sessions ImpersonationBeginner, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:        "CreateImpersonation",
		Allow:       identity.Roles(identity.PlatformAdmin),
		Idempotency: &Idempotency{Records: records, Key: hashKey},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[impersonationDraft](r)
			if err != nil {
				return nil, err
			}
			d := impersonation.Draft(in)
			if err := faults.And(d.Faults()).Err(); err != nil {
				return nil, err
			}
			receipt := func(s impersonation.Session) (*idempotency.Record, error) { return r.Receipt(begun(s, "")) }
			s, token, err := sessions.Begin(ctx, r.Caller, d, receipt)
			if err != nil {
				return nil, err
			}
			return begun(s, token), nil
		},
	}
}

// begun returns the answer to a request for an impersonation. It shows the token,
// or says that it was shown.
func begun(s impersonation.Session, token string) *Response {
	view := begunView{ID: s.ID, Token: token, SecretShown: token == "", UserID: s.Subject, TenantID: s.TenantID, Mode: s.Mode, ExpiresAt: timestamp(s.ExpiresAt)}
	return Created("/impersonations/"+string(s.ID), view)
}

// impersonationDraft is the body of POST /impersonations.
type impersonationDraft struct {
	UserID     identity.UserID            `json:"user_id"`
	Reason     string                     `json:"reason"`
	Mode       patch.Field[identity.Mode] `json:"mode"`
	TTLSeconds patch.Field[int]           `json:"ttl_seconds"`
}

// ImpersonationLister lists impersonations.
type ImpersonationLister interface {
	// List returns a part of them, newest first. One that was begun or ended a
	// moment ago may be missing, or as it was before.
	List(ctx context.Context, w page.Window) (page.Page[impersonation.Session], error)
}

// ListImpersonations serves GET /impersonations, newest first.
func ListImpersonations(sessions ImpersonationLister, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListImpersonations",
		Allow: identity.Roles(identity.PlatformAdmin),
		Query: []string{"limit", "cursor"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			return list(ctx, r, cursors, sessions.List, newImpersonationView)
		},
	}
}

// ImpersonationEnder is what DeleteImpersonation needs of an
// impersonation.Service.
type ImpersonationEnder interface {
	End(ctx context.Context, c identity.Caller, id impersonation.ID) error
}

// DeleteImpersonation serves DELETE /impersonations/{id}. It answers 204, and the
// next request in the session is refused.
func DeleteImpersonation(sessions ImpersonationEnder) Operation {
	return Operation{
		Name:  "DeleteImpersonation",
		Allow: identity.Roles(identity.PlatformAdmin),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			if err := sessions.End(ctx, r.Caller, impersonation.ID(r.Path["id"])); err != nil {
				return nil, err
			}
			return NoContent(), nil
		},
	}
}

// begunView is an impersonation in the answer that begins it.
type begunView struct {
	ID          impersonation.ID  `json:"id"`
	Token       string            `json:"token,omitzero"`
	SecretShown bool              `json:"secret_shown,omitzero"`
	UserID      identity.UserID   `json:"user_id"`
	TenantID    identity.TenantID `json:"tenant_id"`
	Mode        identity.Mode     `json:"mode"`
	ExpiresAt   timestamp         `json:"expires_at"`
}

// impersonationView is an impersonation in a list.
type impersonationView struct {
	ID        impersonation.ID  `json:"id"`
	ActorID   identity.UserID   `json:"actor_id"`
	UserID    identity.UserID   `json:"user_id"`
	TenantID  identity.TenantID `json:"tenant_id"`
	Reason    string            `json:"reason"`
	Mode      identity.Mode     `json:"mode"`
	CreatedAt timestamp         `json:"created_at"`
	ExpiresAt timestamp         `json:"expires_at"`
	EndedAt   *timestamp        `json:"ended_at"`
}

func newImpersonationView(s impersonation.Session) impersonationView {
	return impersonationView{
		ID: s.ID, ActorID: s.Actor, UserID: s.Subject, TenantID: s.TenantID, Reason: s.Reason, Mode: s.Mode,
		CreatedAt: timestamp(s.CreatedAt), ExpiresAt: timestamp(s.ExpiresAt), EndedAt: (*timestamp)(s.EndedAt),
	}
}
