package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

// testCursors makes cursors with a key that is no secret.
func testCursors() *Cursors {
	return NewCursors(func(context.Context) ([]byte, error) { return []byte("key"), nil })
}

// numbered is a TenantLister of as many tenants, each named by its number. A
// position is the number of the next.
type numbered int

func (n numbered) List(_ context.Context, status tenant.Status, w page.Window) (page.Page[tenant.Tenant], error) {
	if status == tenant.Failed {
		return page.Page[tenant.Tenant]{}, errBroken
	}
	return n.window(string(status), w), nil
}

func (n numbered) Search(_ context.Context, prefix string, w page.Window) (page.Page[tenant.Tenant], error) {
	return n.window("q="+prefix, w), nil
}

func (n numbered) window(name string, w page.Window) page.Page[tenant.Tenant] {
	p := page.Page[tenant.Tenant]{Total: 1000 + int64(n)}
	i, _ := strconv.Atoi(string(w.From))
	for i += w.Skip; i < int(n) && len(p.Entries) < w.Limit; i++ {
		t := tenant.Tenant{Name: fmt.Sprint(name, i)}
		p.Entries = append(p.Entries, page.Entry[tenant.Tenant]{Value: t, After: page.Position(strconv.Itoa(i + 1))})
	}
	if i < int(n) {
		p.Next = page.Position(strconv.Itoa(i))
	}
	return p
}

// names returns the names on a page.
func names(t *testing.T, e envelope) []string {
	t.Helper()
	var views []struct{ Name string }
	if err := json.Unmarshal([]byte(e.Body), &views, json.MatchCaseInsensitiveNames(true)); err != nil || e.StatusCode != 200 {
		t.Fatalf("got %d %s", e.StatusCode, e.Body)
	}
	names := []string{}
	for _, view := range views {
		names = append(names, view.Name)
	}
	return names
}

// links returns the query of each link of a page, by its relation.
func links(t *testing.T, e envelope) map[string]string {
	t.Helper()
	links := map[string]string{}
	for link := range strings.SplitSeq(e.Headers["link"], ", ") {
		if link == "" {
			continue
		}
		target, rel, ok := strings.Cut(strings.TrimPrefix(link, "<"), `>; rel="`)
		u, err := url.Parse(target)
		if !ok || err != nil || u.Path != "/tenants" {
			t.Fatalf("got the link %s", link)
		}
		links[strings.TrimSuffix(rel, `"`)] = u.RawQuery
	}
	return links
}

// listTenants asks for a list of tenants.
func listTenants(t *testing.T, lister TenantLister, caller AuthorizerContext, query string) envelope {
	t.Helper()
	return serve(t, ListTenants(lister, testCursors()), sent{method: "GET", path: "/tenants", query: query, caller: caller})
}

func TestListTenantsItems(t *testing.T) {
	lister := listOf{newAcme(func(t *tenant.Tenant) { t.MetaData = "" })}
	got := listTenants(t, lister, asAdmin, "")
	got.check(t, 200, `[`+strings.TrimSuffix(acmeView, `,"monthly_usage_cents":0`)+`}]`)
	if got.Headers["link"] != "" || got.Headers["content-type"] != "application/json" {
		t.Errorf("got %v", got.Headers)
	}
	listTenants(t, listOf{}, asAdmin, "").check(t, 200, `[]`)
}

// listOf is a list on one page.
type listOf []tenant.Tenant

func (l listOf) List(context.Context, tenant.Status, page.Window) (page.Page[tenant.Tenant], error) {
	var p page.Page[tenant.Tenant]
	for i, t := range l {
		p.Entries = append(p.Entries, page.Entry[tenant.Tenant]{Value: t, After: page.Position(strconv.Itoa(i + 1))})
	}
	return p, nil
}

func (l listOf) Search(ctx context.Context, _ string, w page.Window) (page.Page[tenant.Tenant], error) {
	return l.List(ctx, "", w)
}

