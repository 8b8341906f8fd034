package work_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// TestCrash fails each call of a whole provisioning in turn, before and after it
// takes effect, which the workflow tries again; and kills the process that made
// it, and the workflow with it. In the end there is either everything, once, or
// nothing but what a retry needs.
func TestCrash(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	plain := newWorld(t, tableName)
	if _, err := plain.request(plain.everything()); err != nil {
		t.Fatal(err)
	}
	if got := plain.execute(); got != succeeded {
		t.Fatalf("the execution ended as %s", got)
	}
	plain.checkActive()
	m := newMatrix("Provision", plain.process, 0)
	t.Run("calls", func(t *testing.T) {
		for i, name := range plain.calls {
			for _, end := range fates(name) {
				t.Run(fmt.Sprintf("%d %s/%s", i+1, name, end), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, tableName)
					w.decide = once(i+1, end)
					w.workflow.stopped = end == killed
					m.note(i, end, w.crash())
				})
			}
		}
	})
	m.check(t)
}

// fates returns how a call can fail. That a read had an effect, or that a process
// died after one, makes no difference.
func fates(name string) []fate {
	for _, read := range []string{"Get", "BatchGet", "Query", "Describe", "List", "AdminGet"} {
		if strings.HasPrefix(name, read) {
			return []fate{refused}
		}
	}
	return []fate{refused, lost, killed}
}

// once lets one call fail, by its number.
func once(number int, end fate) func(string, int) fate {
	return func(_ string, n int) fate {
		if n == number {
			return end
		}
		return ""
	}
}

// crash provisions a tenant, of which one call fails. It returns what that led to.
func (w *world) crash() string {
	w.Helper()
	result, err := w.request(w.everything())
	if w.operationID == "" {
		if err == nil {
			w.Fatalf("the request gave %+v, and nothing is there", result)
		}
		w.sweepSecrets()
		if n := len(w.vault.secrets); n != 0 {
			w.Errorf("%d secrets are left of a request without effect", n)
		}
		return "nothing"
	}
	if w.execute() == "" {
		w.mustSweep() // starts it
		w.execute()
	}
	end := string(tenant.Active)
	if w.workflow.stopped {
		end = w.rollBack()
	}
	w.mustSweep()
	w.checkActive()
	return end
}

// rollBack has the sweeper deal with an operation whose workflow died, and runs
// it again if it was not done. It returns what the sweeper left.
func (w *world) rollBack() string {
	w.Helper()
	for range 10 {
		if w.operation().Done() {
			break
		}
		w.mustSweep()
	}
	if w.operation().State == operation.Succeeded {
		return string(tenant.Active)
	}
	w.checkFailed()
	if err := w.retry(work.NewPasswords{}); err != nil {
		w.Fatal(err)
	}
	if got := w.execute(); got != succeeded {
		w.Fatalf("the second execution ended as %s: %+v", got, w.operation())
	}
	return string(tenant.Failed)
}

func (w *world) mustSweep() {
	w.Helper()
	if err := w.sweep(); err != nil {
		w.Fatalf("sweep: %v", err)
	}
}

// TestCrashOfSweeper kills the workflow at its last step, and fails each call of
// the sweeper in turn.
func TestCrashOfSweeper(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	plain := newWorld(t, tableName)
	first := plain.die()
	for range 4 {
		plain.mustSweep()
	}
	plain.checkFailed()
	for i, name := range plain.calls[first:] {
		for _, end := range fates(name) {
			if end == lost {
				continue // is killed, less what the sweeper then does for the next
			}
			t.Run(fmt.Sprintf("%d %s/%s", i+1, name, end), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, tableName)
				w.decide = once(w.die()+i+1, end)
				for range 10 {
					_ = w.sweep() // what fails is made up for by the next
				}
				w.rollBack()
				w.mustSweep()
				w.checkActive()
			})
		}
	}
}

// TestCrashOfUndo does to the way back of a provisioning that fails at its last step
// what TestCrash does to the way there. In the end nothing is left but what a retry
// needs.
func TestCrashOfUndo(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	fail := func(t *testing.T, decide func(string, int) fate, stopped bool) *world {
		t.Helper()
		w := newWorld(t, tableName)
		w.decide, w.workflow.stopped = w.never("Activate", decide), stopped
		if _, err := w.request(w.everything()); err != nil {
			t.Fatal(err)
		}
		w.execute()
		return w
	}
	plain := fail(t, nil, false)
	plain.checkFailed()
	first := slices.Index(plain.places, "UndoSip")
	m := newMatrix("Provision, undone", plain.process, first)
	t.Run("calls", func(t *testing.T) {
		for i, name := range plain.calls[first:] {
			for _, end := range fates(name) {
				t.Run(fmt.Sprintf("%d %s/%s", i+1, name, end), func(t *testing.T) {
					t.Parallel()
					w := fail(t, once(first+i+1, end), end == killed)
					w.decide = nil
					m.note(i, end, w.rollBack())
					w.checkActive()
				})
			}
		}
	})
	m.check(t)
}

