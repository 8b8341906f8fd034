package account_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/user"
)

func draft(change func(*account.Draft)) account.Draft {
	d := account.Draft{
		Profile:  account.Profile{Username: "dewi", Email: "dewi@example.com", Role: account.Business},
		Password: "correct horse",
	}
	change(&d)
	return d
}

func unchanged(*account.Draft) {}

func TestDraftFaults(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*account.Draft)
		want   []string // the members that are at fault
	}{
		"good":                    {unchanged, nil},
		"developer":               {func(d *account.Draft) { d.Role = account.Developer }, nil},
		"every kind of character": {func(d *account.Draft) { d.Username = "0a.B-c_" }, nil},
		"username too short":      {func(d *account.Draft) { d.Username = "ab" }, []string{"#/username"}},
		"username too long":       {func(d *account.Draft) { d.Username = strings.Repeat("a", 51) }, []string{"#/username"}},
		"username like an e-mail": {func(d *account.Draft) { d.Username = "a@b.example" }, []string{"#/username"}},
		"username with a space":   {func(d *account.Draft) { d.Username = "de wi" }, []string{"#/username"}},
		"username like an id":     {func(d *account.Draft) { d.Username = "3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e" }, []string{"#/username"}},
		"e-mail with a name":      {func(d *account.Draft) { d.Email = "Dewi <dewi@example.com>" }, []string{"#/email"}},
		"role admin":              {func(d *account.Draft) { d.Role = "admin" }, []string{"#/role"}},
		"role of a user":          {func(d *account.Draft) { d.Role = "platform_admin" }, []string{"#/role"}},
		"organization of spaces":  {func(d *account.Draft) { d.OrganizationName = new("  ") }, []string{"#/organization_name"}},
		"organization too long":   {func(d *account.Draft) { d.OrganizationName = new(strings.Repeat("ö", 256)) }, []string{"#/organization_name"}},
		"longest organization":    {func(d *account.Draft) { d.OrganizationName = new(strings.Repeat("ö", 255)) }, nil},
		"password too short":      {func(d *account.Draft) { d.Password = "öööööö" + "1" }, []string{"#/password"}},
		"password too long":       {func(d *account.Draft) { d.Password = strings.Repeat("a", 73) }, []string{"#/password"}},
		"longest password":        {func(d *account.Draft) { d.Password = strings.Repeat("ö", 72) }, nil},
		"password after a space":  {func(d *account.Draft) { d.Password = " correct horse" }, []string{"#/password"}},
		"password in two lines":   {func(d *account.Draft) { d.Password = "correct\nhorse" }, []string{"#/password"}},
		"nothing": {
			func(d *account.Draft) { *d = account.Draft{} },
			[]string{"#/username", "#/email", "#/role", "#/password"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range draft(test.change).Faults() {
				got = append(got, f.Pointer)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSignUp(t *testing.T) {
	other := user.User{ID: "other", Username: "other", Email: "Dewi@example.com"}
	dewi := func(password, email string) *entry {
		return &entry{password: password, Account: account.Account{
			ID: "id of dewi", Username: "dewi", Email: email, Role: account.Business, Confirmed: true,
		}}
	}
	for name, test := range map[string]struct {
		directory *directory
		users     users
		draft     account.Draft
		confirmed bool
		want      fault.Kind
		onboarded bool
	}{
		"waits for the code":    {newDirectory(), users{}, draft(unchanged), false, "", false},
		"confirmed at once":     {&directory{entries: map[string]*entry{}, autoConfirm: true}, users{}, draft(unchanged), true, "", false},
		"breaks a rule":         {newDirectory(), users{}, draft(func(d *account.Draft) { d.Role = "admin" }), false, fault.Invalid, false},
		"user name is taken":    {newDirectory(dewi("another", "other@example.com")), users{}, draft(unchanged), false, fault.UsernameTaken, false},
		"e-mail is taken":       {newDirectory(), users{"other": other}, draft(unchanged), false, fault.EmailTaken, false},
		"second trigger failed": {&directory{entries: map[string]*entry{}, autoConfirm: true, postConfirmation: account.ErrTriggerFailed}, users{}, draft(unchanged), true, "", true},
		"first trigger failed":  {&directory{entries: map[string]*entry{}, preSignUp: account.ErrTriggerFailed}, users{}, draft(unchanged), false, "", false},
		"a trigger failed for another's account": {
			&directory{entries: map[string]*entry{"dewi": dewi("another", "dewi@example.com")}, preSignUp: account.ErrTriggerFailed},
			users{},
			draft(unchanged), false, fault.UsernameTaken, false,
		},
		"a trigger failed for an account with another address": {
			&directory{entries: map[string]*entry{"dewi": dewi("correct horse", "old@example.com")}, preSignUp: account.ErrTriggerFailed},
			users{},
			draft(unchanged), false, fault.UsernameTaken, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := account.NewRegistration(test.directory, test.users, onboarder{test.users})
			id, confirmed, err := r.SignUp(t.Context(), test.draft)
			if kind := fault.KindOf(err); kind != test.want {
				t.Errorf("got %v, want the kind %q", err, test.want)
			}
			if test.directory.preSignUp != nil && err == nil {
				t.Error("got no error, though there is no account")
			}
			if confirmed != test.confirmed {
				t.Errorf("got confirmed %v, want %v", confirmed, test.confirmed)
			}
			if err == nil && id != "id of dewi" {
				t.Errorf("got the id %q, want that of the account", id)
			}
			if _, onboarded := test.users["id of dewi"]; onboarded != test.onboarded {
				t.Errorf("got onboarded %v, want %v", onboarded, test.onboarded)
			}
		})
	}
}

// A sign-up whose address was confirmed by another account in the meantime is
// refused, and so is one that pre-sign-up refused for that reason.
func TestSignUpLosesAddress(t *testing.T) {
	other := user.User{ID: "other", Username: "other", Email: "dewi@example.com"}
	for name, change := range map[string]func(*directory){
		"before the account is made": func(d *directory) { d.preSignUp = account.ErrTriggerFailed },
		"after the account is made":  func(d *directory) { d.postConfirmation = account.ErrTriggerFailed },
	} {
		t.Run(name, func(t *testing.T) {
			d := &directory{entries: map[string]*entry{}, autoConfirm: true}
			change(d)
			u := users{}
			r := account.NewRegistration(d, lateHolder{u, other}, onboarder{u})
			if _, _, err := r.SignUp(t.Context(), draft(unchanged)); !errors.Is(err, fault.EmailTaken) {
				t.Errorf("got %v, want %v", err, fault.EmailTaken)
			}
		})
	}
}

func TestConfirm(t *testing.T) {
	for name, test := range map[string]struct {
		code      string
		directory directory
		want      fault.Kind
		onboarded bool
	}{
		"good":            {"123456", directory{}, "", false},
		"wrong code":      {"654321", directory{}, fault.Invalid, false},
		"trigger failed":  {"123456", directory{postConfirmation: account.ErrTriggerFailed}, "", true},
		"not yet, though": {"123456", directory{preSignUp: account.ErrTriggerFailed}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &test.directory
			d.entries = map[string]*entry{"dewi": {Account: account.Account{
				ID: "id of dewi", Username: "dewi", Email: "dewi@example.com", Role: account.Developer,
			}}}
			u := users{}
			err := account.NewRegistration(d, u, onboarder{u}).Confirm(t.Context(), account.Confirmation{Username: "dewi", Code: test.code})
			if kind := fault.KindOf(err); kind != test.want {
				t.Errorf("got %v, want the kind %q", err, test.want)
			}
			if d.preSignUp != nil && err == nil {
				t.Error("got no error, though the account is not confirmed")
			}
			if _, onboarded := u["id of dewi"]; onboarded != test.onboarded {
				t.Errorf("got onboarded %v, want %v", onboarded, test.onboarded)
			}
		})
	}
}

func TestConfirmationFaults(t *testing.T) {
	for name, test := range map[string]struct {
		confirmation account.Confirmation
		want         int
	}{
		"good":                  {account.Confirmation{Username: "dewi", Code: "123456"}, 0},
		"nothing":               {account.Confirmation{}, 2},
		"e-mail":                {account.Confirmation{Username: "dewi@example.com", Code: "123456"}, 1},
		"name of no account":    {account.Confirmation{Username: "de wi", Code: "123456"}, 1},
		"code with white space": {account.Confirmation{Username: "dewi", Code: "123 456"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.confirmation.Faults(); len(got) != test.want {
				t.Errorf("got %v, want %d faults", got, test.want)
			}
		})
	}
}

func TestOnboardRefusesAccountsMadeForOthers(t *testing.T) {
	u := users{}
	err := account.Onboard(t.Context(), onboarder{u}, account.Account{ID: "a", Username: "a", Email: "a@example.com"})
	if !errors.Is(err, fault.Forbidden) || len(u) != 0 {
		t.Errorf("got %v and %d users, want %v and none", err, len(u), fault.Forbidden)
	}
}

// lateHolder adds a user when it has been asked once.
type lateHolder struct {
	users users
	late  user.User
}

func (h lateHolder) EmailHeld(_ context.Context, email string) (bool, error) {
	_, held := h.users.byEmail(email)
	h.users[h.late.ID] = h.late
	return held, nil
}
