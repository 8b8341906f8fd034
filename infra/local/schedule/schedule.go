// Package schedule invokes functions at their times, as EventBridge Scheduler
// does.
package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/lambda"
)

// ErrNotFound is Fire's error for a name that no schedule has.
var ErrNotFound = errors.New("no such schedule")

// An Invoker runs a function by its name.
type Invoker interface {
	Invoke(ctx context.Context, name string, payload []byte) (lambda.Result, error)
}

// A Schedule invokes a function again and again.
type Schedule struct {
	Name       string
	Expression string // rate(1 minute), rate(5 minutes), …
	Function   string // the name to invoke
	Input      string // JSON, with <aws.scheduler.…> keywords; empty for Scheduler's own event
}

// Options configure a Scheduler. What has a default may be left out.
type Options struct {
	Invoker   Invoker
	Strict    bool         // deliver everything twice, as at-least-once delivery may
	Region    string       // us-east-1
	AccountID string       // 123456789012
	Log       *slog.Logger // failed invocations: slog.Default()
}

// A Scheduler fires schedules.
type Scheduler struct {
	o         Options
	schedules map[string]schedule
	ctx       context.Context // ends with the Scheduler
	stop      context.CancelFunc
	wg        sync.WaitGroup
}

// A schedule is a Schedule whose expression has been read.
type schedule struct {
	Schedule
	every time.Duration
}

// New returns a Scheduler of the given schedules, which fire after Start. It
// fails if an expression is not rate(…), or a name appears twice.
func New(schedules []Schedule, o Options) (*Scheduler, error) {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.AccountID = cmp.Or(o.AccountID, "123456789012")
	o.Log = cmp.Or(o.Log, slog.Default())
	s := &Scheduler{o: o, schedules: map[string]schedule{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, each := range schedules {
		every, err := parse(each.Expression)
		if err != nil {
			return nil, fmt.Errorf("schedule %s: %w", each.Name, err)
		}
		if _, ok := s.schedules[each.Name]; ok {
			return nil, fmt.Errorf("there are two schedules %s", each.Name)
		}
		s.schedules[each.Name] = schedule{each, every}
	}
	return s, nil
}

var ratePattern = regexp.MustCompile(`^rate\(([1-9][0-9]{0,8}) (minute|hour|day)s?\)$`)

// parse returns the interval of an expression.
func parse(expression string) (time.Duration, error) {
	match := ratePattern.FindStringSubmatch(expression)
	if match == nil {
		return 0, fmt.Errorf("%q is not of the form rate(5 minutes), which is all that runs locally", expression)
	}
	n, err := strconv.Atoi(match[1])
	if err != nil {
		return 0, fmt.Errorf("read %q: %w", expression, err)
	}
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[match[2]]
	if time.Duration(n) > maxInterval/unit {
		return 0, fmt.Errorf("%q is longer than a year", expression)
	}
	return time.Duration(n) * unit, nil
}

const maxInterval = 366 * 24 * time.Hour

// Start begins to fire. The first time comes one interval from now.
func (s *Scheduler) Start() {
	for _, each := range s.schedules {
		s.wg.Go(func() { s.run(each) })
	}
}

// run fires a schedule at its times. As on AWS, a time does not wait for the one
// before it.
func (s *Scheduler) run(each schedule) {
	ticker := time.NewTicker(each.every)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case at := <-ticker.C:
			s.wg.Go(func() { s.tick(each, at) })
		}
	}
}

func (s *Scheduler) tick(each schedule, at time.Time) {
	res, err := s.fire(s.ctx, each, at)
	switch {
	case s.ctx.Err() != nil:
	case err != nil:
		s.o.Log.ErrorContext(s.ctx, "schedule failed", "schedule", each.Name, "error", err)
	case res.FunctionError != "":
		s.o.Log.ErrorContext(s.ctx, "scheduled function failed", "schedule", each.Name, "request_id", res.RequestID, "result", string(res.Payload))
	}
}

// Fire invokes the function of the named schedule now and returns its result. It
// fails with ErrNotFound or as the Invoker does. In strict mode both deliveries
// must be without an error, and the result is of one that failed if there is any.
func (s *Scheduler) Fire(ctx context.Context, name string) (lambda.Result, error) {
	each, ok := s.schedules[name]
	if !ok {
		return lambda.Result{}, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return s.fire(ctx, each, time.Now())
}

// fire delivers an event, in strict mode twice at once.
func (s *Scheduler) fire(ctx context.Context, each schedule, at time.Time) (lambda.Result, error) {
	payload := s.event(each, at)
	if !s.o.Strict {
		return s.o.Invoker.Invoke(ctx, each.Function, payload)
	}
	var twin lambda.Result
	var twinErr error
	var wg sync.WaitGroup
	wg.Go(func() { twin, twinErr = s.o.Invoker.Invoke(ctx, each.Function, payload) })
	res, err := s.o.Invoker.Invoke(ctx, each.Function, payload)
	wg.Wait()
	if err == nil && (twinErr != nil || res.FunctionError == "") {
		res, err = twin, twinErr
	}
	return res, err
}

// Close ends firing, and what is under way: it returns when that is over.
func (s *Scheduler) Close() error {
	s.stop()
	s.wg.Wait()
	return nil
}

// A defaultEvent is what a function gets whose schedule has no input.
type defaultEvent struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     string   `json:"detail"`
}

// event returns what the function of a schedule gets at a time.
func (s *Scheduler) event(each schedule, at time.Time) []byte {
	arn := "arn:aws:scheduler:" + s.o.Region + ":" + s.o.AccountID + ":schedule/default/" + each.Name
	id := uuid.NewString()
	stamp := at.UTC().Format("2006-01-02T15:04:05Z")
	if each.Input != "" {
		return []byte(strings.NewReplacer(
			"<aws.scheduler.schedule-arn>", arn,
			"<aws.scheduler.scheduled-time>", stamp,
			"<aws.scheduler.execution-id>", id,
			"<aws.scheduler.attempt-number>", "1",
		).Replace(each.Input))
	}
	payload, err := json.Marshal(defaultEvent{
		Version: "0", ID: id, DetailType: "Scheduled Event", Source: "aws.scheduler",
		Account: s.o.AccountID, Time: stamp, Region: s.o.Region, Resources: []string{arn}, Detail: "{}",
	})
	if err != nil {
		panic(err) // a struct of strings
	}
	return payload
}