// never refuses what a state writes, and leaves all else to another.
func (w *world) never(state string, decide func(string, int) fate) func(string, int) fate {
	return func(name string, n int) fate {
		if w.at == state && name == "TransactWriteItems" {
			return refused
		}
		if decide == nil {
			return ""
		}
		return decide(name, n)
	}
}

// TestCrashOfFailure does the same to the end of a deprovisioning that fails at its
// last step. A retry goes on with it; where the process that was to say so was
// killed, the sweeper has it run again.
func TestCrashOfFailure(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	fail := func(t *testing.T, decide func(string, int) fate, stopped bool) *world {
		t.Helper()
		w := newWorld(t, tableName)
		w.flourish()
		w.settled()
		if err := w.delete(); err != nil {
			t.Fatal(err)
		}
		w.decide, w.deprovision.stopped = w.never("Finish", decide), stopped
		w.execute()
		w.decide = nil
		return w
	}
	plain := fail(t, nil, false)
	first := slices.Index(plain.places, "MarkFailed")
	m := newMatrix("Deprovision, failed", plain.process, first)
	t.Run("calls", func(t *testing.T) {
		for i, name := range plain.calls[first:] {
			for _, end := range fates(name) {
				t.Run(fmt.Sprintf("%d %s/%s", i+1, name, end), func(t *testing.T) {
					t.Parallel()
					m.note(i, end, fail(t, once(first+i+1, end), end == killed).goOn())
				})
			}
		}
	})
	m.check(t)
}

// goOn retries a deprovisioning that failed, or has the sweeper deal with it. It
// returns what it found.
func (w *world) goOn() string {
	w.Helper()
	end := string(tenant.Deleted)
	if w.operation().State == operation.Failed {
		end = string(tenant.Failed)
		if err := w.revive(work.NewPasswords{}); err != nil {
			w.Fatal(err)
		}
	} else {
		w.mustSweep()
	}
	w.execute()
	w.checkDeleted()
	return end
}

// TestCrashOfDeletion does to a deletion, and to the workflow that takes the tenant
// apart, what TestCrash does to a provisioning. In the end nothing is left but the
// tombstone; there is no way back.
func TestCrashOfDeletion(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	plain := newWorld(t, tableName)
	plain.flourish()
	plain.settled()
	first := len(plain.calls)
	if err := plain.delete(); err != nil {
		t.Fatal(err)
	}
	if got := plain.execute(); got != succeeded {
		t.Fatalf("the execution ended as %s", got)
	}
	plain.checkDeleted()
	m := newMatrix("Deprovision", plain.process, first)
	worlds := map[string]*world{}
	each := func(do func(name string, i int, end fate)) {
		for i, name := range plain.calls[first:] {
			for _, end := range fates(name) {
				do(fmt.Sprintf("%d %s/%s", i+1, name, end), i, end)
			}
		}
	}
	each(func(name string, _ int, _ fate) { // all at once, since indexes take a while
		worlds[name] = newWorld(t, tableName)
		worlds[name].flourish()
	})
	t.Run("calls", func(t *testing.T) {
		each(func(name string, i int, end fate) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := worlds[name]
				w.T = t
				w.settled()
				w.decide = once(len(w.calls)+i+1, end)
				w.deprovision.stopped = end == killed
				m.note(i, end, w.purge())
			})
		})
	})
	m.check(t)
}

// purge deletes a tenant and takes it apart, of which one call may fail. It returns
// what that led to.
func (w *world) purge() string {
	w.Helper()
	end := string(tenant.Deleted)
	if err := w.delete(); w.operationID == "" {
		if err == nil || w.tenant().Status != tenant.Active {
			w.Fatalf("a deletion without effect gave %v, and the tenant is %s", err, w.tenant().Status)
		}
		end = "nothing"
		if err := w.delete(); err != nil {
			w.Fatal(err)
		}
	}
	for range 3 {
		if w.execute() == "" {
			w.mustSweep() // starts it, or runs it again
		}
		if w.operation().Done() {
			break
		}
	}
	w.mustSweep()
	w.checkDeleted()
	return end
}

// die provisions a tenant until the workflow dies before its last transaction,
// and returns how many calls that took.
func (w *world) die() int {
	w.Helper()
	w.workflow.stopped = true
	w.decide = func(name string, _ int) fate {
		if name == "TransactWriteItems" && w.activating() {
			return unmade
		}
		return ""
	}
	if _, err := w.request(w.everything()); err != nil {
		w.Fatal(err)
	}
	if got := w.execute(); got != aborted {
		w.Fatalf("the execution ended as %s", got)
	}
	w.decide = nil
	return len(w.calls)
}
