package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/lambda"
)

// binary is testdata/probe, compiled as the functions are.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lambda")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "probe")
	build := exec.Command("go", "build", "-tags=lambda.norpc", "-o", binary, "./testdata/probe") //nolint:gosec // the path is ours
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// start returns a Runtime with one function, probe, and closes it at the end.
func start(tb testing.TB, o lambda.Options, f lambda.Function) *lambda.Runtime {
	tb.Helper()
	r, err := lambda.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	register(tb, r, f)
	return r
}

func register(tb testing.TB, r *lambda.Runtime, f lambda.Function) {
	tb.Helper()
	if f.Name == "" {
		f.Name = "probe"
	}
	f.Binary = binary
	if f.Timeout == 0 {
		f.Timeout = 30 * time.Second
	}
	if err := r.Register(f); err != nil {
		tb.Fatal(err)
	}
}

type answer struct {
	Text      string `json:"text"`
	PID       int    `json:"pid"`
	RequestID string `json:"request_id"`
	ARN       string `json:"arn"`
	Remaining int64  `json:"remaining"`
}

// invoke returns the answer of a function that is to succeed.
func invoke(tb testing.TB, r *lambda.Runtime, name, event string) answer {
	tb.Helper()
	res, err := r.Invoke(context.Background(), name, []byte(event))
	if err != nil || res.FunctionError != "" {
		tb.Fatalf("invoke %s %s: got %q %q, %v", name, event, res.FunctionError, res.Payload, err)
	}
	var a answer
	if err := json.Unmarshal(res.Payload, &a); err != nil {
		tb.Fatal(err)
	}
	if a.RequestID != res.RequestID {
		tb.Errorf("request ID: the function got %q, the caller %q", a.RequestID, res.RequestID)
	}
	return a
}

