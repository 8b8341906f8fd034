package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/apikey"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/opaque"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/user"
)

// APIKeys keeps the keys of services, by the hashes of their tokens.
type APIKeys struct{ *Table }

// NewAPIKeys returns the keys kept in table.
func NewAPIKeys(table *Table) *APIKeys { return &APIKeys{table} }

var errKeyThere = errors.New("there is an API key with that token, or that id, already")

// Create writes a key, which outlasts the role of whoever makes it. It fails with
// idempotency.ErrRecorded if the receipt, which may be nil, is there already, and
// with fault.Forbidden unless the actor is a platform admin still.
func (s *APIKeys) Create(ctx context.Context, k apikey.Key, r audit.Record, receipt *idempotency.Record) error {
	tx := s.begin()
	tx.receipt(receipt)
	tx.put(newAPIKeyItem(k), errKeyThere)
	tx.put(pointerItem{apiKeyIDKey(k.ID), k.Hash}, errKeyThere)
	tx.checkStanding(user.Standing{ID: identity.UserID(r.Actor.ID), Role: identity.PlatformAdmin})
	tx.record(r)
	return tx.run(ctx)
}

// ByHash returns the key whose token has the hash, or fault.NotFound.
func (s *APIKeys) ByHash(ctx context.Context, hash opaque.Hash) (apikey.Key, error) {
	var item apiKeyItem
	err := s.get(ctx, apiKeyKey(hash), &item)
	if errors.Is(err, errNoItem) {
		return apikey.Key{}, apikey.NotFound("")
	}
	return item.apiKey(hash), err
}

// Delete removes a key, or fails with fault.NotFound.
func (s *APIKeys) Delete(ctx context.Context, id apikey.ID, r audit.Record) error {
	var pointer pointerItem
	err := s.get(ctx, apiKeyIDKey(id), &pointer)
	if errors.Is(err, errNoItem) {
		return apikey.NotFound(id)
	}
	if err != nil {
		return err
	}
	tx := s.begin()
	tx.remove(apiKeyIDKey(id), "attribute_exists(pk)", nil, apikey.NotFound(id))
	tx.remove(apiKeyKey(pointer.Hash), "attribute_exists(pk)", nil, errors.New("API key "+string(id)+" is not as its last transaction left it"))
	tx.record(r)
	return tx.run(ctx)
}

// List returns a part of the keys, newest first. The index that it reads is
// eventually consistent: a key that was made or revoked a moment ago may be
// missing, or there still.
func (s *APIKeys) List(ctx context.Context, w page.Window) (page.Page[apikey.Key], error) {
	p, err := listOf(ctx, s.Table, apiKeys, w, func(i apiKeyItem) (apikey.Key, string) { return i.apiKey(""), i.OfTenantSort })
	if err != nil {
		return p, fmt.Errorf("list API keys: %w", err)
	}
	return p, nil
}

// An apiKeyItem is a key as it is stored, under the hash of its token.
type apiKeyItem struct {
	key
	ID           apikey.ID           `dynamodbav:"id"`
	Name         string              `dynamodbav:"name"`
	Scopes       []identity.Scope    `dynamodbav:"scopes"`
	TenantIDs    []identity.TenantID `dynamodbav:"tenant_ids,omitempty"`
	ValidUntil   *time.Time          `dynamodbav:"valid_until,omitempty"`
	CreatedAt    time.Time           `dynamodbav:"created_at"`
	OfTenant     string              `dynamodbav:"of_tenant"`
	OfTenantSort string              `dynamodbav:"of_tenant_sort"`
}

func newAPIKeyItem(k apikey.Key) apiKeyItem {
	return apiKeyItem{
		key: apiKeyKey(k.Hash), ID: k.ID, Name: k.Name, Scopes: k.Scopes, TenantIDs: k.TenantIDs,
		ValidUntil: k.ExpiresAt, CreatedAt: k.CreatedAt,
		OfTenant: apiKeys, OfTenantSort: inTime(k.CreatedAt, string(k.ID)),
	}
}

func (i apiKeyItem) apiKey(hash opaque.Hash) apikey.Key {
	return apikey.Key{
		ID: i.ID, Name: i.Name, Scopes: i.Scopes, TenantIDs: i.TenantIDs,
		ExpiresAt: i.ValidUntil, CreatedAt: i.CreatedAt, Hash: hash,
	}
}

// A pointerItem leads from an id to what is kept under the hash of a token.
type pointerItem struct {
	key
	Hash opaque.Hash `dynamodbav:"hash"`
}
