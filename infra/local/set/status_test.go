package set

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tenantry/tenantry/infra/local/contract"
)

// A use is one operation on what belongs to a tenant.
type use struct {
	send  func(p *placed, by *client) *answer
	rules []rule
}

// A rule says what a caller's requests are answered with in each status of the
// tenant: the kind of a problem, or "" where they are let pass.
type rule struct {
	by   string
	kind map[string]string
}

// Members read what is not locked, and change what is active.
var (
	membersRead = rule{"owner", map[string]string{
		"provisioning": "", "active": "", "inactive": "", "suspended": "", "failed": "",
		"deleting": "tenant-deleting", "purging": "tenant-deleting", "deleted": "tenant-deleting",
	}}
	membersWrite = rule{"owner", map[string]string{
		"provisioning": "operation-running", "active": "", "inactive": "tenant-inactive", "suspended": "tenant-suspended",
		"deleting": "tenant-deleting", "purging": "tenant-deleting", "deleted": "tenant-deleting",
	}}
	adminsRead = rule{"admin", map[string]string{
		"provisioning": "", "active": "", "inactive": "", "suspended": "", "failed": "", "deleting": "", "purging": "", "deleted": "",
	}}
	adminsWrite = rule{"admin", map[string]string{
		"provisioning": "operation-running", "active": "", "inactive": "", "suspended": "",
		"deleting": "tenant-deleting", "purging": "tenant-deleting", "deleted": "tenant-deleting",
	}}
	membersReadWhatThereIs = rule{"owner", map[string]string{
		"provisioning": "not-found", "active": "", "inactive": "", "suspended": "", "failed": "",
		"deleting": "tenant-deleting", "purging": "tenant-deleting", "deleted": "tenant-deleting",
	}}
	adminsReadWhatThereIs = rule{"admin", map[string]string{
		"provisioning": "not-found", "active": "", "inactive": "", "suspended": "", "failed": "", "deleting": "", "purging": "not-found", "deleted": "not-found",
	}}
	servicesTake = rule{"service", map[string]string{
		"provisioning": "operation-running", "active": "", "inactive": "tenant-inactive", "suspended": "tenant-suspended", "failed": "conflict",
		"deleting": "tenant-deleting", "purging": "tenant-deleting", "deleted": "tenant-deleting",
	}}
	servicesGoOn = rule{"service", map[string]string{
		"provisioning": "", "active": "", "inactive": "", "suspended": "", "failed": "",
		"deleting": "tenant-deleting", "purging": "tenant-deleting", "deleted": "tenant-deleting",
	}}
	servicesReport = rule{"service", map[string]string{
		"provisioning": "", "active": "", "inactive": "", "suspended": "", "failed": "", "deleting": "", "purging": "", "deleted": "",
	}}
	servicesRead = rule{"service", map[string]string{
		"active": "", "inactive": "tenant-inactive", "suspended": "tenant-suspended",
		"deleting": "tenant-deleting", "purging": "tenant-deleting", "deleted": "tenant-deleting",
	}}
)

var (
	reading = []rule{membersRead, adminsRead}
	writing = []rule{membersWrite, adminsWrite}
)

func get(path string) func(p *placed, by *client) *answer {
	return func(p *placed, by *client) *answer { return by.do("GET", p.fill(by, path), nil) }
}

func send(method, path string, body map[string]any) func(p *placed, by *client) *answer {
	return func(p *placed, by *client) *answer {
		if body == nil {
			return by.do(method, p.fill(by, path), nil)
		}
		return by.do(method, p.fill(by, path), body)
	}
}

