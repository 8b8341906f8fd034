package work_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/mongo"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
	"github.com/tenantry/tenantry/internal/user"
	"github.com/tenantry/tenantry/internal/work"
)

// over is a grace period that ends before it begins.
const over = -time.Second

// deprovisions gives the world what takes tenants apart.
func (w *world) deprovisions(stored *dynamo.Table) {
	w.deleter = deprovisioning.NewDeleter(w.tenants, w.operations, w.machine, over)
	w.restorer = deprovisioning.NewRestorer(w.tenants, w.operations, w.machine)
	w.reviver = deprovisioning.NewRetrier(w.operations, w.tenants, w.machine)
	w.purger = deprovisioning.NewRunner(w.operations, w.tenants)
	secrets := inventory{w.vault, w.credentials}
	step := func(s work.Step) task.Handler { return task.Apply(w.purger.Runner, s) }
	w.deprovision = &workflow{definition: readDefinition(w.T, "deprovision"), process: w.process, handlers: map[string]task.Handler{
		"${DeprovisioningBegin}":       task.Do(w.purger.Begin),
		"${DeprovisioningAgents}":      step(deprovisioning.Agents(w.tenants)),
		"${DeprovisioningUsage}":       step(deprovisioning.Usage(w.tenants)),
		"${DeprovisioningCredentials}": step(deprovisioning.Credentials(secrets, w.operations, w.tenants)),
		"${DeprovisioningAccounts}":    step(deprovisioning.Accounts(w.users, w.directory, dynamo.NewDue(stored), w.operations)),
		"${DeprovisioningDatabase}":    step(deprovisioning.Database(dynamo.NewDatabases(w.tables, "test"), w.tenants)),
		"${DeprovisioningMongodb}":     step(deprovisioning.MongoDB(mongo.NewDatabases(w.mongo, "test"), w.tenants)),
		"${DeprovisioningFinish}":      task.Do(w.purger.Finish),
		"${DeprovisioningFail}":        task.Fail(w.purger.Fail),
	}}
}

// agents is how many the tenant of a test has: more than go in one batch.
const agents = 30

// flourish provisions the tenant, and gives it all that a tenant comes by: another
// user, agents, and a secret that a process left behind.
func (w *world) flourish() {
	w.Helper()
	if _, err := w.request(w.everything()); err != nil {
		w.Fatal(err)
	}
	if got := w.execute(); got != succeeded {
		w.Fatalf("the execution ended as %s", got)
	}
	w.addUser("second-" + w.slug)
	w.addAgents()
	w.addCalls()
	w.credentials.secrets[string(w.tenantID)+"/stray"] = tenant.Secrets{}
}

// addAgents adds agents to the tenant.
func (w *world) addAgents() {
	w.Helper()
	var requests []types.WriteRequest
	for i := range agents {
		requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "TENANT#" + string(w.tenantID)}, "sk": &types.AttributeValueMemberS{Value: "AGENT#" + strconv.Itoa(i)},
		}}})
	}
	for batch := range slices.Chunk(requests, 25) {
		_, err := w.table.db.BatchWriteItem(w.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{w.table.name: batch}})
		if err != nil {
			w.Fatal(err)
		}
	}
	w.count("agents", agents)
}

// addCalls adds calls of the tenant, one of which ended, and use.
func (w *world) addCalls() {
	w.Helper()
	t := w.tenant()
	caller := identity.Caller{Subject: "key", Role: identity.Service, RequestID: "request"}
	calls := dynamo.NewCalls(w.table.table())
	for _, id := range []call.ID{"ended", "over"} {
		began := time.Now().UTC().Truncate(time.Millisecond)
		c := call.Call{ID: id, TenantID: t.ID, State: call.Live, StartedAt: began, Lease: time.Minute, ExpiresAt: began.Add(time.Minute)}
		if _, err := calls.Take(w.Context(), t, func() call.Call { return c }, audit.By(caller)); err != nil {
			w.Fatal(err)
		}
		if err := calls.End(w.Context(), c, call.Report{Duration: new(time.Minute)}, began); err != nil {
			w.Fatal(err)
		}
	}
	e := usage.Draft{
		SpecVersion: patch.Of("1.0"), Source: patch.Of("test"), ID: patch.Of("1"), Type: patch.Of(usage.MessageSent),
		Subject: patch.Of(t.ID), Time: patch.Of(time.Now().UTC().Format(time.RFC3339)), Quantity: patch.Of(int64(1)),
	}
	results, err := usage.NewService(dynamo.NewUsage(w.table.table())).Count(w.Context(), caller, []usage.Draft{e})
	if err != nil || results[0].Status != usage.Accepted {
		w.Fatal(results, err)
	}
}

