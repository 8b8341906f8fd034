package conflict_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
)

var (
	errMet   = fault.New(fault.Conflict, "met another")
	errOther = errors.New("something else")
)

func TestRetry(t *testing.T) {
	for name, test := range map[string]struct {
		errs  []error // of the calls; then there are none
		calls int
		want  error
	}{
		"at once":     {nil, 1, nil},
		"third time":  {[]error{errMet, fmt.Errorf("wrapped: %w", errMet)}, 3, nil},
		"other error": {[]error{errMet, errOther}, 2, errOther},
		"never":       {[]error{errMet, errMet, errMet, errMet, errMet, errMet, errMet, errMet, errMet}, 8, errMet},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				got, err := conflict.Retry(t.Context(), func() (int, error) {
					calls++
					if calls <= len(test.errs) {
						return calls, test.errs[calls-1]
					}
					return calls, nil
				})
				if calls != test.calls || got != test.calls || !errors.Is(err, test.want) {
					t.Errorf("got %d, %v after %d calls, want %v after %d", got, err, calls, test.want, test.calls)
				}
			})
		})
	}
}

func TestRetryEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := conflict.Retry(ctx, func() (int, error) {
		calls++
		cancel()
		return 0, errMet
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("got %v after %d calls, want the end of the context", err, calls)
	}
}