// await waits until a condition holds, or the test has lasted too long.
func await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	deadline := time.After(20 * time.Second)
	for tick := time.Tick(time.Millisecond); !holds(); {
		select {
		case <-tick:
		case <-deadline:
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestInvoke(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{Timeout: 7 * time.Second})
	first := invoke(t, r, "probe", `{"text":"hi <&>"}`)
	if first.Text != "hi <&>" || first.ARN != "arn:aws:lambda:us-east-1:123456789012:function:probe" {
		t.Errorf("got %+v", first)
	}
	if first.Remaining < 6000 || first.Remaining > 7000 {
		t.Errorf("remaining time: got %d ms, want just under 7000", first.Remaining)
	}
	for _, name := range []string{"arn:aws:lambda:us-east-1:123456789012:function:probe", "123456789012:function:probe:$LATEST", "probe:$LATEST"} {
		if again := invoke(t, r, name, `{}`); again.PID != first.PID {
			t.Errorf("%s: got process %d, want the warm one, %d", name, again.PID, first.PID)
		}
	}
	if got, want := r.Stats("probe"), (lambda.Stats{Invocations: 4, Starts: 1, Processes: 1}); got != want {
		t.Errorf("stats: got %+v, want %+v", got, want)
	}
}

func TestInvokeRefuses(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{})
	if _, err := r.Invoke(t.Context(), "other", nil); !errors.Is(err, lambda.ErrNotFound) {
		t.Errorf("unknown function: got %v, want ErrNotFound", err)
	}
	if _, err := r.Invoke(t.Context(), "probe", make([]byte, 6<<20+1)); !errors.Is(err, lambda.ErrTooLarge) {
		t.Errorf("large payload: got %v, want ErrTooLarge", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Invoke(t.Context(), "probe", nil); !errors.Is(err, lambda.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{})
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]lambda.Function{
		"no binary":      {Name: "a", Binary: plain + "x"},
		"not executable": {Name: "a", Binary: plain},
		"twice":          {Name: "probe", Binary: binary},
		"no log":         {Name: "a", Binary: binary, LogFile: filepath.Join(plain, "log")},
	} {
		if err := r.Register(f); err == nil {
			t.Errorf("%s: registered", name)
		}
	}
}

// TestFailures has a function fail in every way it can. After each the next
// event must be served as if nothing had been.
func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		event string
		want  string // %s is the request ID
	}{
		"error":   {`{"do":"error","text":"no"}`, `{"errorMessage":"no","errorType":"errorString"}`},
		"exit":    {`{"do":"exit"}`, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: %s Error: Runtime exited with error: exit status 3"}`},
		"timeout": {`{"do":"sleep","milli":60000}`, `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: %s Error: Task timed out after 0.50 seconds"}`},
		"too large": {`{"do":"big","size":6291556}`, `{"errorType":"Function.ResponseSizeTooLarge",` +
			`"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, lambda.Options{}, lambda.Function{Timeout: 500 * time.Millisecond})
			res, err := r.Invoke(t.Context(), "probe", []byte(test.event))
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			if strings.Contains(want, "%s") {
				want = fmt.Sprintf(want, res.RequestID)
			}
			if res.FunctionError != "Unhandled" || string(res.Payload) != want {
				t.Errorf("got %q %s, want Unhandled %s", res.FunctionError, res.Payload, want)
			}
			if a := invoke(t, r, "probe", `{"text":"next"}`); a.Text != "next" {
				t.Errorf("next event: got %+v", a)
			}
			if s := r.Stats("probe"); s.Errors != 1 || s.Invocations != 2 {
				t.Errorf("stats: got %+v", s)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{})
	for range 5 {
		res, err := r.Invoke(t.Context(), "probe", []byte(`{"do":"panic","text":"ouch"}`))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Type    string `json:"errorType"`
			Message string `json:"errorMessage"`
		}
		if err := json.Unmarshal(res.Payload, &got); err != nil || got.Message != "ouch" || got.Type != "string" || res.FunctionError != "Unhandled" {
			t.Errorf("got %q %s, %v", res.FunctionError, res.Payload, err)
		}
		invoke(t, r, "probe", `{}`) // the process that has just panicked must not lose it
	}
}

func TestFailedStart(t *testing.T) {
	for name, test := range map[string]struct {
		function lambda.Function
		want     string // of Invoke, %s is the request ID
		check    string // of Check
	}{
		"exits": {
			lambda.Function{Env: map[string]string{"START": "exit"}},
			`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: %s Error: Runtime exited with error: exit status 1"}`,
			"function probe-dir does not start: environment lacks TABLE_NAME",
		},
		"hangs": {
			lambda.Function{Env: map[string]string{"START": "hang"}},
			`{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: %s Error: Task timed out after 0.20 seconds"}`,
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.function.Dir = "probe-dir"
			test.function.LogFile = filepath.Join(t.TempDir(), "log")
			r := start(t, lambda.Options{InitTimeout: 200 * time.Millisecond}, test.function)
			res, err := r.Invoke(t.Context(), "probe", []byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf(test.want, res.RequestID); string(res.Payload) != want || res.FunctionError != "Unhandled" {
				t.Errorf("got %q %s, want %s", res.FunctionError, res.Payload, want)
			}
			err = r.Check(t.Context())
			if err == nil || test.check != "" && err.Error() != test.check {
				t.Errorf("check: got %v, want %s", err, test.check)
			}
		})
	}
}

func TestNoEntrypoint(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{})
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("no program"), 0o700); err != nil { //nolint:gosec // it must be executable
		t.Fatal(err)
	}
	if err := r.Register(lambda.Function{Name: "broken", Binary: broken}); err != nil {
		t.Fatal(err)
	}
	res, err := r.Invoke(t.Context(), "broken", nil)
	if want := `{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: ` + res.RequestID + ` Error: exec format error"}`; err != nil || string(res.Payload) != want {
		t.Errorf("got %s, %v, want %s", res.Payload, err, want)
	}
}

