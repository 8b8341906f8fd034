package set

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/contract"
)

// The tests of this file are made of what the OpenAPI document says: they drive
// every route that it describes. What a route adds that they do not know fails
// them, so that somebody decides what it means for isolation.

// named is what is named by a parameter of the path or the query, or by a member
// of a body; where its name alone does not say it, with the first part of the path.
var named = map[string]string{
	"tenant_id": "tenant", "tenant_ids": "tenant", "tenants/id": "tenant", "tenants/owner_id": "owner",
	"user_id": "user", "actor": "user", "operation_id": "operation", "agent_id": "agent", "call_id": "call", "subject": "tenant",
	"agents/id": "agent", "api-keys/id": "key", "impersonations/id": "impersonation",
	"slug": "slug", "sip_domain": "SIP domain", "email": "email", "admin_email": "email", "auth/username": "username",
}

// unnamed is the parameters and members that name nothing which belongs to a
// tenant.
var unnamed = strings.Fields(`
	limit offset cursor status_filter q search action from to path refresh
	name full_name organization_name username role scopes status status_reason code reason mode meta_data isolation country
	password new_password old_password admin_password sip_password sip_username webhook_secret refresh_token
	billing_plan limits max_agents max_contacts max_messages_month max_concurrent_calls monthly_call_limit
	sip_enabled recording_enabled recording_format analytics_enabled hipaa_enabled pci_enabled data_encryption_enabled
	retention_days webhook_url webhook_timeout_seconds database mongo_database schema_version monthly_usage_cents
	created_at updated_at expires_at purge_at ttl_seconds disabled system_prompt voice language
	specversion source id type time data quantity
	overlap_seconds force lease_seconds duration_seconds sentiment_score
`)

// byProxy is the changes for which an impersonation may be used, if it is full.
// Every other change is the user's own, so a new one is refused until it is here.
var byProxy = []string{"UpdateTenant", "PutTenant", "CreateAgent", "UpdateAgent", "DeleteAgent"}

// thing returns what a parameter or member of a route names, or "".
func thing(route, name string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(route, "/"), "/")
	if what, ok := named[first+"/"+name]; ok {
		return what
	}
	return named[name]
}

var inBraces = regexp.MustCompile(`\{(\w+)\}`)

func pathNames(route string) []string {
	var names []string
	for _, match := range inBraces.FindAllStringSubmatch(route, -1) {
		names = append(names, match[1])
	}
	return names
}

// routes returns what the document describes. Logging out comes last, as it ends
// what the tests call by.
func routes(t *testing.T) []contract.Route {
	t.Helper()
	document, err := contract.Load()
	if err != nil {
		t.Fatal(err)
	}
	all := document.Routes()
	slices.SortStableFunc(all, func(a, b contract.Route) int { return strings.Compare(last(a), last(b)) })
	return all
}

func last(r contract.Route) string {
	if r.OperationID == "Logout" {
		return r.OperationID
	}
	return ""
}

func TestNamesAreKnown(t *testing.T) {
	for _, r := range routes(t) {
		known := func(name string) bool { return thing(r.Path, name) != "" || slices.Contains(unnamed, name) }
		for _, p := range r.Parameters {
			if !known(p.Name) {
				t.Errorf("%s: say what the parameter %s in the %s names", r.OperationID, p.Name, p.In)
			}
		}
		for _, name := range r.Members {
			if !known(name) {
				t.Errorf("%s: say what the member %s of the body names", r.OperationID, name)
			}
		}
		if len(r.Members) > 0 && r.Body == nil {
			t.Errorf("%s: there is no example of a body", r.OperationID)
		}
	}
}

// A caller is who calls.
type caller struct {
	name   string
	client *client
	role   string // of a user
	scope  string // of a service; "*" for all
	mode   string // of an impersonation
}

// admitted reports whether a caller may call a route, as the document says.
func (k caller) admitted(r contract.Route) bool {
	switch {
	case slices.Contains(r.Roles, "public"):
		return true
	case k.scope != "":
		return r.Scope != "" && (k.scope == r.Scope || k.scope == "*")
	case k.role == "":
		return false
	case k.mode != "" && r.Method != "GET" && (k.mode != "full" || !slices.Contains(byProxy, r.OperationID)):
		return false
	}
	return slices.Contains(r.Roles, "any") || slices.Contains(r.Roles, k.role)
}

// An attempt is a request that names something of another tenant.
type attempt struct {
	route contract.Route
	where string // the part of the request that names it
	path  string // with the query
	body  string
}

