package work_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/mongo"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/sweep"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// TestMain drops the log, which tells of every failure that the tests ask for.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// A world is all that provisioning deals with: a real table, and fakes of what is
// not in it.
type world struct {
	*testing.T
	*process
	table      rawTable // which no call fails of
	tenants    *dynamo.Tenants
	operations *dynamo.Operations
	users      *dynamo.Users

	tables      *tables
	mongo       *mongoServer
	directory   *directory
	credentials *credentials
	vault       *vault
	machine     *machine
	due         *due

	service  *provisioning.Service
	retrier  *provisioning.Retrier
	runner   *provisioning.Runner
	steps    []work.TwoWayStep
	sweeper  *sweep.Sweeper
	workflow *workflow

	migrator   *provisioning.Migrator
	remigrator *work.Retrier

	deleter     *deprovisioning.Deleter
	restorer    *deprovisioning.Restorer
	reviver     *work.Retrier
	purger      *deprovisioning.Runner
	deprovision *workflow

	slug        string
	tenantID    identity.TenantID
	operationID operation.ID
}

// connections are what all clients share.
var connections = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

func newClient(t *testing.T, options ...func(*middleware.Stack) error) *dynamodb.Client {
	t.Helper()
	return enginetest.Client(t, func(o *dynamodb.Options) {
		o.HTTPClient = connections
		o.APIOptions = append(o.APIOptions, options...)
	})
}

func newWorld(t *testing.T, tableName string) *world {
	t.Helper()
	p := new(process)
	w := &world{
		T: t, process: p, table: rawTable{newClient(t), tableName},
		tables:      &tables{process: p, named: map[string]*table{}},
		mongo:       &mongoServer{p, map[string]*mongoDatabase{}, map[string]string{}},
		directory:   &directory{p, map[string]*account{}},
		credentials: &credentials{p, map[string]tenant.Secrets{}, map[string]bool{}},
		vault:       &vault{p, map[string]provisioning.Passwords{}},
		machine:     &machine{p, map[string]bool{}},
		due:         &due{},
		tenantID:    identity.TenantID(uuid.NewString()),
	}
	w.slug = "acme-" + string(w.tenantID)
	stored := dynamo.NewTable(newClient(t, p.intercept), tableName)
	w.tenants, w.operations, w.users = dynamo.NewTenants(stored), dynamo.NewOperations(stored), dynamo.NewUsers(stored)
	w.service = provisioning.NewService(w.tenants, w.users, w.vault, w.machine).WithMongoDB(true)
	w.retrier = provisioning.NewRetrier(w.operations, w.tenants, w.vault, w.machine)
	w.migrator = provisioning.NewMigrator(w.tenants, w.machine)
	w.remigrator = provisioning.NewMigrationRetrier(w.operations, w.tenants, w.machine)
	w.runner = provisioning.NewRunner(w.operations, w.tenants)
	w.steps = []work.TwoWayStep{
		provisioning.Database(dynamo.NewDatabases(w.tables, "test"), w.tenants),
		provisioning.MongoDB(mongo.NewDatabases(w.mongo, "test"), w.vault, w.tenants),
		provisioning.Identity(w.directory, w.users, w.vault),
		provisioning.SIP(w.credentials, w.vault, w.tenants),
	}
	waysBack := []work.WayBack{w.steps[0], provisioning.RemoteMongoDB(mongoFunction{w, w.steps[1]}), w.steps[2], w.steps[3]}
	provision := provisioning.Workflow{Machine: w.machine, Runner: w.runner, Steps: waysBack}
	w.sweeper = &sweep.Sweeper{
		Due: w.due, Operations: w.operations, Tenants: w.tenants, Accounts: w.users, Calls: dynamo.NewCalls(stored), Directory: w.directory, Vault: w.vault,
		Inventory: inventory{w.vault, w.credentials},
		Workflows: map[operation.Kind]sweep.Workflow{
			operation.Provision:   provision,
			operation.Migrate:     provision,
			operation.Deprovision: deprovisioning.Workflow{Machine: w.machine, Operations: w.operations},
		},
	}
	w.workflow = &workflow{definition: readDefinition(t, "provision"), process: p, handlers: map[string]task.Handler{
		"${ProvisioningDatabase}": task.Step(w.runner.Runner, w.steps[0]),
		"${ProvisioningMongodb}":  task.Step(w.runner.Runner, w.steps[1]),
		"${ProvisioningIdentity}": task.Step(w.runner.Runner, w.steps[2]),
		"${ProvisioningSip}":      task.Step(w.runner.Runner, w.steps[3]),
		"${ProvisioningActivate}": task.Do(func(ctx context.Context, t work.Task) error { return w.runner.Activate(ctx, w.vault, t) }),
		"${ProvisioningFail}":     task.Fail(w.runner.Fail),
	}}
	w.deprovisions(stored)
	return w
}

