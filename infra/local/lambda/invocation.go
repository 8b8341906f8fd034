package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// An invocation is one event on its way through one function. It waits in line,
// is assigned to a process, is taken by it, and ends once: then done has its
// outcome.
type invocation struct {
	fn      *function
	id      string
	payload []byte
	probe   bool         // wants no more than a process that would take it
	done    chan outcome // has room for the one that it gets

	// Guarded by the Runtime's mutex.
	ended bool
	taken time.Time // zero until the process has it
	timer *time.Timer
}

// An outcome is a Result, or an error if the invocation did not take place.
type outcome struct {
	result Result
	err    error
}

// failure is the payload of a Result that tells of an error.
type failure struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// Kinds of failure that Lambda itself reports.
const (
	timedOut         = "Sandbox.Timedout"
	exited           = "Runtime.ExitError"
	invalidBinary    = "Runtime.InvalidEntrypoint"
	responseTooLarge = "Function.ResponseSizeTooLarge"
)

// run puts inv in line and waits for its outcome, or for the end of ctx.
func (r *Runtime) run(ctx context.Context, inv *invocation) (Result, error) {
	if err := r.enqueue(inv); err != nil {
		return Result{}, err
	}
	select {
	case out := <-inv.done:
		return out.result, out.err
	case <-ctx.Done():
		r.withdraw(inv)
		return Result{}, ctx.Err()
	}
}

// fail ends inv with an error that Lambda reports. The caller holds the mutex.
func (r *Runtime) fail(inv *invocation, kind, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if kind != responseTooLarge {
		message = "RequestId: " + inv.id + " Error: " + message
	}
	payload, err := json.Marshal(failure{kind, message})
	if err != nil {
		panic(err) // a struct of two strings
	}
	r.end(inv, payload, true)
}

// end ends inv with a payload, unless it has ended. The caller holds the mutex.
func (r *Runtime) end(inv *invocation, payload []byte, failed bool) {
	if inv.ended {
		return
	}
	inv.ended = true
	if inv.timer != nil {
		inv.timer.Stop()
	}
	res := Result{Payload: payload, RequestID: inv.id}
	if failed {
		res.FunctionError = "Unhandled"
		inv.fn.stats.Errors++
	}
	inv.done <- outcome{result: res}
}
