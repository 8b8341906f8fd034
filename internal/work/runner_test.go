package work_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// always lets every call of a name fail.
func always(name string, end fate) func(string, int) fate {
	return func(called string, _ int) fate {
		if called == name {
			return end
		}
		return ""
	}
}

const (
	internalDetail = "internal error; the log of the step's function has the cause"
	defaultHint    = "find the cause in the log of the step's function, mend it, then POST /operations/{id}/retry"
)

// TestFailures has a step fail for good. Whatever was made is gone, and the
// operation says what failed and what to do about it.
func TestFailures(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	for name, test := range map[string]struct {
		prepare func(*world, *provisioning.Request)
		mend    func(*world)
		newer   work.NewPasswords
		want    operation.Failure
	}{
		"another's table": {
			prepare: func(w *world, _ *provisioning.Request) {
				w.tables.named[w.tableName()] = others()
			},
			mend: func(w *world) { delete(w.tables.named, w.tableName()) },
			want: operation.Failure{
				Step: "database", Code: "conflict", Detail: "there is a table {table} already, and it was not made for this tenant",
				Hint: "remove or rename the table that has the tenant's table name, then POST /operations/{id}/retry",
			},
		},
		"a table that is never there": {
			prepare: func(w *world, _ *provisioning.Request) { w.tables.slowAt = "Database" },
			mend:    func(w *world) { w.tables.slowAt = "" },
			want: operation.Failure{
				Step: "database", Code: "not-ready", Detail: "what the step makes or removes was not ready in time",
				Hint: "see whether the account may have another table, then POST /operations/{id}/retry",
			},
		},
		"another's MongoDB database": {
			prepare: func(w *world, _ *provisioning.Request) {
				w.mongo.database(w.mongoName()).collections["theirs"] = []string{}
			},
			mend: func(w *world) {
				if diff := cmp.Diff(map[string][]string{"theirs": {}}, w.mongo.databases[w.mongoName()].collections); diff != "" {
					w.Errorf("the other's database (-want +got):\n%s", diff)
				}
				clear(w.mongo.databases)
			},
			want: operation.Failure{
				Step: "mongodb", Code: "conflict", Detail: "there is a MongoDB database {database} already, and it was not made for this tenant",
				Hint: "remove or rename the database that has the tenant's database name, then POST /operations/{id}/retry",
			},
		},
		"a MongoDB database of another tenant": {
			prepare: func(w *world, _ *provisioning.Request) { w.mongo.claim(w.mongoName(), "another") },
			mend: func(w *world) {
				if tag := w.mongo.databases[w.mongoName()].tag; tag.Tenant != "another" {
					w.Errorf("the tag is %+v", tag)
				}
				clear(w.mongo.databases)
			},
			want: operation.Failure{
				Step: "mongodb", Code: "conflict", Detail: "there is a MongoDB database {database} already, and it was not made for this tenant",
				Hint: "remove or rename the database that has the tenant's database name, then POST /operations/{id}/retry",
			},
		},
		"a MongoDB server that makes no users": {
			prepare: func(w *world, _ *provisioning.Request) { w.decide = always("CreateUser", refused) },
			want: operation.Failure{
				Step: "mongodb", Code: "internal", Detail: internalDetail,
				Hint: "see whether the server that MongoDbSecretArn names is there, and lets its user make databases and users, then POST /operations/{id}/retry",
			},
		},
		"a function that dies": {
			prepare: func(w *world, _ *provisioning.Request) {
				w.decide = func(name string, _ int) fate {
					if name == "DescribeTable" && w.at == "Database" {
						return killed
					}
					return ""
				}
			},
			want: operation.Failure{Step: "database", Code: "internal", Detail: internalDetail, Hint: defaultHint},
		},
		"a directory that is down": {
			prepare: func(w *world, _ *provisioning.Request) { w.decide = always("AdminCreateUser", refused) },
			want:    operation.Failure{Step: "identity", Code: "internal", Detail: internalDetail, Hint: defaultHint},
		},
		"a weak password": {
			prepare: func(_ *world, r *provisioning.Request) { r.AdminPassword = patch.Of(weakPassword) },
			newer:   work.NewPasswords{AdminPassword: patch.Of(adminPassword)},
			want: operation.Failure{
				Step: "identity", Code: "invalid", Detail: "password must be as the password policy asks",
				Hint: "retry with an admin_password that the user pool's policy allows; the admin_email cannot be changed",
			},
		},
		"secrets that are down": {
			prepare: func(w *world, _ *provisioning.Request) { w.decide = always("CreateTenantSecret", lost) },
			want:    operation.Failure{Step: "sip", Code: "internal", Detail: internalDetail, Hint: defaultHint},
		},
		"a table that is down at last": {
			prepare: func(w *world, _ *provisioning.Request) {
				w.decide = func(name string, _ int) fate {
					if name == "TransactWriteItems" && w.workflow.at == "Activate" {
						return refused
					}
					return ""
				}
			},
			want: operation.Failure{Step: "activate", Code: "internal", Detail: internalDetail, Hint: defaultHint},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			r := w.everything()
			test.prepare(w, &r)
			if _, err := w.request(r); err != nil {
				t.Fatal(err)
			}
			if got := w.execute(); got != failed {
				t.Errorf("the execution ended as %s", got)
			}
			if test.mend != nil {
				test.mend(w)
			}
			w.checkFailed()
			test.want.Detail = strings.NewReplacer("{table}", w.tableName(), "{database}", w.mongoName()).Replace(test.want.Detail)
			if diff := cmp.Diff(&test.want, w.operation().Failure); diff != "" {
				t.Errorf("the failure (-want +got):\n%s", diff)
			}
			w.decide = nil
			if err := w.retry(test.newer); err != nil {
				t.Fatal(err)
			}
			w.execute()
			w.checkActive()
		})
	}
}

