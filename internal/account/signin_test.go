package account_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

func accounts() *directory {
	member := func(name string, role account.Role) *entry {
		return &entry{password: "correct horse", Account: account.Account{
			ID: identity.UserID("id of " + name), Username: name, Email: name + "@example.com", Role: role, Confirmed: true,
		}}
	}
	root, budi, joko := member("root", ""), member("budi", ""), member("joko", account.Business)
	root.admin, budi.invited, joko.Confirmed = true, true, false
	return newDirectory(root, budi, joko, member("dewi", account.Business), member("linus", account.Developer), member("made", ""))
}

func people() users {
	return users{
		"id of budi": {ID: "id of budi", Username: "budi", Email: "budi@example.com", Role: identity.Agent, TenantID: "t"},
		"id of kris": {ID: "id of kris", Username: "kris", Email: "twin@example.com"},
	}
}

func TestSignIn(t *testing.T) {
	session := func(name string, tenantID identity.TenantID) account.Session {
		names := map[string]string{"root": "cm9vdA", "budi": "YnVkaQ", "dewi": "ZGV3aQ", "linus": "bGludXM"}
		return account.Session{
			AccessToken: "access of " + name, RefreshToken: names[name] + ".refresh.of." + name,
			ExpiresIn: time.Hour, TenantID: tenantID,
		}
	}
	for name, test := range map[string]struct {
		credentials account.Credentials
		want        account.Session
		kind        fault.Kind
	}{
		"first sign-in of a business":       {account.Credentials{Login: "dewi", Password: "correct horse"}, session("dewi", "id of dewi"), ""},
		"first sign-in of a developer":      {account.Credentials{Login: "linus", Password: "correct horse"}, session("linus", ""), ""},
		"first sign-in of a platform admin": {account.Credentials{Login: "root", Password: "correct horse"}, session("root", ""), ""},
		"wrong password":                    {account.Credentials{Login: "dewi", Password: "wrong"}, account.Session{}, fault.InvalidCredentials},
		"no such account":                   {account.Credentials{Login: "nobody", Password: "correct horse"}, account.Session{}, fault.InvalidCredentials},
		"no such address":                   {account.Credentials{Login: "nobody@example.com", Password: "correct horse"}, account.Session{}, fault.InvalidCredentials},
		"impossible name":                   {account.Credentials{Login: "de\u2028wi", Password: "correct horse"}, account.Session{}, fault.InvalidCredentials},
		"impossible password":               {account.Credentials{Login: "dewi", Password: strings.Repeat("a", 257)}, account.Session{}, fault.InvalidCredentials},
		"not confirmed":                     {account.Credentials{Login: "joko", Password: "correct horse"}, account.Session{}, fault.UserNotConfirmed},
		"new password is due":               {account.Credentials{Login: "budi", Password: "correct horse"}, account.Session{}, fault.NewPasswordRequired},
		"new password by e-mail":            {account.Credentials{Login: "BUDI@example.com", Password: "correct horse", NewPassword: new("battery staple")}, session("budi", "t"), ""},
		"new password is not due":           {account.Credentials{Login: "dewi", Password: "correct horse", NewPassword: new("battery staple")}, account.Session{}, fault.Invalid},
		"account made for somebody":         {account.Credentials{Login: "made", Password: "correct horse"}, account.Session{}, fault.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			u := people()
			told := new(records)
			got, err := account.NewDesk(accounts(), u, tenants{}, onboarder{u}, told).SignIn(t.Context(), "R1", test.credentials)
			if kind := fault.KindOf(err); kind != test.kind {
				t.Fatalf("got %v, want the kind %q", err, test.kind)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
			if got, want := len(*told), map[bool]int{true: 1}[err == nil]; got != want {
				t.Errorf("the audit was told of %d sign-ins, want %d", got, want)
			}
		})
	}
}

