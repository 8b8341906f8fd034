package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/stats"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

var asBilling = AuthorizerContext{Subject: "K", Role: identity.Service, Scopes: []identity.Scope{identity.UsageWrite}}

// A meter counts nothing, and rejects what could not be read.
type meter struct{ drafts []usage.Draft }

func (m *meter) Count(_ context.Context, _ identity.Caller, drafts []usage.Draft) ([]usage.Result, error) {
	m.drafts = drafts
	results := make([]usage.Result, len(drafts))
	for i, d := range drafts {
		results[i] = usage.Result{Status: usage.Accepted}
		if d.Unread != nil {
			results[i] = usage.Result{Status: usage.Rejected, Detail: d.Unread[0].Pointer + " " + d.Unread[0].Detail}
		}
	}
	return results, nil
}

func TestCreateUsageEvents(t *testing.T) {
	const (
		end   = `"instance":"/usage-events","request_id":"R1"`
		event = `{"specversion":"1.0","source":"/s","id":"1","type":"message.sent","subject":"T","time":"2026-11-25T01:00:00Z","data":{"quantity":2,"of":"it"},"traceparent":"00","dataschema":"x"}`
		one   = `{"accepted":1,"duplicates":0,"rejected":0,"results":[{"source":"/s","id":"1","status":"accepted","detail":null}]}`
	)
	rejected := func(detail string) string {
		return `{"accepted":0,"duplicates":0,"rejected":1,"results":[{"source":"","id":"","status":"rejected","detail":"` + detail + `"}]}`
	}
	invalid := problemBody(fault.Invalid, "The request breaks rules", 422, `"detail":"the request breaks a rule; errors lists each",`+end+`,"errors":[{"pointer":"#","detail":"must be an array of 1 to 100 events"}]`)
	batch := map[string]string{"content-type": "application/cloudevents-batch+json; charset=UTF-8"}
	for name, test := range map[string]struct {
		caller  AuthorizerContext
		headers map[string]string
		body    string
		status  int
		want    string
	}{
		"JSON":               {asBilling, nil, "[" + event + "]", 200, one},
		"CloudEvents":        {asBilling, batch, "[" + event + "]", 200, one},
		"one event alone":    {asBilling, nil, event, 422, invalid},
		"none":               {asBilling, nil, "[]", 422, invalid},
		"too many":           {asBilling, nil, "[" + strings.Repeat("{},", 100) + "{}]", 422, invalid},
		"no event":           {asBilling, nil, `[7]`, 200, rejected("# must be an object")},
		"a wrong type":       {asBilling, nil, `[{"data":{"quantity":"2"}}]`, 200, rejected("#/data/quantity must be an integer")},
		"no data":            {asBilling, nil, `[{"data":null}]`, 200, rejected("#/data must not be null")},
		"a member twice":     {asBilling, nil, `[{"id":"1","id":"2"}]`, 400, `"detail":"the body has a member twice"`},
		"no JSON":            {asBilling, nil, `[`, 400, `the body is not JSON`},
		"too large":          {asBilling, nil, `["` + strings.Repeat("x", 256<<10) + `"]`, 413, `at most 262144 are read`},
		"text":               {asBilling, map[string]string{"content-type": "text/plain"}, "[" + event + "]", 415, `application/cloudevents-batch+json or application/json`},
		"by another service": {asDialer, nil, "[" + event + "]", 403, `your key lacks the scope usage:write`},
		"by an admin":        {asAdmin, nil, "[" + event + "]", 403, `/docs/problems/forbidden`},
	} {
		t.Run(name, func(t *testing.T) {
			m := &meter{}
			got := serve(t, CreateUsageEvents(m), sent{path: "/usage-events", caller: test.caller, headers: test.headers, body: test.body})
			if got.StatusCode != test.status || !strings.Contains(got.Body, test.want) {
				t.Errorf("got %d %s\nwant %d %s", got.StatusCode, got.Body, test.status, test.want)
			}
			if test.want == one && (m.drafts[0].Quantity.Value != 2 || m.drafts[0].Subject.Value != "T" || m.drafts[0].Type.Value != usage.MessageSent) {
				t.Errorf("read %+v", m.drafts[0])
			}
		})
	}
}

type countsFunc func() (stats.Counts, []stats.Day)

func (f countsFunc) Counts(context.Context, identity.TenantID, time.Time) (stats.Counts, []stats.Day, error) {
	c, days := f()
	return c, days, nil
}

func TestGetTenantStats(t *testing.T) {
	now := time.Now().UTC()
	month, last := usage.MonthOf(now), now.Truncate(time.Millisecond)
	counts := countsFunc(func() (stats.Counts, []stats.Day) {
		c := stats.Counts{ActiveCalls: 2, CallsTold: usage.Near}
		c.Month, c.Calls, c.Agents, c.Contacts, c.Messages, c.Tenths = month, 800, 3, -1, 7, 1234
		return c, []stats.Day{{
			Date: now.Format(time.DateOnly), Calls: 41, Durations: 3, DurationSeconds: 100, Sentiments: 2, Sentiment: 2500,
			LastCallAt: &last, Peaks: map[int]int64{now.Hour(): 5},
		}}
	})
	resets := month.Ends().Format("2006-01-02T15:04:05.000Z")
	quota := func(limit, used, reached int, resets string) string {
		return fmt.Sprintf(`{"limit":%d,"used":%d,"remaining":%d,"resets_at":%s,"reached_percent":%d}`, limit, used, limit-used, resets, reached)
	}
	want := `{"tenant_id":"` + acmeID + `","total_agents":3,"total_calls_today":41,"total_calls_month":800,"avg_call_duration":33.3333,"avg_sentiment_score":0.125,` +
		`"active_sessions":2,"monthly_usage_cents":123,"last_call_at":"` + last.Format("2006-01-02T15:04:05.000Z") + `","peak_calls":{"hour":5,"day":5,"month":5},"quota":{` +
		`"max_agents":` + quota(3, 3, 100, "null") + `,"max_concurrent_calls":` + quota(10, 2, 0, "null") + `,"max_contacts":` + quota(1000, 0, 0, "null") +
		`,"max_messages_month":` + quota(5000, 7, 0, `"`+resets+`"`) + `,"monthly_call_limit":` + quota(1000, 800, 80, `"`+resets+`"`) + `}}`
	tenants := &oneTenant{newAcme(nil)}
	ask := func(caller AuthorizerContext) envelope {
		return serve(t, GetTenantStats(counts, tenants), sent{method: "GET", path: "/tenants/" + acmeID + "/stats", params: map[string]string{"tenant_id": acmeID}, caller: caller})
	}
	for _, caller := range []AuthorizerContext{asAdmin, asOwner, asAgent} {
		ask(caller).check(t, 200, want)
	}
	if got := ask(asStranger); got.StatusCode != 404 {
		t.Errorf("a stranger got %d %s", got.StatusCode, got.Body)
	}
	tenants.Status = tenant.Deleting
	if got := ask(asOwner); got.StatusCode != 403 {
		t.Errorf("while it is deleting: got %d %s", got.StatusCode, got.Body)
	}
}