func TestCheck(t *testing.T) {
	r := start(t, lambda.Options{MaxProcesses: 3}, lambda.Function{})
	for i := range 5 {
		register(t, r, lambda.Function{Name: strconv.Itoa(i)})
	}
	if err := r.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if s := r.Stats("0"); s.Invocations != 0 || s.Starts != 1 {
		t.Errorf("stats: got %+v", s)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("OF_THE_PARENT", "secret")
	r := start(t, lambda.Options{Env: map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}},
		lambda.Function{Env: map[string]string{"TABLE_NAME": "table"}, AccessKeyID: "of-its-own", SecretAccessKey: "secret-of-its-own", MemoryMB: 256})
	var got []string
	for line := range strings.Lines(invoke(t, r, "probe", `{"do":"environment"}`).Text) {
		line = strings.TrimSpace(line)
		if api, ok := strings.CutPrefix(line, "AWS_LAMBDA_RUNTIME_API="); ok {
			if !strings.HasPrefix(api, "127.0.0.1:") {
				t.Errorf("runtime API: got %s", api)
			}
			continue
		}
		if !strings.HasPrefix(line, "_X_AMZN_TRACE_ID=") { // which aws-lambda-go sets
			got = append(got, line)
		}
	}
	want := []string{
		"AWS_ACCESS_KEY_ID=of-its-own",
		"AWS_ENDPOINT_URL=http://127.0.0.1:1",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
		"AWS_LAMBDA_FUNCTION_NAME=probe",
		"AWS_LAMBDA_LOG_FORMAT=JSON",
		"AWS_LAMBDA_LOG_LEVEL=INFO",
		"AWS_REGION=us-east-1",
		"AWS_SECRET_ACCESS_KEY=secret-of-its-own",
		"TABLE_NAME=table",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	r := start(t, lambda.Options{}, lambda.Function{LogFile: path})
	invoke(t, r, "probe", `{"do":"print","text":"one line"}`)
	invoke(t, r, "probe", `{}`)
	type line struct {
		Type   string
		Record struct {
			RequestID string
			Metrics   struct{ DurationMS, InitDurationMS float64 }
		}
	}
	var lines []line
	await(t, "two reports", func() bool {
		lines = nil
		output, err := os.ReadFile(path) //nolint:gosec // the path is ours
		if err != nil {
			t.Fatal(err)
		}
		for text := range strings.Lines(string(output)) {
			l := line{Type: text}
			if text != "one line\n" {
				if err := json.Unmarshal([]byte(text), &l); err != nil {
					t.Fatal(err)
				}
			}
			lines = append(lines, l)
		}
		return len(lines) == 5
	})
	var kinds []string
	for _, l := range lines {
		kinds = append(kinds, l.Type)
	}
	if diff := cmp.Diff([]string{"platform.start", "one line\n", "platform.report", "platform.start", "platform.report"}, kinds); diff != "" {
		t.Error(diff)
	}
	first, second := lines[2].Record.Metrics, lines[4].Record.Metrics
	if first.InitDurationMS <= 0 || second.InitDurationMS != 0 || first.DurationMS <= 0 {
		t.Errorf("metrics: got %+v and %+v", first, second)
	}
}

// TestPerFunction has more events at once than a function may have processes.
func TestPerFunction(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{})
	gate := filepath.Join(t.TempDir(), "gate")
	var wg sync.WaitGroup
	pids := make([]int, 20)
	for i := range pids {
		wg.Go(func() { pids[i] = invoke(t, r, "probe", `{"do":"wait","text":"`+gate+`"}`).PID })
	}
	await(t, "eight events taken", func() bool { return r.Stats("probe").Invocations == 8 })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	distinct := map[int]bool{}
	for _, pid := range pids {
		distinct[pid] = true
	}
	if s := r.Stats("probe"); len(distinct) != 8 || s != (lambda.Stats{Invocations: 20, Starts: 8, Processes: 8}) {
		t.Errorf("got %d processes, %+v", len(distinct), s)
	}
}

// TestSequence checks that one event after the other needs one process only.
func TestSequence(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{})
	for range 200 {
		invoke(t, r, "probe", `{}`)
	}
	if s := r.Stats("probe"); s.Starts != 1 {
		t.Errorf("got %d starts, want 1", s.Starts)
	}
}

func TestMakingRoom(t *testing.T) {
	r := start(t, lambda.Options{MaxProcesses: 2}, lambda.Function{Name: "a"})
	register(t, r, lambda.Function{Name: "b"})
	register(t, r, lambda.Function{Name: "c"})
	a := invoke(t, r, "a", `{}`)
	b := invoke(t, r, "b", `{}`)
	invoke(t, r, "c", `{}`)
	if err := syscall.Kill(a.PID, 0); err == nil {
		t.Error("the longest idle process lives")
	}
	if again := invoke(t, r, "b", `{}`); again.PID != b.PID {
		t.Error("the other one does not")
	}
}

