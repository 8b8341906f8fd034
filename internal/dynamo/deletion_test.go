package dynamo_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A doomed is a tenant that is to be deleted.
type doomed struct {
	*testing.T
	db         *dynamodb.Client
	name       string
	tenants    *dynamo.Tenants
	operations *dynamo.Operations
	tenant     tenant.Tenant // as it is
	provision  operation.Operation
}

// newDoomed makes a tenant which no operation runs on.
func newDoomed(t *testing.T, edit func(*provisioning.Creation)) *doomed {
	t.Helper()
	db, name := newRawTable(t)
	table := dynamo.NewTable(db, name)
	c := newCreation("Acme Corporation", "acme")
	if edit != nil {
		edit(&c)
	}
	w := &doomed{t, db, name, dynamo.NewTenants(table), dynamo.NewOperations(table), tenant.Tenant{}, c.Operation}
	before := create(t, w.tenants, c)[0]
	w.tenant = before
	w.tenant.Status, w.tenant.Version = tenant.Active, before.Version+1
	if err := w.operations.SaveWithTenant(t.Context(), c.Operation, ended(c.Operation, operation.Succeeded), before, w.tenant, told(), nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// delete deletes the tenant as it is.
func (w *doomed) delete() (tenant.Tenant, operation.Operation, error) {
	w.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	after, err := w.tenant.Delete(now, now.Add(time.Hour))
	if err != nil {
		w.Fatal(err)
	}
	o := operation.Operation{
		ID: operation.ID(uuid.NewString()), Kind: operation.Deprovision, TenantID: after.ID, State: operation.Pending, Attempt: 1,
		Steps: []operation.Step{{Name: "begin", State: operation.Pending}}, CreatedAt: now, NotBefore: *after.PurgeAt, DueAt: now, Version: 1,
	}
	return after, o, w.tenants.Delete(w.Context(), w.tenant, after, o, told())
}

// count sets a counter of the tenant.
func (w *doomed) count(counter string, n int) {
	w.Helper()
	_, err := w.db.UpdateItem(w.Context(), &dynamodb.UpdateItemInput{
		TableName: &w.name, Key: keyOf("TENANT#"+string(w.tenant.ID), "TENANT#COUNTERS"),
		UpdateExpression:          new("SET #c = :n"),
		ExpressionAttributeNames:  map[string]string{"#c": counter},
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: strconv.Itoa(n)}},
	})
	if err != nil {
		w.Fatal(err)
	}
}

func keyOf(pk, sk string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: sk}}
}

// keys returns the keys of all items of the table but the audit's.
func (w *doomed) keys() []string {
	w.Helper()
	out, err := w.db.Scan(w.Context(), &dynamodb.ScanInput{TableName: &w.name, ConsistentRead: new(true)})
	if err != nil {
		w.Fatal(err)
	}
	var keys []string
	for _, item := range out.Items {
		pk, sk := item["pk"].(*types.AttributeValueMemberS).Value, item["sk"].(*types.AttributeValueMemberS).Value
		if _, isRecord := item["actor_kind"]; !isRecord {
			keys = append(keys, pk+" "+sk)
		}
	}
	slices.Sort(keys)
	return keys
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newDoomed(t, nil)
	after, o, err := w.delete()
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.tenants.Get(t.Context(), after.ID)
	if diff := cmp.Diff(after, got); diff != "" || err != nil {
		t.Errorf("the tenant: %v (-want +got):\n%s", err, diff)
	}
	stored, err := w.operations.Get(t.Context(), o.ID)
	if diff := cmp.Diff(o, stored); diff != "" || err != nil {
		t.Errorf("the operation: %v (-want +got):\n%s", err, diff)
	}
	if running, err := w.operations.Running(t.Context(), after.ID); err != nil || running != o.ID {
		t.Errorf("operation %s, %v runs, want %s", running, err, o.ID)
	}
	if _, _, err := w.delete(); !errors.Is(err, fault.Conflict) {
		t.Errorf("again: got %v, want %s", err, fault.Conflict)
	}
}

// TestDeleteRefused deletes a tenant that something keeps.
func TestDeleteRefused(t *testing.T) {
	t.Parallel()
	w := newDoomed(t, nil)
	before := w.keys()
	w.count("active_calls", 2)
	_, _, err := w.delete()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.DeleteBlocked || f.Detail != "the tenant has 2 live calls" {
		t.Fatalf("got %v, want %s", err, fault.DeleteBlocked)
	}
	if diff := cmp.Diff(map[string]any{"blockers": []map[string]any{{"kind": "live_calls", "count": 2}}}, f.Members); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	w.count("active_calls", 0)
	_, err = w.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &w.name, Item: keyOf("TENANT#"+string(w.tenant.ID), "OPERATION")})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.delete(); !errors.Is(err, fault.OperationRunning) {
		t.Errorf("got %v, want %s", err, fault.OperationRunning)
	}
	before = append(before, "TENANT#"+string(w.tenant.ID)+" OPERATION")
	slices.Sort(before)
	if diff := cmp.Diff(before, w.keys()); diff != "" {
		t.Errorf("what is there (-want +got):\n%s", diff)
	}
}

