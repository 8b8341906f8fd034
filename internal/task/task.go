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
	"github.com/tenantry/tenantry/internal/provisioning"
)

// The names of failures that are no fault of an input. The Retry of a state
// matches them.
const (
	notReady = "not-ready"
	internal = "internal"
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

func (in Input) task() provisioning.Task {
	return provisioning.Task{OperationID: in.OperationID, Attempt: in.Attempt}
}

// Step serves a step, both its ways.
func Step(runner *provisioning.Runner, step provisioning.Step) Handler {
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

// Activate serves the last step of a provisioning.
func Activate(runner *provisioning.Runner, vault provisioning.Vault) Handler {
	return named(func(ctx context.Context, in Input) error { return runner.Activate(ctx, vault, in.task()) })
}

// Fail serves the end of a provisioning whose steps are undone.
func Fail(runner *provisioning.Runner) Handler {
	return named(func(ctx context.Context, in Input) error { return runner.Fail(ctx, in.task(), in.Failure.cause()) })
}

// cause returns the failure in the words of the step that failed. What is none
// of our kinds is for the log alone.
func (f failure) cause() provisioning.Cause {
	var document struct {
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal([]byte(f.Cause), &document); err != nil || !fault.Kind(f.Error).Known() {
		return provisioning.Cause{Code: internal, Detail: "internal error; the log of the step's function has the cause"}
	}
	return provisioning.Cause{Code: f.Error, Detail: document.Message}
}

// named gives an error the name of its kind, which is what the Retry and Catch
// of a state match. Without it Lambda reports the Go type of the error.
func named(f func(context.Context, Input) error) Handler {
	return func(ctx context.Context, in Input) (struct{}, error) {
		err := f(ctx, in)
		if err == nil {
			return struct{}{}, nil
		}
		if errors.Is(err, operation.ErrNotReady) {
			return struct{}{}, messages.InvokeResponse_Error{Type: notReady, Message: err.Error()}
		}
		slog.ErrorContext(ctx, "step failed", "operation_id", in.OperationID, "attempt", in.Attempt, "action", in.Action, "error", err)
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return struct{}{}, messages.InvokeResponse_Error{Type: string(f.Kind), Message: f.Detail}
		}
		return struct{}{}, messages.InvokeResponse_Error{Type: internal, Message: "see the log of this function"}
	}
}
