package usage_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

func TestReached(t *testing.T) {
	for _, test := range []struct {
		used, limit int64
		want        usage.Threshold
	}{
		{0, 0, usage.Below},
		{1, 0, usage.Full},
		{-5, 10, usage.Below},
		{7, 10, usage.Below},
		{8, 10, usage.Near},
		{9, 10, usage.Near},
		{10, 10, usage.Full},
		{11, 10, usage.Full},
		{0, 1, usage.Below},
		{1, 1, usage.Full},
		{2, 3, usage.Below},
		{3, 3, usage.Full},
		{3, 4, usage.Below},
		{799, 1000, usage.Below},
		{800, 1000, usage.Near},
		{7_378_697_629_483_820_645, 9_223_372_036_854_775_807, usage.Below},
		{7_378_697_629_483_820_646, 9_223_372_036_854_775_807, usage.Near},
	} {
		if got := usage.Reached(test.used, test.limit); got != test.want {
			t.Errorf("%d of %d: got %d, want %d", test.used, test.limit, got, test.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		limit, used := rapid.Int64Range(1, 1<<50).Draw(t, "limit"), rapid.Int64Range(0, 1<<50).Draw(t, "used")
		want := usage.Below
		switch {
		case used >= limit:
			want = usage.Full
		case used*100 >= limit*80:
			want = usage.Near
		}
		if got := usage.Reached(used, limit); got != want {
			t.Fatalf("%d of %d: got %d, want %d", used, limit, got, want)
		}
	})
}

func TestMonth(t *testing.T) {
	zone := time.FixedZone("", 14*60*60)
	if got := usage.MonthOf(time.Date(2027, 1, 1, 13, 59, 0, 0, zone)); got != "2026-12" || !got.Ends().Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %s, which ends %v", got, got.Ends())
	}
}

func TestCents(t *testing.T) {
	for tenths, want := range map[int64]int64{0: 0, 4: 0, 5: 1, 14: 1, 15: 2, 1_000_004: 100_000} {
		if got := (usage.Sums{Tenths: tenths}).Cents(); got != want {
			t.Errorf("%d tenths are %d cents, want %d", tenths, got, want)
		}
	}
}

// A ledger is a store of one tenant.
type ledger struct {
	account usage.Account
	gone    bool
	met     int // conflicts that are still to come
	most    int // events that a transaction has room for
	records []audit.Record
	since   time.Time
}

func (l *ledger) Open(_ context.Context, id identity.TenantID, asked map[usage.Page][]usage.Hash, months []usage.Month, since time.Time) (usage.Account, error) {
	if l.gone || id != l.account.TenantID {
		return usage.Account{}, tenant.NotFound(id)
	}
	l.since = since
	a := l.account
	a.Seen, a.Months = map[usage.Page]map[usage.Hash]bool{}, map[usage.Month]usage.MonthSums{}
	for p, hashes := range asked {
		a.Seen[p] = map[usage.Hash]bool{}
		for _, h := range hashes {
			a.Seen[p][h] = l.account.Seen[p][h]
		}
	}
	for _, m := range months {
		a.Months[m] = l.account.Months[m]
	}
	return a, nil
}

func (l *ledger) Save(_ context.Context, _ usage.Account, e usage.Entry) error {
	if l.met > 0 {
		l.met--
		return fault.New(fault.Conflict, "met")
	}
	if len(e.New)+len(e.Months)+len(e.Records)+1 > 100 {
		return fmt.Errorf("%d pages, %d months, %d records are more than a transaction takes", len(e.New), len(e.Months), len(e.Records))
	}
	n := 0
	for _, hashes := range e.New {
		n += len(hashes)
	}
	if n > l.most {
		return usage.ErrTooMuch
	}
	for p, hashes := range e.New {
		if l.account.Seen[p] == nil {
			l.account.Seen[p] = map[usage.Hash]bool{}
		}
		for _, h := range hashes {
			l.account.Seen[p][h] = true
		}
	}
	maps.Copy(l.account.Months, e.Months)
	l.account.Contacts, l.account.Contacted = e.Contacts, e.Contacted
	l.records = append(l.records, e.Records...)
	return nil
}

func newLedger(limits usage.Limits, plans ...usage.PlanChange) *ledger {
	return &ledger{most: 100, account: usage.Account{
		TenantID: "T", Limits: limits, Plans: plans, Months: map[usage.Month]usage.MonthSums{}, Seen: map[usage.Page]map[usage.Hash]bool{},
	}}
}

func draft(id string, kind usage.Type, at time.Time, n int64) usage.Draft {
	return usage.Draft{
		SpecVersion: patch.Of("1.0"), Source: patch.Of("/test"), ID: patch.Of(id), Type: patch.Of(kind), Subject: patch.Of(identity.TenantID("T")),
		Time: patch.Of(at.Format(time.RFC3339Nano)), Quantity: patch.Of(n),
	}
}

var service = identity.Caller{Subject: "K", Role: identity.Service}