// intercept makes every call of a client one of the process.
func (p *process) intercept(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("fate",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (out middleware.InitializeOutput, m middleware.Metadata, err error) {
			err = p.call(ctx, middleware.GetOperationName(ctx), func() (err error) {
				out, m, err = next.HandleInitialize(ctx, in)
				return err
			})
			return out, m, err
		}), middleware.Before)
}

const adminPassword, sipPassword = "correct horse battery", "staple staple staple" //nolint:gosec // of a test

func (w *world) email() string { return w.slug + "@example.com" }

// everything asks for a tenant that needs every step.
func (w *world) everything() provisioning.Request {
	return provisioning.Request{
		Draft: tenant.Draft{
			Settings: tenant.Settings{
				Name: patch.Of("Acme"), SIPEnabled: patch.Of(true),
				SIPDomain: patch.Of(new(w.slug + ".example.com")), SIPUsername: patch.Of(new("acme")),
			},
			ID: patch.Of(w.tenantID), Slug: patch.Of(w.slug),
		},
		AdminEmail:    patch.Of(w.email()),
		AdminPassword: patch.Of(adminPassword),
		SIPPassword:   patch.Of(sipPassword),
		WebhookSecret: patch.Of("a webhook's secret"),
	}
}

var platformAdmin = identity.Caller{Subject: "admin", Role: identity.PlatformAdmin}

// request asks for a tenant in a process of its own.
func (w *world) request(r provisioning.Request) (provisioning.Result, error) {
	w.Helper()
	ctx, end := w.start(w.Context(), "Request")
	defer end()
	result, err := w.service.Request(ctx, platformAdmin, r, nil)
	id, err2 := dynamo.NewOperations(w.table.table()).Running(w.Context(), w.tenantID)
	if err2 != nil && !errors.Is(err2, fault.NotFound) {
		w.Fatal(err2)
	}
	w.operationID = id
	return result, err
}

// retry runs the operation again.
func (w *world) retry(n work.NewPasswords) error {
	ctx, end := w.start(w.Context(), "Retry")
	defer end()
	_, err := w.retrier.Retry(ctx, platformAdmin, w.operationID, n, noReceipt)
	return err
}

func noReceipt(operation.Operation) (*idempotency.Record, error) { return nil, nil }

// execute runs the execution of the present attempt to its end, if it was
// started.
func (w *world) execute() string {
	w.Helper()
	o := w.operation()
	name := execution(o)
	if !w.machine.running[name] {
		return ""
	}
	input, runs := map[string]any{"operation_id": o.ID, "attempt": o.Attempt}, w.workflow
	if o.Kind == operation.Deprovision {
		input["purge_at"], runs = o.NotBefore.Format(time.RFC3339), w.deprovision
	}
	end := runs.run(w.Context(), input)
	w.machine.running[name] = end == waiting
	return end
}

