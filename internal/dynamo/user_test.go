package dynamo_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/user"
)

func newUser(id identity.UserID, email string) user.User {
	return user.User{
		ID: id, Username: "name of " + string(id), Email: email, FullName: "Dewi", Role: identity.Developer,
		CreatedAt: time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC), Version: 1,
	}
}

func TestUsersCreate(t *testing.T) {
	users := dynamo.NewUsers(newTable(t))
	want := newUser("a", "Dewi@Example.com")
	if err := users.Create(t.Context(), want, told()); err != nil {
		t.Fatal(err)
	}
	got, err := users.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	for name, test := range map[string]struct {
		user user.User
		want fault.Kind
	}{
		"the same user again":                {want, fault.Conflict},
		"the same user with another address": {newUser("a", "other@example.com"), fault.Conflict},
		"another user with the address":      {newUser("b", "dewi@example.COM"), fault.EmailTaken},
	} {
		t.Run(name, func(t *testing.T) {
			if err := users.Create(t.Context(), test.user, told()); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	for _, missing := range []identity.UserID{"b", "c"} {
		if _, err := users.Get(t.Context(), missing); !errors.Is(err, fault.NotFound) {
			t.Errorf("user %s: got %v, want %v", missing, err, fault.NotFound)
		}
	}
}

func TestUsersByEmail(t *testing.T) {
	table := newTable(t)
	users := dynamo.NewUsers(table)
	if err := users.Create(t.Context(), newUser("a", "Dewi@Example.com"), told()); err != nil {
		t.Fatal(err)
	}
	forSomebody := newCreation("Acme", "acme")
	forSomebody.Operation.AdminEmail = "budi@example.com"
	create(t, dynamo.NewTenants(table), forSomebody)
	for name, test := range map[string]struct {
		email    string
		username string
		held     bool
		kind     fault.Kind
	}{
		"as it was given":                      {"Dewi@Example.com", "name of a", true, ""},
		"in another case":                      {"dewi@example.COM", "name of a", true, ""},
		"of nobody":                            {"nobody@example.com", "", false, fault.NotFound},
		"the name of a":                        {"name of a", "", false, fault.NotFound},
		"beginning of one":                     {"dewi@example.co", "", false, fault.NotFound},
		"held for an account still to be made": {"Budi@example.com", "", true, fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			username, err := users.ByEmail(t.Context(), test.email)
			if username != test.username || fault.KindOf(err) != test.kind {
				t.Errorf("got %q and %v, want %q and the kind %q", username, err, test.username, test.kind)
			}
			held, err := users.EmailHeld(t.Context(), test.email)
			if held != test.held || err != nil {
				t.Errorf("got held %v and %v, want %v", held, err, test.held)
			}
		})
	}
}

func TestUsersEndSessions(t *testing.T) {
	users := dynamo.NewUsers(newTable(t))
	before := newUser("a", "dewi@example.com")
	if err := users.Create(t.Context(), before, told()); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 4, 5, 6, 7, 8, 900_000_000, time.UTC)
	if err := users.EndSessions(t.Context(), "a", at, told()); err != nil {
		t.Fatal(err)
	}
	want := before
	want.SessionsEndedAt, want.Version = at, 2
	got, err := users.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	if err := users.EndSessions(t.Context(), "b", at, told()); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want %v", err, fault.NotFound)
	}
}

// A change of the password that nobody ends ends the sessions by itself, in time.
func TestUsersChangePassword(t *testing.T) {
	users := dynamo.NewUsers(newTable(t))
	before := newUser("a", "dewi@example.com")
	if err := users.Create(t.Context(), before, told()); err != nil {
		t.Fatal(err)
	}
	check := func(what string, version int64, ended time.Time) {
		t.Helper()
		want := before
		want.SessionsEndedAt, want.Version = ended, version
		got, err := users.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: user (-want +got):\n%s", what, diff)
		}
	}
	begin := func(at time.Time) user.ChangeMark {
		t.Helper()
		mark, err := users.BeginChange(t.Context(), "a", at)
		if err != nil {
			t.Fatal(err)
		}
		return mark
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	running, refused := begin(now.Add(time.Hour)), begin(now.Add(-time.Minute))
	check("refused too late", 1, now.Add(-30*time.Second))
	if err := users.DropChange(t.Context(), "a", refused); err != nil {
		t.Fatal(err)
	}
	check("one under way", 1, before.SessionsEndedAt)
	dead := begin(now.Add(-10 * time.Minute))
	if err := users.EndChange(t.Context(), "a", running, now.Add(-time.Hour), told()); err != nil {
		t.Fatal(err)
	}
	check("one dead, and one ended", 2, now.Add(-9*time.Minute-30*time.Second))
	if err := users.EndChange(t.Context(), "a", dead, now, told()); err != nil {
		t.Fatal(err)
	}
	check("both ended", 3, now)
	if err := users.EndChange(t.Context(), "b", dead, now, told()); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want %v", err, fault.NotFound)
	}
	if _, err := users.BeginChange(t.Context(), "b", now); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want %v", err, fault.NotFound)
	}
}