// uses is every operation on what belongs to a tenant.
var uses = map[string]use{
	"GetMe":                {get("/auth/me"), []rule{membersRead}},
	"GetTenant":            {get("/tenants/{tenant}"), reading},
	"ListOperations":       {get("/tenants/{tenant}/operations"), reading},
	"GetOperation":         {get("/operations/{operation}"), reading},
	"ListUsers":            {get("/users{of}"), reading},
	"GetUser":              {get("/users/{user}"), reading},
	"ListAgents":           {get("/agents{of}"), reading},
	"GetAgent":             {get("/agents/{agent}{of}"), []rule{membersReadWhatThereIs, adminsReadWhatThereIs}},
	"GetSipCredentials":    {get("/tenants/{tenant}/sip-credentials"), reading},
	"ListAuditEvents":      {get("/audit-events{of}"), reading},
	"UpdateTenant":         {send("PATCH", "/tenants/{tenant}", map[string]any{"name": "Placed"}), writing},
	"PutTenant":            {send("PUT", "/tenants/{tenant}", map[string]any{"name": "Placed"}), writing},
	"PutSipCredentials":    {(*placed).putSIP, writing},
	"RotateSipCredentials": {send("POST", "/tenants/{tenant}/sip-credentials/rotate", map[string]any{"force": true}), writing},
	"GetSipDigest":         {get("/tenants/{tenant}/sip-credentials/digest"), []rule{servicesRead}},
	"GetTenantStats":       {get("/tenants/{tenant}/stats"), reading},
	"StartCall":            {(*placed).startCall, []rule{servicesTake}},
	"ListCalls":            {get("/tenants/{tenant}/calls"), []rule{membersRead, adminsRead, servicesGoOn}},
	"RenewCall":            {send("PATCH", "/tenants/{tenant}/calls/{call}", nil), []rule{servicesGoOn}},
	"EndCall":              {(*placed).endCall, []rule{servicesGoOn}},
	"CreateUsageEvents":    {(*placed).reportUse, []rule{servicesReport}},
	"CreateUser":           {(*placed).invite, writing},
	"UpdateUser":           {send("PATCH", "/users/{user}", map[string]any{"full_name": "Somebody"}), writing},
	"ResetUserPassword":    {send("POST", "/users/{user}/reset-password", nil), writing},
	"DeleteUser":           {(*placed).removeUser, writing},
	"Heartbeat":            {send("POST", "/users/me/heartbeat", nil), []rule{membersRead}},
	"CreateAgent":          {(*placed).makeAgent, writing},
	"UpdateAgent":          {send("PATCH", "/agents/{agent}{of}", map[string]any{"name": "Agent"}), writing},
	"DeleteAgent":          {(*placed).removeAgent, writing},
}

// A placed tenant is put into one status after another.
type placed struct {
	t                          *testing.T
	admin, owner, service      *client
	id, operation, user, agent string
	call                       string   // that goes on
	spareUsers, spareAgents    []string // to be removed
	domain                     string
}

// fill returns a path with the ids of what belongs to the tenant.
func (p *placed) fill(by *client, path string) string {
	of := ""
	if by == p.admin {
		of = "?tenant_id=" + p.id
	}
	return strings.NewReplacer("{tenant}", p.id, "{operation}", p.operation, "{user}", p.user, "{agent}", p.agent, "{call}", p.call, "{of}", of).Replace(path)
}

// whose returns a body with the tenant, which platform admins have to name.
func (p *placed) whose(by *client, body map[string]any) map[string]any {
	if by == p.admin {
		body["tenant_id"] = p.id
	}
	return body
}

func (p *placed) putSIP(by *client) *answer {
	return by.do("PUT", "/tenants/"+p.id+"/sip-credentials", map[string]any{"sip_domain": p.domain, "sip_username": "placed"})
}

func (p *placed) invite(by *client) *answer {
	return by.do("POST", "/users", p.whose(by, map[string]any{"email": unique("placed") + "@example.com", "full_name": "Somebody", "role": "agent"}))
}

func (p *placed) makeAgent(by *client) *answer {
	return by.do("POST", "/agents", p.whose(by, map[string]any{"name": "Agent"}))
}

// startCall and endCall are of a call of their own.
func (p *placed) startCall(by *client) *answer {
	return by.do("POST", "/tenants/"+p.id+"/calls", map[string]any{"call_id": unique("call")})
}

func (p *placed) endCall(by *client) *answer {
	return by.do("POST", "/tenants/"+p.id+"/calls/"+unique("unknown")+"/end", nil)
}

// reportUse is answered for each event: 200, though none is counted any more.
func (p *placed) reportUse(by *client) *answer {
	a := by.do("POST", "/usage-events", []any{event(p.id, unique("event"), "message.sent", 1)}).must(200)
	taken := a.Body["accepted"] == 1.0
	if status := p.admin.do("GET", "/tenants/"+p.id, nil).Body["status"]; taken == (status == "purging" || status == "deleted") {
		p.t.Errorf("use of a tenant that is %s: %s", status, a.Raw)
	}
	return a
}

