package api

import (
	"context"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

type guardFunc func(identity.Caller) error

func (f guardFunc) Guard(_ context.Context, c identity.Caller) error { return f(c) }

// kindOf returns the kind of problem that was answered, or "" if it was none.
func kindOf(t *testing.T, e envelope) fault.Kind {
	t.Helper()
	var p struct {
		Type string `json:"type"`
	}
	if e.StatusCode < 400 {
		return ""
	}
	if err := json.Unmarshal([]byte(e.Body), &p); err != nil {
		t.Fatal(err)
	}
	return fault.Kind(p.Type[len(ProblemPath):])
}

// What an impersonation may be used for.
func TestAdmitImpersonation(t *testing.T) {
	guard := guardFunc(func(c identity.Caller) error {
		if c.Impersonation.ID != "I1" || c.Impersonation.Actor != "A1" {
			return fault.New(fault.TokenInvalid, "the impersonation is over")
		}
		return nil
	})
	op := func(allow identity.Rule) Operation {
		return Operation{Name: "Test", Allow: allow, Handle: func(context.Context, *Request) (*Response, error) { return NoContent(), nil }}
	}
	in := func(mode identity.Mode) AuthorizerContext {
		return AuthorizerContext{Subject: "U1", TenantID: "T1", Role: identity.Owner, ImpersonationID: "I1", Actor: "A1", Mode: mode}
	}
	over := in(identity.Full)
	over.ImpersonationID = "I2"
	for name, test := range map[string]struct {
		op     Operation
		method string
		caller AuthorizerContext
		want   fault.Kind
	}{
		"reads":                          {op(identity.Members()).Guarded(guard), "GET", in(identity.ReadOnly), ""},
		"reads what roles may not":       {op(identity.Roles(identity.PlatformAdmin)).Guarded(guard), "GET", in(identity.Full), fault.Forbidden},
		"changes, read_only":             {op(identity.Members().ByProxy()).Guarded(guard), "POST", in(identity.ReadOnly), fault.ImpersonationDenied},
		"changes, of no mode":            {op(identity.Members().ByProxy()).Guarded(guard), "POST", in(""), fault.ImpersonationDenied},
		"changes, full":                  {op(identity.Members().ByProxy()).Guarded(guard), "POST", in(identity.Full), ""},
		"changes what is the user's own": {op(identity.Members()).Guarded(guard), "DELETE", in(identity.Full), fault.ImpersonationDenied},
		"asks for headers only":          {op(identity.Members().ByProxy()).Guarded(guard), "HEAD", in(identity.ReadOnly), fault.ImpersonationDenied},
		"is over":                        {op(identity.Members()).Guarded(guard), "GET", over, fault.TokenInvalid},
		"is not guarded":                 {op(identity.Members()), "GET", in(identity.Full), fault.ImpersonationDenied},
	} {
		t.Run(name, func(t *testing.T) {
			if got := kindOf(t, serve(t, test.op, sent{method: test.method, path: "/", caller: test.caller})); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// A service may do what its scopes say, and has no role.
func TestAdmitService(t *testing.T) {
	key := func(scopes ...identity.Scope) AuthorizerContext {
		return AuthorizerContext{Subject: "K1", Role: identity.Service, Scopes: scopes}
	}
	for name, test := range map[string]struct {
		allow  identity.Rule
		caller AuthorizerContext
		want   fault.Kind
	}{
		"has the scope":               {identity.Services(identity.SIPRead), key(identity.UsageWrite, identity.SIPRead), ""},
		"has another":                 {identity.Services(identity.SIPRead), key(identity.UsageWrite), fault.Forbidden},
		"has none":                    {identity.Services(identity.SIPRead), key(), fault.Forbidden},
		"where roles may too":         {identity.Members().OrServices(identity.CallsWrite), key(identity.CallsWrite), ""},
		"where only roles may":        {identity.Anyone(), key(identity.Scopes()...), fault.Forbidden},
		"where nobody may":            {identity.Rule{}, key(identity.Scopes()...), fault.Forbidden},
		"a scope of somebody else":    {identity.Services(identity.SIPRead), AuthorizerContext{Subject: "U1", Role: identity.PlatformAdmin, Scopes: identity.Scopes()}, fault.Forbidden},
		"a role where services may":   {identity.Members().OrServices(identity.CallsWrite), AuthorizerContext{Subject: "U1", Role: identity.Agent}, ""},
		"an empty scope is not asked": {identity.Rule{}, key(""), fault.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			op := Operation{Name: "Test", Allow: test.allow, Handle: func(context.Context, *Request) (*Response, error) { return NoContent(), nil }}
			if got := kindOf(t, serve(t, op, sent{method: "GET", path: "/", caller: test.caller})); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
