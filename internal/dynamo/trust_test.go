package dynamo_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/apikey"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/impersonation"
	"github.com/tenantry/tenantry/internal/opaque"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/user"
)

func TestAPIKeys(t *testing.T) {
	table := newTable(t)
	keys := dynamo.NewAPIKeys(table)
	admin := newUser("root", "root@example.com")
	admin.Role = identity.PlatformAdmin
	if err := dynamo.NewUsers(table).Create(t.Context(), admin, told()); err != nil {
		t.Fatal(err)
	}
	by := func(id identity.UserID) audit.Record {
		return audit.By(identity.Caller{Subject: id}).Did(audit.KeyCreated, "", audit.Target{})
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	edge := apikey.Key{ID: "1", Name: "edge", Scopes: []identity.Scope{identity.SIPRead}, CreatedAt: at, Hash: "h1"}
	billing := apikey.Key{ID: "2", Name: "billing", Scopes: []identity.Scope{identity.UsageWrite}, TenantIDs: []identity.TenantID{"t"}, ExpiresAt: new(at.Add(time.Hour)), CreatedAt: at.Add(time.Second), Hash: "h2"}
	receipt := &idempotency.Record{Scope: idempotency.Scope{Caller: "a", Route: "r", Key: "k"}, ExpiresAt: time.Now().Add(time.Hour)}
	if err := keys.Create(t.Context(), edge, by("root"), receipt); err != nil {
		t.Fatal(err)
	}
	if err := keys.Create(t.Context(), billing, by("root"), receipt); !errors.Is(err, idempotency.ErrRecorded) {
		t.Fatalf("got %v, want that the receipt is there", err)
	}
	if err := keys.Create(t.Context(), billing, by("somebody"), nil); !errors.Is(err, fault.Forbidden) {
		t.Fatalf("by no platform admin: got %v, want %v", err, fault.Forbidden)
	}
	if err := keys.Create(t.Context(), billing, by("root"), nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []apikey.Key{edge, billing} {
		got, err := keys.ByHash(t.Context(), want.Hash)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("got %v (-want +got):\n%s", err, diff)
		}
	}
	eventually(t, "the index held both keys", func() bool {
		all, err := keys.List(t.Context(), page.Window{Limit: 3})
		return err == nil && len(all.Entries) == 2
	})
	first, err := keys.List(t.Context(), page.Window{Limit: 1})
	if err != nil || len(first.Entries) != 1 || first.Entries[0].Value.ID != "2" || first.Entries[0].Value.Hash != "" {
		t.Fatalf("the first page is %+v, %v", first, err)
	}
	second, err := keys.List(t.Context(), page.Window{From: first.Next, Limit: 1})
	if err != nil || len(second.Entries) != 1 || second.Entries[0].Value.ID != "1" || second.Next != "" {
		t.Fatalf("the second page is %+v, %v", second, err)
	}
	if err := keys.Delete(t.Context(), "1", told()); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.ByHash(t.Context(), "h1"); !errors.Is(err, fault.NotFound) {
		t.Errorf("a key that was removed: got %v", err)
	}
	for _, id := range []apikey.ID{"1", "3"} {
		if err := keys.Delete(t.Context(), id, told()); !errors.Is(err, fault.NotFound) {
			t.Errorf("removing %s: got %v, want %v", id, err, fault.NotFound)
		}
	}
}

func TestImpersonations(t *testing.T) {
	table := newTable(t)
	sessions := dynamo.NewImpersonations(table)
	at := time.Now().UTC().Truncate(time.Millisecond)
	want := impersonation.Session{
		ID: "1", Actor: "a", Subject: "u", TenantID: "t", Reason: "ticket 4711", Mode: identity.Full,
		CreatedAt: at, ExpiresAt: at.Add(time.Hour),
	}
	written := want
	written.Hash = "h"
	if err := sessions.Create(t.Context(), written, told(), nil); err != nil {
		t.Fatal(err)
	}
	if err := sessions.End(t.Context(), "1", at.Add(time.Second), told()); err != nil {
		t.Fatal(err)
	}
	want.EndedAt = new(at.Add(time.Second))
	got, err := sessions.ByHash(t.Context(), "h")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got %v (-want +got):\n%s", err, diff)
	}
	if err := sessions.End(t.Context(), "1", at.Add(time.Minute), told()); !errors.Is(err, fault.Conflict) {
		t.Errorf("ending it again: got %v", err)
	}
	if err := sessions.End(t.Context(), "2", at, told()); !errors.Is(err, fault.Conflict) {
		t.Errorf("ending what is not there: got %v", err)
	}
	if _, err := sessions.ByHash(t.Context(), "other"); !errors.Is(err, fault.NotFound) {
		t.Errorf("an unknown token: got %v", err)
	}
	eventually(t, "the index held the session as it is", func() bool {
		listed, err := sessions.List(t.Context(), page.Window{Limit: 10})
		return err == nil && len(listed.Entries) == 1 && cmp.Equal(want, listed.Entries[0].Value)
	})
	// What DynamoDB is to delete may be there for days.
	old := written
	old.ID, old.Hash, old.ExpiresAt = "3", "h3", at.Add(-31*24*time.Hour)
	if err := sessions.Create(t.Context(), old, told(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := sessions.Get(t.Context(), "3"); !errors.Is(err, fault.NotFound) {
		t.Errorf("what is listed no more: got %v", err)
	}
}

// The guard looks at everything as it is at the time of the request.
func TestGuard(t *testing.T) {
	table := newTable(t)
	sessions, users, tenants := dynamo.NewImpersonations(table), dynamo.NewUsers(table), dynamo.NewTenants(table)
	acme := create(t, tenants, newCreation("Acme", "acme"))[0]
	admin := newUser("a", "a@example.com")
	admin.Role = identity.PlatformAdmin
	former := newUser("b", "b@example.com")
	disabled := newUser("c", "c@example.com")
	disabled.Role, disabled.Disabled = identity.PlatformAdmin, true
	for _, u := range []user.User{admin, former, disabled} {
		if err := users.Create(t.Context(), u, told()); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	begin := func(id impersonation.ID, edit func(*impersonation.Session)) {
		s := impersonation.Session{ID: id, Actor: "a", Subject: "u", TenantID: acme.ID, Mode: identity.Full, CreatedAt: at, ExpiresAt: at.Add(time.Hour), Hash: opaque.Hash(id)}
		if edit != nil {
			edit(&s)
		}
		if err := sessions.Create(t.Context(), s, told(), nil); err != nil {
			t.Fatal(err)
		}
	}
	begin("good", nil)
	begin("read", func(s *impersonation.Session) { s.Mode = identity.ReadOnly })
	begin("ended", func(s *impersonation.Session) { s.EndedAt = &at })
	begin("over", func(s *impersonation.Session) { s.ExpiresAt = at })
	begin("by a former admin", func(s *impersonation.Session) { s.Actor = "b" })
	begin("by a disabled admin", func(s *impersonation.Session) { s.Actor = "c" })
	begin("by nobody", func(s *impersonation.Session) { s.Actor = "d" })
	begin("of no tenant", func(s *impersonation.Session) { s.TenantID = "none" })
	check := func(want map[impersonation.ID]fault.Kind) {
		t.Helper()
		for id, kind := range want {
			err := sessions.Guard(t.Context(), identity.Caller{Subject: "u", Impersonation: &identity.Impersonation{ID: string(id)}})
			if fault.KindOf(err) != kind || kind == "" && err != nil {
				t.Errorf("%s: got %v, want %q", id, err, kind)
			}
		}
	}
	check(map[impersonation.ID]fault.Kind{
		"good": "", "read": "", "ended": fault.TokenInvalid, "over": fault.TokenExpired, "unknown": fault.TokenInvalid,
		"by a former admin": fault.TokenInvalid, "by a disabled admin": fault.TokenInvalid, "by nobody": fault.TokenInvalid,
		"of no tenant": fault.TokenInvalid,
	})
	strict := acme
	strict.HIPAAEnabled, strict.Version = true, acme.Version+1
	if err := tenants.Update(t.Context(), acme, strict, told()); err != nil {
		t.Fatal(err)
	}
	check(map[impersonation.ID]fault.Kind{"good": fault.ImpersonationDenied, "read": ""})
	if err := sessions.End(t.Context(), "read", at, told()); err != nil {
		t.Fatal(err)
	}
	check(map[impersonation.ID]fault.Kind{"read": fault.TokenInvalid})
}
