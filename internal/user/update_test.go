package user_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

func role(r identity.Role) user.Patch { return user.Patch{Role: patch.Of(r)} }

var disable = user.Patch{Disabled: patch.Of(true)}

// Who may do what to whom.
func TestUpdateAdmits(t *testing.T) {
	for name, test := range map[string]struct {
		by, of identity.UserID
		patch  user.Patch
		kind   fault.Kind
	}{
		"owner makes an owner":               {"owner", "agent", role(identity.Owner), ""},
		"owner demotes an owner":             {"owner", "second", role(identity.Agent), ""},
		"owner demotes themselves":           {"owner", "owner", role(identity.Agent), ""},
		"owner disables themselves":          {"owner", "owner", disable, fault.Forbidden},
		"owner renames themselves":           {"owner", "owner", user.Patch{FullName: patch.Of("New")}, ""},
		"admin makes an admin":               {"admin", "agent", role(identity.Admin), ""},
		"admin makes an owner":               {"admin", "agent", role(identity.Owner), fault.Forbidden},
		"admin makes themselves an owner":    {"admin", "admin", role(identity.Owner), fault.Forbidden},
		"admin renames an owner":             {"admin", "owner", user.Patch{FullName: patch.Of("New")}, fault.Forbidden},
		"admin disables a supervisor":        {"admin", "supervisor", disable, ""},
		"stranger renames an agent":          {"stranger", "agent", user.Patch{FullName: patch.Of("New")}, fault.NotFound},
		"owner renames a platform admin":     {"owner", "root", user.Patch{FullName: patch.Of("New")}, fault.NotFound},
		"owner renames nobody":               {"owner", "nobody", user.Patch{FullName: patch.Of("New")}, fault.NotFound},
		"owner makes a platform admin":       {"owner", "agent", role(identity.PlatformAdmin), fault.Invalid},
		"owner makes a developer":            {"owner", "agent", role(identity.Developer), fault.Invalid},
		"platform admin makes an owner":      {"root", "agent", role(identity.Owner), ""},
		"platform admin demotes another":     {"root", "root2", role(identity.Developer), ""},
		"platform admin disables another":    {"root", "root2", disable, ""},
		"platform admin makes an owner of A": {"root", "root2", role(identity.Owner), fault.Invalid},
		"platform admin demotes themselves":  {"root", "root", role(identity.Developer), fault.Forbidden},
		"platform admin disables themselves": {"root", "root", disable, fault.Forbidden},
		"platform admin renames themselves":  {"root", "root", user.Patch{FullName: patch.Of("New")}, ""},
		"platform admin disables developer":  {"root", "linus", disable, ""},
		"platform admin promotes developer":  {"root", "linus", role(identity.PlatformAdmin), fault.Invalid},
		"empty name":                         {"owner", "agent", user.Patch{FullName: patch.Of(" ")}, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			before := w.users[test.of]
			got, err := user.NewEditor(w, tenantsOf{w}).Update(t.Context(), w.as(test.by), test.of, nil, test.patch, nil)
			if fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") {
				t.Fatalf("got %v, want the kind %q", err, test.kind)
			}
			if err != nil {
				if w.users[test.of] != before || w.told != nil {
					t.Errorf("the user became %+v, and the audit was told of %v", w.users[test.of], w.told)
				}
				return
			}
			if got != w.users[test.of] || got.Version != before.Version+1 || !slices.Contains(w.told, audit.UserUpdated) {
				t.Errorf("got %+v, and the audit was told of %v", got, w.told)
			}
		})
	}
}

// What was taken from somebody, they do not take back by a token of before.
func TestUpdateOfThemselves(t *testing.T) {
	for _, id := range []identity.UserID{"owner", "admin", "root"} {
		w := newWorld()
		by := w.as(id)
		for name, taken := range map[string]func(*user.User){
			"disabled": func(u *user.User) { u.Disabled = true },
			"demoted":  func(u *user.User) { u.Role = identity.Developer },
		} {
			u := w.users[id]
			taken(&u)
			now := newWorld()
			now.users[id] = u
			p := user.Patch{Disabled: patch.Of(false), Role: patch.Of(by.Role)}
			if _, err := user.NewEditor(now, tenantsOf{now}).Update(t.Context(), by, id, nil, p, nil); !errors.Is(err, fault.Forbidden) {
				t.Errorf("%s, %s: got %v, want %v", id, name, err, fault.Forbidden)
			}
			if now.users[id] != u {
				t.Errorf("%s, %s: the user became %+v", id, name, now.users[id])
			}
		}
	}
}

