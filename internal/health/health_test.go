package health_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/metric"
	"github.com/tenantry/tenantry/internal/tenant"
)

// Each probe has its two seconds, all at the same time, and one that does not heed
// its context is not waited for.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := func(d time.Duration, f health.Finding, err error) func(context.Context) (health.Finding, error) {
			return func(context.Context) (health.Finding, error) {
				time.Sleep(d)
				return f, err
			}
		}
		heeds := func(ctx context.Context) (health.Finding, error) {
			<-ctx.Done()
			return health.Finding{}, ctx.Err()
		}
		begun := time.Now()
		got := health.Run(t.Context(), []health.Probe{
			{Name: "fast", Kind: health.Redis, Do: after(time.Millisecond, health.Finding{Version: "7"}, nil)},
			{Name: "slow", Kind: health.Postgres, Do: after(1310*time.Millisecond, health.Finding{}, nil)},
			{Name: "worried", Kind: health.DynamoDB, Do: after(0, health.Finding{Worry: "nearly full"}, nil)},
			{Name: "broken", Kind: health.Kafka, Do: after(0, health.Finding{}, errors.New("connection refused"))},
			{Name: "deaf", Kind: health.HTTP, Do: after(time.Hour, health.Finding{}, nil)},
			{Name: "hung", Kind: health.HTTP, Do: heeds},
		})
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		want := []health.Component{
			{Name: "fast", Kind: health.Redis, Status: health.Up, Latency: time.Millisecond, Version: "7"},
			{Name: "slow", Kind: health.Postgres, Status: health.Degraded, Latency: 1310 * time.Millisecond, Error: "it took 1.31s to answer"},
			{Name: "worried", Kind: health.DynamoDB, Status: health.Degraded, Error: "nearly full"},
			{Name: "broken", Kind: health.Kafka, Status: health.Down, Error: "connection refused"},
			{Name: "deaf", Kind: health.HTTP, Status: health.Down, Latency: 2 * time.Second, Error: "no answer within 2s"},
			{Name: "hung", Kind: health.HTTP, Status: health.Down, Latency: 2 * time.Second, Error: "no answer within 2s"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("components (-want +got):\n%s", diff)
		}
		time.Sleep(time.Hour) // until the deaf one has ended
	})
}

func TestNewReport(t *testing.T) {
	at := time.Date(2026, 11, 25, 1, 0, 0, 0, time.UTC)
	component := func(name string, kind health.Kind, status health.Status) health.Component {
		return health.Component{Name: name, Kind: kind, Status: status}
	}
	swept := at.Add(-5 * time.Minute)
	fine := health.Census{LastSweepAt: &swept}
	for name, test := range map[string]struct {
		own, target health.Status
		kind        health.Kind
		census      health.Census
		want        health.Status
	}{
		"fine":                        {health.Up, health.Up, health.Redis, fine, health.Up},
		"built on what is down":       {health.Down, health.Up, health.Redis, fine, health.Down},
		"built on what is degraded":   {health.Degraded, health.Up, health.Redis, fine, health.Degraded},
		"a target is down":            {health.Up, health.Down, health.Redis, fine, health.Degraded},
		"a target is degraded":        {health.Up, health.Degraded, health.Redis, fine, health.Degraded},
		"an integration is down":      {health.Up, health.Down, health.Integration, fine, health.Degraded},
		"down and a target is down":   {health.Down, health.Down, health.Redis, fine, health.Down},
		"an operation is stuck":       {health.Up, health.Up, health.Redis, health.Census{LastSweepAt: &swept, Stuck: 1}, health.Degraded},
		"leases that are over":        {health.Up, health.Up, health.Redis, health.Census{LastSweepAt: &swept, ExpiredLeases: 9}, health.Up},
		"the sweeper never swept":     {health.Up, health.Up, health.Redis, health.Census{}, health.Degraded},
		"the sweeper has been silent": {health.Up, health.Up, health.Redis, health.Census{LastSweepAt: new(swept.Add(-time.Millisecond))}, health.Degraded},
	} {
		t.Run(name, func(t *testing.T) {
			own, target := component("own", health.DynamoDB, test.own), component("a", test.kind, test.target)
			got := health.NewReport(at, []health.Component{own}, []health.Component{target}, test.census)
			if got.Status != test.want || !got.CheckedAt.Equal(at) {
				t.Errorf("got %s, want %s", got.Status, test.want)
			}
			want, integrations := []health.Component{target, own}, []health.Component(nil)
			if test.kind == health.Integration {
				want, integrations = want[1:], want[:1]
			}
			if !slices.Equal(got.Components, want) || !slices.Equal(got.Integrations, integrations) {
				t.Errorf("got %v and %v", got.Components, got.Integrations)
			}
		})
	}
}

