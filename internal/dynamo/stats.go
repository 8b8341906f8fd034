package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/stats"
	"github.com/tenantry/tenantry/internal/usage"
)

// daysOfMonth is as many days as a month can have.
const daysOfMonth = 31

// Stats reads what is counted of tenants.
type Stats struct{ *Table }

// NewStats returns what is counted in table.
func NewStats(table *Table) *Stats { return &Stats{table} }

// Counts returns what is counted of a tenant at a time, and the days of that month
// that had calls, with one before them. A call whose lease is over is not among the
// live ones, whether that was noticed or not.
func (s *Stats) Counts(ctx context.Context, id identity.TenantID, at time.Time) (stats.Counts, []stats.Day, error) {
	var counters countersItem
	var month monthItem
	var days []stats.Day
	var over int64
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		counters, over, err = s.counters(ctx, id, at)
		return err
	})
	group.Go(func() error { return ignore(s.get(ctx, monthKey(id, usage.MonthOf(at)), &month), errNoItem) })
	group.Go(func() (err error) {
		days, err = s.days(ctx, id, at)
		return err
	})
	if err := group.Wait(); err != nil {
		return stats.Counts{}, nil, fmt.Errorf("stats of tenant %s: %w", id, err)
	}
	c := counters.counts(id, at)
	c.MessagesTold = month.Told
	c.ActiveCalls -= over
	return c, days, nil
}

// counters returns the counters of a tenant, and how many of the calls that they
// count as live have a lease that was over at a time.
func (s *Stats) counters(ctx context.Context, id identity.TenantID, at time.Time) (counters countersItem, over int64, err error) {
	in, v := leasesOver(id, at)
	found, err := query[key](ctx, s.Table, in, v, math.MaxInt)
	if err != nil {
		return counters, 0, err
	}
	// The index is a little behind, so that the calls themselves tell. They are read
	// last: what is live then, with a lease that was over before, was counted.
	if err := ignore(s.get(ctx, countersKey(id), &counters), errNoItem); err != nil {
		return counters, 0, err
	}
	items, err := batchGet[callItem](ctx, s.Table, found, "")
	for _, item := range items {
		if c := item.call(); c.State == call.Live && !c.Holds(at) {
			over++
		}
	}
	return counters, over, err
}

// days returns the days with calls up to a time, latest first, as many as a month
// has.
func (s *Stats) days(ctx context.Context, id identity.TenantID, at time.Time) ([]stats.Day, error) {
	in := dynamodb.QueryInput{
		KeyConditionExpression: new("pk = :pk AND sk BETWEEN :first AND :last"),
		ConsistentRead:         new(true),
		ScanIndexForward:       new(false),
	}
	v := map[string]any{":pk": tenantKey(id).PK, ":first": daysOf, ":last": dayKey(id, dayOf(at)).SK}
	items, err := query[map[string]any](ctx, s.Table, in, v, daysOfMonth)
	if err != nil {
		return nil, err
	}
	var days []stats.Day
	for _, item := range items {
		days = append(days, dayItem(item).day())
	}
	return days, nil
}

// Usages returns what tenants use in the month of a time, in their order. The use
// of one that has nothing counted is nothing.
func (s *Stats) Usages(ctx context.Context, ids []identity.TenantID, at time.Time) ([]usage.Usage, error) {
	var keys []key
	for _, id := range ids {
		keys = append(keys, countersKey(id))
	}
	items, err := batchGet[countersItem](ctx, s.Table, keys, "")
	if err != nil {
		return nil, fmt.Errorf("usage of %d tenants: %w", len(ids), err)
	}
	found := map[identity.TenantID]countersItem{}
	for _, item := range items {
		found[identity.TenantID(item.name())] = item
	}
	var usages []usage.Usage
	for _, id := range ids {
		item := found[id]
		usages = append(usages, item.counts(id, at).Usage)
	}
	return usages, nil
}

// Usage returns what one tenant uses in the month of a time.
func (s *Stats) Usage(ctx context.Context, id identity.TenantID, at time.Time) (usage.Usage, error) {
	var counters countersItem
	if err := s.get(ctx, countersKey(id), &counters); err != nil && !errors.Is(err, errNoItem) {
		return usage.Usage{}, fmt.Errorf("usage of tenant %s: %w", id, err)
	}
	return counters.counts(id, at).Usage, nil
}

// counts returns what the counters tell of a tenant at a time. What they hold of
// another month is not of this one.
func (i countersItem) counts(id identity.TenantID, at time.Time) stats.Counts {
	month := usage.MonthOf(at)
	c := stats.Counts{
		Usage:       usage.Usage{TenantID: id, Month: month, Contacts: i.Contacts, Agents: int64(i.Agents), Sums: i.sumsOf(month)},
		ActiveCalls: int64(i.ActiveCalls),
	}
	if i.CallsMonth == month {
		c.Calls, c.CallsTold = int64(i.MonthCalls), i.CallsTold
	}
	if i.ContactsMonth == month {
		c.ContactsTold = i.ContactsTold
	}
	return c
}

// A dayItem is what is counted of the calls of a day. Each hour's peak is an
// attribute of its own.
type dayItem map[string]any

func (i dayItem) number(attribute string) int64 {
	n, _ := i[attribute].(float64) // so numbers are read
	return int64(n)
}

func (i dayItem) day() stats.Day {
	sk, _ := i["sk"].(string)
	d := stats.Day{
		Date: strings.TrimPrefix(sk, daysOf), Calls: i.number("calls"),
		Durations: i.number("durations"), DurationSeconds: i.number("duration_seconds"),
		Sentiments: i.number("sentiments"), Sentiment: i.number("sentiment"),
		Peaks: map[int]int64{},
	}
	if last, ok := i["last_call_at"].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, last); err == nil {
			d.LastCallAt = &at
		}
	}
	for attribute := range i {
		if text, ok := strings.CutPrefix(attribute, peaksOf); ok {
			if hour, err := strconv.Atoi(text); err == nil {
				d.Peaks[hour] = i.number(attribute)
			}
		}
	}
	return d
}
