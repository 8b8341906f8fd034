package tenant_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

func TestDraftTenant(t *testing.T) {
	now := time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)
	got := tenant.Draft{
		Settings: tenant.Settings{Name: patch.Of("  Acme  ")},
		ID:       patch.Of(tenantID),
		Slug:     patch.Of("acme"),
		Country:  patch.Of(new("ID")),
	}.Tenant(now)
	want := tenant.Tenant{
		ID:                    tenantID,
		Name:                  "Acme",
		Slug:                  "acme",
		Status:                tenant.Provisioning,
		Country:               new("ID"),
		BillingPlan:           tenant.Starter,
		MaxConcurrentCalls:    10,
		MonthlyCallLimit:      1_000,
		Limits:                tenant.Limits{MaxAgents: 3, MaxContacts: 1_000, MaxMessagesMonth: 5_000},
		RecordingEnabled:      true,
		RecordingFormat:       "mp4",
		AnalyticsEnabled:      true,
		DataEncryptionEnabled: true,
		RetentionDays:         90,
		WebhookTimeoutSeconds: 20,
		MetaData:              "{}",
		Isolation:             tenant.Dedicated,
		SchemaVersion:         tenant.LatestSchemaVersion,
		CreatedAt:             now,
		UpdatedAt:             now,
		Version:               1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Plans set the limits that a draft leaves open.
func TestDraftPlan(t *testing.T) {
	for plan, want := range tenant.Plans {
		got := tenant.Draft{Settings: tenant.Settings{BillingPlan: patch.Of(plan), MaxAgents: patch.Of(7)}}.Tenant(time.Now())
		want.Limits.MaxAgents = 7
		if got.MaxConcurrentCalls != want.MaxConcurrentCalls || got.MonthlyCallLimit != want.MonthlyCallLimit || got.Limits != want.Limits {
			t.Errorf("%s: got %d, %d, %+v, want %+v", plan, got.MaxConcurrentCalls, got.MonthlyCallLimit, got.Limits, want)
		}
	}
}

func TestDraftFaults(t *testing.T) {
	const (
		nameRule    = "#/name must be 1 to 255 characters after trimming"
		slugRule    = "#/slug must be 3 to 63 lower-case letters, digits and hyphens, the first and last no hyphen"
		countryRule = "#/country must be an ISO 3166-1 alpha-2 code in upper case, such as ID or US"
		webhookRule = "#/webhook_url must be an https URL with a public host name or address"
		domainRule  = "#/sip_domain must be a host name in lower case, such as sip.example.com"
		userRule    = "#/sip_username must be 1 to 64 letters, digits or marks that a SIP user name may hold"
	)
	for name, test := range map[string]struct {
		edit func(*tenant.Draft)
		want []string
	}{
		"minimal":                 {func(*tenant.Draft) {}, nil},
		"name of 255":             {func(d *tenant.Draft) { d.Name = patch.Of(" " + strings.Repeat("ü", 255) + " ") }, nil},
		"name of 256":             {func(d *tenant.Draft) { d.Name = patch.Of(strings.Repeat("ü", 256)) }, []string{nameRule}},
		"name of spaces":          {func(d *tenant.Draft) { d.Name = patch.Of(" \t\n") }, []string{nameRule}},
		"no name":                 {func(d *tenant.Draft) { d.Name = patch.Field[string]{} }, []string{nameRule}},
		"slug of 3":               {func(d *tenant.Draft) { d.Slug = patch.Of("0-9") }, nil},
		"slug of 63":              {func(d *tenant.Draft) { d.Slug = patch.Of(strings.Repeat("a", 63)) }, nil},
		"slug of 2":               {func(d *tenant.Draft) { d.Slug = patch.Of("ab") }, []string{slugRule}},
		"slug of 64":              {func(d *tenant.Draft) { d.Slug = patch.Of(strings.Repeat("a", 64)) }, []string{slugRule}},
		"slug in upper case":      {func(d *tenant.Draft) { d.Slug = patch.Of("Acme") }, []string{slugRule}},
		"slug with a hyphen last": {func(d *tenant.Draft) { d.Slug = patch.Of("acme-") }, []string{slugRule}},
		"slug with a line break":  {func(d *tenant.Draft) { d.Slug = patch.Of("acme\n") }, []string{slugRule}},
		"empty slug":              {func(d *tenant.Draft) { d.Slug = patch.Of("") }, []string{slugRule}},
		"id in upper case":        {func(d *tenant.Draft) { d.ID = patch.Of(identity.TenantID(strings.ToUpper(string(tenantID)))) }, []string{"#/id must be a UUID in lower case with hyphens"}},
		"id":                      {func(d *tenant.Draft) { d.ID = patch.Of(identity.TenantID("1")) }, []string{"#/id must be a UUID in lower case with hyphens"}},
		"plan":                    {func(d *tenant.Draft) { d.BillingPlan = patch.Of(tenant.PlanName("gold")) }, []string{"#/billing_plan must be starter, business or enterprise"}},
		"country":                 {func(d *tenant.Draft) { d.Country = patch.Of(new("ID")) }, nil},
		"no country":              {func(d *tenant.Draft) { d.Country = patch.Of[*string](nil) }, nil},
		"country in lower case":   {func(d *tenant.Draft) { d.Country = patch.Of(new("id")) }, []string{countryRule}},
		"country in three":        {func(d *tenant.Draft) { d.Country = patch.Of(new("IDN")) }, []string{countryRule}},
		"country that was":        {func(d *tenant.Draft) { d.Country = patch.Of(new("CS")) }, []string{countryRule}},
		"country that is not":     {func(d *tenant.Draft) { d.Country = patch.Of(new("ZZ")) }, []string{countryRule}},
		"country called UK":       {func(d *tenant.Draft) { d.Country = patch.Of(new("UK")) }, []string{countryRule}},
		"least": {func(d *tenant.Draft) {
			d.MaxConcurrentCalls, d.MonthlyCallLimit, d.RetentionDays, d.WebhookTimeoutSeconds = patch.Of(1), patch.Of(0), patch.Of(1), patch.Of(1)
			d.MaxAgents, d.MaxContacts, d.MaxMessagesMonth = patch.Of(0), patch.Of(0), patch.Of(0)
		}, nil},
		"most": {func(d *tenant.Draft) {
			d.MaxConcurrentCalls, d.RetentionDays, d.WebhookTimeoutSeconds = patch.Of(1000), patch.Of(3650), patch.Of(60)
		}, nil},
		"too little": {func(d *tenant.Draft) {
			d.MaxConcurrentCalls, d.MonthlyCallLimit, d.RetentionDays, d.WebhookTimeoutSeconds = patch.Of(0), patch.Of(-1), patch.Of(0), patch.Of(0)
			d.MaxAgents, d.MaxContacts, d.MaxMessagesMonth = patch.Of(-1), patch.Of(-1), patch.Of(-1)
		}, []string{
			"#/max_concurrent_calls must be from 1 to 1000",
			"#/monthly_call_limit must not be negative",
			"#/limits/max_agents must not be negative",
			"#/limits/max_contacts must not be negative",
			"#/limits/max_messages_month must not be negative",
			"#/retention_days must be from 1 to 3650",
			"#/webhook_timeout_seconds must be from 1 to 60",
		}},
		"too much": {func(d *tenant.Draft) {
			d.MaxConcurrentCalls, d.RetentionDays, d.WebhookTimeoutSeconds = patch.Of(1001), patch.Of(3651), patch.Of(61)
		}, []string{
			"#/max_concurrent_calls must be from 1 to 1000",
			"#/retention_days must be from 1 to 3650",
			"#/webhook_timeout_seconds must be from 1 to 60",
		}},
		"SIP": {func(d *tenant.Draft) {
			d.SIPEnabled, d.SIPDomain, d.SIPUsername = patch.Of(true), patch.Of(new("sip.example.com")), patch.Of(new("a.b+c"))
		}, nil},
		"SIP without its settings": {func(d *tenant.Draft) { d.SIPEnabled = patch.Of(true) }, []string{
			"#/sip_domain is required when sip_enabled is true",
			"#/sip_username is required when sip_enabled is true",
		}},
		"SIP domain in upper case":    {func(d *tenant.Draft) { d.SIPDomain = patch.Of(new("SIP.example.com")) }, []string{domainRule}},
		"SIP domain of one label":     {func(d *tenant.Draft) { d.SIPDomain = patch.Of(new("localhost")) }, []string{domainRule}},
		"SIP domain that is a number": {func(d *tenant.Draft) { d.SIPDomain = patch.Of(new("127.0.0.1")) }, []string{domainRule}},
		"SIP domain of 254":           {func(d *tenant.Draft) { d.SIPDomain = patch.Of(new(strings.Repeat("a.", 125) + "abcd")) }, []string{domainRule}},
		"empty SIP domain":            {func(d *tenant.Draft) { d.SIPDomain = patch.Of(new("")) }, []string{domainRule}},
		"SIP user name with a space":  {func(d *tenant.Draft) { d.SIPUsername = patch.Of(new("a b")) }, []string{userRule}},
		"SIP user name of 65":         {func(d *tenant.Draft) { d.SIPUsername = patch.Of(new(strings.Repeat("a", 65))) }, []string{userRule}},
		"recording format":            {func(d *tenant.Draft) { d.RecordingFormat = patch.Of("avi") }, []string{"#/recording_format must be mp4, mp3, wav or ogg"}},
		"isolation":                   {func(d *tenant.Draft) { d.Isolation = patch.Of(tenant.Isolation("none")) }, []string{"#/isolation must be pooled or dedicated"}},
		"webhook":                     {func(d *tenant.Draft) { d.WebhookURL = patch.Of(new("ftp://example.com")) }, []string{webhookRule}},
		"meta_data of 16 KiB":         {func(d *tenant.Draft) { d.MetaData = patch.Of(`{"a":"` + strings.Repeat("x", 16<<10-8) + `"}`) }, nil},
		"meta_data over 16 KiB":       {func(d *tenant.Draft) { d.MetaData = patch.Of(`{"a":"` + strings.Repeat("x", 16<<10-7) + `"}`) }, []string{"#/meta_data must be at most 16384 bytes of JSON"}},
		"meta_data that is null":      {func(d *tenant.Draft) { d.MetaData = patch.Of("null") }, []string{"#/meta_data must be an object"}},
		"meta_data that is an array":  {func(d *tenant.Draft) { d.MetaData = patch.Of("[]") }, []string{"#/meta_data must be an object"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := tenant.Draft{Settings: tenant.Settings{Name: patch.Of("Acme")}}
			test.edit(&d)
			if diff := cmp.Diff(test.want, lines(d.Faults().Err())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWebhookURL(t *testing.T) {
	for url, public := range map[string]bool{
		"https://example.com":                  true,
		"HTTPS://example.com/hook?a=b#c":       true,
		"https://example.com:8443/":            true,
		"https://hooks.xn--bcher-kva.example/": true,
		"https://93.184.216.34/":               true,
		"https://[2606:2800:220:1::1]/":        true,
		"https://example.com/" + long(2048-20): true,
		"https://example.com/" + long(2048-19): false,
		"http://example.com":                   false,
		"https:///hook":                        false,
		"https:example.com":                    false,
		"//example.com":                        false,
		"example.com":                          false,
		"":                                     false,
		"https://user:password@example.com":    false,
		"https://example.com:0":                false,
		"https://example.com:65536":            false,
		"https://localhost":                    false,
		"https://intranet":                     false,
		"https://printer.local":                false,
		"https://metadata.google.internal":     false,
		"https://foo.localhost":                false,
		"https://example.com.":                 false,
		"https://127.0.0.1":                    false,
		"https://127.1":                        false,
		"https://2130706433":                   false,
		"https://0x7f.0.0.1":                   false,
		"https://0.0.0.0":                      false,
		"https://0.1.2.3":                      false,
		"https://10.0.0.1":                     false,
		"https://172.16.0.1":                   false,
		"https://192.168.1.1":                  false,
		"https://169.254.169.254/latest/":      false,
		"https://100.64.0.1":                   false,
		"https://192.0.2.1":                    false,
		"https://224.0.0.1":                    false,
		"https://255.255.255.255":              false,
		"https://[::1]":                        false,
		"https://[::]":                         false,
		"https://[::ffff:127.0.0.1]":           false,
		"https://[::7f00:1]":                   false,
		"https://[fe80::1]":                    false,
		"https://[fe80::1%25eth0]":             false,
		"https://[fd00::1]":                    false,
		"https://[64:ff9b::7f00:1]":            false,
		"https://[2002:7f00:1::]":              false,
		"https://[2001:db8::1]":                false,
		"https://exam ple.com":                 false,
		"https://example.com\n":                false,
		"https://\U0001F600.example":           false,
	} {
		d := tenant.Draft{Settings: tenant.Settings{Name: patch.Of("Acme"), WebhookURL: patch.Of(&url)}}
		if got := len(d.Faults()) == 0; got != public {
			t.Errorf("%s: got %t, want %t", url, got, public)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// longHost returns a host name of n characters, which are more than 192.
func longHost(n int) string {
	return long(63) + "." + long(63) + "." + long(n-192) + "." + long(59) + ".abc"
}

func TestIsEmail(t *testing.T) {
	for email, want := range map[string]bool{
		"dewi@nusantara.example":              true,
		"d.e+w_i@NUSANTARA.example":           true,
		"Dewi <dewi@nusantara.example>":       false,
		"dewi@localhost":                      false,
		"dewi@":                               false,
		"@nusantara.example":                  false,
		"dewi":                                false,
		"":                                    false,
		"a@b@nusantara.example":               false,
		"dewi@nusantara.example\n":            false,
		"düwi@nusantara.example":              false,
		long(64) + "@a.example":               true,
		long(65) + "@a.example":               false,
		"d@" + longHost(252):                  true,
		"d@" + longHost(253):                  false,
		"dewi@nusantara.example, b@c.example": false,
	} {
		if got := tenant.IsEmail(email); got != want {
			t.Errorf("%q: got %t, want %t", email, got, want)
		}
	}
}

func TestDraftCeiling(t *testing.T) {
	applicant := identity.Caller{Subject: "P", Role: identity.Applicant}
	for name, test := range map[string]struct {
		caller   identity.Caller
		settings tenant.Settings
		want     fault.Kind
	}{
		"starter":                 {applicant, tenant.Settings{}, ""},
		"business":                {applicant, tenant.Settings{BillingPlan: patch.Of(tenant.Business), MaxAgents: patch.Of(50)}, ""},
		"over business":           {applicant, tenant.Settings{BillingPlan: patch.Of(tenant.Business), MaxAgents: patch.Of(51)}, fault.PlanCeiling},
		"enterprise":              {applicant, tenant.Settings{BillingPlan: patch.Of(tenant.Enterprise)}, fault.PlanCeiling},
		"over starter":            {applicant, tenant.Settings{MaxConcurrentCalls: patch.Of(11)}, fault.PlanCeiling},
		"enterprise, by an admin": {platformAdmin, tenant.Settings{BillingPlan: patch.Of(tenant.Enterprise)}, ""},
		"over all, by an admin":   {platformAdmin, tenant.Settings{MaxAgents: patch.Of(1_000_000)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := (tenant.Draft{Settings: test.settings}).CheckCeiling(test.caller); fault.KindOf(err) != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestSecretFaults(t *testing.T) {
	for name, test := range map[string]struct {
		secret string
		good   bool
	}{
		"of 11":  {long(11), false},
		"of 12":  {strings.Repeat("ü", 12), true},
		"of 128": {strings.Repeat("ü", 128), true},
		"of 129": {long(129), false},
		"empty":  {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := tenant.SecretSettings{SIPPassword: patch.Of(test.secret), WebhookSecret: patch.Of(test.secret)}.Faults()
			var pointers []string
			for _, field := range f {
				pointers = append(pointers, field.Pointer)
			}
			want := []string{"#/sip_password", "#/webhook_secret"}
			if test.good {
				want = nil
			}
			if !slices.Equal(pointers, want) {
				t.Errorf("got %v, want %v", pointers, want)
			}
		})
	}
	password := tenant.GeneratePassword()
	if f := (tenant.SecretSettings{SIPPassword: patch.Of(password)}).Faults(); f != nil || password == tenant.GeneratePassword() {
		t.Errorf("a generated password is not a good one: %v", f)
	}
}