// addUser adds a user to the tenant, with the account.
func (w *world) addUser(name string) {
	w.Helper()
	id, now := identity.UserID(uuid.NewString()), time.Now().UTC().Truncate(time.Millisecond)
	email := name + "@example.com"
	w.directory.accounts[name] = &account{id: id, email: email}
	users, t := dynamo.NewUsers(w.table.table()), w.tenant()
	i := user.Invitation{ID: name, Email: email, HeldUntil: now.Add(time.Minute), DeadAt: now.Add(time.Hour)}
	u := user.User{ID: id, Username: name, Email: email, FullName: name, Role: identity.Agent, TenantID: t.ID, CreatedAt: now, Version: 1}
	err := users.Hold(w.Context(), i)
	if err == nil {
		err = users.Join(w.Context(), user.Joining{Invitation: i, User: u, Tenant: user.TenantChange{Before: t, After: t}})
	}
	if err != nil {
		w.Fatal(err)
	}
}

// count sets one of the tenant's counters.
func (w *world) count(counter string, n int) {
	w.Helper()
	_, err := w.table.db.UpdateItem(w.Context(), &dynamodb.UpdateItemInput{
		TableName: &w.table.name,
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "TENANT#" + string(w.tenantID)}, "sk": &types.AttributeValueMemberS{Value: "TENANT#COUNTERS"},
		},
		UpdateExpression:          new("SET #c = :n"),
		ExpressionAttributeNames:  map[string]string{"#c": counter},
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: strconv.Itoa(n)}},
	})
	if err != nil {
		w.Fatal(err)
	}
}

// settled waits until the index shows the tenant's users and operations, so that
// each run makes the same calls.
func (w *world) settled() {
	w.Helper()
	stored := w.table.table()
	users, operations := dynamo.NewUsers(stored), dynamo.NewOperations(stored)
	deadline, tick := time.After(20*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		count, ids, err := users.Remaining(w.Context(), w.tenantID, 10)
		_, err2 := operations.Provisions(w.Context(), w.tenantID)
		if err == nil && err2 == nil && count == len(ids) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("the index shows %d of %d users: %v, %v", len(ids), count, err, err2)
		}
	}
}

// delete deletes the tenant in a process of its own.
func (w *world) delete() error {
	w.Helper()
	ctx, end := w.start(w.Context(), "Delete")
	defer end()
	_, err := w.deleter.Delete(ctx, platformAdmin, w.tenantID, nil)
	w.operationID = ""
	id, err2 := dynamo.NewOperations(w.table.table()).Running(w.Context(), w.tenantID)
	if err2 != nil && !errors.Is(err2, fault.NotFound) {
		w.Fatal(err2)
	}
	w.operationID = id
	return err
}

// restore restores the tenant in a process of its own.
func (w *world) restore() error {
	w.Helper()
	ctx, end := w.start(w.Context(), "Restore")
	defer end()
	_, err := w.restorer.Restore(ctx, platformAdmin, w.tenantID, func(tenant.Tenant) (*idempotency.Record, error) { return nil, nil })
	return err
}