// What one function tells another is what it was.
func TestComponentsOnTheWire(t *testing.T) {
	want := []health.Component{{"a", health.Redis, health.Degraded, 1234 * time.Microsecond, "7", "slow"}, {Name: "b"}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got []health.Component
	if err := json.Unmarshal(text, &got); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s became %+v: %v", text, got, err)
	}
}

func TestFigures(t *testing.T) {
	r := health.Report{
		Status: health.Degraded, Stuck: 2, ExpiredLeases: 3,
		Components: []health.Component{{Status: health.Down}, {Status: health.Degraded}}, Integrations: []health.Component{{Status: health.Down}},
	}
	want := []metric.Figure{{Name: "HealthStatus", Value: 1}, {Name: "ComponentsDown", Value: 2}, {Name: "StuckOperations", Value: 2}, {Name: "ExpiredLeases", Value: 3}}
	if diff := cmp.Diff(want, r.Figures()); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

// A world is a store, a census and targets.
type world struct {
	sync.Mutex
	latest    *health.Report
	claimed   time.Time
	saved     int
	announced []health.Report
	broken    error         // what counting and targets fail with
	takes     time.Duration // how long the targets take
	// What each of the store does before all else, where it is not nil.
	claims, finds, saves func(context.Context) error
}

// checker returns who makes reports of a world that is built on one thing.
func (w *world) checker(ping func(context.Context) error) *health.Checker {
	return &health.Checker{
		Store: w, Counter: w, Targets: w, Probes: []health.Probe{{Name: "dynamodb", Kind: health.DynamoDB, Do: health.Ping(ping)}},
		Announce: func(_ context.Context, r health.Report) {
			w.Lock()
			defer w.Unlock()
			w.announced = append(w.announced, r)
		},
	}
}

func answers(context.Context) error { return nil }

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

var errStore = errors.New("the store is down")

func fails(context.Context) error { return errStore }

func (w *world) Latest(ctx context.Context) (health.Report, error) {
	if w.finds != nil {
		return health.Report{}, w.finds(ctx)
	}
	w.Lock()
	defer w.Unlock()
	if w.latest == nil {
		return health.Report{}, fault.New(fault.NotFound, "none yet")
	}
	return *w.latest, nil
}

func (w *world) Claim(ctx context.Context, at, after time.Time) error {
	if w.claims != nil {
		return w.claims(ctx)
	}
	w.Lock()
	defer w.Unlock()
	if w.claimed.After(after) {
		return fault.New(fault.Conflict, "claimed")
	}
	w.claimed = at
	return nil
}

func (w *world) Save(ctx context.Context, r health.Report) error {
	if w.saves != nil {
		return w.saves(ctx)
	}
	w.Lock()
	defer w.Unlock()
	w.latest = &r
	w.saved++
	return nil
}

func (w *world) Census(context.Context, time.Time) (health.Census, error) {
	return health.Census{Tenants: map[tenant.Status]int64{tenant.Active: 1}, LastSweepAt: new(time.Now())}, w.broken //nolint:exhaustive // one is enough
}

func (w *world) ProbeTargets(ctx context.Context) ([]health.Component, error) {
	select {
	case <-time.After(w.takes):
		return []health.Component{{Name: "cache", Kind: health.Redis, Status: health.Up}}, w.broken
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// together has five ask at once, and returns the one report that all of them get.
func together(t *testing.T, c *health.Checker) health.Report {
	t.Helper()
	reports := make(chan health.Report, 5)
	for range 5 {
		go func() {
			r, err := c.Check(t.Context())
			if err != nil {
				t.Error(err)
			}
			reports <- r
		}()
	}
	first := <-reports
	for range 4 {
		if r := <-reports; !r.CheckedAt.Equal(first.CheckedAt) {
			t.Errorf("a report of %v, and one of %v", first.CheckedAt, r.CheckedAt)
		}
	}
	return first
}

// Who asks while a report is being made, or a moment after, gets that.
func TestCheckTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{takes: 2 * time.Second}
		c := w.checker(answers)
		first := together(t, c)
		if w.saved != 1 || first.Status != health.Up || len(first.Components) != 2 {
			t.Errorf("%d reports were made: %+v", w.saved, first)
		}
		if len(w.announced) != 5 {
			t.Errorf("%d of 5 were announced", len(w.announced))
		}
		time.Sleep(8 * time.Second)
		if r, err := c.Check(t.Context()); err != nil || r.CheckedAt.Equal(first.CheckedAt) {
			t.Errorf("after ten seconds there is no new report: %v", err)
		}
	})
}

