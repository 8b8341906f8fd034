package dynamo_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/sweep"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// owned is a tenant that is provisioned for somebody, and who that is to be.
type owned struct {
	*testing.T
	db         *dynamodb.Client
	name       string
	tenants    *dynamo.Tenants
	operations *dynamo.Operations
	users      *dynamo.Users
	operation  operation.Operation
	owner      user.User
}

func newOwned(t *testing.T) *owned {
	t.Helper()
	db, name := newRawTable(t)
	table := dynamo.NewTable(db, name)
	c := newCreation("Acme", "acme")
	c.Operation.AdminEmail = "Dewi@Acme.example"
	w := &owned{t, db, name, dynamo.NewTenants(table), dynamo.NewOperations(table), dynamo.NewUsers(table), c.Operation, newUser("a", c.Operation.AdminEmail)}
	w.owner.Role, w.owner.TenantID = identity.Owner, c.Tenant.ID
	create(t, w.tenants, c)
	return w
}

// check fails the test unless the tenant has the owner, or none.
func (w *owned) check(want *identity.UserID) {
	w.Helper()
	got, err := w.tenants.Get(w.Context(), w.operation.TenantID)
	if err != nil {
		w.Fatal(err)
	}
	if diff := cmp.Diff(want, got.OwnerID); diff != "" {
		w.Errorf("the tenant's owner (-want +got):\n%s", diff)
	}
	owners := "0"
	if want != nil {
		owners = "1"
	}
	counters := item(w, "TENANT#"+string(got.ID), "TENANT#COUNTERS")
	if n, _ := counters["owners"].(*types.AttributeValueMemberN); n == nil || n.Value != owners {
		w.Errorf("the counters are %v, want %s owners", counters, owners)
	}
	listed, err := w.users.List(w.Context(), got.ID, "", page.Window{Limit: 10})
	if (want == nil) != (len(listed.Entries) == 0) || want != nil && listed.Entries[0].Value.ID != *want || err != nil {
		w.Errorf("the users of the tenant are %+v, %v", listed, err)
	}
	u, err := w.users.Get(w.Context(), w.owner.ID)
	u.Number = w.owner.Number // each time another
	username, err2 := w.users.ByEmail(w.Context(), w.owner.Email)
	if want == nil {
		if !errors.Is(err, fault.NotFound) || !errors.Is(err2, fault.NotFound) {
			w.Errorf("without an owner there is %+v, %v, and the address belongs to %q, %v", u, err, username, err2)
		}
		if held, err := w.users.EmailHeld(w.Context(), w.owner.Email); err != nil || !held {
			w.Errorf("the address is not held: %v", err)
		}
		return
	}
	if diff := cmp.Diff(w.owner, u); diff != "" || err != nil || err2 != nil || username != w.owner.Username {
		w.Errorf("the address belongs to %q, %v, and the user is %v (-want +got):\n%s", username, err2, err, diff)
	}
}

// item reads an item as it is.
func item(w *owned, pk, sk string) map[string]types.AttributeValue {
	w.Helper()
	out, err := w.db.GetItem(w.Context(), &dynamodb.GetItemInput{TableName: &w.name, ConsistentRead: new(true), Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: sk},
	}})
	if err != nil {
		w.Fatal(err)
	}
	return out.Item
}

// save writes the operation as edit leaves it.
func (w *owned) save(edit func(*operation.Operation)) {
	w.Helper()
	after := w.operation
	edit(&after)
	after.Version++
	if err := w.operations.Save(w.Context(), w.operation, after); err != nil {
		w.Fatal(err)
	}
	w.operation = after
}

func TestOwner(t *testing.T) {
	t.Parallel()
	w := newOwned(t)
	if err := w.users.DeleteOwner(t.Context(), w.operation, byTest); err != nil {
		t.Errorf("without an owner: %v", err)
	}
	w.check(nil)
	for range 2 {
		for range 2 {
			if err := w.users.CreateOwner(t.Context(), w.operation, w.owner, told()); err != nil {
				t.Fatal(err)
			}
			w.check(&w.owner.ID)
		}
		if err := w.users.EndSessions(t.Context(), w.owner.ID, w.owner.CreatedAt, told()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.users.DeleteOwner(t.Context(), w.operation, byTest); err != nil {
				t.Fatal(err)
			}
			w.check(nil)
		}
	}
}

// TestOwnerTogether makes and removes an owner several times at once. Who is
// late fails with what passes, or finds it done.
func TestOwnerTogether(t *testing.T) {
	t.Parallel()
	w := newOwned(t)
	together := func(want *identity.UserID, do func() error) {
		t.Helper()
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = do() })
		}
		wg.Wait()
		done := false
		for _, err := range errs {
			done = done || err == nil
			if kind := fault.KindOf(err); kind != "" && kind != fault.Conflict {
				t.Errorf("one of several got %v", err)
			}
		}
		if !done {
			t.Errorf("nobody was first: %v", errs)
		}
		w.check(want)
	}
	together(&w.owner.ID, func() error { return w.users.CreateOwner(t.Context(), w.operation, w.owner, told()) })
	together(nil, func() error { return w.users.DeleteOwner(t.Context(), w.operation, byTest) })
}

// TestOwnerOfAnAttemptThatIsOver comes late.
func TestOwnerOfAnAttemptThatIsOver(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*operation.Operation){
		"a later attempt": func(o *operation.Operation) { o.Attempt++ },
		"ended":           func(o *operation.Operation) { o.EndedAt = new(time.Now()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newOwned(t)
			stale := w.operation
			w.save(edit)
			if err := w.users.CreateOwner(t.Context(), stale, w.owner, told()); err == nil || fault.KindOf(err) != "" {
				t.Errorf("got %v, want an error of no kind", err)
			}
			w.check(nil)
			if name == "ended" {
				return
			}
			if err := w.users.CreateOwner(t.Context(), w.operation, w.owner, told()); err != nil {
				t.Fatal(err)
			}
			if err := w.users.DeleteOwner(t.Context(), stale, byTest); err == nil || fault.KindOf(err) != "" {
				t.Errorf("got %v, want an error of no kind", err)
			}
			w.check(&w.owner.ID)
		})
	}
}

