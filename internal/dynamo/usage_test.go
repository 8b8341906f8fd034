package dynamo_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

// reportOf returns a report of so many messages of a tenant.
func reportOf(id identity.TenantID, event string, at time.Time, n int64) usage.Draft {
	return usage.Draft{
		SpecVersion: patch.Of("1.0"), Source: patch.Of("/s"), ID: patch.Of(event), Type: patch.Of(usage.MessageSent),
		Subject: patch.Of(id), Time: patch.Of(at.UTC().Format(time.RFC3339Nano)), Quantity: patch.Of(n),
	}
}

// An event is priced by the plan that the tenant had then, however often the plan
// changed since.
func TestUsagePrices(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	tenants, service := dynamo.NewTenants(table), usage.NewService(dynamo.NewUsage(table))
	created := newCreation("Acme", "acme")
	begun := time.Now().UTC().Truncate(time.Millisecond).Add(-10 * time.Hour)
	created.Tenant.CreatedAt, created.Tenant.UpdatedAt = begun, begun
	acme := create(t, tenants, created)[0]
	for i, plan := range []tenant.PlanName{tenant.Business, tenant.Enterprise, tenant.Starter, tenant.Enterprise, tenant.Business} {
		acme = change(t, tenants, acme, func(t *tenant.Tenant) {
			t.BillingPlan, t.UpdatedAt = plan, begun.Add(time.Duration(i+1)*time.Hour)
		})
	}
	var batch []usage.Draft
	for i, age := range []time.Duration{-time.Hour, 30 * time.Minute, time.Hour, 90 * time.Minute, 150 * time.Minute, 210 * time.Minute, 270 * time.Minute, 9 * time.Hour} {
		batch = append(batch, reportOf(acme.ID, fmt.Sprint(i), begun.Add(age), 100))
	}
	results, err := service.Count(t.Context(), identity.Caller{Role: identity.Service}, batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Status != usage.Accepted {
			t.Errorf("event %d is %+v", i, r)
		}
	}
	// starter, starter, business, business, enterprise, starter, enterprise, business
	want := map[usage.Month]int64{}
	for i, tenths := range []int64{10, 10, 5, 5, 2, 10, 2, 5} {
		at, _ := time.Parse(time.RFC3339Nano, batch[i].Time.Value)
		want[usage.MonthOf(at)] += tenths * 100
	}
	a, err := dynamo.NewUsage(table).Open(t.Context(), acme.ID, nil, slices.Collect(maps.Keys(want)), begun)
	if err != nil {
		t.Fatal(err)
	}
	got := map[usage.Month]int64{}
	for month, sums := range a.Months {
		got[month] = sums.Tenths
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tenths of a cent (-want +got):\n%s", diff)
	}
}