// TestFairness has one function fill all places, and more of its events come
// after another's: the other must get its turn first, or nearly so.
func TestFairness(t *testing.T) {
	r := start(t, lambda.Options{MaxProcesses: 2}, lambda.Function{Name: "busy"})
	register(t, r, lambda.Function{Name: "late"})
	gate := filepath.Join(t.TempDir(), "gate")
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { invoke(t, r, "busy", `{"do":"wait","text":"`+gate+`"}`) })
	}
	await(t, "all places taken", func() bool { return r.Stats("busy").Invocations == 2 })

	order := make(chan string, 21)
	queue := func(name, event string) {
		queued := r.Waiting() + 1
		wg.Go(func() {
			invoke(t, r, name, event)
			order <- name
		})
		await(t, "in line", func() bool { return r.Waiting() == queued })
	}
	queue("late", `{}`)
	for range 20 {
		queue("busy", `{"do":"sleep","milli":20}`)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	place := 0
	for <-order != "late" {
		place++
	}
	if place > 4 {
		t.Errorf("the event at the head of the line was served after %d others", place)
	}
}

func TestIdleProcessesEnd(t *testing.T) {
	r := start(t, lambda.Options{IdleTimeout: 50 * time.Millisecond}, lambda.Function{})
	a := invoke(t, r, "probe", `{}`)
	await(t, "no process", func() bool { return r.Stats("probe").Processes == 0 })
	if again := invoke(t, r, "probe", `{}`); again.PID == a.PID {
		t.Errorf("got the same process, %d", a.PID)
	}
}

func TestKill(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{})
	flag := filepath.Join(t.TempDir(), "flag")
	result := make(chan lambda.Result)
	go func() {
		res, err := r.Invoke(t.Context(), "probe", []byte(`{"do":"touch","text":"`+flag+`"}`))
		if err != nil {
			t.Error(err)
		}
		result <- res
	}()
	await(t, "the function's side effect", func() bool { return exists(flag) })
	if n := r.Kill("probe"); n != 1 {
		t.Errorf("killed %d processes, want 1", n)
	}
	res := <-result
	want := `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + res.RequestID + ` Error: Runtime exited with error: signal: killed"}`
	if string(res.Payload) != want {
		t.Errorf("got %s, want %s", res.Payload, want)
	}
	invoke(t, r, "probe", `{}`)
	r.Kill("probe")
	invoke(t, r, "probe", `{}`)
	if n := r.Kill("other"); n != 0 {
		t.Errorf("killed %d processes of no function", n)
	}
}

// TestCallerGone has callers give up while the function works, and while they
// wait in line.
func TestCallerGone(t *testing.T) {
	r := start(t, lambda.Options{MaxPerFunction: 1}, lambda.Function{})
	gate := filepath.Join(t.TempDir(), "gate")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := r.Invoke(ctx, "probe", []byte(`{"do":"wait","text":"`+gate+`"}`)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
	await(t, "one at work, one in line", func() bool { return r.Stats("probe").Invocations == 1 && r.Waiting() == 1 })
	cancel()
	wg.Wait()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if a := invoke(t, r, "probe", `{"text":"mine"}`); a.Text != "mine" {
		t.Errorf("got %+v, want an answer to this event", a)
	}
	if got, want := r.Stats("probe"), (lambda.Stats{Invocations: 2, Starts: 1, Processes: 1}); got != want {
		t.Errorf("stats: got %+v, want %+v", got, want)
	}
}

func TestCloseKills(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{})
	a := invoke(t, r, "probe", `{}`)
	failed := make(chan error)
	go func() {
		_, err := r.Invoke(t.Context(), "probe", []byte(`{"do":"sleep","milli":60000}`))
		failed <- err
	}()
	await(t, "the event taken", func() bool { return r.Stats("probe").Invocations == 2 })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, lambda.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := syscall.Kill(a.PID, 0); err == nil {
		t.Error("the process lives")
	}
}

