// Package lambda runs compiled functions as AWS Lambda does. It serves the
// Runtime API to their processes and the Invoke API to their callers. It knows
// nothing of templates, of HTTP routes or of schedules.
package lambda

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Errors of Invoke. A failure of the function itself is no error but a Result
// with a FunctionError.
var (
	ErrNotFound = errors.New("no such function")
	ErrTooLarge = errors.New("the payload is too large")
	ErrClosed   = errors.New("the runtime is closed")
)

// Lambda's limits, in bytes. Its message on an answer that is too large names
// the last one.
const (
	maxRequest      = 6 << 20
	maxAsyncRequest = 1 << 20
	maxResponse     = 6<<20 + 100
)

// A Function is a compiled binary and what Lambda would know of it.
type Function struct {
	Name            string            // the deployed name, by which it is invoked
	Dir             string            // its directory under functions/, for messages
	Binary          string            // the path of the executable
	Env             map[string]string // its own variables, beside those that every function gets
	AccessKeyID     string            // what it signs its requests with: local
	SecretAccessKey string            // local
	Timeout         time.Duration     // 0 means 3 s, as on AWS
	MemoryMB        int               // 0 means 128, as on AWS; it is told, not enforced
	LogFile         string            // where its output goes, emptied by Register; "" discards it
}

// A Result is how an invocation ended.
type Result struct {
	Payload       []byte
	FunctionError string // "", or "Unhandled" if the payload is an error
	RequestID     string
}

// Options configure a Runtime. The zero value of each field has a default.
type Options struct {
	Region         string            // us-east-1
	AccountID      string            // 123456789012
	Env            map[string]string // given to every function, AWS_ENDPOINT_URL for one
	MaxPerFunction int               // processes of one function: 8
	IdleTimeout    time.Duration     // an idle process ends after it: 60 s
	InitTimeout    time.Duration     // how long a process may take to ask for its first event: 10 s
	AsyncRetries   []time.Duration   // the wait before each retry of an Event invocation: 1 min, 2 min
	Log            *slog.Logger      // what nobody waits for, such as a failed Event invocation: slog.Default()

	// MaxProcesses is how many processes there are in all: 96. That is half as
	// many again as the 64 requests that make soak has waiting at once. Of fewer,
	// few are free, and these seldom of the function that is asked for: functions
	// push one another out, and to start costs more than to answer.
	MaxProcesses int
}

// Stats count what became of a function.
type Stats struct {
	Invocations int // that reached a process
	Errors      int // results with a FunctionError, those of failed starts included
	Starts      int // processes started
	Processes   int // processes that live now
}

// A Runtime runs functions. Its HTTP handler is the Invoke API.
type Runtime struct {
	o      Options
	addr   string
	server *http.Server
	stop   context.CancelFunc // of ctx, which ends with the Runtime
	ctx    context.Context
	wg     sync.WaitGroup // processes, and Event invocations

	mu        sync.Mutex
	closed    bool
	functions map[string]*function
	processes map[string]*process // by ID, those that live
	slots     int                 // processes that live or are about to
	waiting   *list.List          // of *invocation, oldest first
}

// A function is what the Runtime keeps of a Function. Its fields below env are
// guarded by the Runtime's mutex.
type function struct {
	Function
	env []string
	log *os.File // nil discards

	idle     []*process // the longest idle first
	starting int        // processes that have not asked for an event yet
	slots    int
	stats    Stats
}

// New returns a Runtime that listens for its functions' processes on a port of
// 127.0.0.1 of its own.
func New(o Options) (*Runtime, error) {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.AccountID = cmp.Or(o.AccountID, "123456789012")
	o.MaxPerFunction = cmp.Or(o.MaxPerFunction, 8)
	o.MaxProcesses = cmp.Or(o.MaxProcesses, 96)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, time.Minute)
	o.InitTimeout = cmp.Or(o.InitTimeout, 10*time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.AsyncRetries == nil {
		o.AsyncRetries = []time.Duration{time.Minute, 2 * time.Minute}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for functions: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Runtime{
		o: o, addr: l.Addr().String(), ctx: ctx, stop: stop,
		functions: map[string]*function{},
		processes: map[string]*process{},
		waiting:   list.New(),
	}
	r.server = &http.Server{Handler: r.runtimeAPI(), ReadHeaderTimeout: time.Minute}
	go func() {
		if err := r.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the runtime API ended", "error", err)
		}
	}()
	return r, nil
}

