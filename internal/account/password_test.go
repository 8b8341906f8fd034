package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/user"
)

// steady fails the test unless f takes what everything takes that may tell of an
// account.
func steady(t *testing.T, want time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took != want {
		t.Errorf("it took %v, want %v", took, want)
	}
}

// Whether there is an account, and how it is, shows neither in the answer nor in
// the time.
func TestForgot(t *testing.T) {
	for login, mailed := range map[string]bool{
		"linus": true, "BUDI@example.com": false, "kris@example.com": false,
		"nobody": false, "nobody@example.com": false, "joko": false, "budi": false, "disabled": true,
	} {
		for _, span := range []struct{ takes, want time.Duration }{
			{0, 1500 * time.Millisecond}, {700 * time.Millisecond, 1500 * time.Millisecond}, {2 * time.Second, 3 * time.Second},
		} {
			t.Run(fmt.Sprint(login, " after ", span.takes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d, u := accounts(), people()
					d.takes = span.takes
					d.entries["disabled"] = &entry{Account: account.Account{ID: "id of disabled", Username: "disabled", Confirmed: true}}
					u["id of disabled"] = user.User{ID: "id of disabled", Disabled: true}
					steady(t, span.want, func() {
						if err := account.NewRecovery(d, u, new(records)).Forgot(t.Context(), login); err != nil {
							t.Error(err)
						}
					})
					if got := len(d.codes) == 1; got != mailed {
						t.Errorf("codes were mailed to %v, want one %v", d.codes, mailed)
					}
				})
			})
		}
	}
}

func TestForgotWhenTheDirectoryIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steady(t, 1500*time.Millisecond, func() {
			if err := account.NewRecovery(accounts(), people(), new(records)).Forgot(t.Context(), "broken"); !errors.Is(err, errDown) {
				t.Errorf("got %v, want %v", err, errDown)
			}
		})
	})
}

func TestReset(t *testing.T) {
	for name, test := range map[string]struct {
		login, code string
		trigger     error
		kind        fault.Kind
		id          identity.UserID // whose password is reset
		stream      identity.TenantID
	}{
		"by name":                    {"linus", "123456", nil, "", "id of linus", ""},
		"by address":                 {"ADA@example.com", "123456", nil, "", "id of ada", "t"},
		"though a trigger failed":    {"ada", "123456", account.ErrTriggerFailed, "", "id of ada", "t"},
		"account that is not a user": {"dewi", "123456", nil, "", "id of dewi", ""},
		"wrong code":                 {"ada", "654321", nil, fault.Invalid, "", ""},
		"nobody":                     {"nobody", "123456", nil, fault.Invalid, "", ""},
		"nobody's address":           {"nobody@example.com", "123456", nil, fault.Invalid, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, told := accounts(), new(records)
				d.entries["ada"] = &entry{Account: account.Account{ID: "id of ada", Username: "ada", Confirmed: true}}
				u := users{
					"id of ada":   {ID: "id of ada", Username: "ada", Email: "ada@example.com", TenantID: "t"},
					"id of linus": {ID: "id of linus", Username: "linus"},
				}
				d.aftermath = account.NewAftermath(endings{u, told, nil}, told)
				d.codes, d.postConfirmation, d.takes = []string{"linus", "ada", "dewi"}, test.trigger, 300*time.Millisecond
				ended := time.Now().Add(d.takes)
				steady(t, 1500*time.Millisecond, func() {
					err := account.NewRecovery(d, endings{u, told, nil}, told).Reset(t.Context(), "R1", account.PasswordReset{Login: test.login, Code: test.code, NewPassword: "battery staple"})
					if fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") {
						t.Errorf("got %v, want the kind %q", err, test.kind)
					}
				})
				for _, e := range d.entries {
					if got := e.password == "battery staple"; got != (e.ID == test.id) {
						t.Errorf("the password of %s is reset: %v", e.Username, got)
					}
				}
				for id, person := range u {
					if got := person.SessionsEndedAt.Equal(ended); got != (id == test.id) {
						t.Errorf("the sessions of %s were ended at %v", person.Username, person.SessionsEndedAt)
					}
				}
				checkTold(t, *told, audit.UserPasswordReset, test.id, test.stream)
			})
		})
	}
}

