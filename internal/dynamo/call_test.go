package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/stats"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

// A callCenter is one active tenant with its calls.
type callCenter struct {
	*testing.T
	table   *dynamo.Table
	tenants *dynamo.Tenants
	calls   *dynamo.Calls
	tenant  tenant.Tenant
}

// newCallCenter makes one that may have so many calls at once, and in a month.
func newCallCenter(t *testing.T, most, monthly int) *callCenter {
	t.Helper()
	table := newTable(t)
	tenants := dynamo.NewTenants(table)
	c := newCreation("Acme", "acme")
	c.Tenant.MaxConcurrentCalls, c.Tenant.MonthlyCallLimit = most, monthly
	created := create(t, tenants, c)[0]
	active := change(t, tenants, created, func(t *tenant.Tenant) { t.Status = tenant.Active })
	return &callCenter{t, table, tenants, dynamo.NewCalls(table), active}
}

var byEdge = audit.By(identity.Caller{Subject: "key", Role: identity.Service})

// takeAs takes a slot for a call that began when it says.
func takeAs(ctx context.Context, calls *dynamo.Calls, t tenant.Tenant, c call.Call) error {
	_, err := calls.Take(ctx, t, func() call.Call { return c }, byEdge)
	return err
}

// take takes a slot at a time, for a minute.
func (c *callCenter) take(id string, at time.Time) error {
	at = at.UTC().Truncate(time.Millisecond)
	return takeAs(c.Context(), c.calls, c.tenant, call.Call{
		ID: call.ID(id), TenantID: c.tenant.ID, State: call.Live, StartedAt: at, Lease: time.Minute, ExpiresAt: at.Add(time.Minute),
	})
}

func (c *callCenter) get(id string) call.Call {
	c.Helper()
	got, err := c.calls.Get(c.Context(), c.tenant.ID, call.ID(id))
	if err != nil {
		c.Fatal(err)
	}
	return got
}

func (c *callCenter) counts(at time.Time) (stats.Counts, []stats.Day) {
	c.Helper()
	counts, days, err := dynamo.NewStats(c.table).Counts(c.Context(), c.tenant.ID, at)
	if err != nil {
		c.Fatal(err)
	}
	return counts, days
}

func TestCalls(t *testing.T) {
	t.Parallel()
	c := newCallCenter(t, 2, 100)
	noon := time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour) // of yesterday
	for i, id := range []string{"a", "b"} {
		if err := c.take(id, noon.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.take("a", noon); !errors.Is(err, call.ErrKnown) {
		t.Errorf("again: got %v, want %v", err, call.ErrKnown)
	}
	full := c.take("c", noon.Add(time.Second))
	if f, ok := errors.AsType[*fault.Error](full); !ok || f.Kind != fault.QuotaExceeded || f.Members["quota"] != "max_concurrent_calls" || f.Members["used"] != 2 {
		t.Errorf("without room: got %v", full)
	}

	renewed := c.get("b")
	renewed.ExpiresAt = noon.Add(time.Hour)
	if err := c.calls.Renew(t.Context(), c.get("b"), renewed); err != nil {
		t.Fatal(err)
	}
	stale := renewed
	stale.ExpiresAt = noon
	for what, err := range map[string]error{
		"a renewal of another lease": c.calls.Renew(t.Context(), stale, renewed),
		"an end of another lease":    c.calls.End(t.Context(), stale, call.Report{}, noon),
	} {
		if !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: got %v, want a conflict", what, err)
		}
	}

	later := noon.Add(2 * time.Minute) // the lease of a is over, and of b is not
	eventually(t, "the slot of a came back", func() bool {
		err := c.take("c", later)
		return err == nil || errors.Is(err, call.ErrKnown)
	})
	if got := c.get("a"); got.State != call.Expired || got.Told {
		t.Errorf("a is %+v", got)
	}
	half := time.Duration(90) * time.Second
	for _, at := range []time.Time{later, later.Add(time.Second)} {
		before := c.get("a")
		if err := c.calls.End(t.Context(), before, call.Report{Duration: &half, Sentiment: new(-0.12345)}, at); before.Told != errors.Is(err, fault.Conflict) {
			t.Errorf("a late end of %+v: %v", before, err)
		}
	}
	if err := c.calls.End(t.Context(), c.get("b"), call.Report{}, later); err != nil {
		t.Fatal(err)
	}
	if got := c.get("b"); got.State != call.Ended || !got.Told {
		t.Errorf("b is %+v", got)
	}

	counts, days := c.counts(later)
	if counts.ActiveCalls != 1 || counts.Calls != 3 || counts.CallsTold != usage.Below {
		t.Errorf("got %+v", counts)
	}
	last := later.Truncate(time.Millisecond)
	want := []stats.Day{{
		Date: noon.Format(time.DateOnly), Calls: 3, Durations: 1, DurationSeconds: 90, Sentiments: 1, Sentiment: -1235, LastCallAt: &last, Peaks: map[int]int64{12: 2},
	}}
	if diff := cmp.Diff(want, days); diff != "" {
		t.Errorf("days (-want +got):\n%s", diff)
	}
}