// TestSteps watches the steps of an operation that is run twice.
func TestSteps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	r := w.everything()
	r.AdminPassword = patch.Of(weakPassword)
	if _, err := w.request(r); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	w.execute()
	first := w.operation()
	if diff := cmp.Diff([]string{"database undone 2", "mongodb undone 1", "identity failed 1", "sip pending 0", "activate pending 0"}, summary(first)); diff != "" {
		t.Errorf("after the first attempt (-want +got):\n%s", diff)
	}
	if err := w.retry(work.NewPasswords{AdminPassword: patch.Of(adminPassword)}); err != nil {
		t.Fatal(err)
	}
	again := w.operation()
	if again.State != operation.Pending || again.Attempt != 2 || again.EndedAt != nil || again.Failure != nil {
		t.Errorf("before the second attempt the operation is %+v", again)
	}
	if diff := cmp.Diff([]string{"database pending 2", "mongodb pending 1", "identity pending 1", "sip pending 0", "activate pending 0"}, summary(again)); diff != "" {
		t.Errorf("before the second attempt (-want +got):\n%s", diff)
	}
	w.execute()
	second := w.operation()
	if diff := cmp.Diff([]string{"database succeeded 4", "mongodb succeeded 2", "identity succeeded 2", "sip succeeded 1", "activate succeeded 1"}, summary(second)); diff != "" {
		t.Errorf("after the second attempt (-want +got):\n%s", diff)
	}
	last := first.EndedAt.Add(-time.Millisecond)
	for _, step := range second.Steps {
		if step.StartedAt == nil || step.EndedAt == nil || step.StartedAt.Before(last) || step.EndedAt.Before(*step.StartedAt) || step.StartedAt.Before(begun.Add(-time.Millisecond)) {
			t.Errorf("step %s began at %v and ended at %v, after %v", step.Name, step.StartedAt, step.EndedAt, last)
			continue
		}
		last = *step.StartedAt
	}
	w.checkActive()
}

// summary returns name, state and attempts of each step.
func summary(o operation.Operation) []string {
	var all []string
	for _, s := range o.Steps {
		all = append(all, fmt.Sprint(s.Name, " ", s.State, " ", s.Attempts))
	}
	return all
}

// TestTransientError has a step fail and then succeed: while it waits for the
// next try it tells why, and in the end it does not.
func TestTransientError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	first := work.Task{OperationID: w.operationID, Attempt: 1}
	w.apply(first, 0, 1)
	w.decide = always("AdminCreateUser", refused)
	if err := w.runner.Apply(t.Context(), w.steps[2], first); !errors.Is(err, errInjected) {
		t.Errorf("got %v, want %v", err, errInjected)
	}
	if step := w.operation().Steps[2]; step.State != operation.Running || step.Error != internalDetail || step.EndedAt != nil {
		t.Errorf("while it waits, the step is %+v", step)
	}
	w.decide = nil
	w.apply(first, 2)
	if step := w.operation().Steps[2]; step.State != operation.Succeeded || step.Error != "" || step.Attempts != 2 {
		t.Errorf("in the end, the step is %+v", step)
	}
}

// TestDuplicates delivers each task of a workflow several times at once.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	current := work.Task{OperationID: w.operationID, Attempt: 1}
	apply := func(step work.TwoWayStep) func() error {
		return func() error { return w.runner.Apply(t.Context(), step, current) }
	}
	deliveries := []func() error{apply(w.steps[0]), apply(w.steps[1]), apply(w.steps[2]), apply(w.steps[3]), func() error { return w.runner.Activate(t.Context(), w.vault, current) }}
	for i, deliver := range deliveries {
		for tries := 0; ; tries++ {
			errs := together(4, deliver)
			for _, err := range errs {
				if kind := fault.KindOf(err); kind != "" {
					t.Fatalf("a duplicate of step %d failed for good: %v", i, err)
				}
			}
			if errors.Join(errs...) == nil {
				break
			}
			if tries == 10 {
				t.Fatalf("step %d: %v", i, errors.Join(errs...))
			}
		}
	}
	w.checkActive()
}

