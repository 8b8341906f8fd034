package tenant_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

func TestUpdate(t *testing.T) {
	set := func(edit func(*tenant.Settings)) tenant.Patch {
		var p tenant.Patch
		edit(&p.Settings)
		return p
	}
	business := func(t *tenant.Tenant) {
		t.BillingPlan, t.MaxConcurrentCalls, t.MonthlyCallLimit = tenant.Business, 100, 50_000
		t.Limits = tenant.Limits{MaxAgents: 50, MaxContacts: 100_000, MaxMessagesMonth: 500_000}
	}
	for name, test := range map[string]struct {
		before func(*tenant.Tenant)
		patch  tenant.Patch
		after  func(*tenant.Tenant)
	}{
		"name": {nil, set(func(s *tenant.Settings) { s.Name = patch.Of(" New ") }), func(t *tenant.Tenant) { t.Name = "New" }},
		"null clears": {
			func(t *tenant.Tenant) { t.SIPDomain, t.WebhookURL = new("sip.example.com"), new("https://example.com") },
			set(func(s *tenant.Settings) { s.SIPDomain, s.WebhookURL = patch.Of[*string](nil), patch.Of[*string](nil) }),
			func(t *tenant.Tenant) { t.SIPDomain, t.WebhookURL = nil, nil },
		},
		"a part of limits": {nil, set(func(s *tenant.Settings) { s.MaxAgents = patch.Of(2) }), func(t *tenant.Tenant) { t.Limits.MaxAgents = 2 }},
		"limits follow the plan": {
			func(t *tenant.Tenant) { t.Limits.MaxAgents = 2 }, // but for one that was given
			set(func(s *tenant.Settings) { s.BillingPlan = patch.Of(tenant.Business) }),
			func(t *tenant.Tenant) { business(t); t.Limits.MaxAgents = 2 },
		},
		"plan and limit": {
			nil, set(func(s *tenant.Settings) { s.BillingPlan, s.MaxAgents = patch.Of(tenant.Business), patch.Of(49) }),
			func(t *tenant.Tenant) { business(t); t.Limits.MaxAgents = 49 },
		},
		"down again": {business, set(func(s *tenant.Settings) { s.BillingPlan = patch.Of(tenant.Starter) }), func(t *tenant.Tenant) {
			*t = newTenant(nil)
		}},
		"meta_data": {nil, set(func(s *tenant.Settings) { s.MetaData = patch.Of(`{"a":1}`) }), func(t *tenant.Tenant) { t.MetaData = `{"a":1}` }},
		"what a platform admin gave stays": {
			func(t *tenant.Tenant) { t.Limits.MaxAgents = 1_000 },
			set(func(s *tenant.Settings) { s.Name, s.MaxAgents = patch.Of("New"), patch.Of(1_000) }),
			func(t *tenant.Tenant) { t.Limits.MaxAgents = 1_000; t.Name = "New" },
		},
		"everything": {nil, set(func(s *tenant.Settings) {
			s.RecordingEnabled, s.RecordingFormat, s.AnalyticsEnabled = patch.Of(false), patch.Of("wav"), patch.Of(false)
			s.PCIEnabled, s.HIPAAEnabled, s.RetentionDays = patch.Of(true), patch.Of(true), patch.Of(30)
			s.WebhookTimeoutSeconds, s.MonthlyCallLimit, s.MaxConcurrentCalls = patch.Of(5), patch.Of(10), patch.Of(5)
			s.MaxContacts, s.MaxMessagesMonth, s.SIPUsername = patch.Of(1), patch.Of(2), patch.Of(new("me"))
		}), func(t *tenant.Tenant) {
			t.RecordingEnabled, t.RecordingFormat, t.AnalyticsEnabled = false, "wav", false
			t.PCIEnabled, t.HIPAAEnabled, t.RetentionDays = true, true, 30
			t.WebhookTimeoutSeconds, t.MonthlyCallLimit, t.MaxConcurrentCalls = 5, 10, 5
			t.Limits.MaxContacts, t.Limits.MaxMessagesMonth, t.SIPUsername = 1, 2, new("me")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(newTenant(test.before))
			got, err := update(t, m, owner, test.patch)
			if err != nil {
				t.Fatal(err)
			}
			want := newTenant(test.after)
			want.Version, want.UpdatedAt = 2, got.Tenant.UpdatedAt
			if diff := cmp.Diff(tenant.Updated{Tenant: want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, m.tenants[tenantID]); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			if !got.Tenant.UpdatedAt.After(got.Tenant.CreatedAt) && !got.Tenant.UpdatedAt.Equal(want.UpdatedAt) {
				t.Errorf("updated_at is %s", got.Tenant.UpdatedAt)
			}
		})
	}
}

// Whoever acts for a member changes settings, and not what is the member's own to
// decide.
func TestUpdateInImpersonation(t *testing.T) {
	proxy := owner
	proxy.Impersonation = &identity.Impersonation{ID: "I", Actor: "A", Mode: identity.Full}
	set := func(edit func(*tenant.Patch)) tenant.Patch {
		var p tenant.Patch
		edit(&p)
		return p
	}
	sip := func(t *tenant.Tenant) { t.SIPDomain, t.SIPUsername = new("sip.example.com"), new("acme") }
	for name, test := range map[string]struct {
		before func(*tenant.Tenant)
		patch  tenant.Patch
		want   []string // what is denied
	}{
		"settings": {nil, set(func(p *tenant.Patch) {
			p.Name, p.RecordingFormat, p.RetentionDays, p.MetaData = patch.Of("New"), patch.Of("wav"), patch.Of(7), patch.Of(`{"a":1}`)
			p.WebhookURL = patch.Of(new("https://example.com"))
		}), nil},
		"all of it as it was": {nil, set(func(p *tenant.Patch) {
			p.Status, p.BillingPlan, p.MaxConcurrentCalls, p.MaxAgents = patch.Of(tenant.Active), patch.Of(tenant.Starter), patch.Of(10), patch.Of(3)
			p.HIPAAEnabled, p.DataEncryptionEnabled, p.SIPEnabled = patch.Of(false), patch.Of(true), patch.Of(false)
		}), nil},
		"plan": {
			nil, set(func(p *tenant.Patch) { p.BillingPlan = patch.Of(tenant.Business) }),
			[]string{"#/billing_plan", "#/max_concurrent_calls", "#/monthly_call_limit", "#/limits"},
		},
		"limits": {nil, set(func(p *tenant.Patch) {
			p.MaxConcurrentCalls, p.MonthlyCallLimit, p.MaxContacts = patch.Of(1), patch.Of(1), patch.Of(1)
		}), []string{"#/max_concurrent_calls", "#/monthly_call_limit", "#/limits"}},
		"compliance": {
			nil, set(func(p *tenant.Patch) { p.HIPAAEnabled, p.PCIEnabled = patch.Of(true), patch.Of(true) }),
			[]string{"#/hipaa_enabled", "#/pci_enabled"},
		},
		"encryption": {nil, set(func(p *tenant.Patch) { p.DataEncryptionEnabled = patch.Of(false) }), []string{"#/data_encryption_enabled"}},
		"status":     {nil, set(func(p *tenant.Patch) { p.Status = patch.Of(tenant.Inactive) }), []string{"#/status"}},
		"waking it":  {func(t *tenant.Tenant) { t.Status = tenant.Inactive }, set(func(p *tenant.Patch) { p.Status = patch.Of(tenant.Active) }), []string{"#/status"}},
		"whom SIP lets in": {sip, set(func(p *tenant.Patch) {
			p.SIPDomain, p.SIPUsername = patch.Of(new("other.example.com")), patch.Of(new("other"))
		}), []string{"#/sip_domain", "#/sip_username"}},
		"SIP off":                        {func(t *tenant.Tenant) { sip(t); t.SIPEnabled = true }, set(func(p *tenant.Patch) { p.SIPEnabled = patch.Of(false) }), []string{"#/sip_enabled"}},
		"SIP on, which makes a password": {sip, set(func(p *tenant.Patch) { p.SIPEnabled = patch.Of(true) }), []string{"#/sip_enabled"}},
		"secrets": {nil, set(func(p *tenant.Patch) {
			p.Secrets.SIPPassword, p.Secrets.WebhookSecret = patch.Of(long(12)), patch.Of(long(12))
		}), []string{"#/sip_password", "#/webhook_secret"}},
		"a setting beside a secret": {nil, set(func(p *tenant.Patch) {
			p.Name, p.Secrets.WebhookSecret = patch.Of("New"), patch.Of(long(12))
		}), []string{"#/webhook_secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(newTenant(func(t *tenant.Tenant) {
				t.Isolation = tenant.Dedicated
				if test.before != nil {
					test.before(t)
				}
			}))
			_, err := update(t, m, proxy, test.patch)
			if test.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var got []string
			if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.ImpersonationDenied {
				for _, field := range f.Fields {
					got = append(got, field.Pointer)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || m.updates != 0 {
				t.Errorf("%v, %d updates (-want +got):\n%s", err, m.updates, diff)
			}
		})
	}
}