// sweep sweeps as if time had gone by, in a process of its own.
func (w *world) sweep() error {
	w.Helper()
	if o := w.operation(); o.ID != "" && o.State != operation.Failed {
		w.save(func(o *operation.Operation) { o.DueAt = time.Now().Add(-time.Second) })
	}
	ctx, end := w.start(w.Context(), "Sweeper")
	defer end()
	w.due.operations = nil
	if w.operationID != "" {
		w.due.operations = []operation.ID{w.operationID}
	}
	return w.sweeper.Sweep(ctx)
}

// sweepSecrets sweeps as once an hour.
func (w *world) sweepSecrets() {
	w.Helper()
	if err := w.sweeper.SweepSecrets(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// save changes the operation past all faults.
func (w *world) save(edit func(*operation.Operation)) {
	w.Helper()
	before := w.operation()
	after := before
	after.Steps = slices.Clone(before.Steps)
	edit(&after)
	after.Version++
	if err := dynamo.NewOperations(w.table.table()).Save(w.Context(), before, after); err != nil {
		w.Fatal(err)
	}
}

// operation returns the operation, or the zero value if there is none.
func (w *world) operation() operation.Operation {
	w.Helper()
	if w.operationID == "" {
		return operation.Operation{}
	}
	o, err := dynamo.NewOperations(w.table.table()).Get(w.Context(), w.operationID)
	if err != nil {
		w.Fatal(err)
	}
	return o
}

// tenant returns the tenant, or the zero value if there is none.
func (w *world) tenant() tenant.Tenant {
	w.Helper()
	t, err := dynamo.NewTenants(w.table.table()).Get(w.Context(), w.tenantID)
	if err != nil && !errors.Is(err, fault.NotFound) {
		w.Fatal(err)
	}
	return t
}

// A rawTable is the table as it is.
type rawTable struct {
	db   *dynamodb.Client
	name string
}

func (r rawTable) table() *dynamo.Table { return dynamo.NewTable(r.db, r.name) }

// activating reports whether the last step is under way.
func (w *world) activating() bool {
	steps := w.operation().Steps
	return len(steps) == 5 && steps[3].State == operation.Succeeded && steps[4].State == operation.Running
}

// owners returns how many owners the tenant counts.
func (w *world) owners() int {
	w.Helper()
	out, err := w.table.db.GetItem(w.Context(), &dynamodb.GetItemInput{TableName: &w.table.name, Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "TENANT#" + string(w.tenantID)},
		"sk": &types.AttributeValueMemberS{Value: "TENANT#COUNTERS"},
	}})
	if err != nil {
		w.Fatal(err)
	}
	n, ok := out.Item["owners"].(*types.AttributeValueMemberN)
	if !ok {
		w.Fatalf("the tenant's counters are %v", out.Item)
	}
	count, err := strconv.Atoi(n.Value)
	if err != nil {
		w.Fatal(err)
	}
	return count
}

// left is what there is of a tenant outside of its row.
type left struct {
	Tables, Databases, DatabaseUsers     int
	Accounts, Secrets, Passwords, Owners int
	EmailOf                              string // the account that has the e-mail address
	Running                              bool
}

func (w *world) left() left {
	w.Helper()
	l := left{len(w.tables.named), len(w.mongo.databases), len(w.mongo.users), len(w.directory.accounts), len(w.credentials.secrets), len(w.vault.secrets), w.owners(), "", true}
	users := dynamo.NewUsers(w.table.table())
	email, err := users.ByEmail(w.Context(), w.email())
	if l.EmailOf = email; err != nil && !errors.Is(err, fault.NotFound) {
		w.Fatal(err)
	}
	if held, err := users.EmailHeld(w.Context(), w.email()); err != nil || !held {
		w.Errorf("the e-mail address is not held: %v", err)
	}
	_, err = dynamo.NewOperations(w.table.table()).Running(w.Context(), w.tenantID)
	if l.Running = err == nil; err != nil && !errors.Is(err, fault.NotFound) {
		w.Fatal(err)
	}
	return l
}

