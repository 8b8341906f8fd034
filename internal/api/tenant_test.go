package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

const (
	acmeID  = "5c9e4b0a-7d24-4f7b-b1f5-2f6a0c8d1e93"
	otherID = "3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e"
)

var (
	asAdmin    = AuthorizerContext{Subject: "A", Role: identity.PlatformAdmin}
	asOwner    = AuthorizerContext{Subject: "O", Role: identity.Owner, TenantID: acmeID}
	asAgent    = AuthorizerContext{Subject: "G", Role: identity.Agent, TenantID: acmeID}
	asStranger = AuthorizerContext{Subject: "S", Role: identity.Owner, TenantID: otherID}
)

// newAcme returns an active tenant.
func newAcme(edit func(*tenant.Tenant)) tenant.Tenant {
	t := tenant.Draft{
		Settings: tenant.Settings{Name: patch.Of("Acme")},
		ID:       patch.Of(identity.TenantID(acmeID)),
		Slug:     patch.Of("acme"),
	}.Tenant(time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC))
	t.Status, t.Version = tenant.Active, 7
	if edit != nil {
		edit(&t)
	}
	return t
}

// acmeView is newAcme(nil) as clients see it, up to its meta_data.
const acmeView = `{"id":"` + acmeID + `","name":"Acme","slug":"acme","status":"active","status_reason":null,"owner_id":null,` +
	`"billing_plan":"starter","country":null,"max_concurrent_calls":10,"monthly_call_limit":1000,` +
	`"limits":{"max_agents":3,"max_contacts":1000,"max_messages_month":5000},` +
	`"sip_enabled":false,"sip_domain":null,"sip_username":null,"recording_enabled":true,"recording_format":"mp4","analytics_enabled":true,` +
	`"hipaa_enabled":false,"pci_enabled":false,"data_encryption_enabled":true,"retention_days":90,` +
	`"webhook_url":null,"webhook_timeout_seconds":20,"isolation":"dedicated","database":null,"mongo_database":null,` +
	`"schema_version":2,"created_at":"2026-11-22T01:30:00.000Z","updated_at":"2026-11-22T01:30:00.000Z","purge_at":null,"monthly_usage_cents":0`

// oneTenant is a store of one tenant.
type oneTenant struct{ tenant.Tenant }

func (s *oneTenant) Get(_ context.Context, id identity.TenantID) (tenant.Tenant, error) {
	switch id {
	case s.ID:
		return s.Tenant, nil
	case "broken":
		return tenant.Tenant{}, errBroken
	}
	return tenant.Tenant{}, tenant.NotFound(id)
}

func (s *oneTenant) GetWithUsage(ctx context.Context, id identity.TenantID, _ time.Time) (tenant.Tenant, usage.Usage, error) {
	t, err := s.Get(ctx, id)
	return t, usage.Usage{}, err
}

func (s *oneTenant) Update(_ context.Context, _, after tenant.Tenant, _ audit.Record) error {
	s.Tenant = after
	return nil
}

func (s *oneTenant) AgentsWithCards(context.Context, identity.TenantID) (int, error) { return 0, nil }

// problemBody returns a problem document about the tenant.
func problemBody(kind fault.Kind, title string, status int, rest string) string {
	return fmt.Sprintf(`{"type":"/docs/problems/%s","title":%q,"status":%d,%s}`, kind, title, status, rest)
}

const acmeEnd = `"instance":"/tenants/` + acmeID + `","request_id":"R1"`

// noUse finds that nothing was used.
type noUse struct{}

func (noUse) Usage(context.Context, identity.TenantID, time.Time) (usage.Usage, error) {
	return usage.Usage{}, nil
}