func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		editor := user.NewEditor(w, tenantsOf{w})
		want := w.users["agent"]
		want.FullName, want.Role, want.Disabled, want.SessionsEndedAt, want.Version = "Dewi L", identity.Supervisor, true, time.Now().UTC(), 2
		p := user.Patch{FullName: patch.Of(" Dewi L "), Role: patch.Of(identity.Supervisor), Disabled: patch.Of(true)}
		got, err := editor.Update(t.Context(), w.as("owner"), "agent", []int64{1}, p, nil)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v, user (-want +got):\n%s", err, diff)
		}
		if _, err := editor.Update(t.Context(), w.as("owner"), "agent", []int64{1}, role(identity.Agent), nil); !errors.Is(err, fault.Stale) {
			t.Errorf("got %v, want %v", err, fault.Stale)
		}
		time.Sleep(time.Second)
		if got, err := editor.Update(t.Context(), w.as("owner"), "agent", nil, p, nil); err != nil || got != want {
			t.Errorf("what changes nothing gave %+v, %v", got, err)
		}
		if got, err := editor.Update(t.Context(), w.as("owner"), "agent", nil, user.Patch{Disabled: patch.Of(false)}, nil); err != nil || got.SessionsEndedAt != want.SessionsEndedAt {
			t.Errorf("an enabled user is %+v, %v", got, err)
		}
		f := fault.Fields{{Pointer: "#/role", Detail: "must be a string"}}
		_, err = editor.Update(t.Context(), w.as("owner"), "agent", nil, user.Patch{FullName: patch.Of("")}, f)
		if e, ok := errors.AsType[*fault.Error](err); !ok || len(e.Fields) != 2 {
			t.Errorf("got %v, want both faults", err)
		}
	})
}

// What changes in between is taken into account.
func TestUpdateMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		happens func(w *world)
		by, of  identity.UserID
		patch   user.Patch
		kind    fault.Kind
	}{
		"another change": {func(w *world) {
			u := w.users["agent"]
			u.Version, u.FullName = 2, "New"
			w.users["agent"] = u
		}, "owner", "agent", role(identity.Supervisor), ""},
		"suspension": {func(w *world) {
			w.tenants[acme] = tenant.Tenant{ID: acme, Status: tenant.Suspended, Version: 2}
		}, "owner", "agent", role(identity.Supervisor), fault.TenantSuspended},
		"the other owner goes": {func(w *world) { delete(w.users, "second") }, "owner", "owner", role(identity.Agent), fault.LastOwner},
		"a member who calls is demoted": {func(w *world) {
			u := w.users["admin"]
			u.Role, u.Version = identity.Agent, 2
			w.users["admin"] = u
		}, "admin", "agent", role(identity.Admin), fault.Forbidden},
		"a member who calls is disabled": {func(w *world) {
			u := w.users["owner"]
			u.Disabled, u.Version = true, 2
			w.users["owner"] = u
		}, "owner", "agent", role(identity.Owner), fault.Forbidden},
		"the caller is demoted": {func(w *world) {
			w.users["root"] = user.User{ID: "root", Role: identity.Developer, Version: 2}
		}, "root", "root2", disable, fault.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				by := w.as(test.by)
				w.before = func() { test.happens(w) }
				got, err := user.NewEditor(w, tenantsOf{w}).Update(t.Context(), by, test.of, nil, test.patch, nil)
				if fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") {
					t.Fatalf("got %v, want the kind %q", err, test.kind)
				}
				if err == nil && (got.FullName != "New" || got.Role != identity.Supervisor || got.Version != 3) {
					t.Errorf("got %+v, want both changes", got)
				}
			})
		})
	}
}

