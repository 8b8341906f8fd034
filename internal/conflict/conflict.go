// Package conflict tries again what met another change.
package conflict

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
)

const (
	attempts     = 8
	manyAttempts = 30
	backoff      = 10 * time.Millisecond
	longest      = 2560 * time.Millisecond
)

// Retry calls f until it does not fail with fault.Conflict, which says that what
// it read was changed before it could write. Each time f reads anew.
func Retry[T any](ctx context.Context, f func() (T, error)) (T, error) {
	return retry(ctx, attempts, f)
}

// Persist is Retry for what a crowd may want to change at once. It may take half a
// minute.
func Persist[T any](ctx context.Context, f func() (T, error)) (T, error) {
	return retry(ctx, manyAttempts, f)
}

func retry[T any](ctx context.Context, most int, f func() (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		v, err := f()
		if !errors.Is(err, fault.Conflict) || attempt == most {
			return v, err
		}
		if err := pause(ctx, attempt); err != nil {
			return v, err
		}
	}
}

// pause waits a random while, longer with each attempt, so that those who met
// once do not meet again.
func pause(ctx context.Context, attempt int) error {
	select {
	case <-time.After(rand.N(min(backoff<<attempt, longest))): //nolint:gosec // spreads attempts, keeps no secret
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
