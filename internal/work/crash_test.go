package work_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/operation"
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
	for i, name := range plain.calls {
		for _, end := range fates(name) {
			t.Run(fmt.Sprintf("%d %s/%s", i+1, name, end), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, tableName)
				w.decide = once(i+1, end)
				w.workflow.stopped = end == killed
				w.crash()
			})
		}
	}
}

// fates returns how a call can fail. That a read had an effect, or that a process
// died after one, makes no difference.
func fates(name string) []fate {
	if strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "Describe") {
		return []fate{refused}
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

// crash provisions a tenant, of which one call fails.
func (w *world) crash() {
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
		return
	}
	if w.execute() == "" {
		w.mustSweep() // starts it
		w.execute()
	}
	if w.workflow.stopped {
		w.rollBack()
	}
	w.mustSweep()
	w.checkActive()
}

// rollBack has the sweeper deal with an operation whose workflow died, and runs
// it again if it was not done.
func (w *world) rollBack() {
	w.Helper()
	for range 10 {
		if w.operation().Done() {
			break
		}
		w.mustSweep()
	}
	if w.operation().State == operation.Succeeded {
		return
	}
	w.checkFailed()
	if err := w.retry(work.NewPasswords{}); err != nil {
		w.Fatal(err)
	}
	if got := w.execute(); got != succeeded {
		w.Fatalf("the second execution ended as %s: %+v", got, w.operation())
	}
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
