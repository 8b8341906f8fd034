package trigger

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/tenantry/tenantry/internal/fault"
)

// shown is an error as Cognito may show it. The log gets all of it.
type shown struct{ cause error }

func (s shown) Error() string {
	f, ok := errors.AsType[*fault.Error](s.cause)
	if !ok {
		return "this did not work; try again later"
	}
	parts := []string{f.Detail}
	for _, field := range f.Fields {
		parts = append(parts, field.Pointer+" "+field.Detail)
	}
	return strings.Join(parts, "; ")
}

func (s shown) Unwrap() error { return s.cause }

// LogValue returns the cause.
func (s shown) LogValue() slog.Value { return slog.StringValue(s.cause.Error()) }