func TestInvokeAPI(t *testing.T) {
	r := start(t, lambda.Options{}, lambda.Function{})
	server := httptest.NewServer(r)
	defer server.Close()
	const found = "/2015-03-31/functions/probe/invocations"
	for name, test := range map[string]struct {
		path, kind, body string
		status           int
		header           map[string]string
		want             string // of the body, if it is always the same
	}{
		"answer": {found, "", `{}`, 200, map[string]string{"X-Amz-Executed-Version": "$LATEST", "X-Amz-Function-Error": ""}, ""},
		"by ARN": {"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Aprobe/invocations", "RequestResponse", ``, 200, nil, ""},
		"function error": {
			found, "", `{"do":"error","text":"no"}`, 200,
			map[string]string{"X-Amz-Function-Error": "Unhandled", "X-Amz-Executed-Version": "$LATEST"},
			`{"errorMessage":"no","errorType":"errorString"}`,
		},
		"dry run": {found, "DryRun", ``, 204, nil, ""},
		"event":   {found, "Event", ``, 202, nil, ""},
		"unknown function": {
			"/2015-03-31/functions/other/invocations", "", ``, 404,
			map[string]string{"X-Amzn-ErrorType": "ResourceNotFoundException", "Content-Type": "application/json"},
			`{"Message":"Function not found: arn:aws:lambda:us-east-1:123456789012:function:other","Type":"User"}` + "\n",
		},
		"unknown function's event": {"/2015-03-31/functions/other/invocations", "Event", ``, 404, nil, ""},
		"not JSON":                 {found, "", `{`, 400, map[string]string{"X-Amzn-ErrorType": "InvalidRequestContentException"}, ""},
		"unknown kind":             {found, "Other", ``, 400, map[string]string{"X-Amzn-ErrorType": "InvalidParameterValueException"}, ""},
		"another operation":        {"/2015-03-31/functions/probe", "", ``, 404, map[string]string{"X-Amzn-ErrorType": "UnknownOperationException"}, ""},
		"too large":                {found, "", `"` + strings.Repeat("x", 6<<20) + `"`, 413, map[string]string{"X-Amzn-ErrorType": "RequestTooLargeException"}, ""},
		"event too large":          {found, "Event", `"` + strings.Repeat("x", 1<<20) + `"`, 413, map[string]string{"X-Amzn-ErrorType": "RequestTooLargeException"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Amz-Invocation-Type", test.kind)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close() //nolint:errcheck // it has been read
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status || test.want != "" && string(body) != test.want {
				t.Errorf("got %d %s, want %d %s", resp.StatusCode, body, test.status, test.want)
			}
			if id := resp.Header.Get("X-Amzn-RequestId"); len(id) != 36 {
				t.Errorf("request ID: got %q", id)
			}
			for key, value := range test.header {
				if got := resp.Header.Get(key); got != value {
					t.Errorf("%s: got %q, want %q", key, got, value)
				}
			}
		})
	}
}

func TestEventIsTriedThreeTimes(t *testing.T) {
	r := start(t, lambda.Options{AsyncRetries: []time.Duration{time.Millisecond, time.Millisecond}}, lambda.Function{})
	path := filepath.Join(t.TempDir(), "count")
	id, err := r.InvokeAsync("probe", []byte(`{"do":"count","text":"`+path+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "three attempts", func() bool { return r.Stats("probe").Errors == 3 })
	got, err := os.ReadFile(path) //nolint:gosec // the path is ours
	if want := strings.Repeat(id+"\n", 3); err != nil || !bytes.Equal(got, []byte(want)) {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func BenchmarkWarm(b *testing.B) {
	r := start(b, lambda.Options{}, lambda.Function{LogFile: filepath.Join(b.TempDir(), "log")})
	for b.Loop() {
		invoke(b, r, "probe", `{"text":"hi"}`)
	}
}

func BenchmarkCold(b *testing.B) {
	r := start(b, lambda.Options{}, lambda.Function{LogFile: filepath.Join(b.TempDir(), "log")})
	for b.Loop() {
		invoke(b, r, "probe", `{"text":"hi"}`)
		r.Kill("probe")
	}
}
