package work

import (
	"errors"
	"strings"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
)

// A Cause is why the workflow gave a step up: the kind of the failure or one of
// the codes here, and a text for those who asked for the operation.
type Cause struct {
	Code   string
	Detail string
}

// The causes that are no fault of an input. They say nothing of what went wrong
// inside.
var (
	Internal = Cause{"internal", "internal error; the log of the step's function has the cause"}
	NotReady = Cause{"not-ready", "what the step makes or removes was not ready in time"}
	NotDue   = Cause{"not-due", "it is too early for the operation"}
	Dead     = Cause{"workflow-dead", "the workflow ended without finishing the operation"}
)

// NewCause returns what may be told of an error: that of a fault, and nothing of
// any other.
func NewCause(err error) Cause {
	switch {
	case errors.Is(err, operation.ErrNotReady):
		return NotReady
	case errors.Is(err, operation.ErrNotDue):
		return NotDue
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return Internal
	}
	if len(f.Fields) == 0 {
		return Cause{string(f.Kind), f.Detail}
	}
	var details []string
	for _, field := range f.Fields {
		details = append(details, strings.TrimPrefix(field.Pointer, "#/")+" "+field.Detail)
	}
	return Cause{string(f.Kind), strings.Join(details, "; ")}
}
