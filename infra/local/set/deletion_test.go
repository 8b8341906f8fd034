package set

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/cloud"
	"github.com/tenantry/tenantry/infra/local/stack"
)

// deprovisioned is the steps of a deprovisioning that succeeded.
var deprovisioned = []string{
	"begin succeeded", "agents succeeded", "usage succeeded", "credentials succeeded", "accounts succeeded", "database succeeded", "finish succeeded",
}

// moment reads a time in an answer.
func moment(t *testing.T, v any) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, fmt.Sprint(v))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// delete deletes the tenant, and returns the id of the operation.
func (w *wanted) delete() string {
	w.t.Helper()
	return w.do("DELETE", "/tenants/"+w.id, nil).must(202).text("id")
}

// state returns that of an execution.
func state(t *testing.T, s *stack.Stack, workflow, execution string) string {
	t.Helper()
	arn := executionARN(s, workflow, execution)
	out, err := sfn.NewFromConfig(awsConfig(s)).DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Status)
}

// shortGrace is the grace period of TestDeletion: long enough for what a test does in it.
const shortGrace = 6 * time.Second

// TestDeletion deletes tenants whose grace period is short. They share a stack, and
// are taken apart at the same time.
func TestDeletion(t *testing.T) {
	s := startOwn(t, map[string]string{"DeletionGraceSeconds": strconv.Itoa(int(shortGrace.Seconds()))})
	admin := newClient(t, s).admin()
	for name, test := range map[string]func(*testing.T, *client){
		"everything":          deleteEverything,
		"a pooled tenant":     deletePooled,
		"a failed tenant":     deleteFailed,
		"a lost execution":    deleteLost,
		"a failed deletion":   deleteRetried,
		"restored and again":  deleteAgain,
		"restored in the end": restoreRacing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, s)
			test(t, c.as(admin.token))
		})
	}
}

func deleteEverything(t *testing.T, admin *client) {
	w := want(admin)
	w.checkActive()
	owner := w.signIn(w.email, ownersPassword)
	path := "/tenants/" + w.id
	before := w.do("GET", path, nil).must(200)
	if before.Body["purge_at"] != nil {
		t.Errorf("an active tenant is %s", before.Raw)
	}
	owner.do("DELETE", path, nil).problem(403, "forbidden")
	w.with("If-Match", `"1"`).do("DELETE", path, nil).problem(412, "stale")
	asked := time.Now()
	deleted := w.with("If-Match", before.Header.Get("ETag")).do("DELETE", path, nil).must(202)
	id := deleted.text("id")
	if deleted.Header.Get("Location") != "/operations/"+id || deleted.Body["kind"] != "deprovision" || deleted.Body["state"] != "pending" {
		t.Errorf("got %v %s", deleted.Header, deleted.Raw)
	}
	deleting := w.do("GET", path, nil).must(200)
	purgeAt := moment(t, deleting.Body["purge_at"])
	if deleting.Body["status"] != "deleting" || purgeAt.Before(asked.Add(shortGrace)) || purgeAt.After(time.Now().Add(shortGrace+time.Second)) {
		t.Errorf("asked at %v, the tenant is %s", asked, deleting.Raw)
	}
	owner.do("GET", path, nil).problem(403, "tenant-deleting")
	owner.do("PATCH", path, map[string]any{"name": "New"}).problem(403, "tenant-deleting")
	w.do("PATCH", path, map[string]any{"name": "New"}).problem(403, "tenant-deleting")
	if again := w.do("DELETE", path, nil).problem(409, "operation-running"); again.Body["operation_id"] != id {
		t.Errorf("got %s, want operation %s", again.Raw, id)
	}

	op := w.operation(id)
	if diff := cmp.Diff(deprovisioned, steps(op)); diff != "" || op.Body["state"] != "succeeded" {
		t.Fatalf("the operation is %s (-want +got):\n%s", op.Raw, diff)
	}
	first, _ := op.Body["steps"].([]any)[0].(map[string]any)
	if began := moment(t, first["started_at"]); began.Before(purgeAt) {
		t.Errorf("the purge began at %v, before %v", began, purgeAt)
	}
	w.checkDeleted(before)
	owner.do("GET", path, nil).problem(403, "tenant-deleting") // the gateway still knows the token
	w.do("POST", "/auth/token", map[string]any{"username": w.email, "password": ownersPassword}).problem(401, "invalid-credentials")
	w.do("POST", path+"/restore", nil).problem(409, "illegal-transition")
	w.do("DELETE", path, nil).problem(409, "illegal-transition")
	w.do("PATCH", path, map[string]any{"name": "New"}).problem(403, "tenant-deleting")

	again := w.do("POST", "/tenants", map[string]any{
		"name": "Whole", "slug": w.slug, "admin_email": w.email, "admin_password": ownersPassword,
		"sip_enabled": true, "sip_domain": w.slug + ".example.com", "sip_username": "u",
	}).must(202)
	w.active(again.text("id"))
	if me := w.signIn(w.email, ownersPassword).do("GET", "/auth/me", nil).must(200); me.Body["tenant_id"] != again.Body["id"] {
		t.Errorf("the new owner is %s", me.Raw)
	}
}

