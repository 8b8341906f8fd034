package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

var (
	callsRoute = "/tenants/" + acmeID + "/calls"
	asDialer   = AuthorizerContext{Subject: "K", Role: identity.Service, Scopes: []identity.Scope{identity.CallsWrite}}
	asOthers   = AuthorizerContext{Subject: "K", Role: identity.Service, Scopes: []identity.Scope{identity.CallsWrite}, TenantIDs: []identity.TenantID{otherID}}
)

// A switchboard has one call, "live", and one that is over, "over"; no other call
// finds room where it is full.
type switchboard struct {
	full     bool
	reported *call.Report
	refused  call.ID
}

func (s *switchboard) Get(_ context.Context, id identity.TenantID, callID call.ID) (call.Call, error) {
	c := call.Call{ID: callID, TenantID: id, State: call.Live, StartedAt: time.Now().UTC().Truncate(time.Millisecond), Lease: time.Minute}
	c.ExpiresAt = c.StartedAt.Add(time.Minute)
	switch callID {
	case "over":
		c.State, c.Told = call.Ended, true
	case "live":
	default:
		return c, call.NotFound(callID)
	}
	return c, nil
}

func (s *switchboard) Take(_ context.Context, _ tenant.Tenant, begin func() call.Call, _ audit.Origin) (call.Call, error) {
	c := begin()
	if c.ID == "live" || c.ID == "over" {
		return c, call.ErrKnown
	}
	if s.full {
		return c, &fault.Error{Kind: fault.QuotaExceeded, Detail: "full", RetryAfter: time.Second, Members: map[string]any{"quota": "q", "limit": 1, "used": 1, "resets_at": nil}}
	}
	return c, nil
}

func (s *switchboard) Renew(context.Context, call.Call, call.Call) error { return nil }

func (s *switchboard) End(_ context.Context, _ call.Call, r call.Report, _ time.Time) error {
	s.reported = &r
	return nil
}

func (s *switchboard) Refuse(_ context.Context, _ tenant.Tenant, id call.ID, _ time.Time) error {
	s.refused = id
	return nil
}

func (s *switchboard) List(_ context.Context, id identity.TenantID, _ page.Window) (page.Page[call.Call], error) {
	c, err := s.Get(context.Background(), id, "live")
	return page.Page[call.Call]{Entries: []page.Entry[call.Call]{{Value: c, After: "x"}}}, err
}

// anAgent is the only agent there is.
const anAgent = "01936b2e-5c00-7d3a-9e21-6f0a2f7f6d11"

type oneAgent struct{}

func (oneAgent) Get(_ context.Context, _ tenant.Tenant, id agent.ID) (agent.Agent, error) {
	if id != anAgent {
		return agent.Agent{}, agent.NotFound(id)
	}
	return agent.Agent{ID: id}, nil
}

// operate sends a request to an operation on calls.
func (s *switchboard) operate(t *testing.T, name string, edit func(*tenant.Tenant), r sent) envelope {
	t.Helper()
	tenants := &oneTenant{newAcme(edit)}
	service := call.NewService(s, tenants, oneAgent{})
	running := runningFunc(func() (operation.ID, error) { return "operation-1", nil })
	r.params = map[string]string{"tenant_id": acmeID, "call_id": r.params["call_id"]}
	ops := map[string]Operation{
		"start": StartCall(service, running), "renew": RenewCall(service), "end": EndCall(service), "list": ListCalls(s, tenants, testCursors()),
	}
	r.path = callsRoute
	r.method = map[string]string{"start": "POST", "renew": "PATCH", "end": "POST", "list": "GET"}[name]
	return serve(t, ops[name], r)
}