// A batch whose reads meet the end of a tenant finds its counters as they were before,
// and its plans gone.
func TestUsageMeetsPurge(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	tenants, service := dynamo.NewTenants(table), usage.NewService(dynamo.NewUsage(table))
	acme := create(t, tenants, newCreation("Acme", "acme"))[0]
	if err := tenants.RemoveUse(t.Context(), acme.ID); err != nil {
		t.Fatal(err)
	}
	results, err := service.Count(t.Context(), identity.Caller{Role: identity.Service}, []usage.Draft{reportOf(acme.ID, "1", time.Now(), 1)})
	want := []usage.Result{{Status: usage.Rejected, Detail: fmt.Sprintf("there is no tenant %q", acme.ID)}}
	if diff := cmp.Diff(want, results); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Events of one minute fill page after page, and each is found again.
func TestUsagePages(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	service := usage.NewService(dynamo.NewUsage(table))
	acme := create(t, dynamo.NewTenants(table), newCreation("Acme", "acme"))[0]
	at := time.Now().Add(-time.Minute)
	var all []usage.Draft
	for i := range 250 {
		all = append(all, reportOf(acme.ID, fmt.Sprint(i), at, 1))
	}
	caller := identity.Caller{Role: identity.Service}
	sent := 0
	for _, n := range []int{1, 39, 1, 100, 9, 100} { // onto a page, until it is full, and beyond
		results, err := service.Count(t.Context(), caller, all[sent:sent+n])
		if err != nil || results[0].Status != usage.Accepted || results[n-1].Status != usage.Accepted {
			t.Fatalf("after %d: %+v, %v", sent, results, err)
		}
		sent += n
	}
	for i := 0; i < len(all); i += 50 {
		results, err := service.Count(t.Context(), caller, all[i:i+50])
		if err != nil {
			t.Fatal(err)
		}
		for j, r := range results {
			if r.Status != usage.Duplicate {
				t.Fatalf("event %d again is %+v", i+j, r)
			}
		}
	}
	if got, err := dynamo.NewStats(table).Usage(t.Context(), acme.ID, at); err != nil || got.Messages != 250 {
		t.Errorf("%d messages are counted: %v", got.Messages, err)
	}
}

// Of a source that sends very much in one minute each event is still counted once, and
// a batch takes as many requests as any.
func TestUsageOfABusyMinute(t *testing.T) {
	t.Parallel()
	raw, name := newRawTable(t)
	db := &counting{Client: raw}
	table := dynamo.NewTable(db, name)
	service := usage.NewService(dynamo.NewUsage(table))
	acme := create(t, dynamo.NewTenants(table), newCreation("Acme", "acme"))[0]
	at := time.Now().Add(-time.Minute)
	caller := identity.Caller{Role: identity.Service}
	batch := func(first int) (drafts []usage.Draft) {
		for i := range 100 {
			drafts = append(drafts, reportOf(acme.ID, fmt.Sprint(first+i), at, 1))
		}
		return drafts
	}
	count := func(drafts []usage.Draft, want usage.Status) {
		t.Helper()
		db.requests.Store(0)
		results, err := service.Count(t.Context(), caller, drafts)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Status != want {
				t.Fatalf("event %s is %+v, want it %s", drafts[i].ID.Value, r, want)
			}
		}
		if n := db.requests.Load(); n > 3*5 { // of a batch, and of each of its halves
			t.Errorf("a batch took %d requests", n)
		}
	}
	const batches = 103 // three more than there are pages
	for i := range batches {
		count(batch(100*i), usage.Accepted)
	}
	for _, i := range []int{0, 99, 100, batches - 1} {
		count(batch(100*i), usage.Duplicate)
	}
	if got, err := dynamo.NewStats(table).Usage(t.Context(), acme.ID, at); err != nil || got.Messages != 100*batches {
		t.Errorf("%d messages are counted: %v", got.Messages, err)
	}
}