// deletePooled deletes a tenant whose agents are where those of others are.
func deletePooled(t *testing.T, admin *client) {
	id, username, _, password := admin.signUp()
	owner := admin.signIn(username, password)
	owner.active(id)
	agent := strings.TrimPrefix(owner.do("POST", "/agents", `{"name":"Sales"}`).must(201).Header.Get("Location"), "/agents/")
	if op := admin.operation(admin.do("DELETE", "/tenants/"+id, nil).must(202).text("id")); op.Body["state"] != "succeeded" {
		t.Fatalf("the operation is %s", op.Raw)
	}
	for line := range strings.Lines(tableText(t, admin.stack, admin.stack.Info().Table)) {
		if strings.Contains(line, agent) && !strings.Contains(line, "AUDIT#") {
			t.Errorf("what is left of the agent: %s", line)
		}
	}
}

// checkDeleted fails the test unless a tombstone is all that there is of the
// tenant.
func (w *wanted) checkDeleted(before *answer) {
	w.t.Helper()
	if left := w.left(); left != nil {
		w.t.Errorf("what is left: %v", left)
	}
	tombstone := w.do("GET", "/tenants/"+w.id, nil).must(200).Body
	for _, name := range []string{"id", "name", "slug", "created_at", "billing_plan", "limits", "max_concurrent_calls", "monthly_call_limit", "monthly_usage_cents"} {
		if !cmp.Equal(before.Body[name], tombstone[name]) {
			w.t.Errorf("%s is %v, and was %v", name, tombstone[name], before.Body[name])
		}
	}
	gone := map[string]any{
		"status": "deleted", "status_reason": nil, "owner_id": nil, "sip_enabled": false, "sip_domain": nil, "sip_username": nil,
		"webhook_url": nil, "meta_data": map[string]any{}, "database": nil, "purge_at": nil,
	}
	for name, want := range gone {
		if !cmp.Equal(want, tombstone[name]) {
			w.t.Errorf("%s is %v, want %v", name, tombstone[name], want)
		}
	}
	eventually(w.t, "lists show the tenant as deleted", func() bool {
		deleted := idsOf(w.do("GET", "/tenants?limit=1000&status_filter=deleted", nil).must(200))
		all := idsOf(w.do("GET", "/tenants?limit=1000", nil).must(200))
		return slices.Contains(deleted, w.id) && !slices.Contains(all, w.id)
	})
	if found := idsOf(w.do("GET", "/tenants?q="+w.slug, nil).must(200)); slices.Contains(found, w.id) {
		w.t.Errorf("a search finds %v", found)
	}
}

// deleteFailed deletes a tenant that could not be provisioned, whose passwords and
// e-mail address are still kept for a retry.
func deleteFailed(t *testing.T, admin *client) {
	w := &wanted{client: admin, slug: unique("failed-")}
	w.email = w.slug + "@example.com"
	table := tenantTable(w.stack, w.slug, "0f1e2d3c")
	makeTable(t, w.stack, table)
	body := map[string]any{
		"id": "0f1e2d3c-4b5a-4978-8675-647382910a0b", "name": "Failed", "slug": w.slug, "admin_email": w.email, "admin_password": ownersPassword,
	}
	created := w.do("POST", "/tenants", body).must(202)
	w.id, w.operationID = created.text("id"), created.text("operation_id")
	if op := w.operation(w.operationID); op.Body["state"] != "failed" {
		t.Fatalf("the operation is %s", op.Raw)
	}
	before := w.do("GET", "/tenants/"+w.id, nil).must(200)
	if op := w.operation(w.delete()); op.Body["state"] != "succeeded" {
		t.Fatalf("the operation is %s", op.Raw)
	}
	dropTable(t, w.stack, table)
	eventually(t, "the table was gone", func() bool { return w.left() == nil })
	w.checkDeleted(before)
	w.do("POST", "/operations/"+w.operationID+"/retry", nil).problem(409, "illegal-transition")
	delete(body, "id")
	w.active(w.do("POST", "/tenants", body).must(202).text("id"))
}