// checkActive fails the test unless everything is there, once.
func (w *world) checkActive() {
	w.Helper()
	o, t := w.operation(), w.tenant()
	if o.State != operation.Succeeded || t.Status != tenant.Active || o.Failure != nil || o.Secret != "" {
		w.Fatalf("the operation is %+v, and the tenant %s", o, t.Status)
	}
	for _, step := range o.Steps {
		if step.State != operation.Succeeded || step.Error != "" || step.Attempts < 1 || step.StartedAt == nil || step.EndedAt == nil {
			w.Errorf("a step of what succeeded is %+v", step)
		}
	}
	username := ""
	for name, a := range w.directory.accounts {
		username = name
		if a.password != adminPassword || a.email != w.email() {
			w.Errorf("the account is %+v", a)
		}
		if t.OwnerID == nil || *t.OwnerID != a.id {
			w.Errorf("the tenant's owner is not the account")
			continue
		}
		u, err := dynamo.NewUsers(w.table.table()).Get(w.Context(), a.id)
		if err != nil || u.Role != identity.Owner || u.TenantID != w.tenantID {
			w.Errorf("the owner is %+v, %v", u, err)
		}
	}
	if diff := cmp.Diff(left{Tables: 1, Databases: 1, DatabaseUsers: 1, Accounts: 1, Secrets: 1, Owners: 1, EmailOf: username}, w.left()); diff != "" {
		w.Errorf("what is there (-want +got):\n%s", diff)
	}
	want := &table{
		tags:   map[string]string{"tenantry:tenant": string(w.tenantID), "tenantry:operation": string(w.operationID)},
		status: types.TableStatusActive, expires: true, backups: true, schema: strconv.Itoa(tenant.LatestSchemaVersion),
	}
	if diff := cmp.Diff(map[string]*table{w.tableName(): want}, w.tables.named, cmp.AllowUnexported(table{})); diff != "" || t.Database == nil || *t.Database != w.tableName() {
		w.Errorf("the tenant names the database %v; what there is (-want +got):\n%s", t.Database, diff)
	}
	if t.Secret == nil || w.credentials.secrets[t.Secret.Name].SIP.Current != sipPassword {
		w.Error("the tenant does not name its secret")
		return
	}
	w.checkMongo()
}

// checkFailed fails the test unless nothing is left of the attempt but what a
// retry needs.
func (w *world) checkFailed() {
	w.Helper()
	o, t := w.operation(), w.tenant()
	if o.State != operation.Failed || t.Status != tenant.Failed || o.Failure == nil || o.Secret == "" {
		w.Fatalf("the operation is %+v, and the tenant %s", o, t.Status)
	}
	if t.StatusReason == nil || *t.StatusReason != o.Failure.Detail {
		w.Errorf("the tenant's reason is not that of the operation, %q", o.Failure.Detail)
	}
	if t.Database != nil || t.MongoDatabase != nil || t.Secret != nil || t.OwnerID != nil {
		w.Errorf("the tenant still names what it had: %+v", t)
	}
	if diff := cmp.Diff(left{Passwords: 1}, w.left()); diff != "" {
		w.Errorf("what is left (-want +got):\n%s", diff)
	}
	culprits := 0
	for _, step := range o.Steps {
		switch step.State {
		case operation.Failed:
			culprits++
			if step.Name != o.Failure.Step || step.Error != o.Failure.Detail || step.EndedAt == nil {
				w.Errorf("the step that failed is %+v, and the failure %+v", step, o.Failure)
			}
		case operation.Pending, operation.Undone:
			if step.Error != "" {
				w.Errorf("a step that did not fail is %+v", step)
			}
		case operation.Running, operation.Succeeded, operation.Cancelled:
			w.Errorf("a step of what failed is %+v", step)
		}
	}
	if culprits != 1 {
		w.Errorf("%d steps have failed: %+v", culprits, o.Steps)
	}
	if text := fmt.Sprint(o); strings.Contains(text, "arn:") || strings.Contains(text, adminPassword) || strings.Contains(text, sipPassword) {
		w.Errorf("the operation tells too much: %s", text)
	}
}