func TestSignInMakesPlatformAdmin(t *testing.T) {
	u := users{}
	desk := account.NewDesk(accounts(), u, tenants{}, onboarder{u}, new(records))
	for range 2 {
		if _, err := desk.SignIn(t.Context(), "R1", account.Credentials{Login: "root", Password: "correct horse"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := u["id of root"]; got.Role != identity.PlatformAdmin || got.Email != "root@example.com" {
		t.Errorf("got %+v, want a platform admin", got)
	}
}

// Once there is a row, the group has no say.
func TestSignInKeepsRole(t *testing.T) {
	u := users{"id of root": {ID: "id of root", Username: "root", Role: identity.Agent, TenantID: "t"}}
	desk := account.NewDesk(accounts(), u, tenants{}, onboarder{u}, new(records))
	if _, err := desk.SignIn(t.Context(), "R1", account.Credentials{Login: "root", Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	if got := u["id of root"].Role; got != identity.Agent {
		t.Errorf("got the role %q, want %q", got, identity.Agent)
	}
}

func TestSignInOfTheSecondWithAnAddress(t *testing.T) {
	d, u := accounts(), people()
	d.entries["dewi"].Email = "twin@example.com"
	_, err := account.NewDesk(d, u, tenants{}, onboarder{u}, new(records)).SignIn(t.Context(), "R1", account.Credentials{Login: "dewi", Password: "correct horse"})
	if !errors.Is(err, fault.EmailTaken) {
		t.Errorf("got %v, want %v", err, fault.EmailTaken)
	}
}

func TestSignInOfDisabledUser(t *testing.T) {
	for password, want := range map[string]fault.Kind{"correct horse": fault.UserDisabled, "wrong": fault.InvalidCredentials} {
		u := users{"id of dewi": {ID: "id of dewi", Disabled: true}}
		_, err := account.NewDesk(accounts(), u, tenants{}, onboarder{u}, new(records)).SignIn(t.Context(), "R1", account.Credentials{Login: "dewi", Password: password})
		if !errors.Is(err, want) {
			t.Errorf("password %q: got %v, want %v", password, err, want)
		}
	}
}

// Whoever signs in again in the second of the logout gets tokens that are good.
func TestSignInAfterLogout(t *testing.T) {
	for name, sinceLogout := range map[string]time.Duration{
		"at once":         0,
		"in that second":  400 * time.Millisecond,
		"when it is over": time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(300 * time.Millisecond)
				d, u := accounts(), users{"id of dewi": {ID: "id of dewi", Username: "dewi"}}
				if err := account.NewExit(d, u).Logout(t.Context(), identity.Caller{Subject: "id of dewi"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(sinceLogout)
				if _, err := account.NewDesk(d, u, tenants{}, onboarder{u}, new(records)).SignIn(t.Context(), "R1", account.Credentials{Login: "dewi", Password: "correct horse"}); err != nil {
					t.Fatal(err)
				}
				if now := time.Now(); u["id of dewi"].Ended(now.Truncate(time.Second)) {
					t.Errorf("the last of %d sign-ins, at %v, is of the second of the logout", d.signIns, now)
				}
			})
		})
	}
}

func TestSignInWhenClocksDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := users{"id of dewi": {ID: "id of dewi", SessionsEndedAt: time.Now().Add(time.Hour)}}
		_, err := account.NewDesk(accounts(), u, tenants{}, onboarder{u}, new(records)).SignIn(t.Context(), "R1", account.Credentials{Login: "dewi", Password: "correct horse"})
		if err == nil || fault.KindOf(err) != "" {
			t.Errorf("got %v, want an error that is not the caller's", err)
		}
	})
}

