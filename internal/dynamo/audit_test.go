package dynamo_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// byTest is the origin of what tests change.
var byTest = audit.BySystem("test", "")

// told returns a new record, where it does not matter what it tells.
func told() audit.Record { return byTest.Did("test.changed", "", audit.Target{}) }

// audited returns what a partition of the audit holds, oldest first, as it is
// stored but for what differs each time.
func audited(t *testing.T, db *dynamodb.Client, table, of string) []map[string]any {
	t.Helper()
	out, err := db.Query(context.WithoutCancel(t.Context()), &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: new("pk = :pk"), ConsistentRead: new(true),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: "AUDIT#" + of}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var items []map[string]any
	if err := attributevalue.UnmarshalListOfMaps(out.Items, &items); err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		for _, name := range []string{"pk", "sk", "of_tenant", "of_tenant_sort", "due", "due_at"} {
			if item[name] == nil {
				t.Errorf("a record has no %s: %v", name, item)
			}
			delete(item, name)
		}
	}
	return items
}

// A record is there if the change that it tells of is.
func TestAuditIsOfTheTransaction(t *testing.T) {
	db, name := newRawTable(t)
	tenants := dynamo.NewTenants(dynamo.NewTable(db, name))
	acme := create(t, tenants, newCreation("Acme", "acme"))[0]
	renamed := acme
	renamed.Name, renamed.MetaData, renamed.Version = "Acme Ltd", `{"a":1}`, acme.Version+1
	by := audit.By(identity.Caller{Subject: "U", Role: identity.Admin, RequestID: "R", Impersonation: &identity.Impersonation{Actor: "A"}})
	record := func() audit.Record {
		return by.Did(audit.TenantUpdated, acme.ID, tenant.Target(acme.ID), tenant.Changes(acme, renamed)...)
	}
	if err := tenants.Update(t.Context(), acme, renamed, record()); err != nil {
		t.Fatal(err)
	}
	if err := tenants.Update(t.Context(), acme, renamed, record()); !errors.Is(err, fault.Conflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	want := []map[string]any{{
		"tenant_id": string(acme.ID), "actor_kind": "user", "actor_id": "A", "on_behalf_of": "U",
		"action": "tenant.updated", "target_kind": "tenant", "target_id": string(acme.ID), "request_id": "R",
		"changes": `[["name","Acme","Acme Ltd"],["meta_data"]]`,
	}}
	if diff := cmp.Diff(want, audited(t, db, name, string(acme.ID))); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// What belongs to no tenant is the platform's.
func TestAuditOfThePlatform(t *testing.T) {
	db, name := newRawTable(t)
	table := dynamo.NewTable(db, name)
	u := newUser("a", "dewi@example.com")
	record := audit.By(identity.Caller{Subject: "a"}).Did(audit.UserCreated, "", user.Target("a"), user.Changes(user.User{}, u)...)
	if err := dynamo.NewUsers(table).Create(t.Context(), u, record); err != nil {
		t.Fatal(err)
	}
	signedIn := audit.By(identity.Caller{Subject: "a", RequestID: "R"}).Did(audit.UserSignedIn, "", user.Target("a"))
	if err := dynamo.NewAudit(table).Record(t.Context(), signedIn); err != nil {
		t.Fatal(err)
	}
	got := map[any]any{}
	for _, item := range audited(t, db, name, "PLATFORM") {
		got[item["action"]] = item["changes"]
	}
	want := map[any]any{
		"user.signed_in": nil,
		"user.created":   `[["email","dewi@example.com"],["full_name","Dewi"],["role","developer"]]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
