package dynamo_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// newReport returns a report of a time.
func newReport(at time.Time) health.Report {
	return health.Report{
		Status: health.Degraded, CheckedAt: at, Stuck: 1, ExpiredLeases: 3, LastSweepAt: new(at.Add(-time.Minute)),
		Tenants:      map[tenant.Status]int64{tenant.Active: 2}, //nolint:exhaustive // one is enough
		Components:   []health.Component{{Name: "dynamodb", Kind: health.DynamoDB, Status: health.Up, Latency: 1500 * time.Microsecond}},
		Integrations: []health.Component{{Name: "numbers", Kind: health.Integration, Status: health.Down, Version: "2", Error: "no answer"}},
	}
}

func TestHealthReports(t *testing.T) {
	t.Parallel()
	s := dynamo.NewHealth(newTable(t))
	if _, err := s.Latest(t.Context()); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want %v", err, fault.NotFound)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	want := []health.Report{newReport(now), newReport(now.Add(-time.Minute)), newReport(now.Add(-23 * time.Hour))}
	for _, age := range []time.Duration{25 * time.Hour, 23 * time.Hour, time.Minute, 0} {
		if err := s.Save(t.Context(), newReport(now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Latest(t.Context())
	if diff := cmp.Diff(want[0], got); diff != "" || err != nil {
		t.Errorf("%v, the last (-want +got):\n%s", err, diff)
	}
	var all []health.Report
	for w := (page.Window{Limit: 2}); ; {
		p, err := s.History(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range p.Entries {
			all = append(all, entry.Value)
		}
		if w.From = p.Next; w.From == "" {
			break
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("those of 24 hours (-want +got):\n%s", diff)
	}
	late := page.Window{Limit: 2, From: page.Position("REPORT#" + now.Add(-25*time.Hour).Format("2006-01-02T15:04:05.000Z"))}
	if p, err := s.History(t.Context(), late); err != nil || len(p.Entries) != 0 || p.Next != "" {
		t.Errorf("from what is too old by now: got %+v, %v", p, err)
	}
}

func TestHealthClaim(t *testing.T) {
	t.Parallel()
	s := dynamo.NewHealth(newTable(t))
	now := time.Now()
	for i, test := range []struct {
		at, after time.Time
		kind      fault.Kind
	}{
		{now, now.Add(-10 * time.Second), ""},
		{now.Add(time.Second), now.Add(-9 * time.Second), fault.Conflict},
		{now.Add(10 * time.Second), now, ""},
	} {
		if err := s.Claim(t.Context(), test.at, test.after); fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") {
			t.Errorf("claim %d: got %v, want the kind %q", i, err, test.kind)
		}
	}
}

func TestCensus(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	s, tenants := dynamo.NewHealth(table), dynamo.NewTenants(table)
	empty, err := s.Census(t.Context(), time.Now())
	if err != nil || empty.LastSweepAt != nil || empty.Stuck != 0 || empty.ExpiredLeases != 0 || empty.Tenants[tenant.Active] != 0 {
		t.Errorf("of nothing: %+v, %v", empty, err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	var acme tenant.Tenant
	for i := range 3 {
		c := newCreation("Acme", fmt.Sprint("acme-", i))
		c.Operation.DueAt = now.Add(-time.Duration(i) * 45 * time.Second) // of which one is stuck
		acme = create(t, tenants, c)[0]
	}
	acme = change(t, tenants, acme, func(t *tenant.Tenant) { t.Status = tenant.Active })
	calls := dynamo.NewCalls(table)
	for i, age := range []time.Duration{0, time.Hour} {
		c := call.Call{ID: call.ID(fmt.Sprint(i)), TenantID: acme.ID, State: call.Live, StartedAt: now.Add(-age), Lease: time.Minute, ExpiresAt: now.Add(time.Minute - age)}
		if err := takeAs(t.Context(), calls, acme, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Swept(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	want := health.Census{Tenants: make(map[tenant.Status]int64), Stuck: 1, ExpiredLeases: 1, LastSweepAt: &now}
	for _, status := range tenant.Statuses() {
		want.Tenants[status] = 0
	}
	want.Tenants[tenant.Provisioning], want.Tenants[tenant.Active] = 2, 1
	eventually(t, "the indexes were whole", func() bool {
		got, err := s.Census(t.Context(), now)
		return err == nil && cmp.Equal(want, got)
	})
}

func TestHeadroom(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	table := dynamo.NewTable(db, name)
	if got, err := dynamo.NewHeadroom(table, db, 100_000).Probe(t.Context()); err != nil || got != (health.Finding{}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := dynamo.NewHeadroom(table, db, 1).Probe(t.Context()); err != nil || got.Worry == "" {
		t.Errorf("near the limit: %+v, %v", got, err)
	}
	gone := dynamo.NewTable(db, "gone")
	if got, err := dynamo.NewHeadroom(gone, db, 100_000).Probe(t.Context()); err == nil {
		t.Errorf("without a table: %+v", got)
	}
}