func TestGetTenant(t *testing.T) {
	everything := newAcme(func(t *tenant.Tenant) {
		t.StatusReason, t.OwnerID, t.Country = new("why"), new(identity.UserID("O")), new("ID")
		t.SIPEnabled, t.SIPDomain, t.SIPUsername = true, new("sip.example.com"), new("acme")
		t.WebhookURL, t.Database, t.MongoDatabase = new("https://example.com"), new("table"), new("mongo")
		t.MetaData, t.CreatedAt = `{"b":1.50,"a":["é"]}`, t.CreatedAt.Add(time.Millisecond)
		t.Secret = &tenant.SecretRef{Name: "secret-name", Version: "secret-version"}
	})
	notFound := problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+acmeEnd)
	for name, test := range map[string]struct {
		tenant tenant.Tenant
		caller AuthorizerContext
		id     string
		status int
		want   string
	}{
		"as it is made": {newAcme(nil), asAgent, acmeID, 200, acmeView + `,"meta_data":{}}`},
		"everything": {
			everything, asAdmin, acmeID, 200,
			strings.NewReplacer(
				`"status_reason":null,"owner_id":null`, `"status_reason":"why","owner_id":"O"`, `"country":null`, `"country":"ID"`,
				`"sip_enabled":false,"sip_domain":null,"sip_username":null`, `"sip_enabled":true,"sip_domain":"sip.example.com","sip_username":"acme"`,
				`"webhook_url":null`, `"webhook_url":"https://example.com"`, `"database":null,"mongo_database":null`, `"database":"table","mongo_database":"mongo"`,
				`"created_at":"2026-11-22T01:30:00.000Z"`, `"created_at":"2026-11-22T01:30:00.001Z"`,
			).Replace(acmeView) + `,"meta_data":{"b":1.50,"a":["é"]}}`,
		},
		"another tenant's": {newAcme(nil), asStranger, acmeID, 404, notFound},
		"nobody's":         {newAcme(func(t *tenant.Tenant) { t.ID = otherID }), asAdmin, acmeID, 404, notFound},
		"deleting": {
			newAcme(func(t *tenant.Tenant) { t.Status = tenant.Deleting }), asOwner, acmeID, 403,
			problemBody(fault.TenantDeleting, "The tenant is being deleted", 403, `"detail":"the tenant is being deleted; a platform admin can restore it while its status is deleting",`+acmeEnd),
		},
		"deleting, for a platform admin": {
			newAcme(func(t *tenant.Tenant) { t.Status = tenant.Deleting }), asAdmin, acmeID, 200,
			strings.Replace(acmeView, `"active"`, `"deleting"`, 1) + `,"meta_data":{}}`,
		},
		"a developer": {newAcme(nil), AuthorizerContext{Subject: "D", Role: identity.Developer}, acmeID, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, developer, may not do this",`+acmeEnd)},
		"broken":      {newAcme(nil), asAdmin, "broken", 500, problemBody("internal", "Something failed that is ours to mend", 500, `"instance":"/tenants/broken","request_id":"R1"`)},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, GetTenant(&oneTenant{test.tenant}), sent{
				method: "GET", path: "/tenants/" + test.id, params: map[string]string{"tenant_id": test.id}, caller: test.caller,
			})
			got.check(t, test.status, test.want)
			if etag := got.Headers["etag"]; (etag == `"7"`) != (test.status == 200) {
				t.Errorf("got the ETag %s", etag)
			}
		})
	}
}

func TestGetTenantNotModified(t *testing.T) {
	got := serve(t, GetTenant(&oneTenant{newAcme(nil)}), sent{
		method: "GET", path: "/tenants/" + acmeID, params: map[string]string{"tenant_id": acmeID}, caller: asAgent, headers: map[string]string{"if-none-match": `"7"`},
	})
	got.check(t, 304, "")
}

// A noVault keeps nothing: its secrets are those that were written last.
type noVault struct{ secrets *tenant.Secrets }

func (v noVault) Read(context.Context, tenant.SecretRef) (tenant.Secrets, error) {
	return *v.secrets, nil
}

