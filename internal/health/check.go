package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	// Announce is told each report before it is kept, as that may fail.
	Announce func(ctx context.Context, r Report)
}

const (
	// coldStart is how long what probes the targets may take to start, where it does
	// not run yet. The patience with each target begins after it.
	coldStart = 3 * time.Second
	// targetPatience is how long the targets may take together: as long as one, and
	// what it takes to start.
	targetPatience = Patience + coldStart
	// reportWithin is how long it may take from the claim of a report until that is
	// kept. A claim that is older, and has no report, is of somebody who died.
	reportWithin = targetPatience + Patience
	sharePause   = 100 * time.Millisecond
)

// Check makes a report and keeps it, unless one was made or begun a moment ago:
// then that is the report. Where the store fails, a report is made and announced all
// the same, and Check fails.
func (c *Checker) Check(ctx context.Context) (Report, error) {
	asked := time.Now()
	at, err := c.claim(ctx, refreshedAfter)
	for errors.Is(err, fault.Conflict) {
		if r, ok := c.after(ctx, asked.Add(-refreshedAfter)); ok {
			c.Announce(ctx, r)
			return r, nil
		}
		select {
		case <-time.After(sharePause):
		case <-ctx.Done():
			return Report{}, ctx.Err()
		}
		at, err = c.claim(ctx, reportWithin)
	}
	r := c.report(ctx, at)
	if ctx.Err() != nil {
		return Report{}, errors.Join(err, ctx.Err()) // what was cut short tells nothing of the platform
	}
	c.Announce(ctx, r)
	ctx, cancel := context.WithDeadline(ctx, at.Add(reportWithin))
	defer cancel()
	if failed := c.Store.Save(ctx, r); failed != nil {
		err = errors.Join(err, fmt.Errorf("keep the report: %w", failed))
	}
	return r, err
}

// claim notes that a report is made as of the time that it returns. It fails with
// fault.Conflict where that was noted less than a while ago.
func (c *Checker) claim(ctx context.Context, ago time.Duration) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	at := time.Now().UTC().Truncate(time.Millisecond)
	if err := c.Store.Claim(ctx, at, at.Add(-ago)); err != nil {
		return at, fmt.Errorf("claim the report: %w", err)
	}
	return at, nil
}

// after returns the last report if it is of after a time.
func (c *Checker) after(ctx context.Context, t time.Time) (Report, bool) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	r, err := c.Store.Latest(ctx)
	if err != nil && !errors.Is(err, fault.NotFound) {
		slog.ErrorContext(ctx, "the report that another makes cannot be read", "error", err)
	}
	return r, err == nil && r.CheckedAt.After(t)
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
	r := NewReport(at, own, targets, census)
	for _, component := range slices.Concat(r.Components, r.Integrations) {
		if component.Status == Down { // the log is what is left where the report cannot be kept
			slog.WarnContext(ctx, "a component is down", "component", component.Name, "error", component.Error)
		}
	}
	return r
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
