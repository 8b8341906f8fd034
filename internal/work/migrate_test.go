package work_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// grown provisions a tenant, and makes its databases what they were at the first
// version of the schema.
func (w *world) grown() {
	w.Helper()
	if _, err := w.request(w.everything()); err != nil {
		w.Fatal(err)
	}
	if got := w.execute(); got != succeeded {
		w.Fatalf("the execution ended as %s", got)
	}
	w.change(func(t *tenant.Tenant) { t.SchemaVersion = 1 })
	w.tables.named[w.tableName()].schema = "1"
	found := w.mongo.databases[w.mongoName()]
	found.tag.SchemaVersion = 1
	w.calledBy(false)
}

// change changes the tenant past all faults.
func (w *world) change(edit func(*tenant.Tenant)) {
	w.Helper()
	before := w.tenant()
	after := before
	edit(&after)
	after.Version++
	told := audit.BySystem("test", w.operationID).Did("test", w.tenantID, audit.Target{})
	if err := dynamo.NewTenants(w.table.table()).Update(w.Context(), before, after, told); err != nil {
		w.Fatal(err)
	}
}

// calledBy takes the index away that the second version of the schema brings, or
// reports whether it is there.
func (w *world) calledBy(keep bool) bool {
	found := w.mongo.databases[w.mongoName()].collections
	at := slices.Index(found["call_records"], "agent")
	if !keep && at >= 0 {
		found["call_records"] = slices.Delete(found["call_records"], at, at+1)
	}
	return at >= 0
}

// migrate asks for the migration of the tenant in a process of its own.
func (w *world) migrate() error {
	w.Helper()
	ctx, end := w.start(w.Context(), "Migrate")
	defer end()
	_, err := w.migrator.Migrate(ctx, platformAdmin, w.tenantID, noReceipt)
	id, err2 := dynamo.NewOperations(w.table.table()).Running(w.Context(), w.tenantID)
	if err2 != nil && !errors.Is(err2, fault.NotFound) {
		w.Fatal(err2)
	}
	w.operationID = id
	return err
}

// remigrate retries the operation.
func (w *world) remigrate(n work.NewPasswords) error {
	w.Helper()
	ctx, end := w.start(w.Context(), "Retry")
	defer end()
	_, err := w.remigrator.Retry(ctx, platformAdmin, w.operationID, n, noReceipt)
	return err
}

// versions is where the version of the schema is written down.
type versions struct {
	Tenant, Mongo int
	Table         string
	CalledBy      bool
}

var atFirst, atLatest = versions{1, 1, "1", false}, versions{tenant.LatestSchemaVersion, tenant.LatestSchemaVersion, strconv.Itoa(tenant.LatestSchemaVersion), true}

// checkVersions fails the test unless the databases have a version, and all else of
// the tenant is what it was before.
func (w *world) checkVersions(want versions, before tenant.Tenant) {
	w.Helper()
	after := w.tenant()
	got := versions{after.SchemaVersion, w.mongo.databases[w.mongoName()].tag.SchemaVersion, w.tables.named[w.tableName()].schema, w.calledBy(true)}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("the versions (-want +got):\n%s", diff)
	}
	after.SchemaVersion, after.Version, after.UpdatedAt = before.SchemaVersion, before.Version, before.UpdatedAt
	if diff := cmp.Diff(before, after); diff != "" {
		w.Errorf("the tenant (-want +got):\n%s", diff)
	}
	if len(w.tables.named) != 1 || len(w.mongo.databases) != 1 || len(w.mongo.users) != 1 {
		w.Errorf("there are %d tables, %d MongoDB databases and %d users of those", len(w.tables.named), len(w.mongo.databases), len(w.mongo.users))
	}
}

// TestMigrate migrates the databases of a tenant, and again, which changes nothing.
func TestMigrate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.grown()
	before, of := w.tenant(), w.operationID
	for range 2 {
		if err := w.migrate(); err != nil {
			t.Fatal(err)
		}
		if got := w.execute(); got != succeeded {
			t.Fatalf("the execution ended as %s", got)
		}
		o := w.operation()
		if o.Kind != operation.Migrate || o.State != operation.Succeeded || !slices.Equal(names(o), []string{"database", "mongodb", "activate"}) {
			t.Errorf("the operation is %+v", o)
		}
		w.checkVersions(atLatest, before)
	}
	// Whose the databases are does not change, so they go with the tenant.
	if tag := w.mongo.databases[w.mongoName()].tag; tag.Operation != string(of) {
		t.Errorf("the tag is %+v", tag)
	}
	w.settled()
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	w.execute()
	w.checkDeleted()
}