// TestBury leaves a tombstone of a tenant, and its place in the directory.
func TestBury(t *testing.T) {
	t.Parallel()
	w := newDoomed(t, func(c *provisioning.Creation) { c.Tenant.SIPDomain = new("sip.acme.example") })
	deleting, o, err := w.delete()
	if err != nil {
		t.Fatal(err)
	}
	purging, err := deleting.Purge(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	begun := o
	begun.State, begun.Version = operation.Running, 2
	if err := w.operations.SaveWithTenant(t.Context(), o, begun, deleting, purging, told(), nil); err != nil {
		t.Fatal(err)
	}
	buried, err := purging.Bury(time.Now().UTC().Truncate(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	done := ended(begun, operation.Succeeded)
	bury := func() error {
		return w.operations.SaveWithTenant(t.Context(), begun, done, purging, buried, told(), nil)
	}
	for _, counter := range []string{"users", "agents"} {
		w.count(counter, 1)
		if err := bury(); err == nil || fault.KindOf(err) != "" {
			t.Errorf("a tenant that still has %s was buried: %v", counter, err)
		}
		w.count(counter, 0)
	}
	for range 2 {
		if err := w.tenants.RemoveUse(t.Context(), w.tenant.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := bury(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"DIRECTORY COUNTER", "DIRECTORY#COUNTS CHANGE#000000000001",
		"OPERATION#" + string(o.ID) + " OPERATION", "OPERATION#" + string(w.provision.ID) + " OPERATION",
		"TENANT#" + string(w.tenant.ID) + " TENANT",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, w.keys()); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	got, err := w.tenants.Get(t.Context(), buried.ID)
	if diff := cmp.Diff(buried, got); diff != "" || err != nil {
		t.Errorf("the tombstone: %v (-want +got):\n%s", err, diff)
	}
	eventually(t, "lists show the tombstone as deleted only", func() bool {
		deleted, err := w.tenants.List(t.Context(), tenant.Deleted, page.Window{Limit: 10})
		all, err2 := w.tenants.List(t.Context(), "", page.Window{Limit: 10})
		return err == nil && err2 == nil && cmp.Equal([]string{"acme"}, slugs(deleted)) && slugs(all) == nil
	})
	again := newCreation("Acme Corporation", "acme")
	again.Tenant.SIPDomain = new("sip.acme.example")
	create(t, w.tenants, again)
}

// TestRemoveAgents removes more agents than go in one request.
func TestRemoveAgents(t *testing.T) {
	t.Parallel()
	w := newDoomed(t, nil)
	others := w.keys()
	for i := range 60 {
		_, err := w.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &w.name, Item: keyOf("TENANT#"+string(w.tenant.ID), "AGENT#"+strconv.Itoa(i))})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.count("agents", 60)
	records := func() int {
		out, err := w.db.Query(t.Context(), &dynamodb.QueryInput{
			TableName: &w.name, KeyConditionExpression: new("pk = :pk"), ConsistentRead: new(true),
			ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: "AUDIT#PLATFORM"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Items)
	}
	before := records()
	for range 2 {
		if err := w.tenants.RemoveAgents(t.Context(), w.tenant.ID, told()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(others, w.keys()); diff != "" {
			t.Errorf("what is left (-want +got):\n%s", diff)
		}
		out, err := w.db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &w.name, Key: keyOf("TENANT#"+string(w.tenant.ID), "TENANT#COUNTERS")})
		if n, _ := out.Item["agents"].(*types.AttributeValueMemberN); err != nil || n == nil || n.Value != "0" {
			t.Errorf("the counters are %v, %v", out.Item, err)
		}
	}
	if n := records() - before; n != 1 {
		t.Errorf("the audit was told %d times, want once", n)
	}
}

func TestRemaining(t *testing.T) {
	t.Parallel()
	w := newDoomed(t, func(c *provisioning.Creation) {
		owner := newUser(identity.UserID(uuid.NewString()), "dewi@acme.example")
		owner.Role, owner.TenantID = identity.Owner, c.Tenant.ID
		c.Owner, c.Tenant.OwnerID = &owner, &owner.ID
	})
	users := dynamo.NewUsers(dynamo.NewTable(w.db, w.name))
	owner, err := users.Get(t.Context(), *w.tenant.OwnerID)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the index shows the owner", func() bool {
		n, ids, err := users.Remaining(t.Context(), w.tenant.ID, 10)
		return err == nil && n == 1 && cmp.Equal([]identity.UserID{owner.ID}, ids)
	})
	if err := users.Purge(t.Context(), owner, told()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := users.Remaining(t.Context(), w.tenant.ID, 10); err != nil || n != 0 {
		t.Errorf("after the last: got %d, %v", n, err)
	}
}

// TestReleaseEmail frees an address that is held for an operation, and no other.
func TestReleaseEmail(t *testing.T) {
	t.Parallel()
	w := newDoomed(t, func(c *provisioning.Creation) { c.Operation.AdminEmail = "Dewi@Acme.example" })
	users := dynamo.NewUsers(dynamo.NewTable(w.db, w.name))
	held := func() bool {
		t.Helper()
		held, err := users.EmailHeld(t.Context(), "dewi@acme.example")
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	if err := users.ReleaseEmail(t.Context(), "dewi@acme.example", "another", told()); err != nil || !held() {
		t.Errorf("for another operation: %v, and the address is held: %t", err, held())
	}
	for range 2 {
		if err := users.ReleaseEmail(t.Context(), "Dewi@Acme.example", w.provision.ID, told()); err != nil || held() {
			t.Errorf("got %v, and the address is held: %t", err, held())
		}
	}
}

// TestProvisions finds the operation that made a tenant, and no other.
func TestProvisions(t *testing.T) {
	t.Parallel()
	w := newDoomed(t, nil)
	if _, _, err := w.delete(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.operations.Provisions(t.Context(), "nobody"); !errors.Is(err, operation.ErrNotReady) {
		t.Errorf("of nobody: got %v, want %v", err, operation.ErrNotReady)
	}
	eventually(t, "the index shows the operation", func() bool {
		got, err := w.operations.Provisions(t.Context(), w.tenant.ID)
		if err != nil && !errors.Is(err, operation.ErrNotReady) {
			t.Fatal(err)
		}
		return len(got) == 1 && got[0].ID == w.provision.ID && got[0].State == operation.Succeeded
	})
}