// Register makes a function known. It fails if the name is taken or the binary
// cannot be run. No process is started before there is a request.
func (r *Runtime) Register(f Function) error {
	f.Timeout = cmp.Or(f.Timeout, 3*time.Second)
	f.MemoryMB = cmp.Or(f.MemoryMB, 128)
	info, err := os.Stat(f.Binary)
	if err != nil {
		return fmt.Errorf("function %s has no binary: %w", f.Name, err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("function %s: %s is not executable", f.Name, f.Binary)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if r.functions[f.Name] != nil {
		return fmt.Errorf("function %s is registered twice", f.Name)
	}
	fn := &function{Function: f, env: r.environment(f)}
	if f.LogFile != "" {
		fn.log, err = os.OpenFile(f.LogFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("open the log of function %s: %w", f.Name, err)
		}
	}
	r.functions[f.Name] = fn
	return nil
}

// environment returns all that a process of f finds in its environment, but for
// the address of its Runtime API.
func (r *Runtime) environment(f Function) []string {
	vars := map[string]string{
		"AWS_REGION":                      r.o.Region,
		"AWS_ACCESS_KEY_ID":               cmp.Or(f.AccessKeyID, "local"),
		"AWS_SECRET_ACCESS_KEY":           cmp.Or(f.SecretAccessKey, "local"),
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_LOG_FORMAT":           "JSON",
		"AWS_LAMBDA_LOG_LEVEL":            "INFO",
	}
	for _, more := range []map[string]string{r.o.Env, f.Env} {
		maps.Copy(vars, more)
	}
	var env []string
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	return env
}

// arn returns the ARN of the function of that name or ARN.
func (r *Runtime) arn(name string) string {
	return "arn:aws:lambda:" + r.o.Region + ":" + r.o.AccountID + ":function:" + baseName(name)
}

// find returns the function of a name, a partial or a full ARN, any of them with
// or without a qualifier, or ErrNotFound.
func (r *Runtime) find(name string) (*function, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	fn := r.functions[baseName(name)]
	if fn == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, r.arn(name))
	}
	return fn, nil
}

// baseName returns the name in a name or ARN.
func baseName(name string) string {
	if _, after, ok := strings.Cut(name, "function:"); ok {
		name = after
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

// Invoke runs the function of that name, or ARN, and waits for its result. It
// fails with ErrNotFound, ErrTooLarge, ErrClosed or the context's error; a
// function that has its event goes on when the context ends.
func (r *Runtime) Invoke(ctx context.Context, name string, payload []byte) (Result, error) {
	fn, err := r.find(name)
	if err != nil {
		return Result{}, err
	}
	if len(payload) > maxRequest {
		return Result{}, ErrTooLarge
	}
	return r.run(ctx, &invocation{fn: fn, id: uuid.NewString(), payload: payload, done: make(chan outcome, 1)})
}

// InvokeAsync is Invoke without waiting: the event is tried again after each of
// the waits of Options.AsyncRetries while the function fails.
func (r *Runtime) InvokeAsync(name string, payload []byte) (requestID string, err error) {
	fn, err := r.find(name)
	if err != nil {
		return "", err
	}
	if len(payload) > maxAsyncRequest {
		return "", ErrTooLarge
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return "", ErrClosed
	}
	id := uuid.NewString()
	r.wg.Go(func() { r.deliver(fn, id, payload) })
	return id, nil
}

// deliver runs an Event invocation until it succeeds or may not be tried again.
func (r *Runtime) deliver(fn *function, id string, payload []byte) {
	for attempt := 0; ; attempt++ {
		res, err := r.run(r.ctx, &invocation{fn: fn, id: id, payload: payload, done: make(chan outcome, 1)})
		if err != nil || res.FunctionError == "" {
			return // an error can only mean that the Runtime is closing
		}
		if attempt == len(r.o.AsyncRetries) {
			r.o.Log.ErrorContext(r.ctx, "event dropped after its last attempt",
				"function", fn.Name, "request_id", id, "result", string(res.Payload))
			return
		}
		select {
		case <-time.After(r.o.AsyncRetries[attempt]):
		case <-r.ctx.Done():
			return
		}
	}
}

// Check starts every registered function once, and fails with those that do not
// come as far as to ask for an event.
func (r *Runtime) Check(ctx context.Context) error {
	r.mu.Lock()
	var probes []*invocation
	for _, fn := range r.functions {
		probes = append(probes, &invocation{fn: fn, id: uuid.NewString(), probe: true, done: make(chan outcome, 1)})
	}
	r.mu.Unlock()

	errs := make([]error, len(probes))
	var wg sync.WaitGroup
	for i, probe := range probes {
		wg.Go(func() {
			res, err := r.run(ctx, probe)
			switch {
			case err != nil:
				errs[i] = fmt.Errorf("start function %s: %w", probe.fn.Dir, err)
			case res.FunctionError != "":
				errs[i] = fmt.Errorf("function %s does not start: %s", probe.fn.Dir, probe.fn.lastWords(res))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Kill kills the processes of a function, busy or not, and returns how many
// there were when they are gone. What they were doing ends with Runtime.ExitError.
func (r *Runtime) Kill(name string) int {
	r.mu.Lock()
	var victims []*process
	for _, p := range r.processes {
		if p.fn.Name == name {
			victims = append(victims, p)
			r.kill(p)
		}
	}
	r.mu.Unlock()
	for _, p := range victims {
		<-p.exited
	}
	return len(victims)
}

// Stats returns the counts of a function, all zero if there is none.
func (r *Runtime) Stats(name string) Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn := r.functions[name]
	if fn == nil {
		return Stats{}
	}
	s := fn.stats
	s.Processes = fn.slots
	return s
}

// Close kills every process and fails every invocation that is under way.
func (r *Runtime) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.stop()
	for e := r.waiting.Front(); e != nil; e = e.Next() {
		e.Value.(*invocation).done <- outcome{err: ErrClosed}
	}
	r.waiting.Init()
	for _, p := range r.processes {
		r.kill(p)
	}
	r.mu.Unlock()

	r.wg.Wait()
	err := r.server.Close()
	for _, fn := range r.functions {
		if fn.log != nil {
			err = errors.Join(err, fn.log.Close())
		}
	}
	return err
}