func TestStartCall(t *testing.T) {
	end := `"instance":"` + callsRoute + `","request_id":"R1"`
	invalid := func(errors string) string {
		return problemBody(fault.Invalid, "The request breaks rules", 422, `"detail":"the request breaks a rule; errors lists each",`+end+`,"errors":[`+errors+`]`)
	}
	status := func(s tenant.Status) func(*tenant.Tenant) { return func(t *tenant.Tenant) { t.Status = s } }
	for name, test := range map[string]struct {
		edit   func(*tenant.Tenant)
		caller AuthorizerContext
		full   bool
		body   string
		status int
		want   string // a part of the body
	}{
		"little":           {nil, asDialer, false, `{"call_id":"new"}`, 201, `"call_id":"new","tenant_id":"` + acmeID + `","agent_id":null,"started_at":"`},
		"everything":       {nil, asDialer, false, `{"call_id":"new","agent_id":"` + anAgent + `","lease_seconds":300}`, 201, `"agent_id":"` + anAgent + `","started_at":"`},
		"again":            {nil, asDialer, true, `{"call_id":"live"}`, 200, `"call_id":"live"`},
		"over":             {nil, asDialer, false, `{"call_id":"over"}`, 409, problemBody(fault.CallEnded, "The call is over", 409, `"detail":"the call \"over\" has ended",`+end)},
		"full":             {nil, asDialer, true, `{"call_id":"new"}`, 429, problemBody(fault.QuotaExceeded, "A limit is reached", 429, `"detail":"full",`+end+`,"limit":1,"quota":"q","resets_at":null,"used":1`)},
		"nothing":          {nil, asDialer, false, `{}`, 422, invalid(`{"pointer":"#/call_id","detail":"is required"}`)},
		"a long id":        {nil, asDialer, false, `{"call_id":"` + strings.Repeat("x", 129) + `"}`, 422, invalid(`{"pointer":"#/call_id","detail":"must be 1 to 128 characters"}`)},
		"a path":           {nil, asDialer, false, `{"call_id":"a/b"}`, 422, invalid(`{"pointer":"#/call_id","detail":"must hold no slash, and be neither . nor .., as it is a part of addresses"}`)},
		"a short lease":    {nil, asDialer, false, `{"call_id":"a","lease_seconds":29}`, 422, invalid(`{"pointer":"#/lease_seconds","detail":"must be from 30 to 300"}`)},
		"an endless lease": {nil, asDialer, false, `{"call_id":"a","lease_seconds":9223372036854775807}`, 422, invalid(`{"pointer":"#/lease_seconds","detail":"must be from 30 to 300"}`)},
		"all wrong": {
			nil, asDialer, false, `{"call_id":7,"agent_id":"nobody","lease_seconds":301}`, 422,
			invalid(`{"pointer":"#/call_id","detail":"must be a string"},{"pointer":"#/lease_seconds","detail":"must be from 30 to 300"},{"pointer":"#/agent_id","detail":"is not an agent of the tenant"}`),
		},
		"suspended":      {status(tenant.Suspended), asDialer, false, `{"call_id":"new"}`, 403, `/docs/problems/tenant-suspended`},
		"inactive":       {status(tenant.Inactive), asDialer, false, `{"call_id":"new"}`, 403, `/docs/problems/tenant-inactive`},
		"failed":         {status(tenant.Failed), asDialer, false, `{"call_id":"new"}`, 409, `/docs/problems/conflict`},
		"provisioning":   {status(tenant.Provisioning), asDialer, false, `{"call_id":"new"}`, 409, `"operation_id":"operation-1"`},
		"deleting":       {status(tenant.Deleting), asDialer, false, `{"call_id":"new"}`, 403, `/docs/problems/tenant-deleting`},
		"another tenant": {nil, asOthers, false, `{"call_id":"new"}`, 404, `/docs/problems/not-found`},
		"another scope":  {nil, asMonitor, false, `{"call_id":"new"}`, 403, `your key lacks the scope calls:write`},
		"an owner":       {nil, asOwner, false, `{"call_id":"new"}`, 403, `/docs/problems/forbidden`},
		"an admin":       {nil, asAdmin, false, `{"call_id":"new"}`, 403, `/docs/problems/forbidden`},
	} {
		t.Run(name, func(t *testing.T) {
			got := (&switchboard{full: test.full}).operate(t, "start", test.edit, sent{caller: test.caller, body: test.body})
			if got.StatusCode != test.status || !strings.Contains(got.Body, test.want) {
				t.Errorf("got %d %s\nwant %d %s", got.StatusCode, got.Body, test.status, test.want)
			}
			if location := got.Headers["location"]; (test.status == 201) != (location == callsRoute+"/new") {
				t.Errorf("got Location %q", location)
			}
		})
	}
}