// Where the store is down, the platform is looked at all the same, and what it is
// like is announced before the store can fail once more.
func TestCheckWithoutStore(t *testing.T) {
	for name, test := range map[string]struct {
		store *world
		takes time.Duration
		saved int
		want  error
	}{
		"no claim":           {&world{claims: fails}, 2 * time.Second, 1, errStore},
		"a claim that hangs": {&world{claims: hangs}, 4 * time.Second, 1, context.DeadlineExceeded},
		"it is not kept":     {&world{saves: fails}, 2 * time.Second, 0, errStore},
		"keeping it hangs":   {&world{saves: hangs}, 7 * time.Second, 0, context.DeadlineExceeded},
		"all fails":          {&world{claims: fails, saves: fails}, 2 * time.Second, 0, errStore},
		"all hangs":          {&world{claims: hangs, saves: hangs}, 7 * time.Second, 0, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := test.store
				begun := time.Now()
				r, err := w.checker(hangs).Check(t.Context())
				if took := time.Since(begun); took != test.takes || !errors.Is(err, test.want) || w.saved != test.saved {
					t.Errorf("got %v, and %d kept, in %v; want %v, %d and %v", err, w.saved, took, test.want, test.saved, test.takes)
				}
				if len(w.announced) != 1 || !cmp.Equal(w.announced[0], r) || r.Status != health.Down || len(r.Components) != 2 {
					t.Errorf("got %+v, announced was %+v", r, w.announced)
				}
			})
		})
	}
}

// A report that the end of its time cut short is none: what was not finished is not
// down.
func TestCheckCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w := &world{}
		if _, err := w.checker(hangs).Check(ctx); !errors.Is(err, context.DeadlineExceeded) || w.announced != nil || w.saved != 0 {
			t.Errorf("got %v, %d kept, announced was %+v", err, w.saved, w.announced)
		}
	})
}

// A start of what probes the targets may take three seconds, and one target its two
// after that. The report is there as soon as they are.
func TestCheckOfTargets(t *testing.T) {
	for name, test := range map[string]struct {
		targets, report time.Duration
		want            string
	}{
		"warm":        {2 * time.Second, 2 * time.Second, "cache"},
		"cold":        {4900 * time.Millisecond, 4900 * time.Millisecond, "cache"},
		"never there": {time.Hour, 5 * time.Second, "health-probe"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{takes: test.targets}
				begun := time.Now()
				r, err := w.checker(answers).Check(t.Context())
				if took := time.Since(begun); err != nil || took != test.report {
					t.Errorf("it took %v, want %v: %v", took, test.report, err)
				}
				if !slices.ContainsFunc(r.Components, func(c health.Component) bool { return c.Name == test.want }) || len(r.Components) != 2 {
					t.Errorf("got %+v, want one of %s", r.Components, test.want)
				}
			})
		})
	}
}

// What cannot be found out does not keep the rest from being told.
func TestCheckOfWhatIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{broken: errors.New("a secret detail")}
		r, err := w.checker(answers).Check(t.Context())
		if err != nil || r.Status != health.Degraded || len(r.Components) != 2 || r.Components[1].Name != "health-probe" || r.Components[1].Status != health.Down {
			t.Errorf("got %+v, %v", r, err)
		}
		if strings.Contains(r.Components[1].Error, "secret") {
			t.Errorf("the report tells %s", r.Components[1].Error)
		}
	})
}

