package api

import (
	"context"

	"github.com/tenantry/tenantry/internal/attempt"
)

// AttemptLimiter is what the operations need of attempt.Limits that ask the
// directory of accounts for something.
type AttemptLimiter interface {
	// Admit counts an attempt, and fails with fault.TooManyRequests if there were too
	// many before it.
	Admit(ctx context.Context, a attempt.Attempt) error
}

// attempt returns the attempt that the request is of an operation, on an account, or
// on none where that is "".
func (r *Request) attempt(operation, account string) attempt.Attempt {
	return attempt.Attempt{Operation: operation, Address: r.address, Account: account}
}