// What changes between reading and writing keeps the writing from taking effect;
// nothing is counted for a tenant that is being taken apart.
func TestUsageConflicts(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	store, tenants := dynamo.NewUsage(table), dynamo.NewTenants(table)
	acme := create(t, tenants, newCreation("Acme", "acme"))[0]
	acme = change(t, tenants, acme, func(t *tenant.Tenant) { t.Status = tenant.Active })
	month := usage.MonthOf(time.Now())
	page := usage.Page{Source: "/s", Minute: time.Now().Unix() / 60}
	entry := usage.Entry{New: map[usage.Page][]usage.Hash{page: {{1}}}, Months: map[usage.Month]usage.MonthSums{month: {Sums: usage.Sums{Messages: 1}}}}
	open := func() usage.Account {
		t.Helper()
		a, err := store.Open(t.Context(), acme.ID, map[usage.Page][]usage.Hash{page: {{1}}}, []usage.Month{month}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	before := open()
	if err := store.Save(t.Context(), before, entry); err != nil {
		t.Fatal(err)
	}
	if err := store.Save(t.Context(), before, entry); !errors.Is(err, fault.Conflict) {
		t.Errorf("again: got %v, want a conflict", err)
	}
	if after := open(); !after.Seen[page][usage.Hash{1}] || after.Months[month].Messages != 1 {
		t.Errorf("got %+v", after)
	}
	before = open()
	suspended := change(t, tenants, acme, func(t *tenant.Tenant) { t.Status = tenant.Suspended })
	if err := store.Save(t.Context(), before, entry); !errors.Is(err, fault.Conflict) {
		t.Errorf("of a tenant that changed: got %v, want a conflict", err)
	}
	change(t, tenants, suspended, func(t *tenant.Tenant) { t.Status = tenant.Purging })
	if _, err := store.Open(t.Context(), acme.ID, nil, nil, time.Now()); !errors.Is(err, fault.NotFound) {
		t.Errorf("of a tenant that is being taken apart: got %v, want %v", err, fault.NotFound)
	}
	if _, err := store.Open(t.Context(), "nobody", nil, nil, time.Now()); !errors.Is(err, fault.NotFound) {
		t.Errorf("of nobody: got %v, want %v", err, fault.NotFound)
	}
	long := strings.Repeat("\U0001f4de", 255)
	if _, err := store.Open(t.Context(), identity.TenantID(long), map[usage.Page][]usage.Hash{{Source: long}: {{1}}}, nil, time.Now()); !errors.Is(err, fault.NotFound) {
		t.Errorf("of a long name: got %v, want %v", err, fault.NotFound)
	}
}

// The use of a month that has not begun, and of one that is over, leaves the present
// one's as it is, wherever it is shown.
func TestUsageAroundTheMonth(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	store, counted := dynamo.NewUsage(table), dynamo.NewStats(table)
	acme := create(t, dynamo.NewTenants(table), newCreation("Acme", "acme"))[0]
	december := time.Date(2030, 12, 31, 23, 58, 0, 0, time.UTC)
	november, january := december.AddDate(0, -1, -1), december.AddDate(0, 0, 1)
	for i, step := range []struct {
		at       time.Time
		messages int64
	}{{november, 7}, {december, 100}, {january, 1}, {december, 20}, {november, 2}, {january, 3}} {
		month, page := usage.MonthOf(step.at), usage.Page{Source: fmt.Sprint(i)}
		a, err := store.Open(t.Context(), acme.ID, map[usage.Page][]usage.Hash{page: {{1}}}, []usage.Month{month}, step.at)
		if err != nil {
			t.Fatal(err)
		}
		sums := a.Months[month]
		sums.Messages, sums.CallMinutes, sums.Tenths = sums.Messages+step.messages, sums.CallMinutes+1, sums.Tenths+10*step.messages
		err = store.Save(t.Context(), a, usage.Entry{New: map[usage.Page][]usage.Hash{page: {{1}}}, Months: map[usage.Month]usage.MonthSums{month: sums}})
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			continue // nothing was ahead yet
		}
		want := usage.Usage{TenantID: acme.ID, Month: "2030-12", Sums: usage.Sums{Messages: 100, CallMinutes: 1, Tenths: 1000}}
		if i > 2 {
			want.Sums = usage.Sums{Messages: 120, CallMinutes: 2, Tenths: 1200}
		}
		one, err := counted.Usage(t.Context(), acme.ID, december)
		if diff := cmp.Diff(want, one); diff != "" || err != nil {
			t.Errorf("after step %d, %v (-want +got):\n%s", i, err, diff)
		}
		shown, beside, err := dynamo.NewTenants(table).GetWithUsage(t.Context(), acme.ID, december)
		if diff := cmp.Diff(want, beside) + cmp.Diff(acme, shown); diff != "" || err != nil {
			t.Errorf("with the tenant after step %d, %v (-want +got):\n%s", i, err, diff)
		}
		many, err := counted.Usages(t.Context(), []identity.TenantID{acme.ID}, december)
		if diff := cmp.Diff([]usage.Usage{want}, many); diff != "" || err != nil {
			t.Errorf("of all after step %d, %v (-want +got):\n%s", i, err, diff)
		}
		counts, _, err := counted.Counts(t.Context(), acme.ID, december)
		if diff := cmp.Diff(want, counts.Usage); diff != "" || err != nil {
			t.Errorf("stats after step %d, %v (-want +got):\n%s", i, err, diff)
		}
	}
	if got, err := counted.Usage(t.Context(), acme.ID, january); err != nil || got.Messages != 4 || got.Cents() != 4 {
		t.Errorf("when the month has turned: %+v, %v", got, err)
	}
}