// attempts returns what a caller of one household can try with a route to get at
// another's things: by the path, each parameter of the query, each member of the
// body, and by a cursor of the other's.
func attempts(r contract.Route, own, other *household) []attempt {
	body := func(name, value string) string { return example(r.Body, name, value) }
	var all []attempt
	if names := pathNames(r.Path); len(names) > 0 {
		all = append(all, attempt{r, "path", other.path(r.Path), body("", "")})
		mixed := strings.Replace(r.Path, "{"+names[0]+"}", url.PathEscape(own.things[thing(r.Path, names[0])]), 1)
		if len(names) > 1 {
			all = append(all, attempt{r, "path", other.path(mixed), body("", "")})
		}
	}
	for _, p := range r.Parameters {
		switch what := thing(r.Path, p.Name); {
		case p.In == "query" && p.Name == "cursor":
			all = append(all, attempt{r, "cursor", own.path(r.Path) + "?cursor=" + url.QueryEscape(other.cursor(r)), ""})
		case p.In == "query" && what != "":
			all = append(all, attempt{r, "query", own.path(r.Path) + "?" + p.Name + "=" + url.QueryEscape(other.things[what]), body("", "")})
		}
	}
	for _, name := range r.Members {
		if what := thing(r.Path, name); what != "" {
			all = append(all, attempt{r, "body", own.path(r.Path), body(name, other.things[what])})
		}
	}
	return all
}

