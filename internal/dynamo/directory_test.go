package dynamo_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A countingClient counts queries.
type countingClient struct {
	*dynamodb.Client
	queries *atomic.Int64
}

func (c countingClient) Query(ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	c.queries.Add(1)
	return c.Client.Query(ctx, in, options...)
}

// lose takes numbers from the directory, as creations do that fail then.
func lose(tb testing.TB, db *dynamodb.Client, table string, n int) {
	tb.Helper()
	_, err := db.UpdateItem(tb.Context(), &dynamodb.UpdateItemInput{
		TableName: &table,
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "DIRECTORY"},
			"sk": &types.AttributeValueMemberS{Value: "COUNTER"},
		},
		UpdateExpression:          new("ADD n :n"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: strconv.Itoa(n)}},
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// slugs returns the slugs on a page.
func slugs(p page.Page[tenant.Tenant]) []string {
	var slugs []string
	for _, entry := range p.Entries {
		slugs = append(slugs, entry.Value.Slug)
	}
	return slugs
}

// all reads a list to its end, and returns the slugs on it.
func all(tb testing.TB, list func(page.Window) (page.Page[tenant.Tenant], error), limit int) []string {
	tb.Helper()
	var found []string
	w := page.Window{Limit: limit}
	for {
		p, err := list(w)
		if err != nil {
			tb.Fatal(err)
		}
		if len(p.Entries) > limit {
			tb.Fatalf("got %d entries with a limit of %d", len(p.Entries), limit)
		}
		found = append(found, slugs(p)...)
		if p.Next == "" {
			return found
		}
		w.From = p.Next
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	tenants := dynamo.NewTenants(dynamo.NewTable(db, name))
	list := func(status tenant.Status) func(page.Window) (page.Page[tenant.Tenant], error) {
		return func(w page.Window) (page.Page[tenant.Tenant], error) { return tenants.List(t.Context(), status, w) }
	}
	if got := all(t, list(""), 10); got != nil {
		t.Errorf("an empty directory: got %v", got)
	}

	// Twelve tenants, with numbers lost between them.
	var want, active, deleted []string
	for i, lost := range []int{60, 100, 20 * 64} {
		for j := range 4 {
			slug := fmt.Sprintf("tenant-%d-%d", i, j)
			stored := create(t, tenants, newCreation("Name of "+slug, slug))[0]
			switch j {
			case 1:
				change(t, tenants, stored, func(t *tenant.Tenant) { t.Status = tenant.Active })
				active = append(active, slug)
			case 2:
				change(t, tenants, stored, func(t *tenant.Tenant) { t.Status = tenant.Deleted })
				deleted = append(deleted, slug)
			}
			if j != 2 {
				want = append(want, slug)
			}
		}
		lose(t, db, name, lost)
	}
	for _, order := range [][]string{want, active, deleted} {
		slices.Reverse(order)
	}

	eventually(t, "the indexes hold all tenants", func() bool {
		return len(all(t, list(""), 100)) == len(want) && len(all(t, list(tenant.Active), 100)) == len(active) &&
			len(all(t, list(tenant.Deleted), 100)) == len(deleted)
	})
	for _, limit := range []int{1, 2, 5, 9, 10, 1000} {
		for _, test := range []struct {
			status tenant.Status
			want   []string
		}{{"", want}, {tenant.Active, active}, {tenant.Deleted, deleted}, {tenant.Failed, nil}} {
			if diff := cmp.Diff(test.want, all(t, list(test.status), limit)); diff != "" {
				t.Errorf("status %q, limit %d (-want +got):\n%s", test.status, limit, diff)
			}
		}
	}
	for skip := range len(want) + 2 {
		p, err := tenants.List(t.Context(), "", page.Window{Skip: skip, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		from, to := min(skip, len(want)), min(skip+2, len(want))
		if diff := cmp.Diff(append([]string(nil), want[from:to]...), slugs(p)); diff != "" {
			t.Errorf("offset %d (-want +got):\n%s", skip, diff)
		}
		if more := p.Next != ""; more != (skip+2 < len(want)) || p.Total != int64(len(want)) {
			t.Errorf("offset %d: got more %t, and %d in all", skip, more, p.Total)
		}
	}
}

// A stretch without tenants costs nothing.
func TestListStretchWithoutTenants(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	queries := new(atomic.Int64)
	tenants := dynamo.NewTenants(dynamo.NewTable(countingClient{db, queries}, name))
	list := func(w page.Window) (page.Page[tenant.Tenant], error) { return tenants.List(t.Context(), "", w) }
	create(t, tenants, newCreation("Acme", "acme"))
	lose(t, db, name, 600*4096)
	create(t, tenants, newCreation("Globex", "globex"))
	eventually(t, "the index holds the tenants", func() bool { return len(all(t, list, 1)) == 2 })

	for skip, want := range []string{"globex", "acme"} {
		queries.Store(0)
		p, err := list(page.Window{Skip: skip, Limit: 2})
		if got := slugs(p); err != nil || got[0] != want || p.Next != "" {
			t.Errorf("offset %d: got %v, %v", skip, got, err)
		}
		if n, most := queries.Load(), int64(3-skip); n != most {
			t.Errorf("offset %d: it took %d queries, want %d", skip, n, most)
		}
	}
}

// What is there throughout is neither missed nor repeated, whatever else comes,
// goes and changes.
func TestListWhileChanging(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	var creations []provisioning.Creation
	var want []string
	for i := range 12 {
		slug := fmt.Sprintf("tenant-%02d", i)
		creations = append(creations, newCreation(slug, slug))
		want = append(want, slug)
	}
	stored := create(t, tenants, creations...)
	slices.Reverse(want)
	eventually(t, "the index holds all tenants", func() bool {
		p, err := tenants.List(t.Context(), "", page.Window{Limit: 100})
		return err == nil && len(p.Entries) == len(want)
	})

	step := 0
	got := all(t, func(w page.Window) (page.Page[tenant.Tenant], error) {
		step++
		create(t, tenants, newCreation("New", fmt.Sprintf("new-%d", step)))
		stored[step%len(stored)] = change(t, tenants, stored[step%len(stored)], func(t *tenant.Tenant) {
			t.Name, t.Status = fmt.Sprintf("Renamed %d", step), tenant.Active
		})
		return tenants.List(t.Context(), "", w)
	}, 2)
	got = slices.DeleteFunc(got, func(slug string) bool { return slug[:4] == "new-" })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
