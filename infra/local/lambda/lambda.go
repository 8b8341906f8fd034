// Package lambda runs compiled functions as AWS Lambda does. It serves the
// Runtime API to their processes and the Invoke API to their callers. It knows
// nothing of templates, of HTTP routes or of schedules.
package lambda

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Errors of Invoke. A failure of the function itself is no error but a Result
// with a FunctionError.
var (
	ErrNotFound = errors.New("no such function")
	ErrTooLarge = errors.New("the payload is larger than 6 MB")
	ErrClosed   = errors.New("the runtime is closed")
)

// A Function is a compiled binary and what Lambda would know of it.
type Function struct {
	Name     string            // the deployed name, by which it is invoked
	Dir      string            // its directory under functions/, for messages
	Binary   string            // the path of the executable
	Env      map[string]string // its own variables, beside those that every function gets
	Timeout  time.Duration     // 0 means 3 s, as on AWS
	MemoryMB int               // 0 means 128, as on AWS; it is told, not enforced
	LogFile  string            // where its output goes, emptied by Register; "" discards it
}

// A Result is how an invocation ended.
type Result struct {
	Payload       []byte
	FunctionError string // "" or "Unhandled"
	RequestID     string
}

// Options configure a Runtime. The zero value of each field has a default.
type Options struct {
	Region         string            // us-east-1
	AccountID      string            // 123456789012
	Env            map[string]string // given to every function, AWS_ENDPOINT_URL for one
	MaxPerFunction int               // processes of one function: 8
	MaxProcesses   int               // processes in all: 48
	IdleTimeout    time.Duration     // an idle process ends after it: 60 s
	InitTimeout    time.Duration     // how long a process may take to ask for its first event: 10 s
	AsyncRetries   []time.Duration   // the waits before each retry of an Event invocation: 1 min, 2 min
	Log            *slog.Logger      // what nobody waits for, such as a failed Event invocation: slog.Default()
}

// Stats count what became of a function.
type Stats struct {
	Invocations int // that reached a process
	Errors      int // of them, those that ended with a FunctionError
	Starts      int // processes started
	Processes   int // processes that live now
}

// A Runtime runs functions. Its HTTP handler is the Invoke API.
type Runtime struct{}

// New returns a Runtime that listens for its functions' processes on a port of
// 127.0.0.1 of its own.
func New(o Options) (*Runtime, error) { return &Runtime{}, nil }

// Register makes a function known. It fails if the name is taken or the binary
// cannot be run. No process is started before there is a request.
func (r *Runtime) Register(f Function) error { return nil }

// Check starts every registered function once, and fails with those that do not
// come as far as to ask for an event.
func (r *Runtime) Check(ctx context.Context) error { return nil }

// Invoke runs the function of that name, or ARN, and waits for its result. It
// fails with ErrNotFound, ErrTooLarge, ErrClosed or the context's error; a
// function that has its event goes on when the context ends.
func (r *Runtime) Invoke(ctx context.Context, name string, payload []byte) (Result, error) {
	return Result{}, ErrNotFound
}

// InvokeAsync is Invoke without waiting: the event is kept, and tried up to
// three times.
func (r *Runtime) InvokeAsync(name string, payload []byte) (requestID string, err error) {
	return "", ErrNotFound
}

// Kill kills the processes of a function, busy or not, and returns how many
// there were when they are gone. What they were doing ends with Runtime.ExitError.
func (r *Runtime) Kill(name string) int { return 0 }

// Stats returns the counts of a function.
func (r *Runtime) Stats(name string) Stats { return Stats{} }

// ServeHTTP serves the Invoke API:
// POST /2015-03-31/functions/{name or ARN}/invocations.
func (r *Runtime) ServeHTTP(w http.ResponseWriter, req *http.Request) { http.NotFound(w, req) }

// Close kills every process and fails every invocation that is under way.
func (r *Runtime) Close() error { return nil }
