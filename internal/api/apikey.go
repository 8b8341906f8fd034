package api

import (
	"context"
	"time"

	"github.com/tenantry/tenantry/internal/apikey"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
)

// KeyIssuer is what CreateAPIKey needs of an apikey.Service.
type KeyIssuer interface {
	Issue(ctx context.Context, c identity.Caller, d apikey.Draft, receipt apikey.Receipt) (apikey.Key, string, error)
}

// CreateAPIKey serves POST /api-keys. It answers 201 with the key, which is shown
// only there.
func CreateAPIKey(keys KeyIssuer, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:        "CreateAPIKey",
		Allow:       identity.Roles(identity.PlatformAdmin),
		Idempotency: &Idempotency{Records: records, Key: hashKey},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[apiKeyDraft](r)
			if err != nil {
				return nil, err
			}
			d := apikey.Draft(in)
			if err := faults.And(d.Faults()).Err(); err != nil {
				return nil, err
			}
			receipt := func(k apikey.Key) (*idempotency.Record, error) { return r.Receipt(issued(k, "")) }
			k, token, err := keys.Issue(ctx, r.Caller, d, receipt)
			if err != nil {
				return nil, err
			}
			return issued(k, token), nil
		},
	}
}

// issued returns the answer to a request for a key. It shows the token, or says
// that it was shown.
func issued(k apikey.Key, token string) *Response {
	return Created("/api-keys/"+string(k.ID), issuedKeyView{newAPIKeyView(k), token, token == ""})
}

// apiKeyDraft is the body of POST /api-keys.
type apiKeyDraft struct {
	Name      string              `json:"name"`
	Scopes    []identity.Scope    `json:"scopes"`
	TenantIDs []identity.TenantID `json:"tenant_ids"`
	ExpiresAt *time.Time          `json:"expires_at"`
}

// KeyLister lists keys.
type KeyLister interface {
	// List returns a part of them, newest first. One that was made or revoked a
	// moment ago may be missing, or there still.
	List(ctx context.Context, w page.Window) (page.Page[apikey.Key], error)
}

// ListAPIKeys serves GET /api-keys, newest first.
func ListAPIKeys(keys KeyLister, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListAPIKeys",
		Allow: identity.Roles(identity.PlatformAdmin),
		Query: []string{"limit", "cursor"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			return list(ctx, r, cursors, keys.List, newAPIKeyView)
		},
	}
}

// KeyRevoker is what DeleteAPIKey needs of an apikey.Service.
type KeyRevoker interface {
	Revoke(ctx context.Context, c identity.Caller, id apikey.ID) error
}

// DeleteAPIKey serves DELETE /api-keys/{id}. It answers 204; the key is refused
// from then on, or at the latest when the gateway asks the authorizer again.
func DeleteAPIKey(keys KeyRevoker) Operation {
	return Operation{
		Name:  "DeleteAPIKey",
		Allow: identity.Roles(identity.PlatformAdmin),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			if err := keys.Revoke(ctx, r.Caller, apikey.ID(r.Path["id"])); err != nil {
				return nil, err
			}
			return NoContent(), nil
		},
	}
}

// apiKeyView is a key as clients see it, but for what it is.
type apiKeyView struct {
	ID        apikey.ID            `json:"id"`
	Name      string               `json:"name"`
	Scopes    []identity.Scope     `json:"scopes"`
	TenantIDs *[]identity.TenantID `json:"tenant_ids"` // null for all
	ExpiresAt *timestamp           `json:"expires_at"`
	CreatedAt timestamp            `json:"created_at"`
}

// issuedKeyView is a key in the answer that makes it.
type issuedKeyView struct {
	apiKeyView
	Key         string `json:"key,omitzero"`
	SecretShown bool   `json:"secret_shown,omitzero"`
}

func newAPIKeyView(k apikey.Key) apiKeyView {
	view := apiKeyView{ID: k.ID, Name: k.Name, Scopes: k.Scopes, ExpiresAt: (*timestamp)(k.ExpiresAt), CreatedAt: timestamp(k.CreatedAt)}
	if len(k.TenantIDs) > 0 {
		view.TenantIDs = &k.TenantIDs
	}
	return view
}