func TestListTenantsByCursor(t *testing.T) {
	for query, prefix := range map[string]string{
		"limit=2":                      "",
		"limit=2&status_filter=active": "active",
		"limit=2&q=ac%26me":            "q=ac&me",
	} {
		var got []string
		for next, pages := query, 0; next != "" && pages < 5; pages++ {
			answer := listTenants(t, numbered(5), asAdmin, next)
			got = append(got, names(t, answer)...)
			next = links(t, answer)["next"]
		}
		want := []string{prefix + "0", prefix + "1", prefix + "2", prefix + "3", prefix + "4"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestListTenantsByOffset(t *testing.T) {
	for query, want := range map[string]struct {
		names      []string
		next, prev string
	}{
		"offset=0&limit=2":                      {[]string{"0", "1"}, "limit=2&offset=2", ""},
		"offset=1&limit=2":                      {[]string{"1", "2"}, "limit=2&offset=3", "limit=2&offset=0"},
		"offset=3&limit=2":                      {[]string{"3", "4"}, "", "limit=2&offset=1"},
		"offset=2&limit=2&status_filter=active": {[]string{"active2", "active3"}, "limit=2&offset=4&status_filter=active", "limit=2&offset=0&status_filter=active"},
		"offset=9":                              {[]string{}, "", "limit=100&offset=0"},
	} {
		got := listTenants(t, numbered(5), asAdmin, query)
		if diff := cmp.Diff(want.names, names(t, got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
		if l := links(t, got); l["next"] != want.next || l["prev"] != want.prev {
			t.Errorf("%s: got the links %v, want %q and %q", query, l, want.next, want.prev)
		}
	}
}

// A list says how many there are in all, and a search, which nobody counts, does
// not.
func TestListTenantsTotal(t *testing.T) {
	for query, want := range map[string]string{
		"": "1005", "offset=2&limit=1": "1005", "offset=9": "1005", "status_filter=active": "1005", "q=acme": "",
		"cursor=" + url.QueryEscape(cursorOf(t, "limit=2", asAdmin)): "1005",
	} {
		if got := listTenants(t, numbered(5), asAdmin, query).Headers["x-total-count"]; got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

func TestListTenantsFaults(t *testing.T) {
	const (
		end     = `,"instance":"/tenants","request_id":"R1"`
		unread  = `{"type":"/docs/problems/malformed","title":"The request cannot be read","status":400,"detail":"the query string cannot be read; errors lists each fault"` + end
		invalid = `{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each"` + end
		status  = `{"parameter":"status_filter","detail":"must be the status of a tenant, such as active"}`
		search  = `{"parameter":"q","detail":"must be 2 to 255 characters"}`
		offset  = `{"parameter":"offset","detail":"must not be given together with cursor or q"}`
		cursor  = `{"parameter":"cursor","detail":"is not one that this list gave to you"}`
	)
	good := url.QueryEscape(cursorOf(t, "limit=2", asAdmin))
	for name, test := range map[string]struct {
		query  string
		status int
		want   string
	}{
		"limit of 0":            {"limit=0", 422, invalid + `,"errors":[{"parameter":"limit","detail":"must be from 1 to 1000"}]}`},
		"limit of 1001":         {"limit=1001", 422, invalid + `,"errors":[{"parameter":"limit","detail":"must be from 1 to 1000"}]}`},
		"limit in words":        {"limit=ten", 400, unread + `,"errors":[{"parameter":"limit","detail":"must be an integer from 1 to 1000"}]}`},
		"empty limit":           {"limit=", 400, unread + `,"errors":[{"parameter":"limit","detail":"must be an integer from 1 to 1000"}]}`},
		"huge limit":            {"limit=99999999999999999999", 400, unread + `,"errors":[{"parameter":"limit","detail":"must be an integer from 1 to 1000"}]}`},
		"offset of -1":          {"offset=-1", 422, invalid + `,"errors":[{"parameter":"offset","detail":"must be from 0 to 2147483647"}]}`},
		"status":                {"status_filter=paused", 422, invalid + `,"errors":[` + status + `]}`},
		"empty status":          {"status_filter=", 422, invalid + `,"errors":[` + status + `]}`},
		"q of 1":                {"q=a", 422, invalid + `,"errors":[` + search + `]}`},
		"q that folds to 1":     {"q=e%CC%81", 422, invalid + `,"errors":[` + search + `]}`},
		"q of 256":              {"q=" + strings.Repeat("a", 256), 422, invalid + `,"errors":[` + search + `]}`},
		"empty q":               {"q=", 422, invalid + `,"errors":[` + search + `]}`},
		"q and status":          {"q=ac&status_filter=active", 422, invalid + `,"errors":[{"parameter":"status_filter","detail":"must not be given together with q"}]}`},
		"q and offset":          {"q=ac&offset=0", 422, invalid + `,"errors":[` + offset + `]}`},
		"cursor and offset":     {"offset=0&cursor=" + good, 422, invalid + `,"errors":[` + offset + `]}`},
		"no cursor":             {"cursor=x", 400, unread + `,"errors":[` + cursor + `]}`},
		"empty cursor":          {"cursor=", 400, unread + `,"errors":[` + cursor + `]}`},
		"everything at once":    {"limit=x&offset=-1&status_filter=x&cursor=x", 400, unread + `,"errors":[{"parameter":"limit","detail":"must be an integer from 1 to 1000"},` + cursor + `,{"parameter":"offset","detail":"must be from 0 to 2147483647"},` + status + `,` + offset + `]}`},
		"another's filter":      {"status_filter=active&cursor=" + good, 400, unread + `,"errors":[` + cursor + `]}`},
		"what is not there":     {"search=x", 400, `{"type":"/docs/problems/malformed","title":"The request cannot be read","status":400,"detail":"the query string is not one that this operation takes"` + end + `,"errors":[{"parameter":"search","detail":"is not a parameter of this operation"}]}`},
		"broken":                {"status_filter=failed", 500, `{"type":"/docs/problems/internal","title":"Something failed that is ours to mend","status":500` + end + `}`},
		"another limit is fine": {"limit=1&cursor=" + good, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := listTenants(t, numbered(5), asAdmin, test.query)
			if test.want == "" {
				test.want = got.Body
			}
			got.check(t, test.status, test.want)
		})
	}
	for _, caller := range []AuthorizerContext{asOwner, {Subject: "D", Role: identity.Developer}} {
		if got := listTenants(t, numbered(5), caller, ""); got.StatusCode != 403 {
			t.Errorf("%s: got %d %s", caller.Role, got.StatusCode, got.Body)
		}
	}
}

// cursorOf returns the cursor of the second page of a list.
func cursorOf(t *testing.T, query string, caller AuthorizerContext) string {
	t.Helper()
	next, err := url.ParseQuery(links(t, listTenants(t, numbered(5), caller, query))["next"])
	if err != nil {
		t.Fatal(err)
	}
	return next.Get("cursor")
}

// A cursor is good for the caller, the list and the filter that it was made for,
// as it is.
func TestCursorsAreBound(t *testing.T) {
	cursor := cursorOf(t, "limit=2&q=acme", asAdmin)
	if got := names(t, listTenants(t, numbered(5), asAdmin, "limit=2&q=acme&cursor="+url.QueryEscape(cursor))); got[0] != "q=acme2" {
		t.Fatalf("got %v", got)
	}
	refused := func(what string, caller AuthorizerContext, query, cursor string) {
		t.Helper()
		got := listTenants(t, numbered(5), caller, query+"&cursor="+url.QueryEscape(cursor))
		if got.StatusCode != 400 || !strings.Contains(got.Body, `"parameter":"cursor"`) {
			t.Errorf("%s: got %d %s", what, got.StatusCode, got.Body)
		}
	}
	refused("another caller", AuthorizerContext{Subject: "B", Role: identity.PlatformAdmin}, "limit=2&q=acme", cursor)
	refused("another filter", asAdmin, "limit=2&q=acm", cursor)
	refused("no filter", asAdmin, "limit=2", cursor)
	refused("without its hash", asAdmin, "q=acme", strings.Split(cursor, ".")[0])
	for i := range cursor {
		for _, c := range []byte{'A', 'B', '-', '.', '='} {
			if c != cursor[i] {
				refused(fmt.Sprintf("byte %d changed to %c", i, c), asAdmin, "q=acme", cursor[:i]+string(c)+cursor[i+1:])
			}
		}
		refused(fmt.Sprintf("cut at byte %d", i), asAdmin, "q=acme", cursor[:i])
	}
	refused("more behind", asAdmin, "q=acme", cursor+"A")
	refused("a line break in it", asAdmin, "q=acme", cursor[:2]+"\n"+cursor[2:])
}

func TestCursorsNeedTheirKey(t *testing.T) {
	broken := NewCursors(func(context.Context) ([]byte, error) { return nil, errors.New("no key") })
	for _, query := range []string{"limit=2", "cursor=" + url.QueryEscape(cursorOf(t, "limit=2", asAdmin))} {
		got := serve(t, ListTenants(numbered(5), broken), sent{method: "GET", path: "/tenants", query: query, caller: asAdmin})
		if got.StatusCode != 500 {
			t.Errorf("%s: got %d %s", query, got.StatusCode, got.Body)
		}
	}
	got := serve(t, ListTenants(numbered(1), broken), sent{method: "GET", path: "/tenants", caller: asAdmin})
	if got.StatusCode != 200 {
		t.Errorf("a list on one page: got %d %s", got.StatusCode, got.Body)
	}
}

// A page ends before it gets too large, and the next begins where it ended.
func TestListTenantsLargePages(t *testing.T) {
	var lister listOf
	for range 1000 {
		lister = append(lister, newAcme(func(t *tenant.Tenant) {
			t.StatusReason, t.WebhookURL = new(strings.Repeat("é", 500)), new("https://example.com/"+strings.Repeat("x", 2000))
			t.Name = strings.Repeat("\U0001F600", 255)
		}))
	}
	for _, query := range []string{"limit=1000", "limit=1000&offset=5"} {
		got := listTenants(t, lister, asAdmin, query)
		n := len(names(t, got))
		next, err := url.ParseQuery(links(t, got)["next"])
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Body) > 4<<20 || len(got.Body) < 4<<20-5000 || n == len(lister) {
			t.Errorf("%s: got %d items in %d bytes", query, n, len(got.Body))
		}
		if offset := next.Get("offset"); next.Has("offset") && offset != strconv.Itoa(5+n) {
			t.Errorf("%s: got %d items, and then the offset %s", query, n, offset)
		}
		position, _, _ := strings.Cut(next.Get("cursor"), ".")
		if want := page.Position(strconv.Itoa(n)); next.Has("cursor") && position != encodedPosition(want) {
			t.Errorf("%s: got %d items, and then another cursor than of position %s", query, n, want)
		}
	}
}

// encodedPosition returns the part of a cursor that holds its position.
func encodedPosition(p page.Position) string {
	r := &Request{}
	cursor, err := testCursors().seal(context.Background(), r, p)
	if err != nil {
		return err.Error()
	}
	position, _, _ := strings.Cut(cursor, ".")
	return position
}

// Settings are patches, so that what is not sent is not set.
func TestTenantPatchLeavesOut(t *testing.T) {
	in, faults, err := Decode[tenantPatch](&Request{Body: []byte(`{"name":"New"}`), headers: map[string]string{"content-type": jsonType}})
	if err != nil || faults != nil {
		t.Fatal(faults, err)
	}
	if diff := cmp.Diff(tenant.Patch{Settings: tenant.Settings{Name: patch.Of("New")}}, in.patch()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// usesOfAll finds that each tenant sent as many messages as its place.
type usesOfAll struct{}

func (usesOfAll) Usages(_ context.Context, ids []identity.TenantID, at time.Time) ([]usage.Usage, error) {
	var all []usage.Usage
	for i, id := range ids {
		all = append(all, usage.Usage{TenantID: id, Month: usage.MonthOf(at), Contacts: -1, Sums: usage.Sums{Messages: int64(i), Tenths: int64(10 * i)}})
	}
	return all, nil
}

// The list with use is the other list, and the use of each.
func TestListTenantUsage(t *testing.T) {
	lister := listOf{newAcme(nil), newAcme(func(t *tenant.Tenant) { t.ID = otherID })}
	op := ListTenantUsage(lister, usesOfAll{}, testCursors())
	got := serve(t, op, sent{method: "GET", path: "/tenants/usage", query: "limit=2", caller: asAdmin})
	item := strings.TrimSuffix(acmeView, `,"monthly_usage_cents":0`)
	used := func(n int) string {
		return fmt.Sprintf(`,"usage":{"month":%q,"calls":0,"call_minutes":0,"messages":%d,"contacts":0,"agents":0,"cents":%d}}`, usage.MonthOf(time.Now()), n, n)
	}
	got.check(t, 200, `[`+item+used(0)+`,`+strings.Replace(item, acmeID, otherID, 1)+used(1)+`]`)
	serve(t, op, sent{method: "GET", path: "/tenants/usage", caller: asOwner}).check(t, 403,
		problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, owner, may not do this","instance":"/tenants/usage","request_id":"R1"`))
}
