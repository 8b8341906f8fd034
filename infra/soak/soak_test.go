package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMixIsWhole(t *testing.T) {
	sum := 0
	for _, m := range mix {
		sum += m.weight
	}
	if sum != 1000 {
		t.Errorf("the weights are %d thousandths", sum)
	}
}

func TestParsePS(t *testing.T) {
	const text = `    1     0   100 init
   10     1  2048 bin/local
   11    10  1024 tenant-get
   12    10  1024 /x/bin/call-start
   13    10  4096 /usr/bin/node
   14    10  3072 python3.11
   15    14  1024 python3.11
   16     1  9999 tenant-get
`
	got, err := parsePS(text, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{gateway: 2 << 20, functions: 2 << 20, database: 4 << 20, moto: 4 << 20}
	if diff := cmp.Diff(want, got.bytes); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[int]int64{11: 1 << 20, 12: 1 << 20}, got.processes); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if _, err := parsePS("PID PPID\n", 1); err == nil {
		t.Error("a heading is taken for a process")
	}
}

func TestSettle(t *testing.T) {
	var w watch
	start := time.Now()
	for _, test := range []struct {
		after     time.Duration
		processes map[int]int64
		want      []int64
	}{
		{0, map[int]int64{1: 10, 2: 20}, nil},
		{settling - 1, map[int]int64{1: 11, 2: 20}, nil},
		{settling, map[int]int64{1: 12, 3: 30}, []int64{12}},
		{settling + sampling, map[int]int64{1: 12, 2: 21, 3: 30}, []int64{12}},
		{2 * settling, map[int]int64{2: 22, 3: 31}, []int64{31}},
	} {
		s := sample{processes: test.processes}
		w.settle(&s, start.Add(test.after))
		if diff := cmp.Diff(test.want, s.settled); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", test.after, diff)
		}
	}
}