func TestRenewCall(t *testing.T) {
	for name, test := range map[string]struct {
		id, body string
		edit     func(*tenant.Tenant)
		status   int
		want     string
	}{
		"as before": {"live", "", nil, 200, `"lease_seconds":60`},
		"longer":    {"live", `{"lease_seconds":120}`, nil, 200, `"lease_seconds":120`},
		"too long":  {"live", `{"lease_seconds":301}`, nil, 422, `"pointer":"#/lease_seconds"`},
		"over":      {"over", "", nil, 409, `/docs/problems/call-ended`},
		"unknown":   {"unknown", "", nil, 404, `there is no call \"unknown\"`},
		"suspended": {"live", "", func(t *tenant.Tenant) { t.Status = tenant.Suspended }, 200, `"call_id":"live"`},
		"deleting":  {"live", "", func(t *tenant.Tenant) { t.Status = tenant.Deleting }, 403, `/docs/problems/tenant-deleting`},
	} {
		t.Run(name, func(t *testing.T) {
			got := (&switchboard{}).operate(t, "renew", test.edit, sent{caller: asDialer, body: test.body, params: map[string]string{"call_id": test.id}})
			if got.StatusCode != test.status || !strings.Contains(got.Body, test.want) {
				t.Errorf("got %d %s, want %d %s", got.StatusCode, got.Body, test.status, test.want)
			}
		})
	}
}

func TestEndCall(t *testing.T) {
	for name, test := range map[string]struct {
		id, body string
		status   int
		reported string
		refused  call.ID // from then on
	}{
		"nothing told":  {"live", "", 204, "<nil> <nil>", ""},
		"all told":      {"live", `{"duration_seconds":61,"sentiment_score":-0.5}`, 204, "1m1s -0.5", ""},
		"null":          {"live", `{"duration_seconds":null,"sentiment_score":null}`, 204, "<nil> <nil>", ""},
		"over":          {"over", `{"duration_seconds":61}`, 204, "", ""},
		"unknown":       {"unknown", `{"duration_seconds":61}`, 204, "", "unknown"},
		"no call's id":  {strings.Repeat("x", 1100), "", 204, "", ""},
		"a long call":   {"live", `{"duration_seconds":604801}`, 422, "", ""},
		"a long age":    {"live", `{"duration_seconds":-9223372036854775808}`, 422, "", ""},
		"a great score": {"live", `{"sentiment_score":1.01}`, 422, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &switchboard{}
			got := s.operate(t, "end", nil, sent{caller: asDialer, body: test.body, params: map[string]string{"call_id": test.id}})
			reported := ""
			if s.reported != nil {
				var duration, sentiment any
				if s.reported.Duration != nil {
					duration = *s.reported.Duration
				}
				if s.reported.Sentiment != nil {
					sentiment = *s.reported.Sentiment
				}
				reported = fmt.Sprint(duration, " ", sentiment)
			}
			if got.StatusCode != test.status || reported != test.reported || s.refused != test.refused {
				t.Errorf("got %d %s, %q was told and %q refused, want %d, %q and %q", got.StatusCode, got.Body, reported, s.refused, test.status, test.reported, test.refused)
			}
		})
	}
}

func TestListCalls(t *testing.T) {
	for _, caller := range []AuthorizerContext{asAdmin, asOwner, asAgent, asDialer} {
		got := (&switchboard{}).operate(t, "list", nil, sent{caller: caller})
		if got.StatusCode != 200 || !strings.HasPrefix(got.Body, `[{"call_id":"live","tenant_id":"`+acmeID+`","agent_id":null,"started_at":"`) {
			t.Errorf("%s got %d %s", caller.Role, got.StatusCode, got.Body)
		}
	}
	for _, caller := range []AuthorizerContext{asStranger, asOthers} {
		if got := (&switchboard{}).operate(t, "list", nil, sent{caller: caller}); got.StatusCode != 404 {
			t.Errorf("%s of another tenant got %d %s", caller.Role, got.StatusCode, got.Body)
		}
	}
}