func (v noVault) Write(_ context.Context, _ identity.TenantID, _ *tenant.SecretRef, s tenant.Secrets) (tenant.SecretRef, error) {
	*v.secrets = s
	return tenant.SecretRef{Name: "name", Version: "version"}, nil
}

func (noVault) Settle(context.Context, *tenant.SecretRef, tenant.SecretRef)  {}
func (noVault) Discard(context.Context, *tenant.SecretRef, tenant.SecretRef) {}

// runningFunc is a RunningFinder made of one function.
type runningFunc func() (operation.ID, error)

func (f runningFunc) Running(context.Context, identity.TenantID) (operation.ID, error) { return f() }

// updateTenant sends an update of a tenant, and returns the answer, the tenant as
// it is then, and its secrets.
func updateTenant(t *testing.T, before tenant.Tenant, s sent) (envelope, tenant.Tenant, tenant.Secrets) {
	t.Helper()
	store, vault := &oneTenant{before}, noVault{new(tenant.Secrets)}
	running := runningFunc(func() (operation.ID, error) { return "operation-1", nil })
	if s.method == "" {
		s.method = "PATCH"
	}
	s.path, s.params = "/tenants/"+acmeID, map[string]string{"tenant_id": acmeID}
	got := serve(t, UpdateTenant(tenant.NewService(store, vault), noUse{}, running), s)
	return got, store.Tenant, *vault.secrets
}