// Whatever comes, however often and in whatever order, each event is counted once,
// for its month, at the price of the plan of its time.
func TestCountsOnce(t *testing.T) {
	now := time.Now().UTC()
	changed := now.Add(-24 * time.Hour)
	price := map[usage.Type][2]int64{usage.MessageSent: {10, 2}, usage.CallMinutes: {30, 10}, usage.ContactAdded: {}, usage.ContactRemoved: {}}
	rapid.Check(t, func(rt *rapid.T) {
		l := newLedger(usage.Limits{Contacts: 50, MessagesMonth: 100}, usage.PlanChange{Plan: tenant.Starter}, usage.PlanChange{Plan: tenant.Enterprise, Since: changed})
		type event struct {
			usage.Draft
			at time.Time
		}
		var all []event
		for i := range rapid.IntRange(1, 150).Draw(rt, "events") {
			kind := rapid.SampledFrom([]usage.Type{usage.MessageSent, usage.CallMinutes, usage.ContactAdded, usage.ContactRemoved}).Draw(rt, "type")
			at := now.Add(-time.Duration(rapid.Int64Range(0, int64(71*time.Hour)).Draw(rt, "age"))).Truncate(time.Second)
			all = append(all, event{draft(fmt.Sprint(i), kind, at, rapid.Int64Range(1, 9).Draw(rt, "quantity")), at})
		}
		counted := map[int]bool{}
		want, contacts := map[usage.Month]usage.Sums{}, int64(0)
		for range rapid.IntRange(1, 6).Draw(rt, "batches") {
			var batch []usage.Draft
			picked := rapid.SliceOfN(rapid.IntRange(0, len(all)-1), 1, 100).Draw(rt, "picked")
			for _, i := range picked {
				batch = append(batch, all[i].Draft)
			}
			l.met, l.most = rapid.IntRange(0, 2).Draw(rt, "conflicts"), rapid.IntRange(1, 100).Draw(rt, "room")
			results, err := usage.NewService(l).Count(t.Context(), service, batch)
			if err != nil {
				rt.Fatal(err)
			}
			for n, i := range picked {
				status := usage.Duplicate
				if !counted[i] {
					status, counted[i] = usage.Accepted, true
					e := all[i]
					month, plan := usage.MonthOf(e.at), 0
					if !e.at.Before(changed) {
						plan = 1
					}
					sums := want[month]
					sums.Tenths += e.Quantity.Value * price[e.Type.Value][plan]
					switch e.Type.Value {
					case usage.MessageSent:
						sums.Messages += e.Quantity.Value
					case usage.CallMinutes:
						sums.CallMinutes += e.Quantity.Value
					case usage.ContactAdded:
						contacts += e.Quantity.Value
					case usage.ContactRemoved:
						contacts -= e.Quantity.Value
					}
					want[month] = sums
				}
				if results[n].Status != status {
					rt.Fatalf("event %d is %+v, want %s", i, results[n], status)
				}
			}
		}
		for month, sums := range want {
			if got := l.account.Months[month].Sums; got != sums {
				rt.Fatalf("%s: got %+v, want %+v", month, got, sums)
			}
		}
		if l.account.Contacts != contacts {
			rt.Fatalf("got %d contacts, want %d", l.account.Contacts, contacts)
		}
	})
}