// removeUser and removeAgent remove one that is there, for whoever may.
func (p *placed) removeUser(by *client) *answer {
	return p.removed(&p.spareUsers, func(id string) *answer { return by.do("DELETE", "/users/"+id, nil) })
}

func (p *placed) removeAgent(by *client) *answer {
	return p.removed(&p.spareAgents, func(id string) *answer { return by.do("DELETE", p.fill(by, "/agents/"+id+"{of}"), nil) })
}

func (p *placed) removed(spare *[]string, remove func(id string) *answer) *answer {
	a := remove((*spare)[0])
	if a.Status == 204 {
		*spare = (*spare)[1:]
	}
	return a
}

// place signs a tenant up, and gives it something of everything.
func place(t *testing.T) *placed {
	t.Helper()
	c := newClient(t, common)
	admin := c.admin()
	id, username, _, password := c.signUp()
	p := &placed{t: t, admin: admin, owner: c.signIn(username, password), id: id, domain: unique("sip") + ".example.com"}
	p.owner.active(id)
	admin.do("PATCH", "/tenants/"+id, `{"limits":{"max_agents":100}}`).must(200)
	p.putSIP(admin).must(200)
	eventually(t, "the operation was listed", func() bool {
		list := admin.do("GET", "/tenants/"+id+"/operations", nil).must(200).List
		if len(list) > 0 {
			p.operation = fmt.Sprint(list[0]["id"])
		}
		return p.operation != ""
	})
	for range 8 {
		p.spareUsers = append(p.spareUsers, p.invite(p.owner).must(201).text("id"))
		p.spareAgents = append(p.spareAgents, p.makeAgent(p.owner).must(201).text("id"))
	}
	p.user, p.agent = p.spareUsers[7], p.spareAgents[7]
	key := admin.do("POST", "/api-keys", map[string]any{"name": "Placed", "scopes": []string{"sip:read", "usage:write", "calls:write", "health:read"}}).must(201)
	p.service = c.as(key.text("key"))
	p.call = unique("call")
	p.service.do("POST", "/tenants/"+id+"/calls", map[string]any{"call_id": p.call, "lease_seconds": 300}).must(201)
	return p
}

// put puts the tenant into a status past all rules.
func (p *placed) put(status string) {
	p.t.Helper()
	update(p.t, "TENANT#"+p.id, "profile.status", status)
	update(p.t, "TENANT#"+p.id, "profile.status_reason", "as the test wants it")
	updateItem(p.t, common, "TENANT#"+p.id, "TENANT#COUNTERS", "status", status)
}

// TestStatuses sends every operation on what belongs to a tenant in each status
// that the tenant may have, by everybody who may ever send it.
func TestStatuses(t *testing.T) {
	p := place(t)
	callers := map[string]*client{"admin": p.admin, "owner": p.owner, "service": p.service}
	for _, status := range []string{"active", "inactive", "suspended", "provisioning", "failed", "deleting", "purging", "deleted"} {
		p.put(status)
		for _, name := range sortedNames(uses) {
			for _, r := range uses[name].rules {
				want, said := r.kind[status]
				if !said {
					continue
				}
				a := uses[name].send(p, callers[r.by])
				kind, _ := a.Body["type"].(string)
				if got := strings.TrimPrefix(kind, "/docs/problems/"); got != want {
					t.Errorf("%s by %s while %s: got %d %q, want %q\n%s", name, r.by, status, a.Status, got, want, a.Raw)
				}
			}
		}
	}
	p.put("active")
	p.owner.do("GET", "/tenants/"+p.id, nil).must(200)
}

// TestStatusesKnowEveryRoute fails when there is an operation for members or
// services that has no rule.
func TestStatusesKnowEveryRoute(t *testing.T) {
	doc, err := contract.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range doc.Routes() {
		ofTenants := slices.Contains(r.Roles, "owner") || r.Scope != "" && !strings.HasPrefix(r.Path, "/system/") || r.OperationID == "GetMe"
		if _, known := uses[r.OperationID]; ofTenants != known {
			t.Errorf("%s: it is for members or services: %v; it has a rule for each status: %v", r.OperationID, ofTenants, known)
		}
	}
}

func sortedNames[T any](m map[string]T) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