// TestMigratePooled migrates a tenant without databases of its own.
func TestMigratePooled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	r := w.everything()
	r.Draft.Isolation = patch.Of(tenant.Pooled)
	if _, err := w.request(r); err != nil {
		t.Fatal(err)
	}
	w.execute()
	w.change(func(t *tenant.Tenant) { t.SchemaVersion = 1 })
	if err := w.migrate(); err != nil {
		t.Fatal(err)
	}
	if got, o := w.execute(), w.operation(); got != succeeded || !slices.Equal(names(o), []string{"activate"}) {
		t.Errorf("the execution ended as %s: %+v", got, o)
	}
	if got := w.tenant(); got.SchemaVersion != tenant.LatestSchemaVersion || got.Status != tenant.Active {
		t.Errorf("the tenant is %+v", got)
	}
}

// TestMigrateRefused asks for migrations that cannot be.
func TestMigrateRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	refused := func(want fault.Kind) {
		t.Helper()
		if err := w.migrate(); !errors.Is(err, want) {
			t.Errorf("a tenant that is %s: got %v, want %s", w.tenant().Status, err, want)
		}
	}
	refused(fault.NotFound)
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	refused(fault.OperationRunning)
	w.execute()
	if err := w.migrate(); err != nil {
		t.Fatal(err)
	}
	migration := w.operationID
	refused(fault.OperationRunning)
	if err := w.delete(); !errors.Is(err, fault.OperationRunning) {
		t.Errorf("deleted meanwhile: got %v, want %s", err, fault.OperationRunning)
	}
	w.operationID = migration
	w.execute()
	w.settled()
	if err := w.delete(); err != nil {
		t.Fatal(err)
	}
	deletion := w.operationID
	refused(fault.IllegalTransition)
	w.operationID = deletion
	w.execute()
	refused(fault.IllegalTransition)
}

// TestMigrateTogether asks many times at once: one operation comes of it.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.grown()
	before, made := w.tenant(), 0
	for _, err := range together(8, func() error {
		_, err := w.migrator.Migrate(t.Context(), platformAdmin, w.tenantID, noReceipt)
		return err
	}) {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, fault.OperationRunning):
			t.Errorf("one of several got %v", err)
		}
	}
	if made != 1 {
		t.Fatalf("%d migrations were made, want 1", made)
	}
	id, err := w.operations.Running(t.Context(), w.tenantID)
	if err != nil {
		t.Fatal(err)
	}
	w.operationID = id
	w.execute()
	w.checkVersions(atLatest, before)
}

// TestMigrateAgain has each step fail for good. The tenant works on with what it has,
// and a retry does the rest; not where the tenant is on its way out by then.
func TestMigrateAgain(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	const hint = "find the cause in the log of the step's function, mend it, then POST /operations/{id}/retry"
	for name, test := range map[string]struct {
		call, at string
		want     operation.Failure
		left     versions
	}{
		"database": {"PutItem", "Database", operation.Failure{Step: "database", Code: "internal", Detail: internalDetail, Hint: hint}, atFirst},
		"mongodb": {"CreateIndexes", "Mongodb", operation.Failure{
			Step: "mongodb", Code: "internal", Detail: internalDetail,
			Hint: "see whether the server that MongoDbSecretArn names is there, and lets its user make collections and indexes, then POST /operations/{id}/retry",
		}, versions{1, 1, atLatest.Table, false}},
		"activate": {"TransactWriteItems", "Activate", operation.Failure{
			Step: "activate", Code: "internal", Detail: internalDetail, Hint: hint,
		}, versions{1, atLatest.Mongo, atLatest.Table, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			w.grown()
			before := w.tenant()
			if err := w.migrate(); err != nil {
				t.Fatal(err)
			}
			w.decide = func(call string, _ int) fate {
				if call == test.call && w.at == test.at {
					return refused
				}
				return ""
			}
			if got := w.execute(); got != failed {
				t.Errorf("the execution ended as %s", got)
			}
			w.decide = nil
			o := w.operation()
			if diff := cmp.Diff(&test.want, o.Failure); diff != "" || o.State != operation.Failed {
				t.Errorf("the operation is %+v; the failure (-want +got):\n%s", o, diff)
			}
			for _, step := range o.Steps {
				if step.State == operation.Undone {
					t.Errorf("a step of what has no way back is %+v", step)
				}
			}
			w.checkVersions(test.left, before)
			if err := w.remigrate(work.NewPasswords{SIPPassword: patch.Of(sipPassword)}); !errors.Is(err, fault.Invalid) {
				t.Errorf("with a password: got %v, want %s", err, fault.Invalid)
			}
			w.change(func(t *tenant.Tenant) { t.Status = tenant.Failed })
			if err := w.remigrate(work.NewPasswords{}); !errors.Is(err, fault.IllegalTransition) {
				t.Errorf("a tenant that has failed: got %v, want %s", err, fault.IllegalTransition)
			}
			w.change(func(t *tenant.Tenant) { t.Status = before.Status })
			if err := w.remigrate(work.NewPasswords{}); err != nil {
				t.Fatal(err)
			}
			if got := w.execute(); got != succeeded {
				t.Errorf("the second execution ended as %s: %+v", got, w.operation())
			}
			w.checkVersions(atLatest, before)
		})
	}
}

