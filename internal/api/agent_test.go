package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	salesID    = "01936b2e-5c00-7000-8000-000000000001"
	acmeMinute = "2026-11-22T01:30:00.000Z"
)

var asSupervisor = AuthorizerContext{Subject: "V", Role: identity.Supervisor, TenantID: acmeID}

// agentStore is an agent.Store, and an AgentLister, of one tenant's agents. It
// lists them in the order in which they were made.
type agentStore struct {
	agents   []agent.Agent
	most     int // how many there may be
	overtake int // how many writes are to be given up
	records  recorder
	audited  []audit.Record
}

func (s *agentStore) find(id agent.ID) int {
	for i, a := range s.agents {
		if a.ID == id {
			return i
		}
	}
	return -1
}

// write notes a write, or fails as one does that is overtaken.
func (s *agentStore) write(r audit.Record) error {
	if s.overtake > 0 {
		s.overtake--
		return fault.New(fault.Conflict, "changed meanwhile")
	}
	s.audited = append(s.audited, r)
	return nil
}

func (s *agentStore) Create(_ context.Context, _ tenant.Tenant, a agent.Agent, r audit.Record, receipt *idempotency.Record) error {
	if len(s.agents) >= s.most {
		return &fault.Error{Kind: fault.QuotaExceeded, Detail: "full", Members: map[string]any{"quota": "max_agents", "limit": s.most, "used": len(s.agents), "resets_at": nil}}
	}
	if err := s.records.keep(receipt); err != nil {
		return err
	}
	if err := s.write(r); err != nil {
		return err
	}
	s.agents = append(s.agents, a)
	return nil
}

func (s *agentStore) Get(_ context.Context, t tenant.Tenant, id agent.ID) (agent.Agent, error) {
	if i := s.find(id); i >= 0 && t.ID == acmeID {
		return s.agents[i], nil
	}
	return agent.Agent{}, agent.NotFound(id)
}

func (s *agentStore) Update(_ context.Context, _ tenant.Tenant, _, after agent.Agent, r audit.Record) error {
	if err := s.write(r); err != nil {
		return err
	}
	s.agents[s.find(after.ID)] = after
	return nil
}

func (s *agentStore) Delete(_ context.Context, _ tenant.Tenant, a agent.Agent, r audit.Record) error {
	if err := s.write(r); err != nil {
		return err
	}
	i := s.find(a.ID)
	s.agents = append(s.agents[:i:i], s.agents[i+1:]...)
	return nil
}

func (s *agentStore) List(_ context.Context, _ tenant.Tenant, w page.Window) (page.Page[agent.Agent], error) {
	var p page.Page[agent.Agent]
	for i, a := range s.agents[s.find(agent.ID(w.From))+1:] {
		if i == w.Limit {
			p.Next = p.Entries[i-1].After
			break
		}
		p.Entries = append(p.Entries, page.Entry[agent.Agent]{Value: a, After: page.Position(a.ID)})
	}
	return p, nil
}

// newSales returns an agent that has everything.
func newSales() agent.Agent {
	at := time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)
	return agent.Agent{
		ID: salesID, TenantID: acmeID, Name: "Sales", SystemPrompt: new("Be kind.\n\tBe brief."), Voice: new("nova"), Language: new("id"),
		MetaData: `{"b":1.50,"a":["é"]}`, CreatedAt: at, UpdatedAt: at, Version: 7,
	}
}

// salesItem is newSales() in a list, without its end.
const salesItem = `{"id":"` + salesID + `","tenant_id":"` + acmeID + `","name":"Sales","system_prompt":"Be kind.\n\tBe brief.","voice":"nova","language":"id",` +
	`"created_at":"` + acmeMinute + `","updated_at":"` + acmeMinute + `"`

// agentOps returns the operations on agents, on one store.
func agentOps(t tenant.Tenant, s *agentStore) map[string]Operation {
	tenants := &oneTenant{t}
	service := agent.NewService(s, tenants)
	running := runningFunc(func() (operation.ID, error) { return "operation-1", nil })
	key := func(context.Context) ([]byte, error) { return []byte("key"), nil }
	return map[string]Operation{
		"POST":   CreateAgent(service, running, s.records, key),
		"GET":    GetAgent(s, tenants),
		"LIST":   ListAgents(s, tenants, NewCursors(key)),
		"PATCH":  UpdateAgent(service, running),
		"DELETE": DeleteAgent(service, running),
	}
}