// items returns the keys of all items that have to do with the tenant.
func (w *world) items() []string {
	w.Helper()
	var keys []string
	pages := dynamodb.NewScanPaginator(w.table.db, &dynamodb.ScanInput{TableName: &w.table.name, ConsistentRead: new(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		for _, item := range page.Items {
			text := fmt.Sprint(plainItem(item))
			if strings.Contains(text, string(w.tenantID)) || strings.Contains(text, w.slug) {
				keys = append(keys, plainItem(item)["pk"]+" "+plainItem(item)["sk"])
			}
		}
	}
	return keys
}

// plainItem returns the attributes of an item that are texts.
func plainItem(item map[string]types.AttributeValue) map[string]string {
	texts := map[string]string{}
	for name, v := range item {
		if s, ok := v.(*types.AttributeValueMemberS); ok {
			texts[name] = s.Value
		}
	}
	return texts
}

// checkDeleted fails the test unless nothing is left of the tenant but its
// tombstone and what tells of it.
func (w *world) checkDeleted() {
	w.Helper()
	o, t := w.operation(), w.tenant()
	if o.State != operation.Succeeded || t.Status != tenant.Deleted || o.Failure != nil {
		w.Fatalf("the operation is %+v, and the tenant %s", o, t.Status)
	}
	for _, step := range o.Steps {
		if step.State != operation.Succeeded || step.Error != "" || step.Attempts < 1 || step.StartedAt == nil || step.EndedAt == nil {
			w.Errorf("a step of what succeeded is %+v", step)
		}
	}
	if t.Database != nil || t.MongoDatabase != nil || t.Secret != nil || t.OwnerID != nil || t.SIPDomain != nil || t.PurgeAt != nil || t.Former != nil {
		w.Errorf("the tombstone names what the tenant had: %+v", t)
	}
	if n := len(w.tables.named) + len(w.mongo.databases) + len(w.mongo.users) + len(w.directory.accounts) + len(w.credentials.secrets) + len(w.vault.secrets); n != 0 {
		w.Errorf("there are still %v, %v, %v, %v, %v and %v", w.tables.named, w.mongo.databases, w.mongo.users, w.directory.accounts, w.credentials.secrets, w.vault.secrets)
	}
	for _, key := range w.gone() {
		w.Errorf("there is still an item %s", key)
	}
}

// gone returns which of the keys are taken that are to be free when the tenant is
// deleted.
func (w *world) gone() []string {
	w.Helper()
	var keys []map[string]types.AttributeValue
	for _, k := range [][2]string{
		{"SLUG#" + w.slug, "SLUG"},
		{"SIPDOMAIN#" + w.slug + ".example.com", "SIPDOMAIN"},
		{"EMAIL#" + w.email(), "EMAIL"},
		{"EMAIL#second-" + w.slug + "@example.com", "EMAIL"},
		{"TENANT#" + string(w.tenantID), "TENANT#COUNTERS"},
		{"TENANT#" + string(w.tenantID), "OPERATION"},
		{"TENANT#" + string(w.tenantID), "AGENT#0"},
		{"PREFIX#ac", "acme\x00" + string(w.tenantID)},
		{"PREFIX#ac", w.slug + "\x00" + string(w.tenantID)},
	} {
		keys = append(keys, map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: k[0]}, "sk": &types.AttributeValueMemberS{Value: k[1]},
		})
	}
	out, err := w.table.db.BatchGetItem(w.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		w.table.name: {Keys: keys, ConsistentRead: new(true)},
	}})
	if err != nil {
		w.Fatal(err)
	}
	var taken []string
	for _, item := range out.Responses[w.table.name] {
		taken = append(taken, plainItem(item)["pk"]+" "+plainItem(item)["sk"])
	}
	return taken
}

