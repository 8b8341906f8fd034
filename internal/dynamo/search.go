package dynamo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// more is how many times as many entries are read at once when those before were not
// enough.
const more = 8

// Search returns a part of the tenants whose name or slug begins with prefix, and
// that are not deleted, as they are now. It leaves out their meta_data and
// secret.
//
// A tenant stands where its slug does, or where its name does if only that begins
// with prefix. The slug cannot change, so that a tenant which is found by it is
// neither missed nor repeated.
func (s *Tenants) Search(ctx context.Context, prefix string, w page.Window) (page.Page[tenant.Tenant], error) {
	folded := tenant.Fold(prefix)
	from, wanted := w.From, w.Limit+1
	var p page.Page[tenant.Tenant]
	for {
		entries, err := s.searchEntries(ctx, folded, from, wanted)
		if err != nil {
			return p, fmt.Errorf("search tenants: %w", err)
		}
		standing := slices.DeleteFunc(slices.Clone(entries), func(i searchItem) bool { return i.standsAtSlug(folded) })
		for chunk := range slices.Chunk(standing, w.Limit+1) {
			full, err := s.add(ctx, &p, chunk, folded, w.Limit)
			if err != nil {
				return p, fmt.Errorf("search tenants: %w", err)
			}
			if full {
				return p, nil
			}
		}
		if len(entries) < wanted {
			return p, nil
		}
		from, wanted = page.Position(entries[len(entries)-1].SK), min(more*wanted, maxQuery)
	}
}

// add adds the tenants that entries show to p, and reports whether it is full, and
// there are more.
func (s *Tenants) add(ctx context.Context, p *page.Page[tenant.Tenant], entries []searchItem, folded string, limit int) (full bool, err error) {
	tenants, err := s.found(ctx, entries)
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		t, ok := tenants[entry.TenantID]
		if !ok || !entry.shows(t, folded) {
			continue
		}
		if len(p.Entries) == limit {
			p.Next = p.Entries[limit-1].After
			return true, nil
		}
		p.Entries = append(p.Entries, page.Entry[tenant.Tenant]{Value: t, After: page.Position(entry.SK)})
	}
	return false, nil
}

// searchEntries returns entries that begin with a folded text, in order.
func (s *Tenants) searchEntries(ctx context.Context, folded string, from page.Position, wanted int) ([]searchItem, error) {
	in := dynamodb.QueryInput{
		KeyConditionExpression: new("pk = :pk AND begins_with(sk, :text)"),
		ConsistentRead:         new(true),
	}
	partition := searchPartition(folded)
	if from != "" {
		start, err := attributevalue.MarshalMap(key{partition, string(from)})
		if err != nil {
			return nil, fmt.Errorf("marshal a position: %w", err)
		}
		in.ExclusiveStartKey = start
	}
	return query[searchItem](ctx, s.Table, in, map[string]any{":pk": partition, ":text": searchText(folded)}, wanted)
}

// found returns the tenants of entries that are not deleted, as they are now.
func (s *Tenants) found(ctx context.Context, entries []searchItem) (map[identity.TenantID]tenant.Tenant, error) {
	var keys []key
	for _, entry := range entries {
		if k := tenantKey(entry.TenantID); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	items, err := batchGet[tenantItem](ctx, s.Table, keys, "version, n, profile")
	if err != nil {
		return nil, err
	}
	tenants := map[identity.TenantID]tenant.Tenant{}
	for _, item := range items {
		if item.Profile.Status != tenant.Deleted {
			tenants[item.Profile.ID] = item.tenant()
		}
	}
	return tenants, nil
}

// standsAtSlug reports whether the entry is of a name, and the tenant stands where its
// slug does. Where many are called alike, nearly all are, and none of their tenants
// has to be read for it.
func (i searchItem) standsAtSlug(folded string) bool {
	return i.Slug != "" && strings.HasPrefix(i.Slug, folded)
}

// shows reports whether the entry is where a search for a folded text shows t. A
// tenant that was renamed after the entry was read does not stand there any more.
func (i searchItem) shows(t tenant.Tenant, folded string) bool {
	text := t.Name
	if strings.HasPrefix(tenant.Fold(t.Slug), folded) {
		text = t.Slug
	}
	return strings.HasPrefix(tenant.Fold(text), folded) && i.key == searchKey(text, t.ID)
}