// sendAgents sends a request to the operation on agents with a name.
func sendAgents(t *testing.T, of tenant.Tenant, store *agentStore, name string, s sent) envelope {
	t.Helper()
	if store.records == nil {
		store.records = recorder{}
	}
	s.method, s.path = name, "/agents/"+salesID
	s.params = map[string]string{"agent_id": salesID}
	switch name {
	case "LIST":
		s.method, s.path = "GET", "/agents"
	case "POST":
		s.path = "/agents"
	}
	return serve(t, agentOps(of, store)[name], s)
}

const (
	agentsEnd = `"instance":"/agents","request_id":"R1"`
	salesEnd  = `"instance":"/agents/` + salesID + `","request_id":"R1"`
)

func TestCreateAgent(t *testing.T) {
	const invalid = `"detail":"the request breaks a rule; errors lists each",` + agentsEnd
	for name, test := range map[string]struct {
		edit   func(*tenant.Tenant)
		caller AuthorizerContext
		body   string
		status int
		want   string // of an agent, without what differs each time
	}{
		"little": {nil, asSupervisor, `{"name":" Sales "}`, 201, `"name":"Sales","system_prompt":null,"voice":null,"language":null,"meta_data":{}`},
		"everything": {
			nil, asOwner, `{"name":"Sales","system_prompt":"Be kind.\n\tBe brief.","voice":"nova","language":"zh-hant-tw","meta_data":{ "a" : 1.50 },"tenant_id":"` + acmeID + `"}`, 201,
			`"name":"Sales","system_prompt":"Be kind.\n\tBe brief.","voice":"nova","language":"zh-Hant-TW","meta_data":{"a":1.50}`,
		},
		"by a platform admin":               {nil, asAdmin, `{"name":"Sales","tenant_id":"` + acmeID + `"}`, 201, `"name":"Sales","system_prompt":null,"voice":null,"language":null,"meta_data":{}`},
		"by a platform admin, of no tenant": {nil, asAdmin, `{"name":1}`, 422, problemBody(fault.Invalid, "The request breaks rules", 422, invalid+`,"errors":[{"pointer":"#/name","detail":"must be a string"},{"pointer":"#/tenant_id","detail":"is required of a platform admin"}]`)},
		"of a tenant that is not there":     {nil, asAdmin, `{"name":"Sales","tenant_id":"` + otherID + `"}`, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+otherID+`\"",`+agentsEnd)},
		"of another's tenant":               {nil, asStranger, `{"name":1,"tenant_id":"` + acmeID + `"}`, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+agentsEnd)},
		"by an agent":                       {nil, asAgent, `{"name":"Sales"}`, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, agent, may not do this",`+agentsEnd)},
		"full":                              {nil, asOwner, `{"name":"Third"}`, 429, problemBody(fault.QuotaExceeded, "A limit is reached", 429, `"detail":"full",`+agentsEnd+`,"limit":1,"quota":"max_agents","resets_at":null,"used":1`)},
		"members that nobody sets":          {nil, asOwner, `{"name":"Sales","id":"x","version":1}`, 400, problemBody(fault.Malformed, "The request cannot be read", 400, `"detail":"the body holds what this operation does not take",`+agentsEnd+`,"errors":[{"pointer":"#/id","detail":"is not a member of this resource"},{"pointer":"#/version","detail":"is not a member of this resource"}]`)},
		"lines in a name":                   {nil, asOwner, `{"name":"a\nb"}`, 400, problemBody(fault.Malformed, "The request cannot be read", 400, `"detail":"the body holds what this operation does not take",`+agentsEnd+`,"errors":[{"pointer":"#/name","detail":"must not hold tabs or line breaks"}]`)},
		"everything wrong": {
			func(t *tenant.Tenant) { t.PCIEnabled = true }, asOwner,
			`{"name":" ","system_prompt":"` + strings.Repeat("x", 32<<10+1) + `","voice":"","language":"en_US","meta_data":{"a":"4111 1111 1111 1111"}}`, 422,
			problemBody(fault.Invalid, "The request breaks rules", 422, invalid+`,"errors":[`+
				`{"pointer":"#/name","detail":"must be 1 to 255 characters after trimming"},`+
				`{"pointer":"#/system_prompt","detail":"must be at most 32768 bytes in UTF-8"},`+
				`{"pointer":"#/voice","detail":"must be 1 to 100 characters"},`+
				`{"pointer":"#/language","detail":"must be a language tag (BCP 47), such as id or en-US"},`+
				`{"pointer":"#/meta_data","detail":"must hold no card number while pci_enabled is true"}]`),
		},
		"wrong types": {
			nil, asOwner, `{"name":null,"system_prompt":1,"voice":false,"language":[],"meta_data":null}`, 422,
			problemBody(fault.Invalid, "The request breaks rules", 422, invalid+`,"errors":[`+
				`{"pointer":"#/language","detail":"must be a string or null"},{"pointer":"#/name","detail":"must not be null"},`+
				`{"pointer":"#/system_prompt","detail":"must be a string or null"},{"pointer":"#/voice","detail":"must be a string or null"},`+
				`{"pointer":"#/meta_data","detail":"must be an object"}]`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := &agentStore{most: 1}
			if name == "full" {
				store.agents = []agent.Agent{newSales()}
			}
			got := sendAgents(t, newAcme(test.edit), store, "POST", sent{caller: test.caller, body: test.body})
			if test.status != 201 {
				got.check(t, test.status, test.want)
				if len(store.audited) != 0 {
					t.Errorf("it changed something: %v", store.audited)
				}
				return
			}
			if len(store.agents) != 1 {
				t.Fatalf("got %d %s, and the agents %v", got.StatusCode, got.Body, store.agents)
			}
			made := store.agents[0]
			when := made.CreatedAt.Format("2006-01-02T15:04:05.000Z07:00")
			settings, metaData, _ := strings.Cut(test.want, `,"meta_data"`)
			got.check(t, 201, fmt.Sprintf(`{"id":%q,"tenant_id":%q,%s,"created_at":%q,"updated_at":%q,"meta_data"%s}`, made.ID, acmeID, settings, when, when, metaData))
			if got.Headers["location"] != "/agents/"+string(made.ID) || got.Headers["etag"] != `"1"` {
				t.Errorf("got the headers %v", got.Headers)
			}
			if len(store.audited) != 1 || store.audited[0].Target != agent.Target(made.ID) || store.audited[0].Action != audit.AgentCreated {
				t.Errorf("the audit has %v", store.audited)
			}
		})
	}
}