func TestUpdateChangesNothing(t *testing.T) {
	before := newTenant(func(t *tenant.Tenant) { t.SIPDomain, t.StatusReason = new("sip.example.com"), new("why") })
	m := newMemory(before)
	got, err := update(t, m, owner, tenant.Patch{
		Settings:     tenant.Settings{Name: patch.Of("Acme "), SIPDomain: patch.Of(new("sip.example.com"))},
		Status:       patch.Of(tenant.Active),
		StatusReason: patch.Of(new("why")),
	})
	if err != nil || got.Tenant.Version != before.Version || m.updates != 0 {
		t.Errorf("got version %d after %d updates, %v, want the tenant as it was", got.Tenant.Version, m.updates, err)
	}
}

func TestUpdateRefused(t *testing.T) {
	set := func(edit func(*tenant.Patch)) tenant.Patch {
		var p tenant.Patch
		edit(&p)
		return p
	}
	enterprise := func(t *tenant.Tenant) { t.BillingPlan = tenant.Enterprise }
	status := func(s tenant.Status) func(*tenant.Tenant) { return func(t *tenant.Tenant) { t.Status = s } }
	rename := set(func(p *tenant.Patch) { p.Name = patch.Of("New") })
	for name, test := range map[string]struct {
		before func(*tenant.Tenant)
		caller identity.Caller
		patch  tenant.Patch
		kind   fault.Kind
		lines  []string
	}{
		"another tenant's":                  {nil, stranger, rename, fault.NotFound, nil},
		"provisioning":                      {status(tenant.Provisioning), owner, rename, fault.OperationRunning, nil},
		"provisioning, by a platform admin": {status(tenant.Provisioning), platformAdmin, rename, fault.OperationRunning, nil},
		"inactive":                          {status(tenant.Inactive), owner, rename, fault.TenantInactive, nil},
		"inactive, woken and renamed": {status(tenant.Inactive), owner, set(func(p *tenant.Patch) {
			p.Status, p.Name = patch.Of(tenant.Active), patch.Of("New")
		}), fault.TenantInactive, nil},
		"inactive, woken with a secret": {status(tenant.Inactive), owner, set(func(p *tenant.Patch) {
			p.Status, p.Secrets.SIPPassword = patch.Of(tenant.Active), patch.Of(long(12))
		}), fault.TenantInactive, nil},
		"inactive, woken with a reason": {status(tenant.Inactive), owner, set(func(p *tenant.Patch) {
			p.Status, p.StatusReason = patch.Of(tenant.Active), patch.Of(new("back"))
		}), fault.TenantInactive, nil},
		"suspended":                     {status(tenant.Suspended), owner, rename, fault.TenantSuspended, nil},
		"suspended, woken by its owner": {status(tenant.Suspended), owner, set(func(p *tenant.Patch) { p.Status = patch.Of(tenant.Active) }), fault.TenantSuspended, nil},
		"deleting":                      {status(tenant.Deleting), owner, rename, fault.TenantDeleting, nil},
		"deleting, by a platform admin": {status(tenant.Deleting), platformAdmin, rename, fault.TenantDeleting, nil},
		"purging":                       {status(tenant.Purging), platformAdmin, rename, fault.TenantDeleting, nil},
		"deleted":                       {status(tenant.Deleted), platformAdmin, rename, fault.TenantDeleting, nil},
		"every rule at once": {nil, owner, set(func(p *tenant.Patch) {
			p.Name, p.RetentionDays, p.SIPEnabled = patch.Of(""), patch.Of(0), patch.Of(true)
			p.Secrets.SIPPassword, p.Status, p.MaxAgents = patch.Of("short"), patch.Of(tenant.Deleting), patch.Of(100)
			p.StatusReason = patch.Of(new(long(501)))
		}), fault.Invalid, []string{
			"#/sip_password must be 12 to 128 characters",
			"#/status must be active, inactive or suspended",
			"#/status_reason must be at most 500 characters",
			"#/name must be 1 to 255 characters after trimming",
			"#/sip_domain is required when sip_enabled is true",
			"#/sip_username is required when sip_enabled is true",
			"#/retention_days must be from 1 to 3650",
		}},
		"a reason is due": {nil, platformAdmin, set(func(p *tenant.Patch) {
			p.Status, p.StatusReason = patch.Of(tenant.Suspended), patch.Of(new(" "))
		}), fault.Invalid, []string{"#/status_reason is required when a tenant is suspended"}},
		"a reason stays due": {
			func(t *tenant.Tenant) { t.Status, t.StatusReason = tenant.Suspended, new("unpaid") }, platformAdmin,
			set(func(p *tenant.Patch) { p.StatusReason = patch.Of[*string](nil) }),
			fault.Invalid,
			[]string{"#/status_reason is required when a tenant is suspended"},
		},
		"suspended by its owner": {nil, owner, set(func(p *tenant.Patch) { p.Status = patch.Of(tenant.Suspended) }), fault.Forbidden, nil},
		"an illegal transition": {
			func(t *tenant.Tenant) { t.Status, t.StatusReason = tenant.Suspended, new("unpaid") }, platformAdmin,
			set(func(p *tenant.Patch) { p.Status = patch.Of(tenant.Inactive) }), fault.IllegalTransition, nil,
		},
		"over the ceiling": {nil, owner, set(func(p *tenant.Patch) {
			p.MaxConcurrentCalls, p.MonthlyCallLimit = patch.Of(11), patch.Of(1_001)
			p.MaxAgents, p.MaxContacts, p.MaxMessagesMonth = patch.Of(4), patch.Of(1_001), patch.Of(5_001)
		}), fault.PlanCeiling, []string{
			"#/max_concurrent_calls is 11, and the plan starter allows 10",
			"#/monthly_call_limit is 1001, and the plan starter allows 1000",
			"#/limits/max_agents is 4, and the plan starter allows 3",
			"#/limits/max_contacts is 1001, and the plan starter allows 1000",
			"#/limits/max_messages_month is 5001, and the plan starter allows 5000",
		}},
		"to enterprise": {
			nil, owner, set(func(p *tenant.Patch) { p.BillingPlan = patch.Of(tenant.Enterprise) }), fault.PlanCeiling,
			[]string{"#/billing_plan enterprise is a platform admin's to give"},
		},
		"from enterprise": {
			enterprise, owner, set(func(p *tenant.Patch) { p.BillingPlan = patch.Of(tenant.Starter) }), fault.PlanCeiling,
			[]string{"#/billing_plan enterprise is a platform admin's to take back"},
		},
		"down with more than that allows": {
			func(t *tenant.Tenant) {
				*t = tenant.Draft{
					Settings: tenant.Settings{Name: patch.Of("Acme"), BillingPlan: patch.Of(tenant.Business), MaxAgents: patch.Of(40)},
					ID:       patch.Of(tenantID), Slug: patch.Of("acme"),
				}.Tenant(t.CreatedAt)
				t.Status = tenant.Active
			}, owner,
			set(func(p *tenant.Patch) { p.BillingPlan = patch.Of(tenant.Starter) }), fault.PlanCeiling,
			[]string{"#/limits/max_agents is 40, and the plan starter allows 3"},
		},
		"policies off, over the ceiling": {
			func(t *tenant.Tenant) { t.HIPAAEnabled, t.PCIEnabled = true, true }, owner,
			set(func(p *tenant.Patch) {
				p.HIPAAEnabled, p.PCIEnabled, p.MaxAgents = patch.Of(false), patch.Of(false), patch.Of(4)
			}), fault.PlanCeiling,
			[]string{
				"#/limits/max_agents is 4, and the plan starter allows 3",
				"#/hipaa_enabled can be turned off by a platform admin only",
				"#/pci_enabled can be turned off by a platform admin only",
			},
		},
		"a policy off": {
			func(t *tenant.Tenant) { t.HIPAAEnabled = true }, owner,
			set(func(p *tenant.Patch) { p.HIPAAEnabled = patch.Of(false) }), fault.Forbidden,
			[]string{"#/hipaa_enabled can be turned off by a platform admin only"},
		},
		"secrets before it is provisioned": {status(tenant.Failed), platformAdmin, set(func(p *tenant.Patch) {
			p.SIPEnabled, p.SIPDomain, p.SIPUsername = patch.Of(true), patch.Of(new("sip.example.com")), patch.Of(new("me"))
			p.Secrets = tenant.SecretSettings{SIPPassword: patch.Of(long(12)), WebhookSecret: patch.Of(long(12))}
		}), fault.Invalid, []string{
			"#/sip_enabled cannot be turned on before the tenant is provisioned",
			"#/sip_password cannot be set before the tenant is provisioned; send it with POST /operations/{operation_id}/retry",
			"#/webhook_secret cannot be set before the tenant is provisioned",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			before := newTenant(test.before)
			m := newMemory(before)
			_, err := update(t, m, test.caller, test.patch)
			if fault.KindOf(err) != test.kind {
				t.Fatalf("got %v, want %s", err, test.kind)
			}
			if diff := cmp.Diff(test.lines, lines(err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, m.tenants[tenantID]); diff != "" || len(m.secrets) != 0 {
				t.Errorf("stored all the same: %s %v", diff, m.secrets)
			}
		})
	}
}

// Every change of status that a client may ask for, by whom.
func TestUpdateStatus(t *testing.T) {
	for _, test := range []struct {
		from, to     tenant.Status
		admin, owner fault.Kind // "" where it is allowed
	}{
		{tenant.Active, tenant.Inactive, "", ""},
		{tenant.Active, tenant.Suspended, "", fault.Forbidden},
		{tenant.Inactive, tenant.Active, "", ""},
		{tenant.Inactive, tenant.Suspended, fault.IllegalTransition, fault.TenantInactive},
		{tenant.Suspended, tenant.Active, "", fault.TenantSuspended},
		{tenant.Suspended, tenant.Inactive, fault.IllegalTransition, fault.TenantSuspended},
		{tenant.Failed, tenant.Active, fault.IllegalTransition, fault.IllegalTransition},
		{tenant.Failed, tenant.Inactive, fault.IllegalTransition, fault.IllegalTransition},
		{tenant.Failed, tenant.Suspended, fault.IllegalTransition, fault.Forbidden},
		{tenant.Active, tenant.Provisioning, fault.Invalid, fault.Invalid},
		{tenant.Active, tenant.Deleting, fault.Invalid, fault.Invalid},
		{tenant.Active, "paused", fault.Invalid, fault.Invalid},
	} {
		for _, by := range []struct {
			caller identity.Caller
			want   fault.Kind
		}{{platformAdmin, test.admin}, {owner, test.owner}} {
			m := newMemory(newTenant(func(t *tenant.Tenant) { t.Status = test.from }))
			p := tenant.Patch{Status: patch.Of(test.to)}
			if test.to == tenant.Suspended {
				p.StatusReason = patch.Of(new("unpaid"))
			}
			got, err := update(t, m, by.caller, p)
			if fault.KindOf(err) != by.want || err == nil && got.Tenant.Status != test.to {
				t.Errorf("%s to %s by %s: got %s, %v, want %q", test.from, test.to, by.caller.Role, got.Tenant.Status, err, by.want)
			}
		}
	}
}

// A reason belongs to the status that it was given with.
func TestUpdateStatusReason(t *testing.T) {
	unpaid, other := new("unpaid"), new("other")
	for name, test := range map[string]struct {
		from tenant.Status
		p    tenant.Patch
		want *string
	}{
		"lifted":                          {tenant.Suspended, tenant.Patch{Status: patch.Of(tenant.Active)}, nil},
		"lifted, and sent back as it was": {tenant.Suspended, tenant.Patch{Status: patch.Of(tenant.Active), StatusReason: patch.Of(new("unpaid"))}, nil},
		"lifted for another":              {tenant.Suspended, tenant.Patch{Status: patch.Of(tenant.Active), StatusReason: patch.Of(other)}, other},
		"changed":                         {tenant.Suspended, tenant.Patch{StatusReason: patch.Of(other)}, other},
		"left as it is":                   {tenant.Suspended, tenant.Patch{Settings: tenant.Settings{Name: patch.Of("New")}}, unpaid},
		"suspended for the same":          {tenant.Active, tenant.Patch{Status: patch.Of(tenant.Suspended), StatusReason: patch.Of(new("unpaid"))}, unpaid},
		"cleared":                         {tenant.Active, tenant.Patch{StatusReason: patch.Of[*string](nil)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(newTenant(func(t *tenant.Tenant) { t.Status, t.StatusReason = test.from, unpaid }))
			got, err := update(t, m, platformAdmin, test.p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.Tenant.StatusReason); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpdateVersions(t *testing.T) {
	rename := func(tenant.Tenant) (tenant.Patch, fault.Fields) {
		return tenant.Patch{Settings: tenant.Settings{Name: patch.Of("New")}}, nil
	}
	for name, test := range map[string]struct {
		versions []int64
		want     fault.Kind
	}{
		"none":       {nil, ""},
		"the same":   {[]int64{1}, ""},
		"one of two": {[]int64{7, 1}, ""},
		"another":    {[]int64{2}, fault.Stale},
		"unreadable": {[]int64{}, fault.Stale},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(newTenant(nil))
			_, err := tenant.NewService(m, m).Update(t.Context(), owner, tenantID, test.versions, rename)
			if fault.KindOf(err) != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Without a version, a change that meets another is made on top of it; with one,
// it is stale.
func TestUpdateMeetsAnother(t *testing.T) {
	for name, test := range map[string]struct {
		versions []int64
		want     fault.Kind
	}{
		"without a version": {nil, ""},
		"with a version":    {[]int64{1}, fault.Stale},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(newTenant(nil))
				m.outcome = func(before, _ tenant.Tenant) error {
					if m.updates == 1 {
						before.RetentionDays, before.Version = 30, 2
						m.tenants[tenantID] = before
					}
					return nil
				}
				got, err := tenant.NewService(m, m).Update(t.Context(), owner, tenantID, test.versions, func(tenant.Tenant) (tenant.Patch, fault.Fields) {
					return tenant.Patch{Settings: tenant.Settings{Name: patch.Of("New")}}, nil
				})
				if fault.KindOf(err) != test.want {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				if stored := m.tenants[tenantID]; stored.RetentionDays != 30 || err == nil && (stored.Name != "New" || got.Tenant.Version != 3) {
					t.Errorf("got %+v", stored)
				}
			})
		})
	}
}

// A change that is made in the millisecond of the one before it, or by a clock that is
// behind, is stamped later all the same.
func TestUpdateByAnotherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		for name, test := range map[string]struct{ before, want time.Time }{
			"long after":              {now.Add(-time.Hour), now},
			"a millisecond after":     {now.Add(-time.Millisecond), now},
			"in the same millisecond": {now, now.Add(time.Millisecond)},
			"by a clock behind":       {now.Add(time.Hour), now.Add(time.Hour + time.Millisecond)},
		} {
			m := newMemory(newTenant(func(t *tenant.Tenant) { t.UpdatedAt = test.before }))
			got, err := update(t, m, owner, tenant.Patch{Settings: tenant.Settings{Name: patch.Of("New")}})
			if err != nil || !got.Tenant.UpdatedAt.Equal(test.want) || got.Tenant.Version != 2 {
				t.Errorf("%s: got %+v, %v, want it changed at %s", name, got.Tenant, err, test.want)
			}
		}
	})
}

func TestUpdateGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(newTenant(nil))
		m.outcome = func(_, _ tenant.Tenant) error { return fault.New(fault.Conflict, "changed meanwhile") }
		_, err := update(t, m, owner, tenant.Patch{Settings: tenant.Settings{Name: patch.Of("New")}})
		if !errors.Is(err, fault.Conflict) || m.updates < 2 {
			t.Errorf("got %v after %d updates, want fault.Conflict", err, m.updates)
		}
	})
}

