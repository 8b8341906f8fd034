package work_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/sweep"
	"github.com/tenantry/tenantry/internal/tenant"
)

// newAccount returns a confirmed account that the directory has.
func (w *world) newAccount(username, email string, business bool) provisioning.Account {
	w.Helper()
	id := identity.UserID(uuid.NewString())
	w.directory.accounts[username] = &account{id: id, email: email}
	return provisioning.Account{ID: id, Username: username, Email: email, Business: business}
}

// owned makes the tenant of an account the one that the world looks at.
func (w *world) owned(a provisioning.Account) tenant.Tenant {
	w.Helper()
	w.tenantID = identity.TenantID(a.ID)
	id, err := dynamo.NewOperations(w.table.table()).Running(w.Context(), w.tenantID)
	if err != nil {
		w.Fatal(err)
	}
	w.operationID = id
	return w.tenant()
}

// TestOnboardTogether onboards one account several times at once, as a trigger
// and a sign-up do that make up for each other.
func TestOnboardTogether(t *testing.T) {
	t.Parallel()
	for name, business := range map[string]bool{"business": true, "developer": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, enginetest.Table(t))
			a := w.newAccount("acme", "acme@example.com", business)
			for range 2 {
				for _, err := range together(6, func() error { return w.service.Onboard(t.Context(), a) }) {
					if err != nil {
						t.Errorf("one of several got %v", err)
					}
				}
			}
			u, err := w.users.Get(t.Context(), a.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !business {
				if u.Role != identity.Developer || u.TenantID != "" || len(w.machine.running) != 0 {
					t.Errorf("the user is %+v, and %d workflows run", u, len(w.machine.running))
				}
				return
			}
			got := w.owned(a)
			if u.Role != identity.Owner || u.TenantID != got.ID || got.OwnerID == nil || *got.OwnerID != a.ID || got.Slug != "acme" {
				t.Errorf("the user is %+v, and the tenant %+v", u, got)
			}
			if n := len(w.machine.running); n != 1 || w.owners() != 1 {
				t.Errorf("%d workflows were started, and there are %d owners", n, w.owners())
			}
			if end := w.execute(); end != succeeded || w.tenant().Status != tenant.Active {
				t.Errorf("the execution ended as %s", end)
			}
		})
	}
}

// TestOnboardNames onboards accounts whose organizations have one name.
func TestOnboardNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	slugs := map[string]bool{}
	for _, username := range []string{"one", "two", "three", "four"} {
		a := w.newAccount(username, username+"@example.com", true)
		a.OrganizationName = "Müller & Söhne"
		if err := w.service.Onboard(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		got := w.owned(a)
		if got.Name != a.OrganizationName {
			t.Errorf("the tenant is called %s", got.Name)
		}
		slugs[got.Slug] = true
	}
	if !slugs["muller-sohne"] || !slugs["muller-sohne-2"] || len(slugs) != 4 {
		t.Errorf("the slugs are %v", slugs)
	}
}

// TestOnboardLoser onboards a second account with an e-mail address: it is
// removed, whatever becomes of the address meanwhile.
func TestOnboardLoser(t *testing.T) {
	t.Parallel()
	for name, business := range map[string]bool{"business": true, "developer": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, enginetest.Table(t))
			winner := w.newAccount("winner", "one@example.com", false)
			loser := w.newAccount("loser", "ONE@example.com", business)
			if err := w.service.Onboard(t.Context(), winner); err != nil {
				t.Fatal(err)
			}
			for _, err := range together(3, func() error { return w.service.Onboard(t.Context(), loser) }) {
				if !errors.Is(err, fault.EmailTaken) {
					t.Errorf("got %v, want %v", err, fault.EmailTaken)
				}
			}
			w.free("one@example.com")
			if err := w.service.Onboard(t.Context(), loser); !errors.Is(err, fault.EmailTaken) {
				t.Errorf("when the address is free: got %v, want %v", err, fault.EmailTaken)
			}
			if err := w.service.Onboard(t.Context(), winner); err != nil {
				t.Errorf("the winner again: %v", err)
			}
			w.due.accounts = []sweep.RejectedAccount{{ID: loser.ID, Username: "loser"}, {ID: winner.ID, Username: "winner"}}
			if err := w.sweeper.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w.directory.accounts["loser"] != nil || w.directory.accounts["winner"] == nil || len(w.due.accounts) != 0 {
				t.Errorf("the accounts left are %v", w.directory.accounts)
			}
		})
	}
}

// TestNameOfLoser signs up with the user name of a rejected account that is gone:
// a sweeper that is late removes no other.
func TestNameOfLoser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	gone := sweep.RejectedAccount{ID: identity.UserID(uuid.NewString()), Username: "loser"}
	if err := w.users.Reject(t.Context(), gone.ID, gone.Username); err != nil {
		t.Fatal(err)
	}
	newer := w.newAccount("loser", "newer@example.com", true)
	w.due.accounts = []sweep.RejectedAccount{gone}
	if err := w.sweeper.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.directory.accounts["loser"] == nil {
		t.Fatal("the newer account was removed")
	}
	if err := w.service.Onboard(t.Context(), newer); err != nil {
		t.Errorf("the newer account: %v", err)
	}
}

// free takes an e-mail address from whoever has it.
func (w *world) free(email string) {
	w.Helper()
	_, err := w.table.db.DeleteItem(w.Context(), &dynamodb.DeleteItemInput{TableName: &w.table.name, Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "EMAIL#" + email},
		"sk": &types.AttributeValueMemberS{Value: "EMAIL"},
	}})
	if err != nil {
		w.Fatal(err)
	}
}

// TestAdminEmailOfOthers has an operation and a sign-up ask for one address.
func TestAdminEmailOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	a := w.newAccount("late", w.email(), true)
	if err := w.service.Onboard(t.Context(), a); !errors.Is(err, fault.EmailTaken) {
		t.Errorf("got %v, want %v", err, fault.EmailTaken)
	}
	w.execute()
	delete(w.directory.accounts, "late")
	w.checkActive()
}

// TestFound makes the tenant of an account that has none, as it asks for it.
func TestFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	a := w.newAccount("acme", "acme@example.com", true)
	r := provisioning.Request{Draft: tenant.Draft{Settings: tenant.Settings{Name: patch.Of("Acme")}}, WebhookSecret: patch.Of("a webhook's secret")}
	result, err := w.service.Found(t.Context(), a, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.service.Found(t.Context(), a, r, nil); !errors.Is(err, fault.Conflict) {
		t.Errorf("again: got %v, want %v", err, fault.Conflict)
	}
	if n := len(w.vault.secrets); n != 1 {
		t.Errorf("%d secrets are there, want that of the operation", n)
	}
	if got := w.owned(a); got.Isolation != tenant.Pooled || got.ID != result.Tenant.ID {
		t.Errorf("the tenant is %+v", got)
	}
	w.execute()
	if o := w.operation(); o.State != operation.Succeeded || w.tenant().Secret == nil {
		t.Errorf("the operation is %+v", o)
	}
}