func TestUpdateTenant(t *testing.T) {
	const invalid = `"detail":"the request breaks a rule; errors lists each",` + acmeEnd
	view := func(replacements ...string) string {
		return strings.NewReplacer(replacements...).Replace(acmeView)
	}
	for name, test := range map[string]struct {
		before func(*tenant.Tenant)
		caller AuthorizerContext
		match  string
		body   string
		status int
		want   string
	}{
		"nothing": {nil, asOwner, "", `{}`, 200, acmeView + `,"meta_data":{}}`},
		"settings": {
			nil, asOwner, "", `{"name":" New ","limits":{"max_agents":2},"meta_data":{ "a" : "\u00e9" }}`, 200,
			view(`"Acme"`, `"New"`, `"max_agents":3`, `"max_agents":2`) + `,"meta_data":{"a":"é"}}`,
		},
		"status":                  {nil, asOwner, "", `{"status":"inactive"}`, 200, view(`"active"`, `"inactive"`) + `,"meta_data":{}}`},
		"the version":             {nil, asOwner, `"7"`, `{}`, 200, acmeView + `,"meta_data":{}}`},
		"another role":            {nil, asAgent, "", `{}`, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, agent, may not do this",`+acmeEnd)},
		"another's":               {nil, asStranger, "", `{}`, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+acmeEnd)},
		"stale":                   {nil, asOwner, `"6"`, `{"name":"New"}`, 412, problemBody(fault.Stale, "The version is not the present one", 412, `"detail":"the tenant has changed since; get it again and look at what changed",`+acmeEnd)},
		"no tag":                  {nil, asOwner, ` `, `{"name":"New"}`, 400, problemBody(fault.Malformed, "The request cannot be read", 400, `"detail":"the header If-Match must hold entity tags as they stand in ETag, with their quotes: \"7\"",`+acmeEnd)},
		"a bare tag":              {nil, asOwner, `7`, `{"name":"New"}`, 400, problemBody(fault.Malformed, "The request cannot be read", 400, `"detail":"the header If-Match must hold entity tags as they stand in ETag, with their quotes: \"7\"",`+acmeEnd)},
		"a bare tag among others": {nil, asOwner, `"7", 8`, `{"name":"New"}`, 400, problemBody(fault.Malformed, "The request cannot be read", 400, `"detail":"the header If-Match must hold entity tags as they stand in ETag, with their quotes: \"7\"",`+acmeEnd)},
		"stale, a word":           {nil, asOwner, `"six"`, `{"name":"New"}`, 412, problemBody(fault.Stale, "The version is not the present one", 412, `"detail":"the tenant has changed since; get it again and look at what changed",`+acmeEnd)},
		"provisioning": {
			func(t *tenant.Tenant) { t.Status = tenant.Provisioning }, asOwner, "", `{"name":"New"}`, 409,
			problemBody(fault.OperationRunning, "An operation is running", 409, `"detail":"the tenant is still being provisioned; try again when it is active",`+acmeEnd+`,"operation_id":"operation-1"`),
		},
		"unknown": {nil, asOwner, "", `{"operation_id":"x","Status":"active"}`, 400, problemBody(fault.Malformed, "The request cannot be read", 400,
			`"detail":"the body holds what this operation does not take",`+acmeEnd+
				`,"errors":[{"pointer":"#/Status","detail":"must be written status"},{"pointer":"#/operation_id","detail":"is not a member of this resource"}]`)},
		"everything wrong": {
			nil, asOwner, "",
			`{"name":null,"retention_days":"90","limits":{"max_agents":-1,"max_contacts":null},"meta_data":null,"sip_enabled":true,"sip_password":"short",` +
				`"slug":"other","id":"` + otherID + `","country":"ID","status":"deleting","monthly_usage_cents":1,"updated_at":"2026-11-22T01:31:00.000Z"}`,
			422, problemBody(fault.Invalid, "The request breaks rules", 422, invalid+`,"errors":[`+
				`{"pointer":"#/limits/max_contacts","detail":"must not be null"},{"pointer":"#/name","detail":"must not be null"},`+
				`{"pointer":"#/retention_days","detail":"must be an integer"},`+
				`{"pointer":"#/country","detail":"cannot be changed"},{"pointer":"#/id","detail":"cannot be changed"},`+
				`{"pointer":"#/slug","detail":"cannot be changed"},`+
				`{"pointer":"#/updated_at","detail":"cannot be changed"},`+
				`{"pointer":"#/sip_password","detail":"must be 12 to 128 characters"},`+
				`{"pointer":"#/status","detail":"must be active, inactive or suspended"},`+
				`{"pointer":"#/limits/max_agents","detail":"must not be negative"},`+
				`{"pointer":"#/sip_domain","detail":"is required when sip_enabled is true"},`+
				`{"pointer":"#/sip_username","detail":"is required when sip_enabled is true"},`+
				`{"pointer":"#/meta_data","detail":"must be an object"}]`),
		},
		"secrets that are null": {nil, asOwner, "", `{"sip_password":null,"webhook_secret":null}`, 422, problemBody(fault.Invalid, "The request breaks rules", 422, invalid+
			`,"errors":[{"pointer":"#/sip_password","detail":"must not be null"},{"pointer":"#/webhook_secret","detail":"must not be null"}]`)},
		"over the ceiling": {nil, asOwner, "", `{"limits":{"max_agents":4}}`, 403, problemBody(fault.PlanCeiling, "More than self-service gives", 403,
			`"detail":"this is more than you can give yourself; ask a platform admin",`+acmeEnd+
				`,"errors":[{"pointer":"#/limits/max_agents","detail":"is 4, and the plan starter allows 3"}]`)},
		"over the ceiling, by a platform admin": {nil, asAdmin, "", `{"limits":{"max_agents":4}}`, 200, view(`"max_agents":3`, `"max_agents":4`) + `,"meta_data":{}}`},
		"an illegal status": {
			func(t *tenant.Tenant) { t.Status, t.StatusReason = tenant.Suspended, new("unpaid") }, asAdmin, "", `{"status":"inactive"}`, 409,
			problemBody(fault.IllegalTransition, "The status cannot become that", 409, `"detail":"a tenant that is suspended cannot become inactive; it can become active, deleting",`+acmeEnd+
				`,"allowed":["active","deleting"],"status_from":"suspended","status_to":"inactive"`),
		},
	} {
		for _, method := range []string{"PUT", "PATCH"} {
			t.Run(name+", "+method, func(t *testing.T) {
				before := newAcme(test.before)
				got, after, _ := updateTenant(t, before, sent{method: method, caller: test.caller, body: test.body, headers: map[string]string{"if-match": test.match}})
				if after.Version > before.Version {
					updated := fmt.Sprintf("%q", after.UpdatedAt.Format("2006-01-02T15:04:05.000Z07:00"))
					got.Body = strings.Replace(got.Body, `"updated_at":`+updated, `"updated_at":"2026-11-22T01:30:00.000Z"`, 1)
				}
				got.check(t, test.status, test.want)
				if want := fmt.Sprintf("%q", fmt.Sprint(after.Version)); test.status == 200 && got.Headers["etag"] != want {
					t.Errorf("got the ETag %s, want %s", got.Headers["etag"], want)
				}
				if test.status != 200 && cmp.Diff(before, after) != "" {
					t.Errorf("the tenant changed all the same: %s", cmp.Diff(before, after))
				}
			})
		}
	}
}