// Every pair of statuses that is not here is illegal, and its error says what
// would be legal.
func TestCanBecome(t *testing.T) {
	legal := map[tenant.Status][]tenant.Status{
		tenant.Provisioning: {tenant.Active, tenant.Failed},
		tenant.Active:       {tenant.Inactive, tenant.Suspended, tenant.Deleting},
		tenant.Inactive:     {tenant.Active, tenant.Deleting},
		tenant.Suspended:    {tenant.Active, tenant.Deleting},
		tenant.Failed:       {tenant.Provisioning, tenant.Deleting},
		tenant.Deleting:     {tenant.Active, tenant.Inactive, tenant.Suspended, tenant.Failed, tenant.Purging},
		tenant.Purging:      {tenant.Deleted},
		tenant.Deleted:      {},
	}
	for _, from := range tenant.Statuses() {
		for _, to := range tenant.Statuses() {
			err := from.CanBecome(to)
			if slices.Contains(legal[from], to) {
				if err != nil {
					t.Errorf("%s to %s: got %v", from, to, err)
				}
				continue
			}
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || f.Kind != fault.IllegalTransition || !strings.Contains(f.Detail, string(from)) || !strings.Contains(f.Detail, string(to)) {
				t.Errorf("%s to %s: got %v", from, to, err)
				continue
			}
			want := map[string]any{"status_from": string(from), "status_to": string(to), "allowed": []string{}}
			for _, status := range legal[from] {
				want["allowed"] = append(want["allowed"].([]string), string(status))
			}
			if diff := cmp.Diff(want, f.Members); diff != "" {
				t.Errorf("%s to %s (-want +got):\n%s", from, to, diff)
			}
		}
	}
}

