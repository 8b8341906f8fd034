package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/lambda"
	"github.com/tenantry/tenantry/infra/local/schedule"
)

// An invokerFunc stands for all functions.
type invokerFunc func(ctx context.Context, name string, payload []byte) (lambda.Result, error)

func (f invokerFunc) Invoke(ctx context.Context, name string, payload []byte) (lambda.Result, error) {
	return f(ctx, name, payload)
}

// open returns a Scheduler that is quiet about failures.
func open(t *testing.T, o schedule.Options, schedules ...schedule.Schedule) *schedule.Scheduler {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	s, err := schedule.New(schedules, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExpressions(t *testing.T) {
	for expression, want := range map[string]time.Duration{
		"rate(1 minute)":          time.Minute,
		"rate(5 minutes)":         5 * time.Minute,
		"rate(1 hour)":            time.Hour,
		"rate(12 hours)":          12 * time.Hour,
		"rate(1 day)":             24 * time.Hour,
		"rate(0 minutes)":         0,
		"rate(1 second)":          0,
		"rate(999999999 days)":    0,
		"rate(5  minutes)":        0,
		"cron(0 10 * * ? *)":      0,
		"at(2030-01-01T00:00:00)": 0,
		"":                        0,
		"xrate(1 minute)":         0,
	} {
		t.Run(expression, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fired time.Time
				o := schedule.Options{Invoker: invokerFunc(func(context.Context, string, []byte) (lambda.Result, error) {
					fired = time.Now()
					return lambda.Result{}, nil
				})}
				s, err := schedule.New([]schedule.Schedule{{Name: "a", Expression: expression}}, o)
				if (err == nil) != (want > 0) {
					t.Fatalf("got %v", err)
				}
				if err != nil {
					return
				}
				start := time.Now()
				s.Start()
				time.Sleep(want)
				synctest.Wait()
				if got := fired.Sub(start); got != want {
					t.Errorf("fired after %v, want %v", got, want)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestTwoOfAName(t *testing.T) {
	twins := []schedule.Schedule{{Name: "a", Expression: "rate(1 minute)"}, {Name: "a", Expression: "rate(1 minute)"}}
	if _, err := schedule.New(twins, schedule.Options{}); err == nil {
		t.Error("accepted")
	}
}

// TestFiring lets an hour pass, in which every second invocation fails.
func TestFiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fired atomic.Int32
		s := open(t, schedule.Options{Invoker: invokerFunc(func(context.Context, string, []byte) (lambda.Result, error) {
			if fired.Add(1)%2 == 0 {
				return lambda.Result{}, errors.New("no")
			}
			return lambda.Result{FunctionError: "Unhandled"}, nil
		})}, schedule.Schedule{Name: "a", Expression: "rate(5 minutes)"})
		s.Start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if fired.Load() != 12 {
			t.Errorf("fired %d times, want 12", fired.Load())
		}
	})
}

// TestClose closes while a function runs that would never end by itself.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int32
		s := open(t, schedule.Options{Invoker: invokerFunc(func(ctx context.Context, _ string, _ []byte) (lambda.Result, error) {
			running.Add(1)
			defer running.Add(-1)
			<-ctx.Done()
			return lambda.Result{}, ctx.Err()
		})}, schedule.Schedule{Name: "a", Expression: "rate(1 minute)"})
		s.Start()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if running.Load() != 2 {
			t.Errorf("%d run, want 2: one time does not wait for another", running.Load())
		}
		if err := s.Close(); err != nil || running.Load() != 0 {
			t.Errorf("got %v, and %d run", err, running.Load())
		}
	})
}

func TestFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock starts at 2000-01-01T00:00:00Z
		var function string
		var event map[string]any
		s := open(t, schedule.Options{Invoker: invokerFunc(func(_ context.Context, name string, payload []byte) (lambda.Result, error) {
			function, event = name, nil
			return lambda.Result{Payload: []byte("1")}, json.Unmarshal(payload, &event)
		})},
			schedule.Schedule{Name: "plain", Expression: "rate(1 minute)", Function: "f"},
			schedule.Schedule{
				Name: "input", Expression: "rate(1 minute)", Function: "g",
				Input: `{"arn":"<aws.scheduler.schedule-arn>","at":"<aws.scheduler.scheduled-time>","attempt":<aws.scheduler.attempt-number>,"id":"<aws.scheduler.execution-id>"}`,
			},
		)
		for name, test := range map[string]struct {
			function string
			event    map[string]any // but for its ID
		}{
			"plain": {"f", map[string]any{
				"version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": "123456789012",
				"time": "2000-01-01T00:00:00Z", "region": "us-east-1", "detail": "{}",
				"resources": []any{"arn:aws:scheduler:us-east-1:123456789012:schedule/default/plain"},
			}},
			"input": {"g", map[string]any{
				"arn": "arn:aws:scheduler:us-east-1:123456789012:schedule/default/input", "at": "2000-01-01T00:00:00Z", "attempt": 1.0,
			}},
		} {
			res, err := s.Fire(t.Context(), name)
			if err != nil || string(res.Payload) != "1" || function != test.function {
				t.Errorf("%s: got %s of %s, %v", name, res.Payload, function, err)
			}
			if id, _ := event["id"].(string); len(id) != 36 {
				t.Errorf("%s: got id %q", name, id)
			}
			delete(event, "id")
			if diff := cmp.Diff(test.event, event); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if _, err := s.Fire(t.Context(), "other"); !errors.Is(err, schedule.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

// TestStrict has everything delivered twice, the same and at once, and one of the
// deliveries fail: Fire must tell.
func TestStrict(t *testing.T) {
	good, bad := lambda.Result{Payload: []byte("good")}, lambda.Result{Payload: []byte("bad"), FunctionError: "Unhandled"}
	broken := errors.New("broken")
	type delivery struct {
		result lambda.Result
		err    error
	}
	for name, test := range map[string]struct {
		deliveries [2]delivery
		want       delivery
	}{
		"both good":    {[2]delivery{{good, nil}, {good, nil}}, delivery{good, nil}},
		"one bad":      {[2]delivery{{good, nil}, {bad, nil}}, delivery{bad, nil}},
		"one broken":   {[2]delivery{{good, nil}, {lambda.Result{}, broken}}, delivery{lambda.Result{}, broken}},
		"both failing": {[2]delivery{{bad, nil}, {lambda.Result{}, broken}}, delivery{lambda.Result{}, broken}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				payloads := make(chan string, 2)
				both := make(chan struct{})
				s := open(t, schedule.Options{Strict: true, Invoker: invokerFunc(func(_ context.Context, _ string, payload []byte) (lambda.Result, error) {
					payloads <- string(payload)
					i := n.Add(1)
					if i == 2 {
						close(both)
					}
					<-both
					d := test.deliveries[i-1]
					return d.result, d.err
				})}, schedule.Schedule{Name: "a", Expression: "rate(1 minute)"})
				res, err := s.Fire(t.Context(), "a")
				if !errors.Is(err, test.want.err) || string(res.Payload) != string(test.want.result.Payload) {
					t.Errorf("got %s, %v, want %s, %v", res.Payload, err, test.want.result.Payload, test.want.err)
				}
				if first, second := <-payloads, <-payloads; first != second {
					t.Errorf("got %s and %s", first, second)
				}
			})
		})
	}
}
