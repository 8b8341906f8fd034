package operation

import "errors"

// ErrNotReady says that a step has begun what takes a while. Doing the step
// again later finds out whether it is there.
var ErrNotReady = errors.New("not ready yet")

// ErrNotDue says that it is too early for the work of an operation.
var ErrNotDue = errors.New("not due yet")