// TestDeprovision takes a tenant apart that has everything. What is left is as it
// should be, and all that was the tenant's can be had again.
func TestDeprovision(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.flourish()
	before := w.tenant()
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	if got := w.execute(); got != succeeded {
		t.Fatalf("the execution ended as %s: %+v", got, w.operation())
	}
	w.checkDeleted()
	for _, key := range w.items() {
		kind, _, _ := strings.Cut(key, "#")
		switch kind {
		case "AUDIT", "OPERATION", "DIRECTORY":
			continue
		case "SEEN": // hashes, which expire
			continue
		}
		if key != "TENANT#"+string(w.tenantID)+" TENANT" {
			t.Errorf("there is still an item %s", key)
		}
	}
	after := w.tenant()
	if after.Name != before.Name || after.Slug != before.Slug || after.BillingPlan != before.BillingPlan || !after.CreatedAt.Equal(before.CreatedAt) || after.Number != before.Number {
		t.Errorf("the tombstone of %+v is %+v", before, after)
	}
	w.tenantID = identity.TenantID(uuid.NewString())
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	w.execute()
	w.checkActive()
}

// TestDeprovisionFailed takes a tenant apart that could not be provisioned. The
// table that has its table's name is somebody else's.
func TestDeprovisionFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.tables.named[w.tableName()] = others()
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	w.execute()
	if len(w.vault.secrets) != 1 || w.tenant().Status != tenant.Failed {
		t.Fatalf("the tenant is %s, and its passwords are %v", w.tenant().Status, w.vault.secrets)
	}
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	w.settled()
	if got := w.execute(); got != succeeded {
		t.Fatalf("the execution ended as %s: %+v", got, w.operation())
	}
	if diff := cmp.Diff(others(), w.tables.named[w.tableName()], cmp.AllowUnexported(table{})); diff != "" {
		t.Errorf("the other's table (-want +got):\n%s", diff)
	}
	clear(w.tables.named)
	w.checkDeleted()
}

// TestDeprovisionPooled takes a tenant apart that has nothing of its own.
func TestDeprovisionPooled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.slug = "plain-" + string(w.tenantID)
	r := provisioning.Request{Draft: tenant.Draft{
		Settings: tenant.Settings{Name: patch.Of("Plain")}, ID: patch.Of(w.tenantID), Slug: patch.Of(w.slug), Isolation: patch.Of(tenant.Pooled),
	}}
	if _, err := w.request(r); err != nil {
		t.Fatal(err)
	}
	w.execute()
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	w.settled()
	w.execute()
	w.checkDeleted()
	want := []string{"begin succeeded 1", "agents succeeded 1", "usage succeeded 1", "credentials succeeded 1", "accounts succeeded 1", "finish succeeded 1"}
	if diff := cmp.Diff(want, summary(w.operation())); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestNotDue leaves a tenant alone until its grace period is over.
func TestNotDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.flourish()
	w.deleter = deprovisioning.NewDeleter(w.tenants, w.operations, w.machine, time.Hour)
	asked := time.Now()
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	before, waits := w.tenant(), w.operation()
	if before.Status != tenant.Deleting || before.PurgeAt == nil || !before.PurgeAt.Equal(waits.NotBefore) ||
		before.PurgeAt.Before(asked.Add(time.Hour)) || before.PurgeAt.After(time.Now().Add(time.Hour+time.Second)) || before.PurgeAt.Nanosecond() != 0 {
		t.Fatalf("asked at %v, the tenant is to be purged at %v, and the operation waits for %v", asked, before.PurgeAt, waits.NotBefore)
	}
	if got := w.execute(); got != waiting {
		t.Fatalf("the execution ended as %s", got)
	}
	early := work.Task{OperationID: w.operationID, Attempt: 1}
	if err := w.purger.Begin(t.Context(), early); !errors.Is(err, operation.ErrNotDue) {
		t.Errorf("got %v, want %v", err, operation.ErrNotDue)
	}
	w.mustSweep() // which is not to look again for long
	after := w.operation()
	if want := waits.NotBefore.Add(work.LookAgainIn); !after.DueAt.Equal(want) || after.State != operation.Pending {
		t.Errorf("it is to be looked at at %v, want %v: %+v", after.DueAt, want, after)
	}
	if diff := cmp.Diff(before, w.tenant()); diff != "" {
		t.Errorf("the tenant has changed (-want +got):\n%s", diff)
	}
}