// A part of what is counted does not make a report that is up.
func TestCheckOfWhatIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := (&world{broken: errors.New("one of the counts failed")}).checker(answers)
		c.Targets = nil
		if r, err := c.Check(t.Context()); err != nil || r.Status != health.Degraded || r.Tenants != nil || r.LastSweepAt != nil {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

// Where who makes a report has died, one of those who wait makes it, once the dead
// cannot be about to keep it: the one before is no answer to who asks for a new one.
func TestCheckOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := &world{claimed: begun, latest: &health.Report{Status: health.Up, CheckedAt: begun.Add(-time.Minute)}}
		if r := together(t, w.checker(answers)); !r.CheckedAt.Equal(begun.Add(7*time.Second)) || w.saved != 1 {
			t.Errorf("%d reports were made, as of %v after", w.saved, r.CheckedAt.Sub(begun))
		}
	})
}

// So it is where what another makes cannot be read.
func TestCheckOfTheUnread(t *testing.T) {
	for name, finds := range map[string]func(context.Context) error{"fails": fails, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{claimed: time.Now(), finds: finds}
				r, err := w.checker(answers).Check(t.Context())
				if err != nil || r.Status != health.Up || w.saved != 1 || len(w.announced) != 1 {
					t.Errorf("got %+v, %d kept, %d announced: %v", r, w.saved, len(w.announced), err)
				}
			})
		})
	}
}

func TestParseTargets(t *testing.T) {
	const secret = `"secret_arn":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"` //nolint:gosec // an ARN
	for name, test := range map[string]struct {
		text string
		n    int
		want string // what is wrong
	}{
		"none":             {"", 0, ""},
		"no JSON":          {"postgres", 0, "a JSON array"},
		"an object":        {`{"name":"a"}`, 0, "a JSON array"},
		"unknown member":   {`[{"name":"a","kind":"redis","address":"a:1","password":"x"}]`, 0, "a JSON array"},
		"one of each":      {`[{"name":"a","kind":"postgres","address":"db:5432",` + secret + `},{"name":"b","kind":"kafka","address":"k1:9092,k2:9092"},{"name":"c","kind":"http","address":"https://c.example/health"}]`, 3, ""},
		"nothing right":    {`[{"name":"-","kind":"mysql","address":"a","secret_arn":"x"}]`, 0, "#/0/name must be 1 to 64 letters, digits, points, hyphens and underscores; #/0/kind must be one of"},
		"no port":          {`[{"name":"a","kind":"redis","address":"cache"}]`, 0, "#/0/address must be a host with a port"},
		"no broker's port": {`[{"name":"a","kind":"kafka","address":"k1:9092,k2"}]`, 0, "#/0/address must be hosts with ports"},
		"a password":       {`[{"name":"a","kind":"http","address":"http://me:secret@c.example"}]`, 0, "#/0/address must hold no user name or password"},
		"a path alone":     {`[{"name":"a","kind":"s3","address":"/bucket"}]`, 0, "#/0/address must be a URL"},
		"a bucket":         {`[{"name":"a","kind":"s3","address":"https://s3.internal/bucket"}]`, 0, "#/0/address must end with the host and port"},
		"a bucket's query": {`[{"name":"a","kind":"minio","address":"http://minio:9000?list-type=2"}]`, 0, "#/0/address must end with the host and port"},
		"a fragment":       {`[{"name":"a","kind":"minio","address":"http://minio:9000/#x"}]`, 0, "#/0/address must end with the host and port"},
		"stores":           {`[{"name":"a","kind":"s3","address":"https://s3.internal"},{"name":"b","kind":"minio","address":"http://minio:9000/"}]`, 2, ""},
		"a service's path": {`[{"name":"a","kind":"integration","address":"https://status.example/v1?of=us"}]`, 1, ""},
		"a name twice":     {`[{"name":"a","kind":"redis","address":"a:1"},{"name":"a","kind":"redis","address":"b:1"}]`, 0, "#/1/name is that of another target too"},
		"too many":         {"[" + strings.TrimSuffix(strings.Repeat(`{"name":"a","kind":"redis","address":"a:1"},`, 51), ",") + "]", 0, "# must be at most 50 targets"},
	} {
		t.Run(name, func(t *testing.T) {
			targets, err := health.ParseTargets(test.text)
			if test.want == "" {
				if err != nil || len(targets) != test.n {
					t.Errorf("got %v, %v", targets, err)
				}
				return
			}
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "me:secret") {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
