// Package schedule invokes functions at their times, as EventBridge Scheduler
// does.
package schedule

import (
	"context"
	"errors"
	"log/slog"

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
	Input      string // with <aws.scheduler.…> keywords; empty for Scheduler's own event
}

// Options configure a Scheduler.
type Options struct {
	Invoker   Invoker
	Strict    bool         // deliver everything twice, as at-least-once delivery may
	Region    string       // us-east-1
	AccountID string       // 123456789012
	Log       *slog.Logger // failed invocations: slog.Default()
}

// A Scheduler fires schedules.
type Scheduler struct{}

// New returns a Scheduler of the given schedules, which fire after Start. It
// fails if an expression is not rate(…), or a name appears twice.
func New(schedules []Schedule, o Options) (*Scheduler, error) { return &Scheduler{}, nil }

// Start begins to fire. The first time comes one interval from now.
func (s *Scheduler) Start() {}

// Fire invokes the function of the named schedule now and returns its result.
// It fails with ErrNotFound or as the Invoker does.
func (s *Scheduler) Fire(ctx context.Context, name string) (lambda.Result, error) {
	return lambda.Result{}, ErrNotFound
}

// Close ends firing, and waits for what is under way.
func (s *Scheduler) Close() error { return nil }