// TestMigrateLost migrates a tenant whose databases are not there, or another's.
func TestMigrateLost(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	for name, test := range map[string]struct {
		lose       func(*world)
		step, hint string
	}{
		"no table": {
			func(w *world) { clear(w.tables.named) },
			"database", "see what became of the tenant's table, then POST /operations/{id}/retry",
		},
		"no MongoDB database": {
			func(w *world) { clear(w.mongo.databases) },
			"mongodb", "see what became of the tenant's MongoDB database, then POST /operations/{id}/retry",
		},
		"another's": {
			func(w *world) { w.mongo.claim(w.mongoName(), "another") },
			"mongodb", "see what became of the tenant's MongoDB database, then POST /operations/{id}/retry",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			w.grown()
			test.lose(w)
			tables, databases := len(w.tables.named), len(w.mongo.databases)
			if err := w.migrate(); err != nil {
				t.Fatal(err)
			}
			if got, f := w.execute(), w.operation().Failure; got != failed || f == nil || f.Step != test.step || f.Code != "conflict" || f.Hint != test.hint {
				t.Errorf("the execution ended as %s: %+v", got, f)
			}
			if got := w.tenant(); got.SchemaVersion != 1 || got.Status != tenant.Active || len(w.tables.named) != tables || len(w.mongo.databases) != databases {
				t.Errorf("the tenant is %+v; there are %d tables and %d MongoDB databases", got, len(w.tables.named), len(w.mongo.databases))
			}
		})
	}
}

// TestCrashOfMigration does to a migration what TestCrash does to a provisioning. In
// the end the databases have the latest version; there is no way back.
func TestCrashOfMigration(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	plain := newWorld(t, tableName)
	plain.grown()
	first := len(plain.calls)
	if err := plain.migrate(); err != nil {
		t.Fatal(err)
	}
	plain.execute()
	m := newMatrix("Migrate", plain.process, first)
	t.Run("calls", func(t *testing.T) {
		for i, name := range plain.calls[first:] {
			for _, end := range fates(name) {
				t.Run(fmt.Sprintf("%d %s/%s", i+1, name, end), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, tableName)
					w.grown()
					w.decide = once(len(w.calls)+i+1, end)
					w.workflow.stopped = end == killed
					m.note(i, end, w.crashMigrating())
				})
			}
		}
	})
	m.check(t)
}

// crashMigrating migrates a tenant, of which one call fails. It returns what that led
// to.
func (w *world) crashMigrating() string {
	w.Helper()
	before, end := w.tenant(), "migrated"
	if err := w.migrate(); w.operationID == "" {
		if err == nil {
			w.Fatal("the request gave no error, and nothing is there")
		}
		w.checkVersions(atFirst, before)
		return "nothing"
	}
	for range 4 {
		if w.execute() == "" {
			w.mustSweep() // starts it, or fails what died
		}
	}
	if w.operation().State == operation.Failed {
		end = string(operation.Failed)
		if err := w.remigrate(work.NewPasswords{}); err != nil {
			w.Fatal(err)
		}
		w.execute()
	}
	if o := w.operation(); o.State != operation.Succeeded {
		w.Errorf("the operation is %+v", o)
	}
	w.checkVersions(atLatest, before)
	return end
}
