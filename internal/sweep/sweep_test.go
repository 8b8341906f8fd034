package sweep_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/sweep"
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