// The tenant's owner is always one who is not disabled.
func TestSuccession(t *testing.T) {
	update := func(id identity.UserID, p user.Patch) func(*testing.T, *world) error {
		return func(t *testing.T, w *world) error {
			_, err := user.NewEditor(w, tenantsOf{w}).Update(t.Context(), platformAdmin, id, nil, p, nil)
			return err
		}
	}
	remove := func(id identity.UserID) func(*testing.T, *world) error {
		return func(t *testing.T, w *world) error {
			return user.NewRemover(w, tenantsOf{w}, w, w).Remove(t.Context(), platformAdmin, id, nil)
		}
	}
	alone := func(w *world) { delete(w.users, "second") }
	ownerless := func(w *world) {
		delete(w.users, "second")
		delete(w.users, "owner")
		w.tenants[acme] = tenant.Tenant{ID: acme, Status: tenant.Active, Version: 1}
	}
	for name, test := range map[string]struct {
		before func(*world)
		do     func(*testing.T, *world) error
		want   identity.UserID
		kind   fault.Kind
	}{
		"demoted":               {nil, update("owner", role(identity.Admin)), "second", ""},
		"disabled":              {nil, update("owner", disable), "second", ""},
		"removed":               {nil, remove("owner"), "second", ""},
		"another demoted":       {nil, update("second", role(identity.Admin)), "owner", ""},
		"another removed":       {nil, remove("second"), "owner", ""},
		"the last demoted":      {alone, update("owner", role(identity.Admin)), "owner", fault.LastOwner},
		"the last disabled":     {alone, update("owner", disable), "owner", fault.LastOwner},
		"the last removed":      {alone, remove("owner"), "owner", fault.LastOwner},
		"the last renamed":      {alone, update("owner", user.Patch{FullName: patch.Of("New")}), "owner", ""},
		"the first":             {ownerless, update("agent", role(identity.Owner)), "agent", ""},
		"no owner, none to be":  {ownerless, remove("agent"), "", ""},
		"no owner, agent moves": {ownerless, update("agent", role(identity.Admin)), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if test.before != nil {
				test.before(w)
			}
			before := w.tenants[acme]
			if err := test.do(t, w); fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") {
				t.Fatalf("got %v, want the kind %q", err, test.kind)
			}
			after := w.tenants[acme]
			if after.OwnerID == nil && test.want != "" || after.OwnerID != nil && *after.OwnerID != test.want {
				t.Errorf("the tenant's owner is %v, want %q", after.OwnerID, test.want)
			}
			moved := !cmp.Equal(before.OwnerID, after.OwnerID)
			if (after.Version > before.Version) != moved || slices.Contains(w.told, audit.TenantUpdated) != moved {
				t.Errorf("the tenant has version %d, and the audit was told of %v", after.Version, w.told)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	for name, test := range map[string]struct {
		by, of   identity.UserID
		versions []int64
		fails    error
		kind     fault.Kind
	}{
		"owner an agent":                    {"owner", "agent", []int64{1}, nil, ""},
		"admin an owner":                    {"admin", "owner", nil, nil, fault.Forbidden},
		"owner themselves":                  {"owner", "owner", nil, nil, fault.Forbidden},
		"platform admin themselves":         {"root", "root", nil, nil, fault.Forbidden},
		"platform admin another":            {"root", "root2", nil, nil, ""},
		"stranger an agent":                 {"stranger", "agent", nil, nil, fault.NotFound},
		"of another version":                {"owner", "agent", []int64{2}, nil, fault.Stale},
		"while accounts cannot be removed":  {"owner", "agent", nil, errDown, ""},
		"platform admin a developer's":      {"root", "linus", nil, nil, ""},
		"owner a developer, who is unknown": {"owner", "linus", nil, nil, fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.fails = test.fails
			err := user.NewRemover(w, tenantsOf{w}, w, w).Remove(t.Context(), w.as(test.by), test.of, test.versions)
			if fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") {
				t.Fatalf("got %v, want the kind %q", err, test.kind)
			}
			_, there := w.users[test.of]
			_, account := w.accounts["name of "+string(test.of)]
			if there != (err != nil) || account != (err != nil || test.fails != nil) || (len(w.noted) == 1) != (test.fails != nil) {
				t.Errorf("the user is there: %v, the account: %v, noted: %v", there, account, w.noted)
			}
		})
	}
}