func TestCreateAgentOnce(t *testing.T) {
	store := &agentStore{most: 1}
	s := sent{caller: asOwner, body: `{"name":"Sales"}`, headers: map[string]string{"idempotency-key": "key"}}
	first := sendAgents(t, newAcme(nil), store, "POST", s)
	second := sendAgents(t, newAcme(nil), store, "POST", s) // although the tenant is full by now
	second.check(t, 201, first.Body)
	if second.Headers["idempotent-replayed"] != "true" || second.Headers["etag"] != first.Headers["etag"] || len(store.agents) != 1 {
		t.Errorf("got %v and %d agents", second.Headers, len(store.agents))
	}
	s.body = `{"name":"Support"}`
	if got := kindOf(t, sendAgents(t, newAcme(nil), store, "POST", s)); got != fault.KeyReused {
		t.Errorf("another body: got %q", got)
	}
}

func TestGetAgent(t *testing.T) {
	for name, test := range map[string]struct {
		caller AuthorizerContext
		query  string
		agents []agent.Agent
		status int
		want   string
	}{
		"an agent's":           {asAgent, "", []agent.Agent{newSales()}, 200, salesItem + `,"meta_data":{"b":1.50,"a":["é"]}}`},
		"by its tenant":        {asAgent, "tenant_id=" + acmeID, []agent.Agent{newSales()}, 200, salesItem + `,"meta_data":{"b":1.50,"a":["é"]}}`},
		"a platform admin's":   {asAdmin, "tenant_id=" + acmeID, []agent.Agent{newSales()}, 200, salesItem + `,"meta_data":{"b":1.50,"a":["é"]}}`},
		"of no tenant":         {asAdmin, "", []agent.Agent{newSales()}, 422, problemBody(fault.Invalid, "The request breaks rules", 422, `"detail":"the request breaks a rule; errors lists each",`+salesEnd+`,"errors":[{"parameter":"tenant_id","detail":"is required of a platform admin"}]`)},
		"of another's tenant":  {asAgent, "tenant_id=" + otherID, []agent.Agent{newSales()}, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+otherID+`\"",`+salesEnd)},
		"a stranger's":         {asStranger, "tenant_id=" + acmeID, []agent.Agent{newSales()}, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+salesEnd)},
		"nobody's":             {asAgent, "", nil, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no agent \"`+salesID+`\"",`+salesEnd)},
		"of an unknown tenant": {asAdmin, "tenant_id=broken", nil, 500, problemBody("internal", "Something failed that is ours to mend", 500, salesEnd)},
	} {
		t.Run(name, func(t *testing.T) {
			got := sendAgents(t, newAcme(nil), &agentStore{agents: test.agents}, "GET", sent{caller: test.caller, query: test.query})
			got.check(t, test.status, test.want)
			if etag := got.Headers["etag"]; (etag == `"7"`) != (test.status == 200) {
				t.Errorf("got the ETag %s", etag)
			}
		})
	}
	sendAgents(t, newAcme(nil), &agentStore{agents: []agent.Agent{newSales()}}, "GET", sent{
		caller: asAgent, headers: map[string]string{"if-none-match": `"7"`},
	}).check(t, 304, "")
}

func TestListAgents(t *testing.T) {
	second := newSales()
	second.ID = "01936b2e-5c00-7000-8000-000000000002"
	store := &agentStore{agents: []agent.Agent{newSales(), second}}
	list := func(caller AuthorizerContext, query string) envelope {
		return sendAgents(t, newAcme(nil), store, "LIST", sent{caller: caller, query: query})
	}
	secondItem := strings.Replace(salesItem, salesID, string(second.ID), 1)
	list(asAgent, "").check(t, 200, `[`+salesItem+`},`+secondItem+`}]`)
	list(asAdmin, "tenant_id="+acmeID).check(t, 200, `[`+salesItem+`},`+secondItem+`}]`)
	first := list(asAgent, "limit=1")
	first.check(t, 200, `[`+salesItem+`}]`)
	next, _, _ := strings.Cut(strings.TrimPrefix(first.Headers["link"], "</agents?"), ">")
	last := list(asAgent, next)
	last.check(t, 200, `[`+secondItem+`}]`)
	if last.Headers["link"] != "" {
		t.Errorf("after the last there is %s", last.Headers["link"])
	}
	for name, test := range map[string]struct {
		caller AuthorizerContext
		query  string
		want   fault.Kind
	}{
		"another's cursor":    {asOwner, next, fault.Malformed},
		"another filter":      {asAgent, next + "&tenant_id=" + acmeID, fault.Malformed},
		"of no tenant":        {asAdmin, "", fault.Invalid},
		"of another's tenant": {asAgent, "tenant_id=" + otherID, fault.NotFound},
		"none":                {asAgent, "limit=0", fault.Invalid},
		"by offset":           {asAgent, "offset=1", fault.Malformed},
	} {
		if got := kindOf(t, list(test.caller, test.query)); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestUpdateAgent(t *testing.T) {
	const full = salesItem + `,"meta_data":{"b":1.50,"a":["é"]}}`
	view := func(replacements ...string) string { return strings.NewReplacer(replacements...).Replace(full) }
	notFound := problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no agent \"`+salesID+`\"",`+salesEnd)
	for name, test := range map[string]struct {
		caller   AuthorizerContext
		query    string
		match    string
		body     string
		overtake int
		status   int
		want     string
	}{
		"nothing":            {asSupervisor, "", "", `{}`, 0, 200, full},
		"what GET returned":  {asSupervisor, "", `"7"`, full, 0, 200, full},
		"a name":             {asSupervisor, "", "", `{"name":" Support "}`, 0, 200, view(`"Sales"`, `"Support"`)},
		"null clears":        {asOwner, "tenant_id=" + acmeID, "", `{"system_prompt":null,"voice":null,"language":null}`, 0, 200, view(`"Be kind.\n\tBe brief."`, `null`, `"nova"`, `null`, `"language":"id"`, `"language":null`)},
		"canonical":          {asAdmin, "tenant_id=" + acmeID, "", `{"language":"EN-us","meta_data":{"a":"\u00e9"}}`, 0, 200, view(`"language":"id"`, `"language":"en-US"`, `{"b":1.50,"a":["é"]}`, `{"a":"é"}`)},
		"on top of another":  {asOwner, "", "", `{"name":"Support"}`, 2, 200, view(`"Sales"`, `"Support"`)},
		"stale":              {asOwner, "", `"6"`, `{"name":"Support"}`, 0, 412, problemBody(fault.Stale, "The version is not the present one", 412, `"detail":"the agent has changed since; get it again and look at what changed",`+salesEnd)},
		"another role":       {asAgent, "", "", `{}`, 0, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, agent, may not do this",`+salesEnd)},
		"of another's":       {asStranger, "", "", `{}`, 0, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+otherID+`\"",`+salesEnd)},
		"of another's, said": {asStranger, "tenant_id=" + acmeID, "", `{}`, 0, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+salesEnd)},
		"not there":          {asOwner, "", "", `{}`, -1, 404, notFound},
		"of no tenant": {asAdmin, "", "", `{"name":1}`, 0, 422, problemBody(fault.Invalid, "The request breaks rules", 422, `"detail":"the request breaks a rule; errors lists each",`+salesEnd+
			`,"errors":[{"pointer":"#/name","detail":"must be a string"},{"parameter":"tenant_id","detail":"is required of a platform admin"}]`)},
		"what cannot be changed": {
			asOwner, "", "", `{"id":"x","tenant_id":"` + otherID + `","created_at":"` + acmeMinute + `","updated_at":null,"name":""}`, 0, 422,
			problemBody(fault.Invalid, "The request breaks rules", 422, `"detail":"the request breaks a rule; errors lists each",`+salesEnd+`,"errors":[`+
				`{"pointer":"#/id","detail":"cannot be changed"},{"pointer":"#/tenant_id","detail":"cannot be changed"},{"pointer":"#/updated_at","detail":"cannot be changed"},`+
				`{"pointer":"#/name","detail":"must be 1 to 255 characters after trimming"}]`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := newSales()
			store := &agentStore{agents: []agent.Agent{before}, overtake: max(0, test.overtake)}
			if test.overtake < 0 {
				store.agents = nil
			}
			got := sendAgents(t, newAcme(nil), store, "PATCH", sent{caller: test.caller, query: test.query, body: test.body, headers: map[string]string{"if-match": test.match}})
			after := before
			if store.agents != nil {
				after = store.agents[0]
			}
			if after.Version != before.Version {
				got.Body = strings.Replace(got.Body, `"updated_at":"`+after.UpdatedAt.Format("2006-01-02T15:04:05.000Z07:00"), `"updated_at":"`+acmeMinute, 1)
			}
			got.check(t, test.status, test.want)
			if changed := test.status == 200 && test.want != full; changed != (after.Version == 8) || changed != (len(store.audited) == 1) {
				t.Errorf("the version is %d, and the audit has %v", after.Version, store.audited)
			}
			if want := fmt.Sprintf("%q", fmt.Sprint(after.Version)); test.status == 200 && got.Headers["etag"] != want {
				t.Errorf("got the ETag %s, want %s", got.Headers["etag"], want)
			}
		})
	}
}

