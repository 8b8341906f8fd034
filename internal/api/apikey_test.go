package api

import (
	"context"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/apikey"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
)

var (
	rootCaller  = AuthorizerContext{Subject: "A1", Role: identity.PlatformAdmin}
	ownerCaller = AuthorizerContext{Subject: "U1", TenantID: "T1", Role: identity.Owner}
)

type issueFunc func(identity.Caller, apikey.Draft, apikey.Receipt) (apikey.Key, string, error)

func (f issueFunc) Issue(_ context.Context, c identity.Caller, d apikey.Draft, receipt apikey.Receipt) (apikey.Key, string, error) {
	return f(c, d, receipt)
}

func TestCreateAPIKey(t *testing.T) {
	issue := func(c identity.Caller, d apikey.Draft, _ apikey.Receipt) (apikey.Key, string, error) {
		if d.Name == "broken" {
			return apikey.Key{}, "", errBroken
		}
		k := apikey.Key{ID: "K1", Name: d.Name + " by " + string(c.Subject), Scopes: d.Scopes, TenantIDs: d.TenantIDs, ExpiresAt: d.ExpiresAt, CreatedAt: time.Unix(1_800_000_000, 0)}
		return k, "tnk_secret", nil
	}
	problem := func(kind, title, status, detail, more string) string {
		return `{"type":"/docs/problems/` + kind + `","title":"` + title + `","status":` + status + detail + `,"instance":"/api-keys","request_id":"R1"` + more + `}`
	}
	for name, test := range map[string]struct {
		caller AuthorizerContext
		body   string
		status int
		want   string
	}{
		"for all tenants": {
			rootCaller, `{"name":"edge","scopes":["sip:read","calls:write"]}`, 201,
			`{"id":"K1","name":"edge by A1","scopes":["sip:read","calls:write"],"tenant_ids":null,"expires_at":null,"created_at":"2027-01-15T08:00:00.000Z","key":"tnk_secret"}`,
		},
		"bound": {
			rootCaller, `{"name":"edge","scopes":["usage:write"],"tenant_ids":["5c9e4b0a-7d24-4f7b-b1f5-2f6a0c8d1e93"],"expires_at":"2999-01-01T00:00:00+07:00"}`, 201,
			`{"id":"K1","name":"edge by A1","scopes":["usage:write"],"tenant_ids":["5c9e4b0a-7d24-4f7b-b1f5-2f6a0c8d1e93"],"expires_at":"2998-12-31T17:00:00.000Z","created_at":"2027-01-15T08:00:00.000Z","key":"tnk_secret"}`,
		},
		"not valid": {
			rootCaller, `{"name":" ","scopes":["sip:read","all","sip:read"],"tenant_ids":["x"],"expires_at":"2020-01-01T00:00:00Z"}`, 422,
			problem("invalid", "The request breaks rules", "422", `,"detail":"the request breaks a rule; errors lists each"`,
				`,"errors":[{"pointer":"#/name","detail":"must be 1 to 255 characters after trimming"},`+
					`{"pointer":"#/scopes/1","detail":"must be one of [usage:write calls:write sip:read health:read]"},`+
					`{"pointer":"#/scopes/2","detail":"must be there once"},`+
					`{"pointer":"#/tenant_ids/0","detail":"must be a UUID in lower case with hyphens"},`+
					`{"pointer":"#/expires_at","detail":"must be in the future"}]`),
		},
		"ill-typed": {
			rootCaller, `{"name":null,"scopes":"sip:read","expires_at":"tomorrow"}`, 422,
			problem("invalid", "The request breaks rules", "422", `,"detail":"the request breaks a rule; errors lists each"`,
				`,"errors":[{"pointer":"#/expires_at","detail":"must be a date and time of RFC 3339 or null"},{"pointer":"#/name","detail":"must not be null"},{"pointer":"#/scopes","detail":"must be an array"}]`),
		},
		"by a member": {ownerCaller, `{"name":"edge","scopes":["sip:read"]}`, 403, problem("forbidden", "The caller may not do this", "403", `,"detail":"your role, owner, may not do this"`, "")},
		"broken":      {rootCaller, `{"name":"broken","scopes":["sip:read"]}`, 500, problem("internal", "Something failed that is ours to mend", "500", "", "")},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, CreateAPIKey(issueFunc(issue), nil, nil), sent{path: "/api-keys", caller: test.caller, body: test.body})
			got.check(t, test.status, test.want)
			if location := got.Headers["location"]; got.StatusCode == 201 && location != "/api-keys/K1" {
				t.Errorf("the location is %q", location)
			}
		})
	}
}

