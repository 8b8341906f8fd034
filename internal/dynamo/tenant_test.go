package dynamo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
)

// newCreation returns a tenant with a name and a slug, and its operation.
func newCreation(name, slug string) provisioning.Creation {
	now := time.Now().UTC().Truncate(time.Millisecond)
	t := tenant.Draft{
		Settings:  tenant.Settings{Name: patch.Of(name)},
		Slug:      patch.Of(slug),
		Isolation: patch.Of(tenant.Pooled),
	}.Tenant(now)
	return provisioning.Creation{Tenant: t, Operation: operation.Operation{
		ID:        operation.ID(uuid.NewString()),
		Kind:      operation.Provision,
		TenantID:  t.ID,
		State:     operation.Pending,
		Attempt:   1,
		Steps:     []operation.Step{{Name: "activate", State: operation.Pending}},
		CreatedAt: now,
		DueAt:     now.Add(time.Minute),
		Version:   1,
	}}
}

// create creates tenants, and returns them as they are stored.
func create(tb testing.TB, tenants *dynamo.Tenants, creations ...provisioning.Creation) []tenant.Tenant {
	tb.Helper()
	var stored []tenant.Tenant
	for _, c := range creations {
		if err := tenants.Create(tb.Context(), c); err != nil {
			tb.Fatal(err)
		}
		t, err := tenants.Get(tb.Context(), c.Tenant.ID)
		if err != nil {
			tb.Fatal(err)
		}
		stored = append(stored, t)
	}
	return stored
}

// change changes a stored tenant, and returns it as it is then.
func change(tb testing.TB, tenants *dynamo.Tenants, before tenant.Tenant, edit func(*tenant.Tenant)) tenant.Tenant {
	tb.Helper()
	after := before
	edit(&after)
	after.Version++
	if err := tenants.Update(tb.Context(), before, after, told()); err != nil {
		tb.Fatal(err)
	}
	return after
}

// full is a tenant that has everything.
func full(c provisioning.Creation) provisioning.Creation {
	t := &c.Tenant
	t.StatusReason, t.OwnerID, t.Country = new("why"), new(identity.UserID(uuid.NewString())), new("ID")
	t.SIPEnabled, t.SIPDomain, t.SIPUsername = true, new("sip."+t.Slug+".example"), new("acme")
	t.HIPAAEnabled, t.PCIEnabled = true, true
	t.WebhookURL, t.MetaData = new("https://example.com/hook"), `{"crm":{"account":1}}`
	t.Isolation, t.Database, t.MongoDatabase = tenant.Dedicated, new("db"), new("mongo")
	t.Secret = &tenant.SecretRef{Name: "name", Version: "version"}
	t.PurgeAt, t.Former = new(t.CreatedAt.Add(time.Hour)), &tenant.Former{Status: tenant.Suspended, Reason: new("unpaid")}
	t.SIPRotatedAt, t.SIPPreviousUntil = new(t.CreatedAt), new(t.CreatedAt.Add(time.Hour))
	return c
}

func TestTenantRoundTrip(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	c := full(newCreation("Acme", "acme"))
	got := create(t, tenants, c)[0]
	c.Tenant.Number = 1
	if diff := cmp.Diff(c.Tenant, got); diff != "" {
		t.Errorf("after Create (-want +got):\n%s", diff)
	}
	after := change(t, tenants, got, func(t *tenant.Tenant) {
		t.Name, t.Status, t.SIPDomain, t.Secret = "New", tenant.Active, new("sip.new.example"), nil
	})
	got, err := tenants.Get(t.Context(), c.Tenant.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(after, got); diff != "" {
		t.Errorf("after Update (-want +got):\n%s", diff)
	}
}

func TestTenantNotFound(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	for name, id := range map[string]identity.TenantID{
		"unknown":                 identity.TenantID(uuid.NewString()),
		"empty":                   "",
		"longer than keys can be": identity.TenantID(strings.Repeat("x", 3000)),
	} {
		if _, err := tenants.Get(t.Context(), id); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: got %v, want fault.NotFound", name, err)
		}
		if _, _, err := tenants.GetWithUsage(t.Context(), id, time.Now()); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s, with its use: got %v, want fault.NotFound", name, err)
		}
	}
}

func TestCreateTaken(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	first := newCreation("Acme", "acme")
	first.Tenant.SIPDomain = new("sip.acme.example")
	first.Operation.AdminEmail = "Dewi@acme.example"
	create(t, tenants, first)

	for name, test := range map[string]struct {
		edit func(*provisioning.Creation)
		want fault.Kind
	}{
		"id":         {func(c *provisioning.Creation) { c.Tenant.ID = first.Tenant.ID }, fault.Conflict},
		"slug":       {func(c *provisioning.Creation) { c.Tenant.Slug = "acme" }, fault.SlugTaken},
		"SIP domain": {func(c *provisioning.Creation) { c.Tenant.SIPDomain = new("sip.acme.example") }, fault.SIPDomainTaken},
		"e-mail":     {func(c *provisioning.Creation) { c.Operation.AdminEmail = "dewi@ACME.example" }, fault.EmailTaken},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCreation("Other", "other")
			test.edit(&c)
			if err := tenants.Create(t.Context(), c); fault.KindOf(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if c.Tenant.ID == first.Tenant.ID {
				return
			}
			if _, err := tenants.Get(t.Context(), c.Tenant.ID); !errors.Is(err, fault.NotFound) {
				t.Errorf("got %v after a failed Create, want fault.NotFound", err)
			}
		})
	}
	create(t, tenants, newCreation("Other", "other")) // nothing of it was left
}