// checkTold sees to it that the audit was told of what happened to a user, or of
// nothing where there is none.
func checkTold(t *testing.T, told records, action audit.Action, id identity.UserID, stream identity.TenantID) {
	t.Helper()
	var want records
	if id != "" {
		want = records{audit.By(identity.Caller{Subject: id, RequestID: "R1"}).Did(action, stream, user.Target(id))}
	}
	for _, list := range []records{want, told} {
		for i := range list {
			list[i].ID, list[i].Time = "", time.Time{}
		}
	}
	if diff := cmp.Diff(want, told, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the audit was told (-want +got):\n%s", diff)
	}
}

func TestChange(t *testing.T) {
	for name, test := range map[string]struct {
		token, old string
		id         identity.UserID // of the caller
		kind       fault.Kind
		stream     identity.TenantID
	}{
		"good":                       {"access of dewi", "correct horse", "id of dewi", "", "t"},
		"account that is not a user": {"access of linus", "correct horse", "id of linus", "", ""},
		"wrong password":             {"access of dewi", "wrong", "id of dewi", fault.Invalid, ""},
		"withdrawn token":            {"access of nobody", "correct horse", "id of dewi", fault.TokenInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told, u, marks := new(records), users{"id of dewi": {ID: "id of dewi", TenantID: "t"}}, map[identity.UserID]user.ChangeMark{}
				caller := identity.Caller{Subject: test.id, RequestID: "R1"}
				err := account.NewRenewal(accounts(), endings{u, told, marks}, told).Change(t.Context(), caller, test.token, account.PasswordChange{Old: test.old, New: "battery staple"})
				if fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") {
					t.Fatalf("got %v, want the kind %q", err, test.kind)
				}
				if len(marks) != 0 {
					t.Errorf("the marks %v are left", marks)
				}
				if got := u["id of dewi"].SessionsEndedAt.Equal(time.Now()); got != (err == nil && test.id == "id of dewi") {
					t.Errorf("the sessions were ended at %v", u["id of dewi"].SessionsEndedAt)
				}
				if err != nil {
					test.id = ""
				}
				checkTold(t, *told, audit.UserPasswordChanged, test.id, test.stream)
			})
		})
	}
}

// A change whose answer is lost leaves the mark that ends the sessions: the password
// may be another.
func TestChangeWithoutAnswer(t *testing.T) {
	told, u, marks := new(records), users{"id of dewi": {ID: "id of dewi", TenantID: "t"}}, map[identity.UserID]user.ChangeMark{}
	d := accounts()
	caller, change := identity.Caller{Subject: "id of dewi"}, account.PasswordChange{Old: "correct horse", New: "battery staple"}
	err := account.NewRenewal(speechless{d, marks}, endings{u, told, marks}, told).Change(t.Context(), caller, "access of dewi", change)
	if !errors.Is(err, errDown) || d.entries["dewi"].password != "battery staple" || len(marks) != 1 {
		t.Errorf("got %v, the password %s and the marks %v", err, d.entries["dewi"].password, marks)
	}
}

// speechless is a directory that changes passwords of marked users, and dies before
// it says so.
type speechless struct {
	*directory
	marks map[identity.UserID]user.ChangeMark
}

func (s speechless) ChangePassword(ctx context.Context, accessToken, oldPassword, newPassword string) error {
	if len(s.marks) != 1 {
		return errors.New("nobody is marked")
	}
	return errors.Join(errDown, s.directory.ChangePassword(ctx, accessToken, oldPassword, newPassword))
}

func TestPasswordFaults(t *testing.T) {
	for name, test := range map[string]struct {
		faults fault.Fields
		want   []string
	}{
		"good reset":      {account.PasswordReset{Login: "dewi@example.com", Code: "123456", NewPassword: "battery staple"}.Faults(), nil},
		"empty reset":     {account.PasswordReset{}.Faults(), []string{"#/username", "#/code", "#/new_password"}},
		"impossible name": {account.PasswordReset{Login: "de wi", Code: "12 34", NewPassword: "short"}.Faults(), []string{"#/username", "#/code", "#/new_password"}},
		"good change":     {account.PasswordChange{Old: "x", New: "battery staple"}.Faults(), nil},
		"empty change":    {account.PasswordChange{}.Faults(), []string{"#/old_password", "#/new_password"}},
		"impossible":      {account.PasswordChange{Old: strings.Repeat("a", 257), New: "battery staple"}.Faults(), []string{"#/old_password"}},
		"the same":        {account.PasswordChange{Old: "correct horse", New: "correct horse"}.Faults(), []string{"#/new_password"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range test.faults {
				got = append(got, f.Pointer)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