// A threshold is told of once a month, and the higher one alone where both are
// reached at once.
func TestThresholdsAreTold(t *testing.T) {
	now := time.Now().UTC().Add(-time.Minute)
	l := newLedger(usage.Limits{Contacts: 10, MessagesMonth: 10}, usage.PlanChange{Plan: tenant.Starter})
	var told []string
	for i, step := range []struct {
		kind usage.Type
		n    int64
	}{
		{usage.MessageSent, 7},
		{usage.MessageSent, 1},
		{usage.MessageSent, 1},
		{usage.MessageSent, 1},
		{usage.MessageSent, 90},
		{usage.ContactAdded, 10},
		{usage.ContactRemoved, 9},
		{usage.ContactAdded, 9},
		{usage.CallMinutes, 1},
	} {
		if _, err := usage.NewService(l).Count(t.Context(), service, []usage.Draft{draft(fmt.Sprint(i), step.kind, now, step.n)}); err != nil {
			t.Fatal(err)
		}
		for _, r := range l.records {
			told = append(told, fmt.Sprint(i, " ", r.Action, " ", r.Target.ID, " ", r.Changes[0].To, " ", r.Actor.ID))
		}
		l.records = nil
	}
	want := "1 limit.reached max_messages_month 80 K, 3 limit.reached max_messages_month 100 K, 5 limit.reached max_contacts 100 K"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// What is reported late is of the month in which it happened, and what a service whose
// clock is ahead reports of the next: each month's threshold is told of once, by the
// month's name.
func TestThresholdsOfTheirMonths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(usage.Limits{Contacts: 10, MessagesMonth: 10}, usage.PlanChange{Plan: tenant.Starter})
		count := func(id string, at time.Time, n int64) {
			t.Helper()
			if _, err := usage.NewService(l).Count(t.Context(), service, []usage.Draft{draft(id, usage.MessageSent, at, n)}); err != nil {
				t.Fatal(err)
			}
		}
		turn := time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC)
		time.Sleep(time.Until(turn.Add(-time.Minute)))
		count("early", turn.Add(time.Minute), 8)
		time.Sleep(time.Hour)
		count("late", turn.Add(-time.Hour), 9)
		count("at once", time.Now(), 2)
		count("very late", turn.Add(-2*time.Hour), 1)
		count("beyond", turn.Add(-time.Hour), 5)
		var told []string
		for _, r := range l.records {
			told = append(told, fmt.Sprint(r.Changes))
		}
		want := []string{
			"[{percent <nil> 80 false} {used <nil> 8 false} {limit <nil> 10 false} {month <nil> 2000-02 false}]",
			"[{percent <nil> 80 false} {used <nil> 9 false} {limit <nil> 10 false} {month <nil> 2000-01 false}]",
			"[{percent <nil> 100 false} {used <nil> 10 false} {limit <nil> 10 false} {month <nil> 2000-02 false}]",
			"[{percent <nil> 100 false} {used <nil> 10 false} {limit <nil> 10 false} {month <nil> 2000-01 false}]",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

func TestRejected(t *testing.T) {
	now := time.Now().UTC()
	good := draft("1", usage.MessageSent, now, 1)
	edit := func(f func(*usage.Draft)) usage.Draft {
		d := good
		f(&d)
		return d
	}
	for name, test := range map[string]struct {
		draft usage.Draft
		by    identity.Caller
		gone  bool
		want  string
	}{
		"good":    {good, service, false, ""},
		"nothing": {usage.Draft{}, service, false, "source is required; id is required; subject is required; specversion is required; type is required; time is required; data/quantity is required"},
		"unread": {edit(func(d *usage.Draft) {
			d.Unread = fault.Fields{{Pointer: "#/time", Detail: "must be a string"}}
			d.Time = patch.Field[string]{}
		}), service, false, "time must be a string"},
		"another version":   {edit(func(d *usage.Draft) { d.SpecVersion.Value = "0.3" }), service, false, "specversion must be 1.0"},
		"another type":      {edit(func(d *usage.Draft) { d.Type.Value = "page.viewed" }), service, false, "type must be message.sent, contact.added, contact.removed or call.minutes"},
		"a long source":     {edit(func(d *usage.Draft) { d.Source.Value = strings.Repeat("é", 256) }), service, false, "source must be 1 to 255 characters"},
		"no time":           {edit(func(d *usage.Draft) { d.Time.Value = "today" }), service, false, "time must be a time (RFC 3339)"},
		"old":               {draft("1", usage.MessageSent, now.Add(-73*time.Hour), 1), service, false, "time must be at most 3 days ago"},
		"a clock ahead":     {draft("1", usage.MessageSent, now.Add(4*time.Minute), 1), service, false, ""},
		"the future":        {draft("1", usage.MessageSent, now.Add(6*time.Minute), 1), service, false, "time must not be in the future"},
		"nothing used":      {draft("1", usage.MessageSent, now, 0), service, false, "data/quantity must be from 1 to 1000000000"},
		"too much used":     {draft("1", usage.MessageSent, now, 1_000_000_001), service, false, "data/quantity must be from 1 to 1000000000"},
		"a foreign tenant":  {good, identity.Caller{Role: identity.Service, TenantIDs: []identity.TenantID{"U"}}, false, `there is no tenant "T"`},
		"a tenant of yours": {good, identity.Caller{Role: identity.Service, TenantIDs: []identity.TenantID{"T"}}, false, ""},
		"no tenant":         {edit(func(d *usage.Draft) { d.Subject.Value = "U" }), service, false, `there is no tenant "U"`},
		"purged":            {good, service, true, `there is no tenant "T"`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(usage.Limits{Contacts: 1, MessagesMonth: 10}, usage.PlanChange{Plan: tenant.Starter})
			l.gone = test.gone
			results, err := usage.NewService(l).Count(t.Context(), test.by, []usage.Draft{test.draft})
			if err != nil || results[0].Detail != test.want || (results[0].Status == usage.Accepted) != (test.want == "") {
				t.Errorf("got %+v, %v, want %q", results, err, test.want)
			}
		})
	}
}

// Where others are always first, the caller is told to come again.
func TestCountedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(usage.Limits{MessagesMonth: 10}, usage.PlanChange{Plan: tenant.Starter})
		l.met = 1000
		_, err := usage.NewService(l).Count(t.Context(), service, []usage.Draft{draft("1", usage.MessageSent, time.Now(), 1)})
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.TooManyRequests || f.RetryAfter != time.Second {
			t.Errorf("got %v, want %s", err, fault.TooManyRequests)
		}
	})
}