func TestUpdateConflict(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	acme := create(t, tenants, newCreation("Acme", "acme"))[0]
	after := acme
	after.Name, after.Version = "First", 2
	if err := tenants.Update(t.Context(), acme, after, told()); err != nil {
		t.Fatal(err)
	}
	after.Name = "Second"
	if err := tenants.Update(t.Context(), acme, after, told()); !errors.Is(err, fault.Conflict) {
		t.Errorf("got %v, want fault.Conflict", err)
	}
	if got, err := tenants.Get(t.Context(), acme.ID); err != nil || got.Name != "First" {
		t.Errorf("got %q, %v, want First", got.Name, err)
	}
}

func TestUpdateMovesSIPDomain(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	both := create(t, tenants, newCreation("Acme", "acme"), newCreation("Other", "other"))
	acme, other := both[0], both[1]

	acme = change(t, tenants, acme, func(t *tenant.Tenant) { t.SIPDomain = new("sip.example.com") })
	taken := other
	taken.SIPDomain, taken.Version = new("sip.example.com"), 2
	if err := tenants.Update(t.Context(), other, taken, told()); !errors.Is(err, fault.SIPDomainTaken) {
		t.Errorf("got %v, want fault.SIPDomainTaken", err)
	}
	change(t, tenants, acme, func(t *tenant.Tenant) { t.SIPDomain = nil })
	change(t, tenants, other, func(t *tenant.Tenant) { t.SIPDomain = new("sip.example.com") })
}

// Names and slugs may fold to the same text, be as long as they can be, and
// change only in what does not count for searches.
func TestUpdateMovesName(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	long := strings.Repeat("\U0001F600", 254)
	acme := create(t, tenants, newCreation("Acme", "acme"))[0]
	for _, name := range []string{"ACME", "Other", "acme", long + "a", long + "b", "ﷺ" + strings.Repeat("ﷺ", 254), "Other", "OTHER"} {
		acme = change(t, tenants, acme, func(t *tenant.Tenant) { t.Name = name })
	}
	create(t, tenants, newCreation(long, "long"), newCreation(long, "longer"))
}

// An answer is remembered together with the change of the tenant, or neither is.
func TestUpdateOnce(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	tenants, records := dynamo.NewTenants(table), dynamo.NewRecords(table)
	acme := create(t, tenants, newCreation("Acme", "acme"))[0]
	record := idempotency.Record{
		Scope: idempotency.Scope{Caller: "caller", Route: "RotateSipCredentials", Key: "key"}, Status: 200,
		Body: []byte(`{}`), ExpiresAt: time.Now().Add(time.Hour),
	}
	after := acme
	after.SIPRotatedAt, after.Version = &acme.CreatedAt, 3
	stale := acme
	stale.Version = 2
	if err := tenants.UpdateOnce(t.Context(), stale, after, told(), &record); !errors.Is(err, fault.Conflict) {
		t.Errorf("got %v, want fault.Conflict", err)
	}
	if _, err := records.Find(t.Context(), record.Scope); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want no record of what failed", err)
	}
	after.Version = 2
	if err := tenants.UpdateOnce(t.Context(), acme, after, told(), &record); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Find(t.Context(), record.Scope); err != nil {
		t.Errorf("got %v, want the record", err)
	}
	again := after
	again.Version = 3
	if err := tenants.UpdateOnce(t.Context(), after, again, told(), &record); !errors.Is(err, idempotency.ErrRecorded) {
		t.Errorf("got %v, want ErrRecorded", err)
	}
	if got, err := tenants.Get(t.Context(), acme.ID); err != nil || !cmp.Equal(after, got) {
		t.Errorf("got %s, %v", cmp.Diff(after, got), err)
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	tenants, records := dynamo.NewTenants(table), dynamo.NewRecords(table)
	scope := idempotency.Scope{Caller: "caller", Route: "CreateTenant", Key: "key"}
	record := idempotency.Record{
		Scope: scope, BodyHash: "hash", Status: 202, Header: map[string]string{"location": "/operations/1"},
		Body: []byte(`{"name":"Acme"}`), ExpiresAt: time.Now().Add(time.Hour).Truncate(time.Second),
	}
	if _, err := records.Find(t.Context(), scope); !errors.Is(err, fault.NotFound) {
		t.Fatalf("before: got %v, want fault.NotFound", err)
	}

	expired := newCreation("Expired", "expired")
	expired.Receipt = new(record)
	expired.Receipt.ExpiresAt = time.Now().Add(-time.Second)
	create(t, tenants, expired)
	if _, err := records.Find(t.Context(), scope); !errors.Is(err, fault.NotFound) {
		t.Errorf("expired: got %v, want fault.NotFound", err)
	}

	first := newCreation("Acme", "acme")
	first.Receipt = &record
	create(t, tenants, first)
	got, err := records.Find(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(record, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// The record comes before anything else that may be taken.
	second := newCreation("Acme", "acme")
	second.Receipt = &record
	if err := tenants.Create(t.Context(), second); !errors.Is(err, idempotency.ErrRecorded) {
		t.Errorf("again: got %v, want ErrRecorded", err)
	}
	scope.Key = fmt.Sprintf("%0255d", 1)
	if _, err := records.Find(t.Context(), scope); !errors.Is(err, fault.NotFound) {
		t.Errorf("another key: got %v, want fault.NotFound", err)
	}
}
