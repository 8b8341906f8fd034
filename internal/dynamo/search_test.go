package dynamo_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
)

// withID gives a creation an id. Texts that are longer than keys are in the order
// of ids.
func withID(id identity.TenantID, c provisioning.Creation) provisioning.Creation {
	c.Tenant.ID, c.Operation.TenantID = id, id
	return c
}

func TestSearch(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	long := strings.Repeat("\U0001F600", 250)
	create(t, tenants,
		newCreation("Acme", "acme"),                // name and slug are one
		newCreation("Acme Corp", "acme-corp"),      // both match, and are found once
		newCreation("ACME-2", "other"),             // only the name matches
		newCreation("Something else", "acme-east"), // only the slug does
		newCreation("Zebra", "zebra"),
		newCreation("Straße 7", "street"),
		newCreation("Ａｃｍｅ wide", "wide"), // folds to acme wide
		withID("00000000-0000-4000-8000-00000000000a", newCreation(long+"a", "long-a")),
		withID("00000000-0000-4000-8000-00000000000b", newCreation(long+"b", "long-b")),
	)
	gone := create(t, tenants, newCreation("Acme gone", "acme-gone"))[0]
	change(t, tenants, gone, func(t *tenant.Tenant) { t.Status = tenant.Deleted })
	renamed := create(t, tenants, newCreation("Acme old", "renamed"))[0]
	change(t, tenants, renamed, func(t *tenant.Tenant) { t.Name = "New name" })

	for name, test := range map[string]struct {
		prefix string
		want   []string
	}{
		"name and slug":     {"acme", []string{"acme", "wide", "other", "acme-corp", "acme-east"}},
		"case":              {"ACME", []string{"acme", "wide", "other", "acme-corp", "acme-east"}},
		"hyphen":            {"acme-", []string{"other", "acme-corp", "acme-east"}},
		"space":             {"acme c", []string{"acme-corp"}},
		"two characters":    {"ze", []string{"zebra"}},
		"sharp s":           {"strasse", []string{"street"}},
		"sharp s, as it is": {"Straß", []string{"street"}},
		"new name":          {"new", []string{"renamed"}},
		"long":              {long, []string{"long-a", "long-b"}},
		"longer than keys":  {long + "b", []string{"long-b"}},
		"nothing":           {"acmf", nil},
		"wildcards":         {"%%", nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int{1, 2, 3, 100} {
				got := all(t, func(w page.Window) (page.Page[tenant.Tenant], error) {
					return tenants.Search(t.Context(), test.prefix, w)
				}, limit)
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("limit %d (-want +got):\n%s", limit, diff)
				}
			}
		})
	}
}

// A tenant that is found by its slug stays where it is when its name changes.
func TestSearchWhileRenaming(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	stored := create(t, tenants, newCreation("Acme m", "acme-m"), newCreation("Acme n", "acme-n"), newCreation("Acme o", "acme-o"))
	names := []string{"Acme z", "Acme a", "Zebra", "Acme", "acme-m"}
	step := 0
	got := all(t, func(w page.Window) (page.Page[tenant.Tenant], error) {
		for i := range stored {
			stored[i] = change(t, tenants, stored[i], func(t *tenant.Tenant) { t.Name = names[(step+i)%len(names)] })
		}
		step++
		return tenants.Search(t.Context(), "acme", w)
	}, 1)
	if diff := cmp.Diff([]string{"acme-m", "acme-n", "acme-o"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A batchCountingClient counts reads of several items besides.
type batchCountingClient struct {
	countingClient
	batches *atomic.Int64
}

func (c batchCountingClient) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, options ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	c.batches.Add(1)
	return c.Client.BatchGetItem(ctx, in, options...)
}

// TestSearchOfManyAlike searches for what all names and slugs begin with. Names stand
// before slugs, and show nobody.
func TestSearchOfManyAlike(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	var creations []provisioning.Creation
	var want []string
	for i := range 90 {
		slug := fmt.Sprintf("twin-%02d", i)
		creations, want = append(creations, newCreation(fmt.Sprintf("Twin %02d", i), slug)), append(want, slug)
	}
	create(t, dynamo.NewTenants(dynamo.NewTable(db, name)), creations...)
	queries, batches := new(atomic.Int64), new(atomic.Int64)
	tenants := dynamo.NewTenants(dynamo.NewTable(batchCountingClient{countingClient{db, queries}, batches}, name))
	got, err := tenants.Search(t.Context(), "twin", page.Window{Limit: 20})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[:20], slugs(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if q, b := queries.Load(), batches.Load(); q != 2 || b != 1 {
		t.Errorf("it took %d queries and %d reads of tenants, want one of a page of names, one that goes on behind them, and one read of a page of tenants", q, b)
	}
	if diff := cmp.Diff(want, all(t, func(w page.Window) (page.Page[tenant.Tenant], error) {
		return tenants.Search(t.Context(), "twin", w)
	}, 20)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
}