// Members can sign in whatever their tenant's status, until it is being deleted.
func TestSignInOfMember(t *testing.T) {
	for _, status := range tenant.Statuses() {
		locked := status == tenant.Deleting || status == tenant.Purging || status == tenant.Deleted
		t.Run(string(status), func(t *testing.T) {
			u := users{"id of dewi": {ID: "id of dewi", Role: identity.Owner, TenantID: identity.TenantID(status)}}
			told := new(records)
			_, err := account.NewDesk(accounts(), u, tenants{}, onboarder{u}, told).SignIn(t.Context(), "R1", account.Credentials{Login: "dewi", Password: "correct horse"})
			if locked != errors.Is(err, fault.TenantDeleting) || !locked && err != nil {
				t.Errorf("got %v, want locked %v", err, locked)
			}
			if got, want := len(*told), map[bool]int{false: 1}[locked]; got != want {
				t.Errorf("the audit was told of %d sign-ins, want %d", got, want)
			}
		})
	}
}

func TestCredentialsFaults(t *testing.T) {
	for name, test := range map[string]struct {
		credentials account.Credentials
		want        int
	}{
		"good":            {account.Credentials{Login: "dewi", Password: "x"}, 0},
		"nothing":         {account.Credentials{}, 2},
		"weak":            {account.Credentials{Login: "dewi", Password: "x", NewPassword: new("short")}, 1},
		"no new password": {account.Credentials{Login: "dewi", Password: "x", NewPassword: new("")}, 1},
		"the mailed one":  {account.Credentials{Login: "dewi", Password: "battery staple", NewPassword: new("battery staple")}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.credentials.Faults(); len(got) != test.want {
				t.Errorf("got %v, want %d faults", got, test.want)
			}
		})
	}
}

func TestRefresh(t *testing.T) {
	const good = "ZGV3aQ.refresh.of.dewi"
	now := time.Now()
	for name, test := range map[string]struct {
		token string
		user  user.User
		kind  fault.Kind
	}{
		"good":                 {good, user.User{ID: "id of dewi", Role: identity.Agent, TenantID: "t"}, ""},
		"of another account":   {"bGludXM.refresh.of.dewi", user.User{ID: "id of dewi"}, fault.TokenInvalid},
		"without a user name":  {"refresh.of.dewi", user.User{ID: "id of dewi"}, fault.TokenInvalid},
		"only the user name":   {"ZGV3aQ.", user.User{ID: "id of dewi"}, fault.TokenInvalid},
		"nonsense":             {"nonsense", user.User{ID: "id of dewi"}, fault.TokenInvalid},
		"of nobody any more":   {good, user.User{ID: "another"}, fault.TokenInvalid},
		"of a disabled user":   {good, user.User{ID: "id of dewi", Disabled: true}, fault.UserDisabled},
		"of a locked tenant":   {good, user.User{ID: "id of dewi", Role: identity.Agent, TenantID: "deleting"}, fault.TenantDeleting},
		"from before a logout": {good, user.User{ID: "id of dewi", SessionsEndedAt: now.Add(time.Minute)}, fault.TokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := account.NewSessions(accounts(), users{test.user.ID: test.user}, tenants{}).Refresh(t.Context(), test.token)
			if kind := fault.KindOf(err); kind != test.kind {
				t.Fatalf("got %v, want the kind %q", err, test.kind)
			}
			if err == nil && (got.RefreshToken != good || got.TenantID != "t") {
				t.Errorf("got %+v, want the same refresh token and the tenant", got)
			}
		})
	}
}

func TestLogout(t *testing.T) {
	d, u := accounts(), users{"id of dewi": {ID: "id of dewi", Username: "dewi"}}
	exit := account.NewExit(d, u)
	if err := exit.Logout(t.Context(), identity.Caller{Subject: "id of dewi"}); err != nil {
		t.Fatal(err)
	}
	if !u["id of dewi"].Ended(time.Now().Truncate(time.Second).Add(-time.Second)) {
		t.Error("the session of a second ago goes on")
	}
	if diff := cmp.Diff([]string{"dewi"}, d.signedOut); diff != "" {
		t.Errorf("signed out (-want +got):\n%s", diff)
	}
	if err := exit.Logout(t.Context(), identity.Caller{Subject: "nobody"}); !errors.Is(err, fault.TokenInvalid) {
		t.Errorf("got %v, want %v", err, fault.TokenInvalid)
	}
}