// TestSweepStartsDeletions makes up for a start that was lost, long before the
// purge.
func TestSweepStartsDeletions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.flourish()
	w.deleter = deprovisioning.NewDeleter(w.tenants, w.operations, w.machine, time.Hour)
	w.decide = always("StartExecution", refused)
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	w.decide = nil
	if due := w.operation().DueAt; due.After(time.Now().Add(time.Minute)) {
		t.Errorf("the start is to be looked at at %v", due)
	}
	w.mustSweep()
	if o := w.operation(); !w.machine.running[execution(o)] || o.Attempt != 1 || o.DueAt.After(time.Now().Add(2*time.Minute)) {
		t.Errorf("the operation is %+v, and started are %v", o, w.machine.running)
	}
}

// TestRestore restores a tenant in each way, and deletes it again.
func TestRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.flourish()
	w.deleter = deprovisioning.NewDeleter(w.tenants, w.operations, w.machine, time.Hour)
	before := w.tenant()
	if err := w.restore(); !errors.Is(err, fault.IllegalTransition) {
		t.Errorf("an active tenant: got %v, want %s", err, fault.IllegalTransition)
	}
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	if err := w.delete(); !errors.Is(err, fault.OperationRunning) {
		t.Errorf("deleted twice: got %v, want %s", err, fault.OperationRunning)
	}
	first := w.operation()
	if err := w.restore(); err != nil {
		t.Fatal(err)
	}
	after := w.tenant()
	after.Version, after.UpdatedAt = before.Version, before.UpdatedAt
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the tenant (-want +got):\n%s", diff)
	}
	if o := w.operation(); o.State != operation.Cancelled || o.EndedAt == nil || w.machine.running[execution(o)] {
		t.Errorf("the operation is %+v, and the executions %v", o, w.machine.running)
	}
	w.late(first)
	if w.tenant().Status != tenant.Active {
		t.Errorf("a tenant that was restored is %s", w.tenant().Status)
	}
	w.deleter = deprovisioning.NewDeleter(w.tenants, w.operations, w.machine, over)
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	w.late(first)
	if w.tenant().Status != tenant.Deleting {
		t.Errorf("an operation that was cancelled made the tenant %s", w.tenant().Status)
	}
	w.settled()
	w.execute()
	w.checkDeleted()
	if err := w.restore(); !errors.Is(err, fault.IllegalTransition) {
		t.Errorf("a deleted tenant: got %v, want %s", err, fault.IllegalTransition)
	}
	if err := w.delete(); !errors.Is(err, fault.IllegalTransition) {
		t.Errorf("a deleted tenant: got %v, want %s", err, fault.IllegalTransition)
	}
}

// late runs the execution of an operation that has ended, which was not stopped.
func (w *world) late(o operation.Operation) {
	w.Helper()
	input := map[string]any{"operation_id": o.ID, "attempt": o.Attempt, "purge_at": "2026-01-01T00:00:00Z"}
	if got := w.deprovision.run(w.Context(), input); got != succeeded {
		w.Errorf("the late execution ended as %s", got)
	}
	if err := w.purger.Fail(w.Context(), work.Task{OperationID: o.ID, Attempt: o.Attempt}, work.Internal); err != nil {
		w.Errorf("a late failure: %v", err)
	}
}

// TestRestoreTogether restores a tenant several times at once while it is purged.
// One outcome holds: it is restored, or it is deleted.
func TestRestoreTogether(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	for i := range 6 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			w.flourish()
			before := w.tenant()
			if err := w.delete(); err != nil {
				t.Fatal(err)
			}
			w.settled()
			begun := make(chan string, 1)
			go func() { begun <- w.execute() }()
			restored := 0
			for _, err := range together(4, func() error {
				_, err := w.restorer.Restore(t.Context(), platformAdmin, w.tenantID, func(tenant.Tenant) (*idempotency.Record, error) { return nil, nil })
				return err
			}) {
				if err == nil {
					restored++
				} else if !errors.Is(err, fault.IllegalTransition) {
					t.Errorf("one of several got %v", err)
				}
			}
			if got := <-begun; got != succeeded {
				t.Errorf("the execution ended as %s", got)
			}
			switch o := w.operation(); o.State {
			case operation.Cancelled:
				after := w.tenant()
				after.Version, after.UpdatedAt = before.Version, before.UpdatedAt
				if diff := cmp.Diff(before, after); diff != "" || restored != 1 {
					t.Errorf("%d restored the tenant (-want +got):\n%s", restored, diff)
				}
				if len(w.tables.named) != 1 || len(w.directory.accounts) != 2 || len(w.credentials.secrets) != 2 {
					t.Error("something of a tenant that was restored is gone")
				}
			case operation.Succeeded:
				if w.checkDeleted(); restored != 0 {
					t.Errorf("%d restored a tenant that was purged", restored)
				}
			case operation.Pending, operation.Running, operation.Failed, operation.Undone:
				t.Errorf("the operation is %+v", o)
			}
		})
	}
}