// example returns the text of a body with a member set to a value, unless its name
// is "".
func example(body any, name, value string) string {
	if body == nil {
		return ""
	}
	switch given := body.(type) {
	case map[string]any:
		body = exampleObject(given, name, value)
	case []any: // a batch of events, which are to be of today
		batch := make([]any, len(given))
		for i, each := range given {
			event, _ := each.(map[string]any)
			batch[i] = exampleObject(exampleObject(event, "time", time.Now().UTC().Format(time.RFC3339)), name, value)
		}
		body = batch
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// exampleObject returns an object with a member set to a value, unless its name is
// "".
func exampleObject(object map[string]any, name, value string) map[string]any {
	if name == "" {
		return object
	}
	copied := maps.Clone(object)
	copied[name] = value
	if name == "tenant_ids" {
		copied[name] = []string{value}
	}
	return copied
}

// send sends an attempt. A route without a body gets none.
func (k caller) send(method, path, body string) *answer {
	if body == "" {
		return k.client.do(method, path, nil)
	}
	return k.client.do(method, path, body)
}

// kind returns the kind of problem that was answered, or "".
func (a *answer) kind() string {
	text, _ := a.Body["type"].(string)
	return strings.TrimPrefix(text, "/docs/problems/")
}

// refused reports whether an attempt was answered as it is to be.
func (a attempt) refused(k caller, got *answer) bool {
	switch {
	case !k.admitted(a.route):
		return got.Status == 403 && (got.kind() == "forbidden" || k.mode != "" && got.kind() == "impersonation-denied")
	case a.route.OperationID == "EndCall" && got.Status == 204: // as for a call that there never was
		return a.where == "path"
	case a.route.OperationID == "CreateUsageEvents":
		return got.Status == 200 && got.Body["accepted"] == 0.0
	case a.where == "path":
		return got.Status == 404 && got.kind() == "not-found"
	case a.where == "cursor":
		return got.Status == 400 && got.kind() == "malformed"
	case a.where == "query":
		return got.Status == 404 || got.Status == 200
	}
	return got.Status >= 400 && got.Status < 500
}

// TestIsolation tries, by every route, to get at another tenant's things: nothing
// of them is in the answers, and they stay as they are.
func TestIsolation(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	own, other := c.household(admin), c.household(admin)
	checkThings(t, admin, other)
	strangers := append(own.callers(admin), c.strays()...)

	before, secrets := other.state(t), other.secrets(t)
	tried := 0
	for _, r := range routes(t) {
		if slices.Contains(r.Roles, "public") {
			continue
		}
		for _, a := range attempts(r, own, other) {
			for _, k := range strangers {
				got := k.send(r.Method, a.path, a.body)
				what := fmt.Sprintf("%s, by the %s, as %s: %s %s %s", r.OperationID, a.where, k.name, r.Method, a.path, a.body)
				if !a.refused(k, got) {
					t.Errorf("%s\nis answered %d %s", what, got.Status, got.Raw)
				}
				if found := other.revealed(got.Raw+fmt.Sprint(got.Header), a.path+a.body); found != nil {
					t.Errorf("%s\nreveals %q: %s", what, found, got.Raw)
				}
				tried++
			}
		}
		after := other.state(t)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s changed another tenant's things: %s", r.OperationID, diff)
		}
		before = after
	}
	if diff := cmp.Diff(secrets, other.secrets(t)); diff != "" {
		t.Errorf("the secrets of another tenant have changed: %s", diff)
	}
	t.Logf("%d requests", tried)
}

// checkThings sees to it that what the attempts name is there, for a platform admin
// or, where only services may see it, for one that is bound to no tenant.
func checkThings(t *testing.T, admin *client, h *household) {
	t.Helper()
	service := admin.as(admin.do("POST", "/api-keys", map[string]any{"name": "Unbound", "scopes": everyScope}).must(201).text("key"))
	for _, r := range routes(t) {
		if r.Method != "GET" || len(pathNames(r.Path)) == 0 || slices.Contains(r.Roles, "public") {
			continue
		}
		by, path := admin, h.path(r.Path)
		if !slices.Contains(r.Roles, "platform_admin") {
			by = service
		}
		if slices.Contains(r.Parameters, contract.Parameter{In: "query", Name: "tenant_id"}) {
			path += "?tenant_id=" + h.id
		}
		if got := by.do("GET", path, nil); got.Status != 200 {
			t.Errorf("%s: %s is answered %d %s", r.OperationID, path, got.Status, got.Raw)
		}
	}
}

// callers returns the members of a household, a service that is bound to it, and
// a platform admin who acts as its owner.
func (h *household) callers(admin *client) []caller {
	var all []caller
	for _, role := range []string{"owner", "admin", "supervisor", "agent"} {
		all = append(all, caller{name: role, client: h.members[role], role: role})
	}
	key := map[string]any{"name": "All of " + h.word, "scopes": everyScope, "tenant_ids": []string{h.id}}
	all = append(all, caller{name: "a service", client: admin.as(admin.do("POST", "/api-keys", key).must(201).text("key")), scope: "*"})
	for _, mode := range []string{"read_only", "full"} {
		session := map[string]any{"user_id": h.id, "reason": "To test isolation", "mode": mode}
		token := admin.do("POST", "/impersonations", session).must(201).text("token")
		all = append(all, caller{name: "the owner, impersonated " + mode, client: admin.as(token), role: "owner", mode: mode})
	}
	return all
}

var everyScope = []string{"usage:write", "calls:write", "sip:read", "health:read"}

// strays returns accounts that have no tenant.
func (c *client) strays() []caller {
	c.t.Helper()
	account := func(role string) (*client, string) {
		username := unique("stray")
		password := "correct horse " + username
		id := c.do("POST", "/auth/signup", map[string]any{"username": username, "email": username + "@example.com", "password": password, "role": role}).must(201).text("user_id")
		return c.signIn(username, password), id
	}
	developer, _ := account("developer")
	applicant, id := account("developer")
	forgetUser(c.t, id)
	return []caller{
		{name: "a developer", client: developer, role: "developer"},
		{name: "an applicant", client: applicant, role: "applicant"},
	}
}

// TestRoles asks every route as everybody: whom the document lets in is not
// refused, and everybody else is.
func TestRoles(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	h := c.household(admin)
	all := append(h.callers(admin), c.strays()...)
	all = append(all, caller{name: "a platform admin", client: c.admin(), role: "platform_admin"})
	for _, scope := range everyScope {
		key := admin.do("POST", "/api-keys", map[string]any{"name": scope, "scopes": []string{scope}}).must(201).text("key")
		all = append(all, caller{name: "a service with " + scope, client: c.as(key), scope: scope})
	}
	nobody, unknown := caller{name: "nobody", client: c}, caller{name: "a bad token", client: c.as("tnk_" + strings.Repeat("A", 43))}
	for _, r := range routes(t) {
		path, body := nowhere(r), ""
		if r.Body != nil {
			body = "{}"
		}
		for _, k := range append(all, nobody, unknown) {
			got := k.send(r.Method, path, body)
			what := fmt.Sprintf("%s as %s is answered %d %s", r.OperationID, k.name, got.Status, got.Raw)
			switch {
			case k.admitted(r):
				noUser := k.role == "applicant" && got.kind() == "token-invalid" // is told to sign in again
				if got.Status == 401 && !noUser || got.kind() == "forbidden" || got.kind() == "impersonation-denied" || got.Status >= 500 {
					t.Error(what)
				}
			case k.name == nobody.name:
				if got.Status != 401 || got.Raw != `{"message":"Unauthorized"}` {
					t.Error(what)
				}
			case k.name == unknown.name:
				if got.Status != 401 || got.kind() != "token-invalid" {
					t.Error(what)
				}
			case got.Status != 403 || got.kind() != "forbidden" && (k.mode == "" || got.kind() != "impersonation-denied"):
				t.Error(what)
			}
		}
	}
}

// nowhere returns a route's path with the ids of what nobody has.
func nowhere(r contract.Route) string {
	path := strings.ReplaceAll(r.Path, "{path}", "problems")
	for _, name := range pathNames(path) {
		path = strings.ReplaceAll(path, "{"+name+"}", uuid.NewString())
	}
	return path
}

// TestEndedImpersonation sees to it that no route keeps an impersonation any longer
// than it goes on, though the gateway still knows who it was.
func TestEndedImpersonation(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	_, id := c.owner()
	session := admin.do("POST", "/impersonations", map[string]any{"user_id": id, "reason": "To test how it ends", "mode": "full"}).must(201)
	k := caller{client: c.as(session.text("token")), role: "owner", mode: "full"}
	k.client.do("GET", "/auth/me", nil).must(200)
	admin.do("DELETE", "/impersonations/"+session.text("id"), nil).must(204)
	for _, r := range routes(t) {
		if slices.Contains(r.Roles, "public") || !k.admitted(r) {
			continue
		}
		if got := k.send(r.Method, nowhere(r), example(r.Body, "", "")); got.Status != 401 || got.kind() != "token-invalid" {
			t.Errorf("%s is answered %d %s", r.OperationID, got.Status, got.Raw)
		}
	}
}
