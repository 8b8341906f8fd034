package cloud_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/uuid"
)

// newMachine makes a state machine that runs tasks one after the other.
func newMachine(t testing.TB, c *sfn.Client, tasks ...string) *string {
	t.Helper()
	states := `"End":{"Type":"Succeed"}`
	for i, arn := range tasks {
		next := "End"
		if i+1 < len(tasks) {
			next = fmt.Sprintf("Task%d", i+1)
		}
		states += fmt.Sprintf(`,"Task%d":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":%q,"Payload.$":"$"},`+
			`"ResultPath":null,"Next":%q,"Retry":[{"ErrorEquals":["busy"],"IntervalSeconds":1,"MaxAttempts":2}]}`, i, arn, next)
	}
	return must(c.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: new("m-" + uuid.NewString()), RoleArn: new("arn:aws:iam::123456789012:role/local"),
		Definition: new(fmt.Sprintf(`{"StartAt":"Task0","States":{%s}}`, states)),
	}))(t).StateMachineArn
}

func start(t testing.TB, c *sfn.Client, machine *string, name, input string) (*sfn.StartExecutionOutput, error) {
	t.Helper()
	return c.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: machine, Name: &name, Input: &input})
}

// finish waits until an execution is over and returns how it ended.
func finish(t testing.TB, c *sfn.Client, execution *string) string {
	t.Helper()
	for {
		got := must(c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: execution}))(t)
		if got.Status != "RUNNING" {
			return string(got.Status)
		}
	}
}

// TestExecutionsAfterTheFirst guards against moto #10077: an engine that
// answers 500 to them.
func TestExecutionsAfterTheFirst(t *testing.T) {
	c := sfn.NewFromConfig(configuration())
	machine := newMachine(t, c, functions.register(func(event []byte) ([]byte, string) { return event, "" }))
	for i := range 3 {
		execution := must(start(t, c, machine, fmt.Sprint("run-", i), `{}`))(t).ExecutionArn
		if got := finish(t, c, execution); got != "SUCCEEDED" {
			t.Errorf("run %d: got %s, want SUCCEEDED", i, got)
		}
	}
}

func TestExecutionNames(t *testing.T) {
	c := sfn.NewFromConfig(configuration())
	release := make(chan struct{})
	machine := newMachine(t, c, functions.register(func(event []byte) ([]byte, string) {
		<-release
		return event, ""
	}))
	exists := "ExecutionAlreadyExists"
	first := must(start(t, c, machine, "one", `{"a":1}`))(t)
	again := must(start(t, c, machine, "one", `{"a":1}`))(t)
	if *again.ExecutionArn != *first.ExecutionArn || !again.StartDate.Equal(*first.StartDate) {
		t.Errorf("the same start while it runs: got %s at %v, want %s at %v", *again.ExecutionArn, again.StartDate, *first.ExecutionArn, first.StartDate)
	}
	if _, err := start(t, c, machine, "one", `{"a":2}`); code(err) != exists {
		t.Errorf("another input while it runs: got %v, want %s", err, exists)
	}
	close(release)
	if got := finish(t, c, first.ExecutionArn); got != "SUCCEEDED" {
		t.Fatalf("got %s, want SUCCEEDED", got)
	}
	for _, input := range []string{`{"a":1}`, `{"a":2}`} {
		if _, err := start(t, c, machine, "one", input); code(err) != exists {
			t.Errorf("%s when it is closed: got %v, want %s", input, err, exists)
		}
	}
}

// TestOneNameAtOnce asks that a name runs once, however many start it.
func TestOneNameAtOnce(t *testing.T) {
	c := sfn.NewFromConfig(configuration())
	var runs atomic.Int32
	release := make(chan struct{})
	machine := newMachine(t, c, functions.register(func(event []byte) ([]byte, string) {
		runs.Add(1)
		<-release
		return event, ""
	}))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := start(t, c, machine, "one", `{}`); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(release)
	list := must(c.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: machine}))(t).Executions
	if len(list) != 1 {
		t.Fatalf("got %d executions, want 1", len(list))
	}
	finish(t, c, list[0].ExecutionArn)
	if got := runs.Load(); got != 1 {
		t.Errorf("got %d runs, want 1", got)
	}
}

// TestTaskIsRetriedByItsErrorsName asks that a function's error comes to the
// state machine under its own name.
func TestTaskIsRetriedByItsErrorsName(t *testing.T) {
	c := sfn.NewFromConfig(configuration())
	var calls atomic.Int32
	machine := newMachine(t, c, functions.register(func(event []byte) ([]byte, string) {
		if calls.Add(1) == 1 {
			return []byte(`{"errorType":"busy","errorMessage":"later"}`), "Unhandled"
		}
		return event, ""
	}))
	execution := must(start(t, c, machine, "one", `{}`))(t).ExecutionArn
	if got := finish(t, c, execution); got != "SUCCEEDED" || calls.Load() != 2 {
		t.Errorf("got %s after %d calls, want SUCCEEDED after 2", got, calls.Load())
	}
}

// TestManyExecutionsAtOnce asks that none of many is lost, and none of their
// tasks.
func TestManyExecutionsAtOnce(t *testing.T) {
	const executions, tasks = 50, 4
	var mu sync.Mutex
	runs := map[string]int{}
	took := runMany(t, executions, tasks, func(event []byte) {
		mu.Lock()
		defer mu.Unlock()
		runs[string(event)]++
	})
	for event, n := range runs {
		if n != tasks {
			t.Errorf("%s: got %d tasks, want %d", event, n, tasks)
		}
	}
	if len(runs) != executions || len(took) != executions {
		t.Errorf("got %d executions with tasks and %d starts, want %d", len(runs), len(took), executions)
	}
}

// BenchmarkExecutions starts 200 executions of four tasks at once.
func BenchmarkExecutions(b *testing.B) {
	for b.Loop() {
		begin := time.Now()
		took := runMany(b, 200, 4, func([]byte) {})
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "start-p50-ms")
		b.ReportMetric(time.Since(begin).Seconds(), "all-s")
	}
}

// runMany starts executions at once, waits for them all to succeed, and returns
// how long each start took.
func runMany(t testing.TB, executions, tasks int, task func(event []byte)) (took []time.Duration) {
	t.Helper()
	c := sfn.NewFromConfig(configuration())
	var done sync.WaitGroup
	done.Add(executions)
	arns := make([]string, tasks)
	for i := range arns {
		arns[i] = functions.register(func(event []byte) ([]byte, string) {
			task(event)
			if i == tasks-1 {
				done.Done()
			}
			return event, ""
		})
	}
	machine := newMachine(t, c, arns...)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range executions {
		wg.Go(func() {
			begin := time.Now()
			if _, err := start(t, c, machine, fmt.Sprint("run-", i), fmt.Sprintf(`{"i":%d}`, i)); err != nil {
				t.Error(err)
				done.Done()
				return
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begin))
		})
	}
	wg.Wait()
	done.Wait()
	return took
}

// code returns the code of a refusal.
func code(err error) string {
	name, _, _ := strings.Cut(failure(err), ":")
	return name
}