// A password is made where SIP comes without one, and shown in that answer only.
func TestUpdateTenantSecrets(t *testing.T) {
	const on = `"sip_enabled":true,"sip_domain":"sip.example.com","sip_username":"acme"`
	for name, test := range map[string]struct {
		body      string
		generated bool
		want      tenant.Secrets
	}{
		"generated": {`{` + on + `}`, true, tenant.Secrets{}},
		"given":     {`{` + on + `,"sip_password":"given-password","webhook_secret":"webhook-secret"}`, false, tenant.Secrets{SIP: tenant.SIPPasswords{Current: "given-password"}, Webhook: "webhook-secret"}},
		"webhook":   {`{"webhook_secret":"webhook-secret"}`, false, tenant.Secrets{Webhook: "webhook-secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, secrets := updateTenant(t, newAcme(nil), sent{caller: asOwner, body: test.body})
			var view struct {
				SIPPassword string `json:"sip_password"`
			}
			if err := json.Unmarshal([]byte(got.Body), &view); err != nil || got.StatusCode != 200 {
				t.Fatalf("got %d %s", got.StatusCode, got.Body)
			}
			if test.generated {
				test.want.SIP.Current = view.SIPPassword
			}
			if diff := cmp.Diff(test.want, secrets); diff != "" || test.generated != (view.SIPPassword != "") {
				t.Errorf("got the password %q (-want +got):\n%s", view.SIPPassword, diff)
			}
			if strings.Contains(got.Body, "webhook-secret") || strings.Contains(got.Body, "given-password") {
				t.Errorf("the answer shows a secret: %s", got.Body)
			}
		})
	}
}

// unknownUse cannot tell what was used.
type unknownUse struct{}

func (unknownUse) Usage(context.Context, identity.TenantID, time.Time) (usage.Usage, error) {
	return usage.Usage{}, errBroken
}

// An update whose answer could not be made changes nothing, as it may show a password.
func TestUpdateTenantWithoutUse(t *testing.T) {
	store := &oneTenant{newAcme(nil)}
	got := serve(t, UpdateTenant(tenant.NewService(store, noVault{new(tenant.Secrets)}), unknownUse{}, nil), sent{
		method: "PATCH", path: "/tenants/" + acmeID, params: map[string]string{"tenant_id": acmeID}, caller: asOwner,
		body: `{"sip_enabled":true,"sip_domain":"sip.example.com","sip_username":"acme"}`,
	})
	if diff := cmp.Diff(newAcme(nil), store.Tenant); got.StatusCode != 500 || diff != "" {
		t.Errorf("got %d %s, and the tenant (-want +got):\n%s", got.StatusCode, got.Body, diff)
	}
}

func TestUpdateTenantNamesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
	}{
		"ended since": {fault.New(fault.NotFound, "no operation runs"), 409},
		"broken":      {errBroken, 500},
	} {
		t.Run(name, func(t *testing.T) {
			store := &oneTenant{newAcme(func(t *tenant.Tenant) { t.Status = tenant.Provisioning })}
			running := runningFunc(func() (operation.ID, error) { return "", test.err })
			got := serve(t, UpdateTenant(tenant.NewService(store, noVault{}), noUse{}, running), sent{
				method: "PATCH", params: map[string]string{"tenant_id": acmeID}, caller: asOwner, body: `{"name":"New"}`,
			})
			if got.StatusCode != test.status || strings.Contains(got.Body, "operation_id") {
				t.Errorf("got %d %s, want %d", got.StatusCode, got.Body, test.status)
			}
		})
	}
}

// A PUT of what GET answered is accepted and changes nothing, whatever the
// tenant has.
func TestPutWhatGetAnswered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		before := drawTenant(rt)
		params := map[string]string{"tenant_id": acmeID}
		shown := serve(t, GetTenant(&oneTenant{before}), sent{method: "GET", params: params, caller: asAdmin})
		for _, caller := range []AuthorizerContext{asOwner, asAdmin} {
			got, after, _ := updateTenant(t, before, sent{method: "PUT", caller: caller, body: shown.Body})
			if got.StatusCode != 200 || got.Body != shown.Body || cmp.Diff(before, after) != "" {
				rt.Fatalf("PUT of %s by %s: got %d %s", shown.Body, caller.Role, got.StatusCode, got.Body)
			}
		}
	})
}

// drawTenant draws an active tenant that keeps every rule.
func drawTenant(t *rapid.T) tenant.Tenant {
	optional := func(name string, values ...string) *string {
		return rapid.Ptr(rapid.SampledFrom(values), true).Draw(t, name)
	}
	return newAcme(func(acme *tenant.Tenant) {
		acme.Name = rapid.SampledFrom([]string{"Acme", "Ünïcode \"quoted\" <b>&", "\u2028 \U0001F600"}).Draw(t, "name")
		acme.Name = strings.TrimSpace(acme.Name)
		acme.BillingPlan = rapid.SampledFrom([]tenant.PlanName{tenant.Starter, tenant.Business, tenant.Enterprise}).Draw(t, "plan")
		acme.MaxConcurrentCalls = rapid.IntRange(1, 1000).Draw(t, "calls") // a platform admin may have given more than the plan
		acme.MonthlyCallLimit = rapid.IntRange(0, 1<<53).Draw(t, "monthly")
		acme.Limits.MaxContacts = rapid.IntRange(0, 1<<62).Draw(t, "contacts")
		acme.StatusReason = optional("reason", "why", "")
		acme.Country = optional("country", "ID", "US")
		acme.SIPDomain = optional("domain", "sip.example.com")
		acme.SIPUsername = optional("username", "acme", "a&b")
		acme.SIPEnabled = acme.SIPDomain != nil && acme.SIPUsername != nil && rapid.Bool().Draw(t, "sip")
		acme.WebhookURL = optional("webhook", "https://example.com/?a=b&c=d")
		acme.Database = optional("database", "table")
		acme.HIPAAEnabled = rapid.Bool().Draw(t, "hipaa")
		acme.PCIEnabled = rapid.Bool().Draw(t, "pci")
		acme.RetentionDays = rapid.IntRange(30, 365).Draw(t, "retention")
		acme.CreatedAt = acme.CreatedAt.Add(rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, time.Second}).Draw(t, "created"))
		acme.MetaData = plainJSON([]byte(rapid.SampledFrom([]string{
			`{}`, `{"z":1,"a":1.50,"n":null}`, `{"big":123456789012345678901234567890,"e":1E+2}`, `{"s":"\u00e9\/\u2028<&>\ud83d\ude00"}`, `{ "nested" : [ { } , [ ] ] }`,
		}).Draw(t, "meta_data")))
	})
}
