// Package health holds the reports of how the platform is doing: what was probed,
// what became of it, and the rule by which that makes one status. It knows neither
// HTTP nor AWS.
package health

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/metric"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	// Patience is how long a probe may take.
	Patience = 2 * time.Second
	// slow is from when on an answer is a sign of trouble.
	slow = time.Second
	// silent is how long the sweeper may not have swept.
	silent = 5 * time.Minute
	// Kept is how long reports are kept.
	Kept = 24 * time.Hour
	// refreshedAfter is how old a report is that is made anew when somebody asks.
	refreshedAfter = 10 * time.Second
)

// A Status says how a component, or the platform, is doing.
type Status string

// The statuses, from good to bad.
const (
	Up       Status = "up"
	Degraded Status = "degraded" // it answers, but slowly, or is near a limit
	Down     Status = "down"
)

// rank sorts the statuses from good to bad.
var rank = map[Status]int{Up: 0, Degraded: 1, Down: 2}

// worse returns the worse of two statuses.
func worse(a, b Status) Status {
	if rank[a] < rank[b] {
		return b
	}
	return a
}

// A Component is one thing that was probed.
type Component struct {
	Name    string
	Kind    Kind
	Status  Status
	Latency time.Duration
	Version string // as it told, or ""
	Error   string // what is wrong, without secrets, or ""
}

// wire is a component as one function tells it to another.
type wire struct {
	Name      string `json:"name"`
	Kind      Kind   `json:"kind"`
	Status    Status `json:"status"`
	LatencyUS int64  `json:"latency_us"`
	Version   string `json:"version"`
	Error     string `json:"error"`
}

// MarshalJSON implements json.Marshaler.
func (c Component) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{c.Name, c.Kind, c.Status, c.Latency.Microseconds(), c.Version, c.Error})
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Component) UnmarshalJSON(text []byte) error {
	var w wire
	err := json.Unmarshal(text, &w)
	*c = Component{w.Name, w.Kind, w.Status, time.Duration(w.LatencyUS) * time.Microsecond, w.Version, w.Error}
	return err
}

// A Finding is what a probe found out of something that answers.
type Finding struct {
	Version string
	// Worry is why it is degraded though it answers, or "".
	Worry string
}

// A Probe finds out how something is doing. Its error is shown to operators, so it
// holds no secret.
type Probe struct {
	Name string
	Kind Kind
	Do   func(ctx context.Context) (Finding, error)
}

// Run runs probes at the same time, each no longer than Patience, and returns what
// became of them, in their order. It does not wait for one that does not heed its
// context.
func Run(ctx context.Context, probes []Probe) []Component {
	components := make([]Component, len(probes))
	var group sync.WaitGroup
	for i, p := range probes {
		group.Go(func() { components[i] = p.run(ctx) })
	}
	group.Wait()
	return components
}

type outcome struct {
	finding Finding
	err     error
}

func (p Probe) run(ctx context.Context) Component {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	begun := time.Now()
	done := make(chan outcome, 1)
	go func() {
		f, err := p.Do(ctx)
		done <- outcome{f, err}
	}()
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		o.err = ctx.Err()
	}
	return p.component(o, time.Since(begun))
}

// component returns what an outcome makes of the component.
func (p Probe) component(o outcome, took time.Duration) Component {
	c := Component{Name: p.Name, Kind: p.Kind, Status: Up, Latency: took, Version: o.finding.Version}
	switch {
	case errors.Is(o.err, context.DeadlineExceeded):
		c.Status, c.Error = Down, "no answer within "+Patience.String()
	case o.err != nil:
		c.Status, c.Error = Down, o.err.Error()
	case o.finding.Worry != "":
		c.Status, c.Error = Degraded, o.finding.Worry
	case took >= slow:
		c.Status, c.Error = Degraded, "it took "+took.Round(10*time.Millisecond).String()+" to answer"
	}
	return c
}

// A Report is how the platform is doing at a time.
type Report struct {
	Status       Status
	CheckedAt    time.Time
	Components   []Component // what the platform is built on, and its services
	Integrations []Component // what is others'
	// Tenants is how many there are in each status, or nil where that is not known.
	Tenants       map[tenant.Status]int64
	Stuck         int // operations that were to be looked at over a minute ago
	ExpiredLeases int // of calls, that nobody gave back yet
	LastSweepAt   *time.Time
}

// A Census is what is counted for a report.
type Census struct {
	Tenants       map[tenant.Status]int64
	Stuck         int
	ExpiredLeases int
	LastSweepAt   *time.Time
}

// NewReport returns the report of what was found, in the order of names. The
// platform is down if something that it is built on is down; it is degraded if
// anything else is not up, an operation is stuck, or the sweeper is silent, as it is
// taken to be where nothing could be counted.
func NewReport(at time.Time, own, targets []Component, census Census) Report {
	r := Report{
		Status: Up, CheckedAt: at, Components: own, Tenants: census.Tenants,
		Stuck: census.Stuck, ExpiredLeases: census.ExpiredLeases, LastSweepAt: census.LastSweepAt,
	}
	for _, c := range own {
		r.Status = worse(r.Status, c.Status)
	}
	for _, c := range targets {
		if c.Status != Up {
			r.Status = worse(r.Status, Degraded)
		}
		if c.Kind.integration() {
			r.Integrations = append(r.Integrations, c)
		} else {
			r.Components = append(r.Components, c)
		}
	}
	if r.Stuck > 0 || census.LastSweepAt == nil || at.Sub(*census.LastSweepAt) > silent {
		r.Status = worse(r.Status, Degraded)
	}
	byName := func(a, b Component) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortStableFunc(r.Components, byName)
	slices.SortStableFunc(r.Integrations, byName)
	return r
}

// Figures returns what alarms look at: how bad the status is (0 to 2), how many
// components are down, and what is counted.
func (r Report) Figures() []metric.Figure {
	down := int64(0)
	for _, c := range slices.Concat(r.Components, r.Integrations) {
		if c.Status == Down {
			down++
		}
	}
	return []metric.Figure{
		{Name: "HealthStatus", Value: int64(rank[r.Status])},
		{Name: "ComponentsDown", Value: down},
		{Name: "StuckOperations", Value: int64(r.Stuck)},
		{Name: "ExpiredLeases", Value: int64(r.ExpiredLeases)},
	}
}

// Ping makes the Do of a probe of what only says whether it answers.
func Ping(ping func(ctx context.Context) error) func(context.Context) (Finding, error) {
	return func(ctx context.Context) (Finding, error) { return Finding{}, ping(ctx) }
}
