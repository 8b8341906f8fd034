package api

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A clinic has a report once it was refreshed.
type clinic struct {
	reports []health.Report
	broken  error
}

func (c *clinic) Latest(context.Context) (health.Report, error) {
	if c.reports == nil {
		return health.Report{}, fault.New(fault.NotFound, "none yet")
	}
	return c.reports[len(c.reports)-1], nil
}

func (c *clinic) Refresh(context.Context) error {
	if c.broken != nil {
		return c.broken
	}
	at := time.Date(2026, 11, 25, 1, 0, len(c.reports), 0, time.UTC)
	c.reports = append(c.reports, health.Report{
		Status: health.Down, CheckedAt: at, Stuck: 1, ExpiredLeases: 3, LastSweepAt: &at,
		Tenants:    map[tenant.Status]int64{tenant.Suspended: 4, tenant.Failed: 3, tenant.Active: 2, tenant.Deleting: 1}, //nolint:exhaustive // some are enough
		Components: []health.Component{{Name: "dynamodb", Kind: health.DynamoDB, Status: health.Down, Latency: 1234567 * time.Nanosecond, Error: "refused"}},
	})
	return nil
}

func (c *clinic) History(_ context.Context, w page.Window) (page.Page[health.Report], error) {
	var p page.Page[health.Report]
	for _, r := range c.reports {
		p.Entries = append(p.Entries, page.Entry[health.Report]{Value: r, After: "x"})
	}
	return p, nil
}

// shownReport is what clients see of one.
func shownReport(second string) string {
	return `{"status":"down","checked_at":"2026-11-25T01:00:0` + second + `.000Z","components":[{"name":"dynamodb","kind":"dynamodb","status":"down",` +
		`"latency_ms":1.23,"version":null,"error":"refused"}],"integrations":[],"tenants":{"active":2,"deleting":1,"failed":3,"suspended":4},"stuck_operations":1,"expired_leases":3,` +
		`"last_sweep_at":"2026-11-25T01:00:0` + second + `.000Z"}`
}

var asMonitor = AuthorizerContext{Subject: "K", Role: identity.Service, Scopes: []identity.Scope{identity.HealthRead}}

func TestGetSystemHealth(t *testing.T) {
	const end = `"instance":"/system/health","request_id":"R1"`
	for name, test := range map[string]struct {
		made   int // reports that there are
		caller AuthorizerContext
		query  string
		broken error
		status int
		want   string
	}{
		"the first":         {0, asAdmin, "", nil, 200, shownReport("0")},
		"the last":          {2, asAdmin, "", nil, 200, shownReport("1")},
		"by a service":      {1, asMonitor, "refresh=false", nil, 200, shownReport("0")},
		"a new one":         {1, asMonitor, "refresh=true", nil, 200, shownReport("1")},
		"none can be made":  {1, asAdmin, "refresh=true", errors.New("a secret detail"), 500, problemBody("internal", "Something failed that is ours to mend", 500, end)},
		"a strange refresh": {1, asAdmin, "refresh=1", nil, 400, problemBody(fault.Malformed, "The request cannot be read", 400, `"detail":"the query string cannot be read; errors lists each fault",`+end+`,"errors":[{"parameter":"refresh","detail":"must be true or false"}]`)},
		"by an owner":       {1, asOwner, "", nil, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, owner, may not do this",`+end)},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clinic{}
			for range test.made {
				if err := c.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			c.broken = test.broken
			serve(t, GetSystemHealth(c, c), sent{method: "GET", path: "/system/health", query: test.query, caller: test.caller}).check(t, test.status, test.want)
		})
	}
}

// What could not be counted is null, and not none.
func TestSystemHealthUncounted(t *testing.T) {
	at := time.Date(2026, 11, 25, 1, 0, 0, 0, time.UTC)
	c := &clinic{reports: []health.Report{{Status: health.Degraded, CheckedAt: at}}}
	serve(t, GetSystemHealth(c, c), sent{method: "GET", path: "/system/health", caller: asAdmin}).check(t, 200,
		`{"status":"degraded","checked_at":"2026-11-25T01:00:00.000Z","components":[],"integrations":[],"tenants":null,"stuck_operations":0,"expired_leases":0,"last_sweep_at":null}`)
}

func TestListSystemHealth(t *testing.T) {
	c := &clinic{}
	op := ListSystemHealth(c, testCursors())
	serve(t, op, sent{method: "GET", path: "/system/health/history", caller: asMonitor}).check(t, 200, `[]`)
	for range 2 {
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, op, sent{method: "GET", path: "/system/health/history", caller: asAdmin}).check(t, 200, `[`+shownReport("0")+`,`+shownReport("1")+`]`)
	for _, caller := range []AuthorizerContext{asOwner, {Subject: "K", Role: identity.Service, Scopes: []identity.Scope{identity.UsageWrite}}} {
		got := serve(t, op, sent{method: "GET", path: "/system/health/history", caller: caller})
		if got.StatusCode != 403 || !strings.Contains(got.Body, "forbidden") {
			t.Errorf("%s got %d %s", caller.Role, got.StatusCode, got.Body)
		}
	}
}
