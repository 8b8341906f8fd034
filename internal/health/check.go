package health

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
)

// A Store keeps reports.
type Store interface {
	// Latest returns the last report, or fault.NotFound.
	Latest(ctx context.Context) (Report, error)
	// Claim notes that a report is being made. It fails with fault.Conflict if that was
	// noted after a time.
	Claim(ctx context.Context, at, after time.Time) error
	// Save keeps a report, as the last and in the history.
	Save(ctx context.Context, r Report) error
}

// A Counter counts what a report tells.
type Counter interface {
	Census(ctx context.Context, at time.Time) (Census, error)
}

// TargetProber probes what the operator lists.
type TargetProber interface {
	// ProbeTargets returns what became of all of it.
	ProbeTargets(ctx context.Context) ([]Component, error)
}

// A Checker makes reports.
type Checker struct {
	Store   Store
	Counter Counter
	// Probes are of what the platform is built on.
	Probes []Probe
	// Targets is nil where there are none.
	Targets TargetProber
}

const (
	// coldStart is how long what probes the targets may take to start, where it does
	// not run yet. The patience with each target begins after it.
	coldStart = 3 * time.Second
	// targetPatience is how long the targets may take together: as long as one, and
	// what it takes to start.
	targetPatience = Patience + coldStart
	// shareWithin is how long one who asks waits for the report that another makes.
	shareWithin = targetPatience + time.Second
	sharePause  = 100 * time.Millisecond
)

// Check makes a report and keeps it, unless one was made or begun a moment ago:
// then that is the report.
func (c *Checker) Check(ctx context.Context) (Report, error) {
	at := time.Now().UTC().Truncate(time.Millisecond)
	err := c.Store.Claim(ctx, at, at.Add(-refreshedAfter))
	if errors.Is(err, fault.Conflict) {
		return c.shared(ctx, at)
	}
	if err != nil {
		return Report{}, err
	}
	r := c.report(ctx, at)
	return r, c.Store.Save(ctx, r)
}

// shared returns the report that another made a moment ago, or makes now.
func (c *Checker) shared(ctx context.Context, at time.Time) (Report, error) {
	for until := at.Add(shareWithin); ; {
		r, err := c.Store.Latest(ctx)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return r, err
		}
		if err == nil && r.CheckedAt.After(at.Add(-refreshedAfter)) || time.Now().After(until) {
			return r, err
		}
		select {
		case <-time.After(sharePause):
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
}

// report finds out everything at the same time. What cannot be found out is part of
// the report.
func (c *Checker) report(ctx context.Context, at time.Time) Report {
	var own, targets []Component
	var census Census
	var group sync.WaitGroup
	group.Go(func() { own = Run(ctx, c.Probes) })
	group.Go(func() { targets = c.probeTargets(ctx) })
	group.Go(func() {
		var err error
		ctx, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		if census, err = c.Counter.Census(ctx, at); err != nil {
			slog.ErrorContext(ctx, "nothing was counted", "error", err)
			census = Census{} // a part of it would be taken for the whole
		}
	})
	group.Wait()
	return NewReport(at, own, targets, census)
}

func (c *Checker) probeTargets(ctx context.Context) []Component {
	if c.Targets == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, targetPatience)
	defer cancel()
	begun := time.Now()
	targets, err := c.Targets.ProbeTargets(ctx)
	if err != nil {
		slog.ErrorContext(ctx, "the targets were not probed", "error", err)
		return []Component{{Name: "health-probe", Kind: Lambda, Status: Down, Latency: time.Since(begun), Error: "the targets could not be probed; the log of health-check has the cause"}}
	}
	return targets
}
