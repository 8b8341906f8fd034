package work_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	jsonx "github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/task"
)

// A definition is a state machine as infra/workflows has it, as far as this one
// is made of.
type definition struct {
	StartAt string
	States  map[string]struct {
		Type, TimestampPath, Resource, Next string
		Parameters                          map[string]any
		Retry                               []struct {
			ErrorEquals []string
			MaxAttempts int
		}
		Catch []struct{ Next string }
	}
}

func readDefinition(t *testing.T, name string) definition {
	t.Helper()
	text, err := os.ReadFile("../../infra/workflows/" + name + ".asl.json") //nolint:gosec // of this repository
	if err != nil {
		t.Fatal(err)
	}
	var d definition
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// A workflow runs the state machine, a thousand times as fast.
type workflow struct {
	definition
	*process
	handlers map[string]task.Handler // by the placeholder of their function
	// stopped ends the execution where a process dies.
	stopped bool
}

// The ends of an execution.
const (
	succeeded = "SUCCEEDED"
	failed    = "FAILED"
	aborted   = "ABORTED"
	waiting   = "RUNNING"
)

// run runs an execution to its end.
func (w *workflow) run(ctx context.Context, input map[string]any) string {
	data := maps.Clone(input)
	for name := w.StartAt; name != ""; {
		state := w.States[name]
		switch state.Type {
		case "Fail":
			return failed
		case "Wait":
			if until, err := time.Parse(time.RFC3339, data[strings.TrimPrefix(state.TimestampPath, "$.")].(string)); err != nil || time.Now().Before(until) {
				return waiting
			}
			name = state.Next
			continue
		}
		code, cause, killed := w.try(ctx, name, data)
		switch {
		case killed && w.stopped:
			return aborted
		case code == "":
			name = state.Next
		case len(state.Catch) == 0:
			return failed
		default:
			data["failure"] = map[string]any{"Error": code, "Cause": cause}
			name = state.Catch[0].Next
		}
	}
	return succeeded
}

// try invokes the function of a state until that is done, or given up.
func (w *workflow) try(ctx context.Context, name string, data map[string]any) (code, cause string, killed bool) {
	state := w.States[name]
	tried := make([]int, len(state.Retry))
	for {
		code, cause, killed = w.invoke(ctx, name, w.handlers[state.Resource], parameters(state.Parameters, data))
		if code == "" || killed && w.stopped {
			return code, cause, killed
		}
		i := slices.IndexFunc(state.Retry, func(r struct {
			ErrorEquals []string
			MaxAttempts int
		},
		) bool {
			return slices.Contains(r.ErrorEquals, code) || slices.Contains(r.ErrorEquals, "States.ALL")
		})
		if i < 0 || tried[i] == state.Retry[i].MaxAttempts {
			return code, cause, killed
		}
		tried[i]++
		select {
		case <-time.After(min(time.Duration(tried[i])*time.Millisecond, 10*time.Millisecond)):
		case <-ctx.Done():
		}
	}
}

// invoke runs a function in a process of its own.
func (w *workflow) invoke(ctx context.Context, name string, h task.Handler, input map[string]any) (code, cause string, killed bool) {
	text, err := json.Marshal(input)
	if err != nil {
		return err.Error(), "", false
	}
	var in task.Input
	if err := jsonx.Unmarshal(text, &in); err != nil {
		return err.Error(), "", false
	}
	ctx, end := w.start(ctx, name)
	defer end()
	_, err = h(ctx, in)
	if ctx.Err() != nil {
		return "Runtime.ExitError", "", true
	}
	if named, ok := errors.AsType[messages.InvokeResponse_Error](err); ok {
		text, err := json.Marshal(named)
		return named.Type, string(text), err != nil
	}
	return "", "", false
}

// parameters fills in what a state takes from the data.
func parameters(template, data map[string]any) map[string]any {
	filled := map[string]any{}
	for name, v := range template {
		if member, ok := strings.CutSuffix(name, ".$"); ok {
			filled[member] = data[strings.TrimPrefix(v.(string), "$.")]
		} else {
			filled[name] = v
		}
	}
	return filled
}