func TestReset(t *testing.T) {
	for name, test := range map[string]struct {
		by, of  identity.UserID
		status  tenant.Status
		fails   error
		happens func(*world)
		invited bool
		kind    fault.Kind
	}{
		"of an invited user":           {"owner", "agent", tenant.Active, nil, nil, true, ""},
		"of another":                   {"owner", "admin", tenant.Active, nil, nil, false, ""},
		"of oneself":                   {"admin", "admin", tenant.Active, nil, nil, false, ""},
		"of one above":                 {"admin", "owner", tenant.Active, nil, nil, false, fault.Forbidden},
		"of a stranger":                {"stranger", "agent", tenant.Active, nil, nil, false, fault.NotFound},
		"in a suspended tenant":        {"owner", "agent", tenant.Suspended, nil, nil, false, fault.TenantSuspended},
		"where no mail can be sent":    {"owner", "admin", tenant.Active, fault.New(fault.Conflict, "no address"), nil, false, fault.Conflict},
		"of one who changes meanwhile": {"owner", "admin", tenant.Active, nil, func(w *world) { w.users["admin"] = user.User{ID: "admin", TenantID: acme, Version: 5} }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.fails, w.tenants[acme] = test.fails, tenant.Tenant{ID: acme, Status: test.status}
				if test.happens != nil {
					w.before = func() { test.happens(w) }
				}
				receipt := func(invited bool) (*idempotency.Record, error) {
					return &idempotency.Record{Status: map[bool]int{true: 1}[invited]}, nil
				}
				invited, err := user.NewResetter(w, tenantsOf{w}, w).Reset(t.Context(), w.as(test.by), test.of, receipt)
				if fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") || invited != test.invited {
					t.Fatalf("got %v, %v, want %v and the kind %q", invited, err, test.invited, test.kind)
				}
				ended := !w.users[test.of].SessionsEndedAt.IsZero()
				if want := err == nil; ended != want || slices.Equal(w.told, []audit.Action{audit.UserPasswordReset}) != want || (len(w.mails) == 1) != want {
					t.Errorf("the sessions are ended: %v, the audit was told of %v, mails went to %v", ended, w.told, w.mails)
				}
			})
		})
	}
	w := newWorld()
	w.recorded = true
	none := func(bool) (*idempotency.Record, error) { return nil, nil }
	if _, err := user.NewResetter(w, tenantsOf{w}, w).Reset(t.Context(), w.as("owner"), "agent", none); !errors.Is(err, idempotency.ErrRecorded) {
		t.Errorf("got %v, want %v", err, idempotency.ErrRecorded)
	}
}

func TestFind(t *testing.T) {
	for name, test := range map[string]struct {
		by, of identity.UserID
		status tenant.Status
		kind   fault.Kind
	}{
		"own":                              {"admin", "owner", tenant.Suspended, ""},
		"stranger's":                       {"stranger", "owner", tenant.Active, fault.NotFound},
		"of a deleting tenant":             {"owner", "agent", tenant.Deleting, fault.TenantDeleting},
		"of a deleting tenant, admin":      {"root", "agent", tenant.Deleting, ""},
		"platform admin's":                 {"owner", "root", tenant.Active, fault.NotFound},
		"platform admin's, platform admin": {"root", "root2", tenant.Active, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.tenants[acme] = tenant.Tenant{ID: acme, Status: test.status}
			got, err := user.Find(t.Context(), w, tenantsOf{w}, w.as(test.by), test.of)
			if fault.KindOf(err) != test.kind || err == nil && got != w.users[test.of] {
				t.Errorf("got %+v, %v, want the kind %q", got, err, test.kind)
			}
		})
	}
}
