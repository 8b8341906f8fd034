package main

import (
	"bytes"
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
	if diff := cmp.Diff(want, got.bytes); diff != "" || got.processes != 2 {
		t.Errorf("%d processes, memory (-want +got):\n%s", got.processes, diff)
	}
	if _, err := parsePS("PID PPID\n", 1); err == nil {
		t.Error("a heading is taken for a process")
	}
}

func TestGrown(t *testing.T) {
	const mb = 1 << 20
	minutes := func(part string, sizes ...int64) [][]sample {
		var all [][]sample
		for _, size := range sizes {
			all = append(all, []sample{{bytes: map[string]int64{part: size * mb}}})
		}
		return all
	}
	for name, test := range map[string]struct {
		minutes [][]sample
		want    []string
	}{
		"flat":             {minutes(functions, 10, 300, 500, 510, 490, 520), nil},
		"growing":          {minutes(functions, 10, 300, 500, 550, 600, 650), []string{"the memory of functions grew from 500.0 MB to 650.0 MB"}},
		"small":            {minutes(gateway, 10, 10, 10, 20, 24, 28), nil},
		"moto may":         {minutes(moto, 100, 200, 300, 400, 500, 600), nil},
		"too short to say": {minutes(gateway, 1, 1, 1, 1, 900), nil},
	} {
		if diff := cmp.Diff(test.want, grown(&bytes.Buffer{}, test.minutes)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
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
