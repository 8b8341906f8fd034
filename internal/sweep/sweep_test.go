package sweep_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/sweep"
	"github.com/tenantry/tenantry/internal/work"
)

// hang never ends by itself.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// hanging is due work of which each list hangs. It counts them.
type hanging struct{ lists int }

func (h *hanging) DueOperations(ctx context.Context, _ time.Time) ([]operation.ID, error) {
	h.lists++
	return nil, hang(ctx)
}

func (h *hanging) RejectedAccounts(ctx context.Context, _ time.Time) ([]sweep.RejectedAccount, error) {
	h.lists++
	return nil, hang(ctx)
}

func (h *hanging) Forget(context.Context, sweep.RejectedAccount) error { return nil }

func (h *hanging) ExpireDue(ctx context.Context, _ time.Time) error {
	h.lists++
	return hang(ctx)
}

// A part of a sweep that hangs leaves the others their time.
func TestSweepGivesEachPartItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Minute) // past the full hour, in which secrets are looked at
		h, start := new(hanging), time.Now()
		err := (&sweep.Sweeper{Due: h, Calls: h}).Sweep(t.Context())
		if took := time.Since(start); h.lists != 3 || took != 36*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("looked at %d of 3 parts in %v (%v)", h.lists, took, err)
		}
	})
}

// listed is due work with operations.
type listed struct {
	hanging
	ids []operation.ID
}

func (l *listed) DueOperations(context.Context, time.Time) ([]operation.ID, error) {
	return slices.Clone(l.ids), nil
}

// rows has an operation that hangs, and others, which it notes.
type rows struct {
	work.Operations
	found map[operation.ID]bool
}

func (r *rows) Get(ctx context.Context, id operation.ID) (operation.Operation, error) {
	if id == "hangs" {
		return operation.Operation{}, hang(ctx)
	}
	if err := ctx.Err(); err != nil {
		return operation.Operation{}, err
	}
	r.found[id] = true
	return operation.Operation{DueAt: time.Now().Add(time.Hour)}, nil
}

// An operation that hangs each time does not keep the same others waiting for ever.
func TestSweepInNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Minute) // past the full hour, in which secrets are looked at
		due, operations := &listed{ids: []operation.ID{"hangs", "waits"}}, &rows{found: map[operation.ID]bool{}}
		sweeper := &sweep.Sweeper{Due: due, Calls: due, Operations: operations}
		sweeps := 0
		for ; sweeps < 50 && !operations.found["waits"]; sweeps++ {
			_ = sweeper.Sweep(t.Context()) // which says what hangs
		}
		if !operations.found["waits"] {
			t.Errorf("an operation was not looked at in %d sweeps", sweeps)
		}
	})
}

// What hangs keeps neither the others nor the function.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed, start := errors.New("failed"), time.Now()
		var after time.Duration
		err := sweep.Together(t.Context(), hang, func(context.Context) error {
			after = time.Since(start)
			return failed
		})
		if took := time.Since(start); after != 0 || took != 50*time.Second || !errors.Is(err, failed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the other was done after %v, all after %v (%v)", after, took, err)
		}
	})
}