// together calls f n times at once.
func together(n int, f func() error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errs
}

// TestLateDuplicates delivers tasks again after what followed on them.
func TestLateDuplicates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	r := w.everything()
	r.AdminPassword = patch.Of(weakPassword)
	if _, err := w.request(r); err != nil {
		t.Fatal(err)
	}
	first := work.Task{OperationID: w.operationID, Attempt: 1}
	w.apply(first, 0, 1)
	if err := w.runner.Apply(t.Context(), w.steps[2], first); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v, want %v", err, fault.Invalid)
	}
	if err := w.runner.Fail(t.Context(), first, work.Cause{}); err == nil || fault.KindOf(err) != "" {
		t.Errorf("an operation whose steps are not undone failed: %v", err)
	}
	w.undo(first, 2)
	w.undo(first, 1, 0)
	w.apply(first, 0, 1, 2) // late
	w.undo(first, 3, 2, 1, 0)
	before := w.operation()
	if diff := cmp.Diff([]string{"database undone 2", "mongodb undone 1", "identity failed 1", "sip pending 0", "activate pending 0"}, summary(before)); diff != "" {
		t.Errorf("after late duplicates (-want +got):\n%s", diff)
	}
	cause := work.NewCause(fault.New(fault.Invalid, "weak"))
	for range 2 {
		if err := w.runner.Fail(t.Context(), first, cause); err != nil {
			t.Fatal(err)
		}
	}
	w.checkFailed()
	w.apply(first, 0, 1, 2, 3)
	w.activate(first)
	w.checkFailed()

	stale := w.operation()
	if err := w.retry(work.NewPasswords{AdminPassword: patch.Of(adminPassword)}); err != nil {
		t.Fatal(err)
	}
	second := work.Task{OperationID: w.operationID, Attempt: 2}
	w.apply(second, 0, 1, 2, 3)
	w.undo(first, 3, 2, 1, 0)
	if err := w.runner.Fail(t.Context(), first, cause); err != nil {
		t.Fatal(err)
	}
	for _, step := range w.steps[1:] {
		_ = step.Undo(t.Context(), stale, w.tenant()) // of a process that hung for long
	}
	w.apply(second, 0, 1, 2, 3)
	w.activate(second)
	w.activate(second)
	w.undo(second, 3, 2, 1, 0)
	if err := w.runner.Fail(t.Context(), second, cause); err != nil {
		t.Fatal(err)
	}
	w.checkActive()
}

// TestExecutionTakenForDead goes on after the sweeper has undone what it had done.
func TestExecutionTakenForDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	first := work.Task{OperationID: w.operationID, Attempt: 1}
	w.apply(first, 0, 1, 2)
	w.undo(first, 2, 1, 0)
	w.apply(first, 2, 3)
	if err := w.runner.Activate(t.Context(), w.vault, first); err == nil || fault.KindOf(err) != "" {
		t.Errorf("an operation whose steps are undone succeeded: %v", err)
	}
	w.undo(first, 3)
	if err := w.runner.Fail(t.Context(), first, work.Dead); err != nil {
		t.Fatal(err)
	}
	w.checkFailed()
}

// apply does steps of an attempt.
func (w *world) apply(task work.Task, steps ...int) {
	w.Helper()
	for _, i := range steps {
		w.patiently(func() error { return w.runner.Apply(w.Context(), w.steps[i], task) })
	}
}

// undo undoes steps of an attempt.
func (w *world) undo(task work.Task, steps ...int) {
	w.Helper()
	for _, i := range steps {
		w.patiently(func() error { return w.runner.Undo(w.Context(), w.steps[i], task) })
	}
}

func (w *world) activate(task work.Task) {
	w.Helper()
	w.patiently(func() error { return w.runner.Activate(w.Context(), w.vault, task) })
}

// patiently calls f until it is done.
func (w *world) patiently(f func() error) {
	w.Helper()
	err := f()
	for tries := 0; errors.Is(err, operation.ErrNotReady) && tries < 5; tries++ {
		err = f()
	}
	if err != nil {
		w.Fatal(err)
	}
}

// TestTenantThatWentItsOwnWay ends operations whose tenant is not provisioned any
// more.
func TestTenantThatWentItsOwnWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	before := w.tenant()
	after := before
	after.Status, after.Version = tenant.Suspended, before.Version+1
	if err := w.tenants.Update(t.Context(), before, after, audit.BySystem("test", w.operationID).Did("test", w.tenantID, audit.Target{})); err != nil {
		t.Fatal(err)
	}
	if got := w.execute(); got != failed {
		t.Errorf("the execution ended as %s", got)
	}
	o := w.operation()
	if o.State != operation.Failed || o.Failure.Step != "activate" || o.Failure.Code != "illegal-transition" {
		t.Errorf("the operation is %+v", o)
	}
	if got := w.tenant().Status; got != tenant.Suspended {
		t.Errorf("the tenant is %s", got)
	}
	if diff := cmp.Diff(left{Passwords: 1}, w.left()); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}