// TestDeprovisionAgain has each step fail for good, and retries.
func TestDeprovisionAgain(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	for name, test := range map[string]struct {
		call string
		step string
		want operation.Failure
	}{
		"agents":      {"BatchWriteItem", "Agents", operation.Failure{Step: "agents", Code: "internal", Detail: internalDetail, Hint: defaultHint}},
		"usage":       {"BatchWriteItem", "Usage", operation.Failure{Step: "usage", Code: "internal", Detail: internalDetail, Hint: defaultHint}},
		"credentials": {"DeleteSecret", "Credentials", operation.Failure{Step: "credentials", Code: "internal", Detail: internalDetail, Hint: defaultHint}},
		"accounts":    {"AdminDeleteUser", "Accounts", operation.Failure{Step: "accounts", Code: "internal", Detail: internalDetail, Hint: defaultHint}},
		"database":    {"DeleteTable", "Database", operation.Failure{Step: "database", Code: "internal", Detail: internalDetail, Hint: defaultHint}},
		"finish":      {"TransactWriteItems", "Finish", operation.Failure{Step: "finish", Code: "internal", Detail: internalDetail, Hint: defaultHint}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			w.flourish()
			if err := w.delete(); err != nil {
				t.Fatal(err)
			}
			w.settled()
			w.decide = func(call string, _ int) fate {
				if call == test.call && w.at == test.step {
					return refused
				}
				return ""
			}
			if got := w.execute(); got != failed {
				t.Errorf("the execution ended as %s", got)
			}
			w.decide = nil
			o := w.operation()
			if diff := cmp.Diff(&test.want, o.Failure); diff != "" || o.State != operation.Failed || w.tenant().Status != tenant.Purging {
				t.Errorf("the operation is %+v, and the tenant %s; the failure (-want +got):\n%s", o, w.tenant().Status, diff)
			}
			for _, err := range []error{w.delete(), w.restore()} {
				if !errors.Is(err, fault.IllegalTransition) {
					t.Errorf("got %v, want %s", err, fault.IllegalTransition)
				}
			}
			w.operationID = o.ID
			useless := work.NewPasswords{AdminPassword: patch.Of(adminPassword), SIPPassword: patch.Of(sipPassword)}
			f, _ := errors.AsType[*fault.Error](w.revive(useless))
			want := []fault.Field{
				{Pointer: "#/admin_password", Detail: "is of no use: the operation makes no account"},
				{Pointer: "#/sip_password", Detail: "is of no use: the operation keeps no secret"},
			}
			if f == nil || !cmp.Equal(want, f.Fields) {
				t.Errorf("with passwords: got %v", f)
			}
			retried := 0
			for _, err := range together(4, func() error { return w.revive(work.NewPasswords{}) }) {
				if err == nil {
					retried++
				} else if !errors.Is(err, fault.OperationNotFailed) {
					t.Errorf("one of several got %v", err)
				}
			}
			if o := w.operation(); retried != 1 || o.Attempt != 2 || o.State != operation.Pending || w.tenant().Status != tenant.Purging {
				t.Errorf("%d retries; the operation is %+v, and the tenant %s", retried, o, w.tenant().Status)
			}
			w.late(o)
			w.execute()
			w.checkDeleted()
		})
	}
}

