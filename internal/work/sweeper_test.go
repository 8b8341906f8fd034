package work_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/sweep"
	"github.com/tenantry/tenantry/internal/tenant"
)

// TestSweepDeadBeforeItBegan sweeps an operation that is pending while its
// execution has ended.
func TestSweepDeadBeforeItBegan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	w.machine.running[execution(w.operation())] = false
	w.mustSweep()
	w.checkFailed()
	want := operation.Failure{
		Step: "database", Code: "workflow-dead", Detail: "the workflow ended without finishing the operation",
		Hint: "find out what ended the execution of the workflow, then POST /operations/{id}/retry",
	}
	if diff := cmp.Diff(&want, w.operation().Failure); diff != "" {
		t.Errorf("the failure (-want +got):\n%s", diff)
	}
	w.rollBack()
	w.checkActive()
}

// TestSweepLeavesWhatRuns sweeps an operation whose execution still runs.
func TestSweepLeavesWhatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	before := w.operation()
	w.mustSweep()
	after := w.operation()
	if !after.DueAt.After(before.DueAt) {
		t.Errorf("it is to be looked at at %v, no later than before", after.DueAt)
	}
	after.DueAt, after.Version = before.DueAt, before.Version
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the operation was changed (-want +got):\n%s", diff)
	}
	w.execute()
	w.checkActive()
}

// TestSweepTogether rolls an operation back by two sweepers at once, of which one
// hangs while the other is done and the operation is retried.
func TestSweepTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.die()
	w.save(func(o *operation.Operation) { o.DueAt = o.CreatedAt })
	w.due.operations = []operation.ID{w.operationID}
	for range 3 {
		for _, err := range together(4, func() error { return w.sweeper.Sweep(t.Context()) }) {
			if err != nil {
				t.Errorf("a sweeper beside another: %v", err)
			}
		}
	}
	w.rollBack()
	w.checkActive()
	if n := count(w.calls, "DeleteTenantSecret"); n != 1 {
		t.Errorf("%d sweepers undid the operation, want 1", n)
	}
}

func count(calls []string, name string) int {
	n := 0
	for _, call := range calls {
		if call == name {
			n++
		}
	}
	return n
}

// TestSweepIsNotDue leaves alone what another has just taken up.
func TestSweepIsNotDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.die()
	w.due.operations = []operation.ID{w.operationID}
	before := w.operation()
	if err := w.sweeper.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, w.operation()); diff != "" {
		t.Errorf("the operation was changed (-want +got):\n%s", diff)
	}
}

// TestSweepGoesOn has one operation of two fail to be swept.
func TestSweepGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	w.machine.running[execution(w.operation())] = false
	w.save(func(o *operation.Operation) { o.DueAt = o.CreatedAt })
	w.due.operations = []operation.ID{"none", w.operationID}
	if err := w.sweeper.Sweep(t.Context()); err == nil {
		t.Error("an operation that is not there was swept")
	}
	w.checkFailed()
}

// TestSweepCredentials removes the secrets that their tenant does not name.
func TestSweepCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	stray := string(w.tenantID) + "/stray"
	unknown := "00000000-0000-4000-8000-000000000000/1"
	w.credentials.secrets[stray] = tenant.Secrets{}
	w.credentials.secrets[unknown] = tenant.Secrets{}
	w.sweepSecrets()
	if _, there := w.credentials.secrets[stray]; !there {
		t.Error("a secret of a tenant that is provisioned was removed")
	}
	if _, there := w.credentials.secrets[unknown]; there {
		t.Error("a secret of no tenant is left")
	}
	w.execute()
	w.sweepSecrets()
	w.checkActive()
}

// A counted is an inventory that counts how often it is looked at.
type counted struct{ operations, tenants int }

func (c *counted) OperationSecrets(_ context.Context, age time.Duration, _ func(operation.ID, string) error) error {
	if age != time.Hour {
		return errors.New("younger ones may be in use")
	}
	c.operations++
	return nil
}

func (c *counted) TenantSecrets(context.Context, time.Duration, func(identity.TenantID, string) error) error {
	c.tenants++
	return nil
}

func (*counted) Drop(context.Context, string) error { return nil }

type noCalls struct{}

func (noCalls) ExpireDue(context.Context, time.Time) error { return nil }

// TestSweepSecretsHourly sweeps each minute for a while.
func TestSweepSecretsHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		sweeper := &sweep.Sweeper{Due: &due{}, Calls: noCalls{}, Inventory: &c}
		time.Sleep(17 * time.Minute) // of the bubble's clock
		for range 180 {
			if err := sweeper.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if want := (counted{3, 3}); c != want {
			t.Errorf("in three hours all secrets were looked at %+v, want %+v", c, want)
		}
	})
}
