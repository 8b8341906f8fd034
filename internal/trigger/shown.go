package trigger

import (
	"errors"
	"log/slog"

	"github.com/tenantry/tenantry/internal/fault"
)

// shown is an error as Cognito may show it. The log gets all of it.
type shown struct{ cause error }

func (s shown) Error() string {
	f, ok := errors.AsType[*fault.Error](s.cause)
	if !ok {
		return "this did not work; try again later"
	}
	text := f.Detail
	for _, field := range f.Fields {
		text += "; " + field.Pointer + " " + field.Detail
	}
	return text
}

func (s shown) Unwrap() error { return s.cause }

// LogValue returns the cause.
func (s shown) LogValue() slog.Value { return slog.StringValue(s.cause.Error()) }