func TestAdmitReader(t *testing.T) {
	for status, want := range map[tenant.Status]fault.Kind{
		tenant.Provisioning: "", tenant.Active: "", tenant.Inactive: "", tenant.Suspended: "", tenant.Failed: "",
		tenant.Deleting: fault.TenantDeleting, tenant.Purging: fault.TenantDeleting, tenant.Deleted: fault.TenantDeleting,
	} {
		acme := newTenant(func(t *tenant.Tenant) { t.Status = status })
		for _, by := range []struct {
			caller identity.Caller
			want   fault.Kind
		}{
			{owner, want},
			{platformAdmin, ""},
			{stranger, fault.NotFound},
			{identity.Caller{}, fault.NotFound},
			{identity.Caller{Subject: "D", Role: identity.Developer}, fault.NotFound},
			{identity.Caller{Subject: "K", Role: identity.Service}, want},
			{identity.Caller{Subject: "K", Role: identity.Service, TenantIDs: []identity.TenantID{tenantID}}, want},
			{identity.Caller{Subject: "K", Role: identity.Service, TenantIDs: []identity.TenantID{"other"}}, fault.NotFound},
			// A tenant in the context of somebody who belongs to none counts for nothing.
			{identity.Caller{Subject: "D", Role: identity.Developer, TenantID: tenantID}, fault.NotFound},
		} {
			if err := acme.AdmitReader(by.caller); fault.KindOf(err) != by.want {
				t.Errorf("%s by %s: got %v, want %q", status, by.caller.Role, err, by.want)
			}
		}
	}
}
