package tenant_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

func TestUpdateSecrets(t *testing.T) {
	const given, webhook = "given-password", "webhook-secret"
	on := func(p *tenant.Patch) {
		p.SIPEnabled, p.SIPDomain, p.SIPUsername = patch.Of(true), patch.Of(new("sip.example.com")), patch.Of(new("me"))
	}
	hasSIP := func(t *tenant.Tenant) {
		t.SIPEnabled, t.SIPDomain, t.SIPUsername = true, new("sip.example.com"), new("me")
	}
	rotating := tenant.Secrets{SIP: tenant.SIPPasswords{Current: "old-password", Previous: []tenant.FormerPassword{{Value: "older", ValidUntil: time.Now()}}}}
	for name, test := range map[string]struct {
		before    func(*tenant.Tenant)
		stored    *tenant.Secrets
		edit      func(*tenant.Patch)
		want      *tenant.Secrets // nil where there are to be none
		generated bool
	}{
		"none":                        {nil, nil, func(p *tenant.Patch) { p.Name = patch.Of("New") }, nil, false},
		"SIP on":                      {nil, nil, on, nil, true},
		"SIP on with a password":      {nil, nil, func(p *tenant.Patch) { on(p); p.Secrets.SIPPassword = patch.Of(given) }, &tenant.Secrets{SIP: tenant.SIPPasswords{Current: given}}, false},
		"SIP on, with a webhook":      {nil, &tenant.Secrets{Webhook: webhook}, on, &tenant.Secrets{Webhook: webhook}, true},
		"SIP on again":                {nil, &rotating, on, &rotating, false},
		"SIP off":                     {hasSIP, &rotating, func(p *tenant.Patch) { p.SIPEnabled = patch.Of(false) }, &rotating, false},
		"SIP on already":              {hasSIP, &rotating, on, &rotating, false},
		"another password":            {hasSIP, &rotating, func(p *tenant.Patch) { p.Secrets.SIPPassword = patch.Of(given) }, &tenant.Secrets{SIP: tenant.SIPPasswords{Current: given}}, false},
		"a password before SIP is on": {nil, nil, func(p *tenant.Patch) { p.Secrets.SIPPassword = patch.Of(given) }, &tenant.Secrets{SIP: tenant.SIPPasswords{Current: given}}, false},
		"a webhook's secret":          {hasSIP, &rotating, func(p *tenant.Patch) { p.Secrets.WebhookSecret = patch.Of(webhook) }, &tenant.Secrets{SIP: rotating.SIP, Webhook: webhook}, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := newTenant(test.before)
			m := newMemory()
			if test.stored != nil {
				before.Secret = &tenant.SecretRef{Name: "name", Version: "0"}
				m.secrets[*before.Secret] = *test.stored
			}
			m.tenants[tenantID] = before
			var p tenant.Patch
			test.edit(&p)
			got, err := update(t, m, owner, p)
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			if test.generated {
				if want == nil {
					want = &tenant.Secrets{}
				}
				want.SIP.Current = got.SIPPassword
			}
			if test.generated != (got.SIPPassword != "") {
				t.Errorf("got the password %q", got.SIPPassword)
			}
			checkSecrets(t, m, want)
		})
	}
}

// checkSecrets fails t unless m holds the secrets that its tenant names, and no
// others.
func checkSecrets(t *testing.T, m *memory, want *tenant.Secrets) {
	t.Helper()
	ref := m.tenants[tenantID].Secret
	if want == nil {
		if ref != nil || len(m.secrets) != 0 {
			t.Errorf("got %v and %v, want no secrets", ref, m.secrets)
		}
		return
	}
	if ref == nil || len(m.secrets) != 1 {
		t.Fatalf("got %v and %v, want one version", ref, m.secrets)
	}
	if diff := cmp.Diff(*want, m.secrets[*ref]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What was written for a change that did not come about goes; where that is not
// certain, both versions stay.
func TestUpdateSecretsFails(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		left int
	}{
		"taken":     {fault.New(fault.SIPDomainTaken, "taken"), 1},
		"uncertain": {errors.New("connection reset"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			before := newTenant(func(t *tenant.Tenant) { t.Secret = &tenant.SecretRef{Name: "name", Version: "0"} })
			m := newMemory(before)
			m.secrets[*before.Secret] = tenant.Secrets{Webhook: "webhook-secret"}
			m.outcome = func(_, _ tenant.Tenant) error { return test.err }
			got, err := update(t, m, owner, tenant.Patch{Secrets: tenant.SecretSettings{SIPPassword: patch.Of("given-password")}})
			if !errors.Is(err, test.err) || got.SIPPassword != "" {
				t.Errorf("got %+v, %v, want %v", got, err, test.err)
			}
			if _, there := m.secrets[*before.Secret]; !there || len(m.secrets) != test.left {
				t.Errorf("got %v, want %d versions", m.secrets, test.left)
			}
		})
	}
}

// Of two updates that turn SIP on at once, one makes the password.
func TestUpdateSecretsMeetsAnother(t *testing.T) {
	m := newMemory(newTenant(nil))
	on := tenant.Patch{Settings: tenant.Settings{
		SIPEnabled: patch.Of(true), SIPDomain: patch.Of(new("sip.example.com")), SIPUsername: patch.Of(new("me")),
	}}
	var other tenant.Updated
	m.outcome = func(_, _ tenant.Tenant) error {
		if m.updates == 1 {
			var err error
			other, err = update(t, m, owner, on)
			return err
		}
		return nil
	}
	got, err := update(t, m, owner, on)
	if err != nil || got.SIPPassword != "" || other.SIPPassword == "" || got.Tenant.Version != 2 {
		t.Errorf("got %+v, %v, and %+v", got, err, other)
	}
	checkSecrets(t, m, &tenant.Secrets{SIP: tenant.SIPPasswords{Current: other.SIPPassword}})
}
