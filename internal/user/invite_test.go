package user_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

func noReceipt(user.User) (*idempotency.Record, error) { return nil, nil }

func newDraft() user.Draft {
	return user.Draft{Email: "budi@example.com", FullName: " Budi ", Role: identity.Agent}
}

// clean fails the test if anything of an invitation is left.
func (w *world) clean(t *testing.T) {
	t.Helper()
	if len(w.held) != 0 || slices.Contains(slices.Collect(maps.Values(w.accounts)), "budi@example.com") {
		t.Errorf("what is left is held: %v, and the accounts %v", w.held, w.accounts)
	}
}

func TestInvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		got, err := user.NewInviter(w, tenantsOf{w}, w).Invite(t.Context(), w.as("owner"), "i", newDraft(), noReceipt)
		want := user.User{
			ID: "sub of i", Username: "i", Email: "budi@example.com", FullName: "Budi", Role: identity.Agent, TenantID: acme,
			CreatedAt: time.Now().UTC(), Version: 1,
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil || w.users["sub of i"] != want {
			t.Errorf("%v, user (-want +got):\n%s", err, diff)
		}
		if !slices.Equal(w.told, []audit.Action{audit.UserInvited}) || !slices.Equal(w.mails, []string{"budi@example.com"}) || len(w.held) != 0 {
			t.Errorf("the audit was told of %v, mails went to %v, held is %v", w.told, w.mails, w.held)
		}
		if got := w.tenants[acme]; *got.OwnerID != "owner" {
			t.Errorf("the tenant's owner is %s", *got.OwnerID)
		}
	})
}

func TestInviteFirstOwner(t *testing.T) {
	w := newWorld()
	d := newDraft()
	d.TenantID, d.Role = other, identity.Owner
	if _, err := user.NewInviter(w, tenantsOf{w}, w).Invite(t.Context(), platformAdmin, "i", d, noReceipt); err != nil {
		t.Fatal(err)
	}
	if got := w.tenants[other]; got.OwnerID == nil || *got.OwnerID != "sub of i" || !slices.Equal(w.told, []audit.Action{audit.UserInvited, audit.TenantUpdated}) {
		t.Errorf("the tenant is %+v, and the audit was told of %v", got, w.told)
	}
}

// What is refused leaves nothing behind.
func TestInviteRefused(t *testing.T) {
	set := func(edit func(*user.Draft)) user.Draft {
		d := newDraft()
		edit(&d)
		return d
	}
	status := func(s tenant.Status) func(*world) {
		return func(w *world) { w.tenants[acme] = tenant.Tenant{ID: acme, Status: s, Version: 2} }
	}
	for name, test := range map[string]struct {
		by        identity.UserID
		draft     user.Draft
		before    func(*world)
		meanwhile func(*world)
		kind      fault.Kind
	}{
		"nothing valid":             {"owner", user.Draft{}, nil, nil, fault.Invalid},
		"a role of the platform":    {"owner", set(func(d *user.Draft) { d.Role = identity.PlatformAdmin }), nil, nil, fault.Invalid},
		"a role above":              {"admin", set(func(d *user.Draft) { d.Role = identity.Owner }), nil, nil, fault.Forbidden},
		"another tenant":            {"owner", set(func(d *user.Draft) { d.TenantID = other }), nil, nil, fault.NotFound},
		"no tenant":                 {"root", set(func(d *user.Draft) { d.TenantID = "none" }), nil, nil, fault.NotFound},
		"an address that is taken":  {"owner", set(func(d *user.Draft) { d.Email = "stranger@example.com" }), nil, nil, fault.EmailTaken},
		"suspended":                 {"owner", newDraft(), status(tenant.Suspended), nil, fault.TenantSuspended},
		"inactive":                  {"owner", newDraft(), status(tenant.Inactive), nil, fault.TenantInactive},
		"failed":                    {"owner", newDraft(), status(tenant.Failed), nil, fault.Conflict},
		"provisioning":              {"owner", newDraft(), status(tenant.Provisioning), nil, fault.OperationRunning},
		"deleting":                  {"owner", newDraft(), status(tenant.Deleting), nil, fault.TenantDeleting},
		"deleting, platform admin":  {"root", set(func(d *user.Draft) { d.TenantID = acme }), status(tenant.Deleting), nil, fault.TenantDeleting},
		"suspended, platform admin": {"root", set(func(d *user.Draft) { d.TenantID = acme }), status(tenant.Suspended), nil, ""},
		"suspended meanwhile":       {"owner", newDraft(), nil, status(tenant.Suspended), fault.TenantSuspended},
		"deleting meanwhile":        {"owner", newDraft(), nil, status(tenant.Deleting), fault.TenantDeleting},
		"demoted meanwhile": {"owner", newDraft(), nil, func(w *world) {
			u := w.users["owner"]
			u.Role, u.Version = identity.Agent, 2
			w.users["owner"] = u
		}, fault.Forbidden},
		"an address that the pool refuses":  {"owner", newDraft(), func(w *world) { w.fails = fault.Fields{{Pointer: "#/email"}}.Err() }, nil, fault.Invalid},
		"suspended meanwhile, platform adm": {"root", set(func(d *user.Draft) { d.TenantID = acme }), nil, status(tenant.Suspended), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				if test.before != nil {
					test.before(w)
				}
				if test.meanwhile != nil {
					w.before = func() { test.meanwhile(w) }
				}
				_, err := user.NewInviter(w, tenantsOf{w}, w).Invite(t.Context(), w.as(test.by), "i", test.draft, noReceipt)
				if fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") {
					t.Fatalf("got %v, want the kind %q", err, test.kind)
				}
				if err != nil {
					w.clean(t)
				}
			})
		})
	}
}