func TestOwnerRefused(t *testing.T) {
	t.Parallel()
	w := newOwned(t)
	if err := w.users.Create(t.Context(), newUser("b", "b@example.com"), told()); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		edit func(*user.User)
		want fault.Kind
	}{
		"another tenant":       {func(u *user.User) { u.TenantID = "none" }, fault.NotFound},
		"a user that is":       {func(u *user.User) { u.ID = "b" }, fault.Conflict},
		"an address of theirs": {func(u *user.User) { u.Email = "b@example.com" }, fault.EmailTaken},
		"an address not held":  {func(u *user.User) { u.Email = "c@example.com" }, fault.EmailTaken},
	} {
		t.Run(name, func(t *testing.T) {
			u := w.owner
			test.edit(&u)
			if err := w.users.CreateOwner(t.Context(), w.operation, u, told()); fault.KindOf(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			w.check(nil)
		})
	}
	o := w.operation
	o.TenantID = "none"
	if err := w.users.DeleteOwner(t.Context(), o, byTest); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want %s", err, fault.NotFound)
	}
}

// TestRejected notes an account that is to be removed: it cannot become a user.
func TestRejected(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	users, tenants, work := dynamo.NewUsers(table), dynamo.NewTenants(table), dynamo.NewDue(table)
	late := newUser("late", "late@example.com")
	for range 2 {
		if err := users.Reject(t.Context(), late.ID, late.Username); err != nil {
			t.Fatal(err)
		}
	}
	if err := users.Create(t.Context(), late, told()); !errors.Is(err, fault.EmailTaken) {
		t.Errorf("Create: got %v, want %s", err, fault.EmailTaken)
	}
	c := newCreation("Late", "late")
	c.Owner = &late
	if err := tenants.Create(t.Context(), c); !errors.Is(err, fault.EmailTaken) {
		t.Errorf("Create of a tenant: got %v, want %s", err, fault.EmailTaken)
	}
	same := newUser("another", "late@example.com")
	same.Username = late.Username
	if err := users.Create(t.Context(), same, told()); err != nil {
		t.Errorf("another account of that name: %v", err)
	}
	want := []sweep.RejectedAccount{{ID: late.ID, Username: late.Username}}
	eventually(t, "the account is to be removed", func() bool {
		got, err := work.RejectedAccounts(t.Context(), time.Now())
		return err == nil && cmp.Equal(want, got)
	})
	if got, err := work.RejectedAccounts(t.Context(), time.Now().Add(-time.Hour)); err != nil || got != nil {
		t.Errorf("an hour ago, %v, %v were due", got, err)
	}
	for range 2 {
		if err := work.Forget(t.Context(), want[0]); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := work.RejectedAccounts(t.Context(), time.Now()); err != nil || got != nil {
		t.Errorf("forgotten accounts are still there: %v, %v", got, err)
	}
}

func TestDueOperations(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	tenants, operations, work := dynamo.NewTenants(table), dynamo.NewOperations(table), dynamo.NewDue(table)
	now := time.Now()
	want := map[operation.ID]bool{}
	save := func(c provisioning.Creation, edit func(*operation.Operation)) {
		t.Helper()
		after := c.Operation
		edit(&after)
		after.Version++
		if err := operations.Save(t.Context(), c.Operation, after); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 { // over all shards
		c := newCreation("Acme", "acme-"+strconv.Itoa(i))
		c.Operation.DueAt = now.Add(-time.Duration(i) * time.Second)
		create(t, tenants, c)
		want[c.Operation.ID] = true
	}
	later := newCreation("Later", "later")
	later.Operation.DueAt = now.Add(time.Hour)
	ended, keeps := newCreation("Ended", "ended"), newCreation("Keeps", "keeps")
	create(t, tenants, later, ended, keeps)
	save(ended, func(o *operation.Operation) { o.EndedAt, o.DueAt = &now, now.Add(-time.Hour) })
	save(keeps, func(o *operation.Operation) { o.EndedAt, o.DueAt, o.Secret = &now, now.Add(-time.Hour), "secret" })
	want[keeps.Operation.ID] = true
	eventually(t, "the operations that are due were found", func() bool {
		ids, err := work.DueOperations(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		got := map[operation.ID]bool{}
		for _, id := range ids {
			got[id] = true
		}
		return len(ids) == len(got) && cmp.Equal(want, got)
	})
}

// TestCreateNumbers creates tenants at once, of which each gets a number of its
// own.
func TestCreateNumbers(t *testing.T) {
	t.Parallel()
	tenants := dynamo.NewTenants(newTable(t))
	creations := make([]provisioning.Creation, 8)
	errs := make([]error, len(creations))
	var wg sync.WaitGroup
	for i := range creations {
		creations[i] = newCreation("Acme", "acme-"+strconv.Itoa(i))
		wg.Go(func() { errs[i] = tenants.Create(t.Context(), creations[i]) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	numbers := map[int64]bool{}
	for _, c := range creations {
		got, err := tenants.Get(t.Context(), c.Tenant.ID)
		if err != nil {
			t.Fatal(err)
		}
		if numbers[got.Number] || got.Number < 1 || got.Status != tenant.Provisioning {
			t.Errorf("tenant %s is %s and has the number %d, which is used", got.ID, got.Status, got.Number)
		}
		numbers[got.Number] = true
	}
}