// What is kept of the answer has no key in it.
func TestCreateAPIKeyReceipt(t *testing.T) {
	key := func(context.Context) ([]byte, error) { return []byte("k"), nil }
	issue := func(_ identity.Caller, d apikey.Draft, receipt apikey.Receipt) (apikey.Key, string, error) {
		k := apikey.Key{ID: "K1", Name: d.Name, Scopes: d.Scopes}
		record, err := receipt(k)
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"id":"K1","name":"edge","scopes":["sip:read"],"tenant_ids":null,"expires_at":null,"created_at":"0001-01-01T00:00:00.000Z","secret_shown":true}`; string(record.Body) != want {
			t.Errorf("got %s, want %s", record.Body, want)
		}
		return k, "tnk_secret", nil
	}
	got := serve(t, CreateAPIKey(issueFunc(issue), noRecords{}, key), sent{
		path: "/api-keys", caller: rootCaller, headers: map[string]string{"idempotency-key": "1"}, body: `{"name":"edge","scopes":["sip:read"]}`,
	})
	got.check(t, 201, `{"id":"K1","name":"edge","scopes":["sip:read"],"tenant_ids":null,"expires_at":null,"created_at":"0001-01-01T00:00:00.000Z","key":"tnk_secret"}`)
}

type listKeysFunc func(page.Window) (page.Page[apikey.Key], error)

func (f listKeysFunc) List(_ context.Context, w page.Window) (page.Page[apikey.Key], error) {
	return f(w)
}

func TestListAPIKeys(t *testing.T) {
	cursors := NewCursors(func(context.Context) ([]byte, error) { return []byte("k"), nil })
	list := func(w page.Window) (page.Page[apikey.Key], error) {
		if w.From != "" || w.Limit != 1 {
			t.Errorf("the window is %+v", w)
		}
		k := apikey.Key{ID: "K1", Name: "edge", Scopes: []identity.Scope{identity.SIPRead}, Hash: "h"}
		return page.Page[apikey.Key]{Entries: []page.Entry[apikey.Key]{{Value: k, After: "p"}}, Next: "p"}, nil
	}
	got := serve(t, ListAPIKeys(listKeysFunc(list), cursors), sent{method: "GET", path: "/api-keys", query: "limit=1", caller: rootCaller})
	got.check(t, 200, `[{"id":"K1","name":"edge","scopes":["sip:read"],"tenant_ids":null,"expires_at":null,"created_at":"0001-01-01T00:00:00.000Z"}]`)
	if got.Headers["link"] == "" {
		t.Error("there is no link to the next page")
	}
	serve(t, ListAPIKeys(listKeysFunc(list), cursors), sent{method: "GET", path: "/api-keys", caller: ownerCaller}).check(t, 403,
		`{"type":"/docs/problems/forbidden","title":"The caller may not do this","status":403,"detail":"your role, owner, may not do this","instance":"/api-keys","request_id":"R1"}`)
}

type revokeFunc func(apikey.ID) error

func (f revokeFunc) Revoke(_ context.Context, _ identity.Caller, id apikey.ID) error { return f(id) }

func TestDeleteAPIKey(t *testing.T) {
	revoke := func(id apikey.ID) error {
		if id == "K1" {
			return nil
		}
		return apikey.NotFound(id)
	}
	for name, test := range map[string]struct {
		id     string
		caller AuthorizerContext
		status int
		want   fault.Kind
	}{
		"there":       {"K1", rootCaller, 204, ""},
		"none":        {"K2", rootCaller, 404, fault.NotFound},
		"by a member": {"K1", ownerCaller, 403, fault.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, DeleteAPIKey(revokeFunc(revoke)), sent{method: "DELETE", path: "/api-keys/" + test.id, params: map[string]string{"id": test.id}, caller: test.caller})
			if kind := kindOf(t, got); got.StatusCode != test.status || kind != test.want {
				t.Errorf("got %d %q, want %d %q", got.StatusCode, kind, test.status, test.want)
			}
		})
	}
}

// noRecords is a RecordFinder that has none.
type noRecords struct{}

func (noRecords) Find(context.Context, idempotency.Scope) (idempotency.Record, error) {
	return idempotency.Record{}, fault.New(fault.NotFound, "the idempotency key is new")
}