// revive retries the operation.
func (w *world) revive(n work.NewPasswords) error {
	_, err := w.reviver.Retry(w.Context(), platformAdmin, w.operationID, n, noReceipt)
	return err
}

// TestDeprovisionNotReady never sees the end of a table.
func TestDeprovisionNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.flourish()
	w.tables.stuck = true
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	w.settled()
	w.execute()
	want := operation.Failure{
		Step: "database", Code: "not-ready", Detail: "what the step makes or removes was not ready in time",
		Hint: "see why the tenant's table is still there, then POST /operations/{id}/retry",
	}
	if diff := cmp.Diff(&want, w.operation().Failure); diff != "" {
		t.Errorf("the failure (-want +got):\n%s", diff)
	}
}

// TestDeprovisionDead stops an execution, which is run again in another attempt.
// What is late of the first does nothing.
func TestDeprovisionDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.flourish()
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	w.settled()
	first := w.operation()
	w.machine.running[execution(first)] = false
	w.mustSweep()
	second := w.operation()
	if second.Attempt != 2 || second.State != operation.Pending || !second.NotBefore.Equal(first.NotBefore) || !w.machine.running[execution(second)] {
		t.Fatalf("the operation is %+v, and started are %v", second, w.machine.running)
	}
	w.late(first)
	if got := w.tenant().Status; got != tenant.Deleting {
		t.Errorf("what is late made the tenant %s", got)
	}
	again := deprovisioning.Workflow{Machine: w.machine, Operations: w.operations}
	if err := again.Recover(t.Context(), first); err != nil || w.operation().Attempt != 2 {
		t.Errorf("a sweeper that is behind: %v, and attempt %d", err, w.operation().Attempt)
	}
	w.execute()
	w.checkDeleted()
	w.late(second)
	if err := again.Recover(t.Context(), second); err != nil {
		t.Error(err)
	}
	w.checkDeleted()
}

// TestPurgeSlowedDown has Cognito refuse more calls than the step may fail for
// another reason. That only takes time.
func TestPurgeSlowedDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.flourish()
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	w.settled()
	times := 0
	w.decide = func(call string, _ int) fate {
		if call == "AdminDeleteUser" && times < 150 {
			times++
			return slowed
		}
		return ""
	}
	if got := w.execute(); got != succeeded {
		t.Errorf("the execution ended as %s: %+v", got, w.operation())
	}
	w.decide = nil
	w.checkDeleted()
}

// TestPurgeIsBound begins an operation that the tenant is not to be purged by, and
// finishes one whose steps are not done.
func TestPurgeIsBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.flourish()
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	current := work.Task{OperationID: w.operationID, Attempt: 1}
	if err := w.purger.Finish(t.Context(), current); err == nil || fault.KindOf(err) != "" {
		t.Errorf("an operation whose steps are not done ended: %v", err)
	}
	w.save(func(o *operation.Operation) { o.NotBefore = o.NotBefore.Add(-time.Second) })
	if err := w.purger.Begin(t.Context(), current); err == nil || fault.KindOf(err) != "" {
		t.Errorf("an operation of another time began: %v", err)
	}
	if got := w.tenant().Status; got != tenant.Deleting {
		t.Errorf("the tenant is %s", got)
	}
}

// TestPurgeDuplicates delivers each task of a deprovisioning several times at once.
func TestPurgeDuplicates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.flourish()
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	w.settled()
	in := task.Input{OperationID: w.operationID, Attempt: 1}
	for _, name := range []string{"Begin", "Agents", "Usage", "Credentials", "Accounts", "Database", "Mongodb", "Finish"} {
		deliver := func() error {
			_, err := w.deprovision.handlers["${Deprovisioning"+name+"}"](context.WithoutCancel(t.Context()), in)
			return err
		}
		for tries := 0; ; tries++ {
			err := errors.Join(together(4, deliver)...)
			if err == nil {
				break
			}
			if tries == 50 {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	w.checkDeleted()
}