// TestGrown has 200 requests a second, at which a kilobyte a request is 11.7 MB a
// minute, or 35.2 MB from the third minute to the sixth. The gateway leaks it beside
// what it keeps.
func TestGrown(t *testing.T) {
	const mb, rate = 1 << 20, 200
	minutes := func(part string, sizes ...float64) [][]sample {
		var all [][]sample
		for _, size := range sizes {
			all = append(all, []sample{{bytes: map[string]int64{part: int64(size * mb)}}})
		}
		return all
	}
	// functionsOf has 100 processes, one of which is settled if it has a size.
	functionsOf := func(sizes ...float64) [][]sample {
		var all [][]sample
		for _, size := range sizes {
			s := sample{processes: map[int]int64{}}
			for pid := range 100 {
				s.processes[pid] = mb
			}
			if size > 0 {
				s.settled = []int64{int64(size * mb)}
			}
			all = append(all, []sample{s})
		}
		return all
	}
	for name, test := range map[string]struct {
		minutes [][]sample
		told    string
		want    []string
	}{
		"functions are flat": {functionsOf(0, 10, 20, 25, 15, 20.01), "one of 100 processes of functions went from 20.0 MB to 20.0 MB: 0.3 MB a minute, 29 bytes a request; allowed are 11.2 MB a minute", nil},
		"functions shrink":   {functionsOf(0, 10, 20, 20, 20, 19), "from 20.0 MB to 19.0 MB: -33.3 MB a minute", nil},
		"functions leak": {
			functionsOf(0, 10, 20, 20, 20, 20.36), "",
			[]string{"one of 100 processes of functions went from 20.0 MB to 20.4 MB: 12.0 MB a minute, 1049 bytes a request; allowed are 11.2 MB a minute"},
		},
		"functions do not stay": {functionsOf(0, 0, 0, 20, 20, 20), "No process of functions was there for long enough to say whether they grow.", nil},
		"the gateway leaks": {
			minutes(gateway, 1, 1, 50, 60, 70, 96), "",
			[]string{"gateway went from 50.0 MB to 96.0 MB: 15.3 MB a minute, 1340 bytes a request; allowed are 14.1 MB a minute"},
		},
		"the gateway keeps what it may": {minutes(gateway, 1, 1, 50, 90, 70, 70), "gateway went from 50.0 MB to 70.0 MB: 6.7 MB a minute, 583 bytes a request; allowed are 14.1 MB a minute", nil},
		"a kilobyte of ten minutes": {minutes(database, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100+7*(11.8+5.7)), "", []string{
			"local DynamoDB went from 100.0 MB to 222.5 MB: 17.5 MB a minute, 1529 bytes a request; allowed are 14.0 MB a minute",
		}},
		"moto may":         {minutes(moto, 100, 200, 300, 400, 500, 600), "moto went from 300.0 MB to 600.0 MB: 100.0 MB a minute, 8738 bytes a request\n", nil},
		"too short to say": {minutes(gateway, 1, 1, 1, 1, 900), "it takes 6 minutes", nil},
	} {
		var out strings.Builder
		if diff := cmp.Diff(test.want, grown(&out, test.minutes, rate)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if !strings.Contains(out.String(), test.told) {
			t.Errorf("%s: got %q, want it to tell %q", name, out.String(), test.told)
		}
	}
}

func TestSlow(t *testing.T) {
	for reached, want := range map[float64]int{200: 0, 190: 0, 189.9: 1, 10: 1} {
		got := slow(reached, 200)
		if len(got) != want || want == 1 && !strings.Contains(got[0], "-rate") {
			t.Errorf("%.1f of 200: got %q", reached, got)
		}
	}
}

func TestRecord(t *testing.T) {
	r := newRecord()
	for i := range 100 {
		r.add(outcome{"GET /a", 200}, time.Duration(i+1)*time.Millisecond, "")
	}
	r.add(outcome{"GET /a", 503}, time.Second, "gone")
	if diff := cmp.Diff([]string{"1 answers were not due", "GET /a: 503 gone"}, r.wrong()); diff != "" {
		t.Error(diff)
	}
	var out strings.Builder
	r.table(&out)
	fields := strings.Fields(out.String())
	if !slices.Equal(fields[9:17], []string{"GET", "/a", "200", "100", "51.0", "100.0", "100.0", "GET"}) {
		t.Errorf("the table:\n%s", &out)
	}
}

func TestNextPage(t *testing.T) {
	for link, want := range map[string]string{
		"":                                "",
		`</tenants?cursor=b>; rel="next"`: "/tenants?cursor=b",
		`</tenants?cursor=a>; rel="first", </tenants?cursor=b>; rel="next"`:   "/tenants?cursor=b",
		`</tenants?cursor=a>; rel="first", </tenants?cursor=b>; rel="latest"`: "",
	} {
		if got := nextPage(link); got != want {
			t.Errorf("%s: got %q, want %q", link, got, want)
		}
	}
}

// A ledger is an API that has what a test says.
type ledger struct {
	agents, records, users, tenants []map[string]any
	stats, tenant, usage            map[string]any
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var v any
	switch {
	case strings.HasSuffix(r.URL.Path, "/stats"):
		v = l.stats
	case r.URL.Path == "/tenants/usage":
		v = []any{map[string]any{"id": "c", "usage": l.usage}}
	case r.URL.Path == "/agents":
		v = l.agents
	case r.URL.Path == "/users":
		v = l.users
	case r.URL.Path == "/audit-events":
		var of []map[string]any
		for _, each := range l.records {
			if each["action"] == r.URL.Query().Get("action") {
				of = append(of, each)
			}
		}
		v = of
	case r.URL.Path == "/tenants":
		w.Header().Set("X-Total-Count", strconv.Itoa(len(l.tenants)))
		v = l.tenants
	default:
		v = l.tenant
	}
	_ = json.NewEncoder(w).Encode(v)
}

// TestReconcile spoils one thing after the other, and holds that it is found.
func TestReconcile(t *testing.T) {
	for want, spoil := range map[string]func(*ledger){
		"":                                func(*ledger) {},
		"tenant c: the last change was 2": func(l *ledger) { l.tenant["meta_data"] = map[string]any{"note": 1} },
		"agent a is there 0 times":        func(l *ledger) { l.agents = nil },
		"agent a is there 2 times":        func(l *ledger) { l.agents = append(l.agents, l.agents[0]) },
		"agent a: the last change was 1":  func(l *ledger) { l.agents[0]["voice"] = "0" },
		"agents that should not be there": func(l *ledger) { l.agents = append(l.agents, map[string]any{"id": "b"}) },
		"its agents, as counted":          func(l *ledger) { l.stats["total_agents"] = 2 },
		"its calls: there are 4":          func(l *ledger) { l.stats["total_calls_month"] = 4 },
		"its calls that go on":            func(l *ledger) { l.stats["active_sessions"] = 1 },
		"its calls took 11 s on average":  func(l *ledger) { l.stats["avg_call_duration"] = 11 },
		"records of tenant.updated":       func(l *ledger) { l.records = append(l.records, map[string]any{"id": "9", "action": "tenant.updated"}) },
		"messages: there are 8":           func(l *ledger) { l.usage["messages"] = 8 },
		"minutes of calls: there are 5":   func(l *ledger) { l.usage["call_minutes"] = 5 },
		"tenant c has the users []":       func(l *ledger) { l.users = nil },
		"tenants that nobody was told of: ": func(l *ledger) {
			l.tenants = []map[string]any{{"id": "c", "status": "active"}, {"id": "d", "status": "active"}}
		},
	} {
		t.Run(want, func(t *testing.T) {
			api := &ledger{
				tenants: []map[string]any{{"id": "c", "status": "active"}},
				tenant:  map[string]any{"meta_data": map[string]any{"note": 2}},
				agents:  []map[string]any{{"id": "a", "voice": "1"}},
				users:   []map[string]any{{"id": "c"}},
				stats:   map[string]any{"total_agents": 1, "total_calls_month": 3, "active_sessions": 0, "avg_call_duration": 10},
				usage:   map[string]any{"messages": 7, "call_minutes": 4},
				records: []map[string]any{
					{"id": "1", "action": "tenant.created"},
					{"id": "2", "action": "tenant.updated"},
					{"id": "3", "action": "tenant.updated"},
					{"id": "4", "action": "agent.created"},
					{"id": "5", "action": "agent.updated"},
				},
			}
			spoil(api)
			server := httptest.NewServer(api)
			defer server.Close()
			l := newLoad(&set{APIURL: server.URL, http: server.Client()})
			l.made, l.signups = map[string]bool{"c": true}, map[string]bool{"c": true}
			l.customers = []*customer{{
				id: "c", note: 2, changes: tally{sure: 2}, adds: tally{sure: 1}, calls: tally{sure: 3}, seconds: tally{sure: 30},
				messages: tally{sure: 7}, minutes: tally{sure: 4}, agents: []*agent{{id: "a", note: 1, changes: tally{sure: 1}}},
			}}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			got := l.reconcile(ctx)
			if want == "" && len(got) == 0 {
				return
			}
			if want == "" || !slices.ContainsFunc(got, func(w string) bool { return strings.Contains(w, want) }) {
				t.Errorf("got %q, want one that says %q", got, want)
			}
		})
	}
}