func TestDeleteAgent(t *testing.T) {
	for name, test := range map[string]struct {
		caller AuthorizerContext
		query  string
		match  string
		status int
		want   string
	}{
		"a member's":         {asSupervisor, "", "", 204, ""},
		"the version":        {asSupervisor, "", `"7"`, 204, ""},
		"a platform admin's": {asAdmin, "tenant_id=" + acmeID, "", 204, ""},
		"stale":              {asOwner, "", `"8"`, 412, problemBody(fault.Stale, "The version is not the present one", 412, `"detail":"the agent has changed since; get it again and look at what changed",`+salesEnd)},
		"of no tenant":       {asAdmin, "", "", 422, problemBody(fault.Invalid, "The request breaks rules", 422, `"detail":"the request breaks a rule; errors lists each",`+salesEnd+`,"errors":[{"parameter":"tenant_id","detail":"is required of a platform admin"}]`)},
		"another's":          {asStranger, "tenant_id=" + acmeID, "", 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+salesEnd)},
		"another role":       {asAgent, "", "", 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, agent, may not do this",`+salesEnd)},
	} {
		t.Run(name, func(t *testing.T) {
			store := &agentStore{agents: []agent.Agent{newSales()}}
			s := sent{caller: test.caller, query: test.query, headers: map[string]string{"if-match": test.match}}
			sendAgents(t, newAcme(nil), store, "DELETE", s).check(t, test.status, test.want)
			if gone := len(store.agents) == 0; gone != (test.status == 204) || gone != (len(store.audited) == 1) {
				t.Errorf("left are %v, and the audit has %v", store.agents, store.audited)
			}
			if test.status == 204 {
				delete(s.headers, "if-match")
				if got := kindOf(t, sendAgents(t, newAcme(nil), store, "DELETE", s)); got != fault.NotFound {
					t.Errorf("again: got %q", got)
				}
			}
		})
	}
}

