// Package task is the Step Functions edge: it reads what a state machine sends
// to a step, and names failures so that the state machine can tell them apart.
package task

import (
	"context"
	"errors"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/work"
)

// An Input is what the state machine sends to a step. Failure is there when a
// step was given up.
type Input struct {
	OperationID operation.ID `json:"operation_id"`
	Attempt     int          `json:"attempt"`
	Action      action       `json:"action"`
	Failure     failure      `json:"failure"`
}

// An action is which way a step is to go.
type action string

const (
	apply action = "apply"
	undo  action = "undo"
)

// failure is the error output of a state. Lambda puts the error's document into
// Cause.
type failure struct {
	Error string
	Cause string
}

// A Handler is what Lambda calls.
type Handler = func(context.Context, Input) (struct{}, error)

func (in Input) task() work.Task {
	return work.Task{OperationID: in.OperationID, Attempt: in.Attempt}
}

// Step serves a step that has a way back, both its ways.
func Step(runner *work.Runner, step work.TwoWayStep) Handler {
	return named(func(ctx context.Context, in Input) error {
		switch in.Action {
		case apply:
			return runner.Apply(ctx, step, in.task())
		case undo:
			return runner.Undo(ctx, step, in.task())
		}
		return errors.New("the action of a step is apply or undo, not " + string(in.Action))
	})
}

// Apply serves a step that has no way back.
func Apply(runner *work.Runner, step work.Step) Handler {
	return Do(func(ctx context.Context, t work.Task) error { return runner.Apply(ctx, step, t) })
}

// Do serves whatever is done in one way only.
func Do(do func(context.Context, work.Task) error) Handler {
	return named(func(ctx context.Context, in Input) error { return do(ctx, in.task()) })
}

// Fail serves the end of an operation that cannot be done.
func Fail(fail func(context.Context, work.Task, work.Cause) error) Handler {
	return named(func(ctx context.Context, in Input) error { return fail(ctx, in.task(), in.Failure.cause()) })
}

// cause returns the failure in the words of the step that failed. What is none
// of ours is for the log alone.
func (f failure) cause() work.Cause {
	var document struct {
		Message string `json:"errorMessage"`
	}
	switch {
	case f.Error == work.NotReady.Code:
		return work.NotReady
	case json.Unmarshal([]byte(f.Cause), &document) != nil || !fault.Kind(f.Error).Known():
		return work.Internal
	}
	return work.Cause{Code: f.Error, Detail: document.Message}
}

// named gives an error the name of its kind, which is what the Retry and Catch
// of a state match. Without it Lambda reports the Go type of the error.
func named(f func(context.Context, Input) error) Handler {
	return func(ctx context.Context, in Input) (struct{}, error) {
		err := f(ctx, in)
		if err == nil {
			return struct{}{}, nil
		}
		attributes := []any{"operation_id", in.OperationID, "attempt", in.Attempt, "action", in.Action, "error", err}
		if errors.Is(err, operation.ErrNotReady) || errors.Is(err, operation.ErrNotDue) {
			slog.InfoContext(ctx, "step not ready", attributes...)
		} else {
			slog.ErrorContext(ctx, "step failed", attributes...)
		}
		cause := work.NewCause(err)
		return struct{}{}, messages.InvokeResponse_Error{Type: cause.Code, Message: cause.Detail}
	}
}