// A request that dies is gone on with by the next with its id, or undone.
func TestInviteThatDies(t *testing.T) {
	for name, dies := range map[string]func(*world){
		"before the account": func(w *world) { w.fails = errDown },
		"before the user":    func(w *world) { w.dies = errDown },
	} {
		start := func(t *testing.T) (*world, *user.Inviter) {
			t.Helper()
			w := newWorld()
			dies(w)
			inviter := user.NewInviter(w, tenantsOf{w}, w)
			if _, err := inviter.Invite(t.Context(), w.as("owner"), "i", newDraft(), noReceipt); !errors.Is(err, errDown) {
				t.Fatalf("got %v, want %v", err, errDown)
			}
			w.fails, w.dies = nil, nil
			return w, inviter
		}
		t.Run(name+", again", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, inviter := start(t)
				if _, err := inviter.Invite(t.Context(), w.as("owner"), "i", newDraft(), noReceipt); !errors.Is(err, fault.InProgress) {
					t.Errorf("at once: got %v, want %v", err, fault.InProgress)
				}
				if _, err := inviter.Invite(t.Context(), w.as("owner"), "j", newDraft(), noReceipt); !errors.Is(err, fault.EmailTaken) {
					t.Errorf("with another id: got %v, want %v", err, fault.EmailTaken)
				}
				time.Sleep(30 * time.Second)
				got, err := inviter.Invite(t.Context(), w.as("owner"), "i", newDraft(), noReceipt)
				if err != nil || got.ID != "sub of i" || len(w.mails) != 1 || len(w.held) != 0 {
					t.Errorf("got %+v, %v; mails went to %v, held is %v", got, err, w.mails, w.held)
				}
				time.Sleep(time.Hour)
				if err := inviter.Sweep(t.Context(), w); err != nil || w.accounts["i"] == "" || w.users["sub of i"].ID == "" {
					t.Errorf("a sweep later there are the accounts %v: %v", w.accounts, err)
				}
			})
		})
		t.Run(name+", swept", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, inviter := start(t)
				if err := inviter.Sweep(t.Context(), w); err != nil || len(w.held) != 1 {
					t.Errorf("a sweep at once left %v, %v", w.held, err)
				}
				time.Sleep(3 * time.Minute)
				if err := inviter.Sweep(t.Context(), w); err != nil {
					t.Error(err)
				}
				w.clean(t)
				if _, err := inviter.Invite(t.Context(), w.as("owner"), "j", newDraft(), noReceipt); err != nil {
					t.Errorf("when it is undone: %v", err)
				}
			})
		})
	}
}

// A sweep that is late touches nothing that goes on.
func TestSweepOfWhatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		i := user.Invitation{ID: "i", Email: "budi@example.com", HeldUntil: time.Now().Add(time.Second), DeadAt: time.Now()}
		w.held[i.Email], w.accounts["i"] = i, i.Email
		if err := user.NewInviter(w, tenantsOf{w}, w).Sweep(t.Context(), w); err != nil || w.held[i.Email] != i || w.accounts["i"] == "" {
			t.Errorf("held is %v, and the accounts are %v: %v", w.held, w.accounts, err)
		}
	})
}

// Who finds that another request did the work leaves it alone.
func TestInviteThatWasDone(t *testing.T) {
	w := newWorld()
	w.recorded = true
	if _, err := user.NewInviter(w, tenantsOf{w}, w).Invite(t.Context(), w.as("owner"), "i", newDraft(), noReceipt); !errors.Is(err, idempotency.ErrRecorded) {
		t.Errorf("got %v, want %v", err, idempotency.ErrRecorded)
	}
	if w.accounts["i"] == "" {
		t.Error("the account is gone")
	}
}

func TestDraftFaults(t *testing.T) {
	for name, test := range map[string]struct {
		draft user.Draft
		want  []string
	}{
		"good":          {newDraft(), nil},
		"empty":         {user.Draft{}, []string{"#/email", "#/full_name", "#/role"}},
		"long":          {user.Draft{Email: "budi@example.com", FullName: strings.Repeat("ö", 256), Role: identity.Owner}, []string{"#/full_name"}},
		"as long as is": {user.Draft{Email: "budi@example.com", FullName: strings.Repeat("ö", 255), Role: identity.Owner}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range test.draft.Faults() {
				got = append(got, f.Pointer)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