func tenantTable(s *stack.Stack, slug, id string) string {
	return s.Info().StackName + "-tenant-" + slug + "-" + id
}

// makeTable makes somebody else's table.
func makeTable(t testing.TB, s *stack.Stack, name string) {
	t.Helper()
	db := dynamodb.NewFromConfig(awsConfig(s))
	if _, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: new("theirs"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: new("theirs"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "table "+name+" was there", func() bool {
		out, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
		return err == nil && out.Table.TableStatus == types.TableStatusActive
	})
}

// dropTable removes a table that makeTable made, and fails the test if there is none
// of that kind.
func dropTable(t testing.TB, s *stack.Stack, name string) {
	t.Helper()
	db := dynamodb.NewFromConfig(awsConfig(s))
	out, err := db.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if got := *out.TableDescription.KeySchema[0].AttributeName; got != "theirs" {
		t.Fatalf("table %s has the key %s, and is somebody else's", name, got)
	}
	eventually(t, "table "+name+" was gone", func() bool {
		_, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
		_, gone := errors.AsType[*types.ResourceNotFoundException](err)
		return gone
	})
}

// deleteLost stops the execution while it waits. The sweeper runs the operation
// again, no earlier than it was to.
func deleteLost(t *testing.T, admin *client) {
	w := want(admin)
	w.checkActive()
	before := w.do("GET", "/tenants/"+w.id, nil).must(200)
	id := w.delete()
	purgeAt := moment(t, w.do("GET", "/tenants/"+w.id, nil).must(200).Body["purge_at"])
	stop(t, w.stack, "deprovision", id+"-1")
	updateIn(t, w.stack, "OPERATION#"+id, "due_at", "2026-01-01T00:00:00.000Z")
	swept(t, w.stack, func() bool { return w.do("GET", "/operations/"+id, nil).must(200).Body["attempt"] == 2.0 })
	op := w.operation(id)
	if diff := cmp.Diff(deprovisioned, steps(op)); diff != "" || op.Body["state"] != "succeeded" {
		t.Fatalf("the operation is %s (-want +got):\n%s", op.Raw, diff)
	}
	if ended := moment(t, op.Body["ended_at"]); ended.Before(purgeAt) {
		t.Errorf("the purge ended at %v, before %v", ended, purgeAt)
	}
	w.checkDeleted(before)
}

// deleteRetried has a purge fail at its last step, since the tenant was changed
// behind its back while the table went.
func deleteRetried(t *testing.T, admin *client) {
	w := want(admin)
	w.checkActive()
	before := w.do("GET", "/tenants/"+w.id, nil).must(200)
	var changed sync.Once
	w.stack.Endpoint().SetFault(func(c cloud.Call) cloud.Fault {
		if c.Name == "DeleteTable" && strings.Contains(string(c.Body), w.slug) {
			changed.Do(func() { updateIn(t, w.stack, "TENANT#"+w.id, "profile.status", "suspended") })
		}
		return cloud.Fault{}
	})
	id := w.delete()
	op := w.operation(id)
	w.stack.Endpoint().SetFault(nil)
	failure, _ := op.Body["error"].(map[string]any)
	if op.Body["state"] != "failed" || failure["step"] != "finish" || failure["code"] != "illegal-transition" || failure["hint"] == "" {
		t.Fatalf("the operation is %s", op.Raw)
	}
	updateIn(t, w.stack, "TENANT#"+w.id, "profile.status", "purging")
	w.do("DELETE", "/tenants/"+w.id, nil).problem(409, "illegal-transition")
	w.do("POST", "/tenants/"+w.id+"/restore", nil).problem(409, "illegal-transition")
	retry := "/operations/" + id + "/retry"
	w.do("POST", retry, map[string]any{"admin_password": ownersPassword, "sip_password": ownersPassword}).problem(422, "invalid")
	if again := w.do("POST", retry, nil).must(202); again.Body["attempt"] != 2.0 || again.Body["state"] != "pending" {
		t.Errorf("the retry is %s", again.Raw)
	}
	if op := w.operation(id); op.Body["state"] != "succeeded" {
		t.Fatalf("the operation is %s", op.Raw)
	}
	w.checkDeleted(before)
}

// deleteAgain deletes, restores, and deletes: nothing happens at the time of the
// first deletion, and everything at that of the last.
func deleteAgain(t *testing.T, admin *client) {
	w := want(admin)
	w.checkActive()
	path := "/tenants/" + w.id
	before := w.do("GET", path, nil).must(200)
	first := w.delete()
	early := moment(t, w.do("GET", path, nil).must(200).Body["purge_at"])
	w.do("POST", path+"/restore", nil).must(200)
	eventually(t, "the first time to purge was over", func() bool { return time.Now().After(early.Add(time.Second)) })
	w.checkActive()
	second := w.delete()
	late := moment(t, w.do("GET", path, nil).must(200).Body["purge_at"])
	if op := w.operation(first); op.Body["state"] != "cancelled" || op.Body["error"] != nil {
		t.Errorf("the first operation is %s", op.Raw)
	}
	w.do("POST", "/operations/"+first+"/retry", nil).problem(409, "operation-not-failed")
	op := w.operation(second)
	if op.Body["state"] != "succeeded" || !late.After(early) || moment(t, op.Body["ended_at"]).Before(late) {
		t.Errorf("purged at %v instead of %v: %s", early, late, op.Raw)
	}
	w.checkDeleted(before)
}

// restoreRacing restores a tenant again and again until it is restored, or its
// purge has begun. One of them is so, and wholly.
func restoreRacing(t *testing.T, admin *client) {
	w := want(admin)
	w.checkActive()
	path := "/tenants/" + w.id
	before := w.do("GET", path, nil).must(200)
	id := w.delete()
	purgeAt := moment(t, w.do("GET", path, nil).must(200).Body["purge_at"])
	eventually(t, "it was time to purge", func() bool { return time.Now().After(purgeAt.Add(-20 * time.Millisecond)) })
	answers := make([]*answer, 8)
	together(len(answers), func(i int) { answers[i] = w.do("POST", path+"/restore", nil) })
	restored := 0
	for _, a := range answers {
		if a.Status == 200 {
			restored++
			continue
		}
		a.problem(409, "illegal-transition")
	}
	op := w.operation(id)
	switch {
	case restored == 1 && op.Body["state"] == "cancelled":
		w.checkActive()
		w.do("DELETE", path, nil).must(202)
	case restored == 0 && op.Body["state"] == "succeeded":
		w.checkDeleted(before)
	default:
		t.Errorf("%d restored, and the operation is %s", restored, op.Raw)
	}
}

// TestRestore restores a tenant to what it was, whatever that is.
func TestRestore(t *testing.T) {
	admin := newClient(t, common).admin()
	w := want(admin)
	w.checkActive()
	path := "/tenants/" + w.id
	w.do("PATCH", path, map[string]any{"status": "suspended", "status_reason": "unpaid"}).must(200)
	before := w.do("GET", path, nil).must(200)
	owner := w.signIn(w.email, ownersPassword)
	w.do("POST", path+"/restore", nil).problem(409, "illegal-transition")
	owner.do("POST", path+"/restore", nil).problem(403, "forbidden")

	id := w.delete()
	deleting := w.do("GET", path, nil).must(200)
	if deleting.Body["status_reason"] != nil || moment(t, deleting.Body["purge_at"]).Before(time.Now().Add(29*24*time.Hour)) {
		t.Errorf("the tenant is %s", deleting.Raw)
	}
	eventually(t, "the execution waits", func() bool { return state(t, common, "deprovision", id+"-1") == "RUNNING" })
	keyed := w.with("Idempotency-Key", w.slug)
	answers := make([]*answer, 5)
	together(len(answers), func(i int) { answers[i] = keyed.do("POST", path+"/restore", map[string]any{}).must(200) })
	for _, a := range answers {
		if a.Raw != answers[0].Raw || a.Header.Get("ETag") != answers[0].Header.Get("ETag") {
			t.Errorf("got %s, want %s", a.Raw, answers[0].Raw)
		}
	}
	after := w.do("GET", path, nil).must(200)
	if diff := cmp.Diff(before.Body, after.Body, cmp.FilterPath(isUpdatedAt, cmp.Ignore())); diff != "" || after.Raw != answers[0].Raw {
		t.Errorf("got %s from the restore, and then (-before +after):\n%s", answers[0].Raw, diff)
	}
	if op := w.operation(id); op.Body["state"] != "cancelled" || op.Body["ended_at"] == nil {
		t.Errorf("the operation is %s", op.Raw)
	}
	if got := state(t, common, "deprovision", id+"-1"); got != "ABORTED" {
		t.Errorf("the execution is %s", got)
	}
	if diff := cmp.Diff([]string{"table", "account", "secret"}, w.left()); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	owner.do("GET", path, nil).must(200)
	w.do("POST", path+"/restore", nil).problem(409, "illegal-transition")
	if second := w.delete(); second == id {
		t.Errorf("the second deletion is operation %s too", second)
	}
}

func isUpdatedAt(p cmp.Path) bool {
	return strings.Contains(p.String()+p.Last().String(), "updated_at")
}

// TestDeleteBlocked deletes a tenant that has calls, and then none.
func TestDeleteBlocked(t *testing.T) {
	admin := newClient(t, common).admin()
	w := want(admin)
	w.checkActive()
	edge := admin.edge(w.id)
	for _, id := range []string{"one", "two"} {
		edge.do("POST", "/tenants/"+w.id+"/calls", map[string]any{"call_id": id}).must(201)
	}
	blocked := w.do("DELETE", "/tenants/"+w.id, nil).problem(409, "delete-blocked")
	if diff := cmp.Diff([]any{map[string]any{"kind": "live_calls", "count": 2.0}}, blocked.Body["blockers"]); diff != "" {
		t.Errorf("blockers (-want +got):\n%s", diff)
	}
	if got := w.do("GET", "/tenants/"+w.id, nil).must(200); got.Body["status"] != "active" || got.Body["purge_at"] != nil {
		t.Errorf("the tenant is %s", got.Raw)
	}
	edge.do("POST", "/tenants/"+w.id+"/calls/one/end", nil).must(204)
	expireLease(t, w.id, "two")
	eventually(t, "the slot came back", func() bool { return w.do("DELETE", "/tenants/"+w.id, nil).Status == 202 })
}

// TestDeleteTogether deletes a tenant many times at once: it is done once.
func TestDeleteTogether(t *testing.T) {
	admin := newClient(t, common).admin()
	w := want(admin)
	w.checkActive()
	answers := make([]*answer, 10)
	together(len(answers), func(i int) { answers[i] = w.do("DELETE", "/tenants/"+w.id, nil) })
	id := ""
	for _, a := range answers {
		if a.Status == 202 {
			if id != "" {
				t.Errorf("operations %s and %s both delete the tenant", id, a.text("id"))
			}
			id = a.text("id")
		}
	}
	for _, a := range answers {
		if a.Status != 202 && a.problem(409, "operation-running").Body["operation_id"] != id {
			t.Errorf("got %s, want operation %s", a.Raw, id)
		}
	}
}

// TestDeleteUnstarted loses the start of the execution. The sweeper makes up for
// it.
func TestDeleteUnstarted(t *testing.T) {
	admin := newClient(t, common).admin()
	w := want(admin)
	w.checkActive()
	faults(t, func(c cloud.Call) cloud.Fault {
		if c.Service == "states" && c.Name == "StartExecution" && strings.Contains(string(c.Body), "-deprovision") {
			return cloud.Fault{Effect: cloud.Refuse, Status: http.StatusBadRequest, Code: "AccessDeniedException"}
		}
		return cloud.Fault{}
	})
	id := w.delete()
	common.Endpoint().SetFault(nil)
	updateIn(t, common, "OPERATION#"+id, "due_at", "2026-01-01T00:00:00.000Z")
	swept(t, common, func() bool {
		arn := executionARN(common, "deprovision", id+"-1")
		_, err := sfn.NewFromConfig(awsConfig(common)).DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
		return err == nil
	})
	if op := w.do("GET", "/operations/"+id, nil).must(200); op.Body["attempt"] != 1.0 || op.Body["state"] != "pending" {
		t.Errorf("the operation is %s", op.Raw)
	}
}