// A tenant whose calls of the month are spent is told so at once, however many leases
// are over.
func TestCallsSpent(t *testing.T) {
	t.Parallel()
	c := newCallCenter(t, 30, 30)
	now := time.Now()
	if usage.MonthOf(now) != usage.MonthOf(now.Add(-2*time.Minute)) {
		now = now.Add(-2 * time.Minute) // all of it is to be in one month
	}
	for i := range 30 {
		if err := c.take(fmt.Sprint(i), now.Add(-2*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if f, ok := errors.AsType[*fault.Error](c.take("more", now)); !ok || f.Members["quota"] != "monthly_call_limit" || f.Members["used"] != 30 {
		t.Errorf("got %+v", f)
	}
	if err := c.take("7", now); !errors.Is(err, call.ErrKnown) {
		t.Errorf("again: got %v, want %v", err, call.ErrKnown)
	}
	if got := c.get("7"); got.State != call.Live {
		t.Errorf("the lease was looked at: %+v", got)
	}
}

// A limit that is lowered below the calls of the month is told of once, by the first
// start that it keeps out.
func TestCallsBeyondALoweredLimit(t *testing.T) {
	t.Parallel()
	c := newCallCenter(t, 20, 10)
	now := time.Now()
	if usage.MonthOf(now) != usage.MonthOf(now.Add(time.Hour)) {
		now = now.Add(-time.Hour) // all of it is to be in one month
	}
	for i := range 4 {
		if err := c.take(fmt.Sprint(i), now); err != nil {
			t.Fatal(err)
		}
	}
	change(t, c.tenants, c.tenant, func(t *tenant.Tenant) { t.MonthlyCallLimit = 3 })
	reached := func() (told []string) {
		t.Helper()
		events, err := dynamo.NewAudit(c.table).List(t.Context(), audit.Filter{Stream: audit.StreamOf(c.tenant.ID), Action: audit.LimitReached}, page.Window{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range events.Entries {
			for _, change := range entry.Value.Changes {
				told = append(told, fmt.Sprintf("%s %s", change.Field, change.To))
			}
		}
		return told
	}
	if err := c.take("0", now); !errors.Is(err, call.ErrKnown) || reached() != nil {
		t.Errorf("again: got %v, and was told of %v", err, reached())
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if f, ok := errors.AsType[*fault.Error](c.take(fmt.Sprint("more-", i), now)); !ok || f.Members["quota"] != "monthly_call_limit" || f.Members["used"] != 4 {
				t.Errorf("got %v", f)
			}
		})
	}
	group.Wait()
	want := []string{"percent 100", "used 4", "limit 3", fmt.Sprintf("month %q", usage.MonthOf(now))}
	if diff := cmp.Diff(want, reached()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if counts, _ := c.counts(now); counts.Calls != 4 || counts.ActiveCalls != 4 || counts.CallsTold != usage.Full {
		t.Errorf("counted are %+v", counts)
	}
}

// The peak of an hour is what was live at once in it, also what was live when it
// began; and a month's calls are counted anew.
func TestPeaks(t *testing.T) {
	t.Parallel()
	c := newCallCenter(t, 5, 3)
	next := time.Now().UTC()
	next = time.Date(next.Year(), next.Month(), 1, 0, 0, 5, 0, time.UTC) // when this month had begun
	at := next.Add(-time.Hour - 35*time.Second)                          // at 22:59:30 of the day before
	for i := range 3 {
		if err := c.take(fmt.Sprint(i), at); err != nil {
			t.Fatal(err)
		}
	}
	if f, ok := errors.AsType[*fault.Error](c.take("more", at)); !ok || f.Members["quota"] != "monthly_call_limit" || f.Members["resets_at"] != next.Format("2006-01-02T00:00:00.000Z") || f.RetryAfter != time.Hour+30*time.Second {
		t.Errorf("got %+v", f)
	}
	if err := c.calls.End(t.Context(), c.get("0"), call.Report{}, at.Add(time.Minute)); err != nil { // at 23:00:30
		t.Fatal(err)
	}
	if err := c.take("next", next); err != nil { // two of the month before are not given back yet
		t.Fatal(err)
	}
	_, days := c.counts(next)
	peaks := map[string]map[int]int64{}
	for _, d := range days {
		peaks[d.Date] = d.Peaks
	}
	if diff := cmp.Diff(map[string]map[int]int64{at.Format(time.DateOnly): {22: 3, 23: 3}, next.Format(time.DateOnly): {0: 3}}, peaks); diff != "" {
		t.Errorf("peaks (-want +got):\n%s", diff)
	}
	if counts, _ := c.counts(next); counts.Calls != 1 || counts.CallsTold != usage.Below {
		t.Errorf("in the next month: %+v", counts)
	}
}

// Where more ask at once than there are slots, as many get one, and keep it.
func TestCallsRush(t *testing.T) {
	t.Parallel()
	const most, callers = 5, 16
	c := newCallCenter(t, most, callers)
	var taken atomic.Int64
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			switch err := c.take(fmt.Sprint(caller), time.Now()); {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, fault.QuotaExceeded):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if counts, _ := c.counts(time.Now()); taken.Load() != most || counts.ActiveCalls != most {
		t.Errorf("%d calls were let in, and %d are live, of %d", taken.Load(), counts.ActiveCalls, most)
	}
}

// In a crowd the thresholds are told once, and in the end nothing is left.
func TestCallsCrowd(t *testing.T) {
	t.Parallel()
	const most, callers, rounds = 5, 16, 4
	c := newCallCenter(t, most, callers*rounds)
	var taken atomic.Int64
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for round := range rounds {
				id := fmt.Sprint(caller, "-", round)
				err := c.take(id, time.Now())
				if errors.Is(err, fault.QuotaExceeded) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				taken.Add(1)
				if err := c.calls.End(t.Context(), c.get(id), call.Report{}, time.Now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	counts, _ := c.counts(time.Now())
	if counts.ActiveCalls != 0 || counts.Calls != taken.Load() {
		t.Errorf("%d calls are counted, %d of them live, after %d", counts.Calls, counts.ActiveCalls, taken.Load())
	}
	events, err := dynamo.NewAudit(c.table).List(t.Context(), audit.Filter{Stream: audit.StreamOf(c.tenant.ID), Action: audit.LimitReached}, page.Window{Limit: 100})
	want := 0
	for _, at := range []int64{usage.NearAt(callers * rounds), callers * rounds} {
		if taken.Load() >= at {
			want++
		}
	}
	if err != nil || len(events.Entries) != want {
		t.Errorf("after %d calls of %d it is told %d times, want %d: %v", taken.Load(), callers*rounds, len(events.Entries), want, err)
	}
}

// A call that ended before it started takes no slot, also where the tenant has none
// left; and nothing comes about in a tenant that changed meanwhile.
func TestCallsRefused(t *testing.T) {
	t.Parallel()
	c := newCallCenter(t, 1, 100)
	now := time.Now().UTC().Truncate(time.Millisecond)
	if err := c.calls.Refuse(t.Context(), c.tenant, "late", now); err != nil {
		t.Fatal(err)
	}
	want := call.Call{ID: "late", TenantID: c.tenant.ID, State: call.Ended, StartedAt: now, ExpiresAt: now, Told: true}
	if diff := cmp.Diff(want, c.get("late")); diff != "" {
		t.Errorf("the call (-want +got):\n%s", diff)
	}
	if err := c.calls.Refuse(t.Context(), c.tenant, "late", now); !errors.Is(err, fault.Conflict) {
		t.Errorf("again: got %v, want a conflict", err)
	}
	for _, id := range []string{"late", "first", "late"} {
		if err := c.take(id, now); errors.Is(err, call.ErrKnown) != (id == "late") || id == "first" && err != nil {
			t.Errorf("a start of %s: %v", id, err)
		}
	}
	if err := c.calls.Refuse(t.Context(), c.tenant, "first", now); !errors.Is(err, fault.Conflict) || c.get("first").State != call.Live {
		t.Errorf("of one that started meanwhile: got %v, want a conflict", err)
	}
	counts, days := c.counts(now)
	if counts.ActiveCalls != 1 || counts.Calls != 1 || len(days) != 1 || days[0].Calls != 1 || days[0].Durations != 0 {
		t.Errorf("counted are %+v, %+v", counts, days)
	}
	change(t, c.tenants, c.tenant, func(t *tenant.Tenant) { t.Status = tenant.Suspended })
	if err := c.calls.Refuse(t.Context(), c.tenant, "other", now); !errors.Is(err, fault.Conflict) {
		t.Errorf("of a tenant that changed: got %v, want a conflict", err)
	}
}

// The list keeps its order whatever is renewed, and leaves out what is over.
func TestCallsList(t *testing.T) {
	t.Parallel()
	c := newCallCenter(t, 10, 100)
	now := time.Now()
	for i := range 5 {
		if err := c.take(fmt.Sprint(i), now.Add(time.Duration(i)*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.take("over", now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	page1 := func(from page.Position, limit int) (ids []call.ID, next page.Position) {
		p, err := c.calls.List(t.Context(), c.tenant.ID, page.Window{From: from, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range p.Entries {
			ids = append(ids, entry.Value.ID)
		}
		return ids, p.Next
	}
	var next page.Position
	eventually(t, "all were listed", func() bool {
		var ids []call.ID
		ids, next = page1("", 2)
		all, _ := page1("", 10)
		return cmp.Equal(ids, []call.ID{"4", "3"}) && len(all) == 5
	})
	before := c.get("2")
	after := before
	after.ExpiresAt = after.ExpiresAt.Add(time.Hour)
	if err := c.calls.Renew(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	if ids, next := page1(next, 10); !cmp.Equal(ids, []call.ID{"2", "1", "0"}) || next != "" {
		t.Errorf("the next page is %v", ids)
	}
}

// A call whose lease is over is not counted as live, before and after somebody gave
// its slot back, and one that was renewed is.
func TestCallsOver(t *testing.T) {
	t.Parallel()
	c := newCallCenter(t, 5, 100)
	began := time.Now()
	for i := range 4 {
		if err := c.take(fmt.Sprint(i), began.Add(time.Duration(i-2)*time.Minute)); err != nil { // the leases of 0 and 1 are over
			t.Fatal(err)
		}
	}
	later := began.Add(time.Minute) // that of 2 too
	renewed := c.get("2")
	renewed.ExpiresAt = later.Add(time.Hour)
	if err := c.calls.Renew(t.Context(), c.get("2"), renewed); err != nil {
		t.Fatal(err)
	}
	live := func() int64 {
		counts, _ := c.counts(later)
		return counts.ActiveCalls
	}
	eventually(t, "the live calls were counted", func() bool { return live() == 2 })
	over := []call.Call{c.get("0"), c.get("1")}
	gone := make(chan error)
	go func() {
		var err error
		for _, before := range over {
			err = errors.Join(err, c.calls.End(t.Context(), before, call.Report{}, later))
		}
		gone <- err
	}()
	for {
		n := live()
		select {
		case err := <-gone:
			if n := live(); err != nil || n != 2 {
				t.Errorf("at last %d calls are live: %v", n, err)
			}
			return
		default:
			if n < 2 || n > 3 {
				t.Errorf("meanwhile %d calls are live", n)
			}
		}
	}
}

// Calls that go on keep a tenant from being deleted, and leases that are over do
// not; the sweeper gives those back too.
func TestCallsAndDeletion(t *testing.T) {
	t.Parallel()
	w := newDoomed(t, nil)
	c := &callCenter{t, nil, w.tenants, dynamo.NewCalls(dynamo.NewTable(w.db, w.name)), w.tenant}
	c.table = dynamo.NewTable(w.db, w.name)
	for i, age := range []time.Duration{0, time.Hour, time.Hour} {
		if err := c.take(fmt.Sprint(i), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the sweeper gave back what is over", func() bool {
		if err := c.calls.ExpireDue(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		counts, _ := c.counts(time.Now())
		return counts.ActiveCalls == 1
	})
	if _, _, err := w.delete(); !errors.Is(err, fault.DeleteBlocked) {
		t.Errorf("got %v, want %s", err, fault.DeleteBlocked)
	}
	if err := c.calls.End(t.Context(), c.get("0"), call.Report{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := c.take("3", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the tenant was deleted", func() bool {
		_, _, err := w.delete()
		if err != nil && !errors.Is(err, fault.DeleteBlocked) {
			t.Fatal(err)
		}
		return err == nil
	})
	if err := c.take("4", time.Now()); !errors.Is(err, fault.Conflict) {
		t.Errorf("a call of a tenant that is being deleted: %v", err)
	}
}
