// Package apikey holds the keys by which services of the platform come in. It
// knows neither HTTP nor AWS.
package apikey

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/opaque"
)

const (
	maxName    = 255
	maxTenants = 100
)

// An ID names a key. It is a UUID in its canonical form.
type ID string

// A Key is what lets a service in, but for the token itself.
type Key struct {
	ID        ID
	Name      string
	Scopes    []identity.Scope
	TenantIDs []identity.TenantID // that it is bound to; none is all
	ExpiresAt *time.Time          // in whole seconds; nil for never
	CreatedAt time.Time
	Hash      opaque.Hash // of the token
}

// Expired reports whether the key is no good any more.
func (k Key) Expired(now time.Time) bool { return k.ExpiresAt != nil && !now.Before(*k.ExpiresAt) }

// A Draft is a key that is still to be made.
type Draft struct {
	Name      string
	Scopes    []identity.Scope
	TenantIDs []identity.TenantID // nil for all
	ExpiresAt *time.Time
}

// Faults returns every rule that the draft breaks.
func (d Draft) Faults() fault.Fields {
	var f fault.Fields
	if n := utf8.RuneCountInString(strings.TrimSpace(d.Name)); n < 1 || n > maxName {
		f.Add("#/name", "must be 1 to %d characters after trimming", maxName)
	}
	if len(d.Scopes) == 0 {
		f.Add("#/scopes", "must name at least one scope")
	}
	for i, scope := range d.Scopes {
		switch {
		case !slices.Contains(identity.Scopes(), scope):
			f.Add(fmt.Sprintf("#/scopes/%d", i), "must be one of %v", identity.Scopes())
		case slices.Contains(d.Scopes[:i], scope):
			f.Add(fmt.Sprintf("#/scopes/%d", i), "must be there once")
		}
	}
	if n := len(d.TenantIDs); d.TenantIDs != nil && (n < 1 || n > maxTenants) {
		f.Add("#/tenant_ids", "must name 1 to %d tenants; leave it out for all", maxTenants)
	}
	for i, id := range d.TenantIDs {
		parsed, err := uuid.Parse(string(id))
		switch {
		case err != nil || parsed.String() != string(id):
			f.Add(fmt.Sprintf("#/tenant_ids/%d", i), "must be a UUID in lower case with hyphens")
		case slices.Contains(d.TenantIDs[:i], id):
			f.Add(fmt.Sprintf("#/tenant_ids/%d", i), "must be there once")
		}
	}
	switch {
	case d.ExpiresAt == nil:
	case !d.ExpiresAt.Truncate(time.Second).After(time.Now()):
		f.Add("#/expires_at", "must be in the future")
	case d.ExpiresAt.UTC().Year() > 9999: // as RFC 3339 has it; a zone can make it more
		f.Add("#/expires_at", "must be in UTC before the year 10000")
	}
	return f
}

// A Store keeps keys.
type Store interface {
	// Create writes a key. It fails with idempotency.ErrRecorded if the receipt,
	// which may be nil, is there already.
	Create(ctx context.Context, k Key, r audit.Record, receipt *idempotency.Record) error
	// Delete removes a key, or fails with fault.NotFound.
	Delete(ctx context.Context, id ID, r audit.Record) error
}

// A Receipt makes the record of an answer, to be written with what it answers.
type Receipt func(Key) (*idempotency.Record, error)

// A Service makes and revokes keys.
type Service struct{ store Store }

// NewService returns a Service that keeps its keys in store.
func NewService(store Store) *Service { return &Service{store} }

// Issue makes a key, and returns it with its token, which is not to be had again.
func (s *Service) Issue(ctx context.Context, c identity.Caller, d Draft, receipt Receipt) (Key, string, error) {
	if err := d.Faults().Err(); err != nil {
		return Key{}, "", err
	}
	token := opaque.New(opaque.ServiceKey)
	k := Key{
		ID:        ID(uuid.NewString()),
		Name:      strings.TrimSpace(d.Name),
		Scopes:    d.Scopes,
		TenantIDs: d.TenantIDs,
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
		Hash:      opaque.HashOf(token),
	}
	if d.ExpiresAt != nil {
		k.ExpiresAt = new(d.ExpiresAt.UTC().Truncate(time.Second))
	}
	record, err := receipt(k)
	if err != nil {
		return Key{}, "", err
	}
	told := audit.By(c).Did(audit.KeyCreated, "", target(k.ID),
		audit.Change{Field: "name", To: k.Name},
		audit.Change{Field: "scopes", To: k.Scopes},
		audit.Change{Field: "tenant_ids", To: k.TenantIDs},
		audit.Change{Field: "expires_at", To: k.ExpiresAt},
	)
	if err := s.store.Create(ctx, k, told, record); err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	return k, token, nil
}

// Revoke removes a key. Requests that come by it are refused as soon as the
// authorizer looks again. It fails with fault.NotFound.
func (s *Service) Revoke(ctx context.Context, c identity.Caller, id ID) error {
	if err := s.store.Delete(ctx, id, audit.By(c).Did(audit.KeyRevoked, "", target(id))); err != nil {
		return fmt.Errorf("revoke key %s: %w", id, err)
	}
	return nil
}

func target(id ID) audit.Target { return audit.Of("api_key", id) }

// NotFound says that there is no such key.
func NotFound(id ID) error { return fault.New(fault.NotFound, "there is no API key %q", id) }