// What each status of a tenant allows its members, and a platform admin.
func TestAgentsByStatus(t *testing.T) {
	type kinds struct{ read, write fault.Kind }
	for status, want := range map[tenant.Status]struct{ member, admin kinds }{
		tenant.Provisioning: {kinds{"", fault.OperationRunning}, kinds{"", fault.OperationRunning}},
		tenant.Active:       {kinds{"", ""}, kinds{"", ""}},
		tenant.Inactive:     {kinds{"", fault.TenantInactive}, kinds{"", ""}},
		tenant.Suspended:    {kinds{"", fault.TenantSuspended}, kinds{"", ""}},
		tenant.Failed:       {kinds{"", fault.Conflict}, kinds{"", fault.Conflict}},
		tenant.Deleting:     {kinds{fault.TenantDeleting, fault.TenantDeleting}, kinds{"", fault.TenantDeleting}},
		tenant.Purging:      {kinds{fault.TenantDeleting, fault.TenantDeleting}, kinds{"", fault.TenantDeleting}},
		tenant.Deleted:      {kinds{fault.TenantDeleting, fault.TenantDeleting}, kinds{"", fault.TenantDeleting}},
	} {
		for name, body := range map[string]string{"POST": `{"name":"Support"`, "PATCH": `{"name":"Support"`, "DELETE": "", "GET": "", "LIST": ""} {
			for caller, kinds := range map[*AuthorizerContext]kinds{&asSupervisor: want.member, &asAdmin: want.admin} {
				t.Run(fmt.Sprint(status, " ", name, " ", caller.Role), func(t *testing.T) {
					of := newAcme(func(t *tenant.Tenant) { t.Status = status })
					store := &agentStore{agents: []agent.Agent{newSales()}, most: 2}
					s := sent{caller: *caller}
					switch {
					case name == "POST" && caller == &asAdmin:
						s.body = body + `,"tenant_id":"` + acmeID + `"}`
					case body != "":
						s.body = body + `}`
					}
					if name != "POST" {
						s.query = "tenant_id=" + acmeID
					}
					got := sendAgents(t, of, store, name, s)
					reads := name == "GET" || name == "LIST"
					kind := kinds.write
					if reads {
						kind = kinds.read
					}
					if kindOf(t, got) != kind {
						t.Errorf("got %d %s, want %q", got.StatusCode, got.Body, kind)
					}
					if changes := !reads && kind == ""; changes != (len(store.audited) == 1) {
						t.Errorf("the audit has %v", store.audited)
					}
					if kind == fault.OperationRunning && !strings.Contains(got.Body, `"operation_id":"operation-1"`) {
						t.Errorf("it does not name the operation: %s", got.Body)
					}
				})
			}
		}
	}
}

// In a full impersonation agents can be changed, and in another they can be read.
func TestAgentsByProxy(t *testing.T) {
	by := func(mode identity.Mode) AuthorizerContext {
		return AuthorizerContext{Subject: "V", Role: identity.Supervisor, TenantID: acmeID, ImpersonationID: "I1", Actor: "A1", Mode: mode}
	}
	guard := guardFunc(func(identity.Caller) error { return nil })
	for mode, want := range map[identity.Mode]fault.Kind{identity.Full: "", identity.ReadOnly: fault.ImpersonationDenied} {
		store := &agentStore{agents: []agent.Agent{newSales()}, records: recorder{}}
		op := agentOps(newAcme(nil), store)["PATCH"].Guarded(guard)
		got := serve(t, op, sent{method: "PATCH", path: "/agents/" + salesID, params: map[string]string{"agent_id": salesID}, caller: by(mode), body: `{"name":"Support"}`})
		if kindOf(t, got) != want {
			t.Errorf("%s: got %d %s, want %q", mode, got.StatusCode, got.Body, want)
		}
		if mode == identity.Full && (store.audited[0].Actor.ID != "A1" || store.audited[0].OnBehalfOf != "V") {
			t.Errorf("the audit has %+v", store.audited[0])
		}
	}
}
