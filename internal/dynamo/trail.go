package dynamo

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/page"
)

const (
	// maxTrailRounds and maxTrailRead are how many requests after another, and how many
	// records read, are enough for a page. There may be any number of records in a row
	// that a filter does not let pass, and any number of hours without one.
	maxTrailRounds = 32
	maxTrailRead   = 4000
)

// List returns a part of the records that a filter lets pass, newest first. Those
// of one stream are as they are now. Those of all streams are read from an index:
// one that was written or sealed a moment ago may be missing, or as it was before.
func (s *Audit) List(ctx context.Context, f audit.Filter, w page.Window) (page.Page[audit.Event], error) {
	t := newTrail(s.Table, f, w)
	if err := t.walk(ctx); err != nil {
		return page.Page[audit.Event]{}, fmt.Errorf("list audit records: %w", err)
	}
	return t.page(w.Limit), nil
}

// A trail is one walk back in time over the records of a stream, or of all streams
// hour by hour. What sorts from lower on and before upper is wanted.
type trail struct {
	table        *Table
	in           dynamodb.QueryInput
	lower, upper string
	values       map[string]any // of the expressions of in, but for the partition
	stretches    []stretch
	wanted       int
	filtered     bool

	found  []auditItem
	rounds int
	read   int
	next   string // before which it did not look, or "" if it saw all
}

// A stretch is the partitions that hold the records of some time, and what sorts
// before all of them.
type stretch struct {
	partitions []string
	start      string
}

// A source is a partition that a trail reads, newest first.
type source struct {
	partition string
	items     []auditItem // read, and not yet taken
	last      map[string]types.AttributeValue
	floor     string // down to where it was read
	done      bool
}

// dry reports whether it must be read on to tell what comes next.
func (s *source) dry() bool { return len(s.items) == 0 && !s.done }

func newTrail(table *Table, f audit.Filter, w page.Window) *trail {
	t := &trail{table: table, lower: "0", upper: auditHeadKey(f.Stream).SK, wanted: w.Limit + 1}
	if !f.From.IsZero() {
		t.lower = sortable(wholeMillisecond(f.From))
	}
	if !f.To.IsZero() {
		t.upper = sortable(wholeMillisecond(f.To))
	}
	if w.From != "" {
		t.upper = string(w.From)
	}
	t.values = map[string]any{":lower": t.lower, ":upper": t.upper}
	t.in = dynamodb.QueryInput{TableName: &table.name, ScanIndexForward: new(false)}
	if f.Stream != "" {
		t.in.ConsistentRead, t.in.KeyConditionExpression = new(true), new("pk = :of AND sk BETWEEN :lower AND :upper")
		t.stretches = []stretch{{partitions: []string{auditPartition(f.Stream)}}}
	} else {
		t.in.IndexName, t.in.KeyConditionExpression = new("tenant"), new("of_tenant = :of AND of_tenant_sort BETWEEN :lower AND :upper")
		t.stretches = hours(t.lower, t.upper)
	}
	t.filter(f)
	return t
}

// filter has the query leave out what the filter does not let pass.
func (t *trail) filter(f audit.Filter) {
	var conditions []string
	if f.Actor != "" {
		conditions, t.values[":actor"] = append(conditions, "actor_id = :actor"), f.Actor
	}
	if f.Action != "" {
		conditions, t.values[":action"] = append(conditions, "#action = :action"), f.Action
		t.in.ExpressionAttributeNames = map[string]string{"#action": "action"}
	}
	if conditions != nil {
		t.filtered, t.in.FilterExpression = true, new(strings.Join(conditions, " AND "))
	}
}

// wholeMillisecond returns the first millisecond that is not before t, or the last
// that has a year of four digits.
func wholeMillisecond(t time.Time) time.Time {
	whole := t.Add(time.Millisecond - 1).Truncate(time.Millisecond)
	if whole.Year() > 9999 {
		return whole.Add(-time.Millisecond)
	}
	return whole
}

// hours returns what holds the records between two sort keys, newest first.
func hours(lower, upper string) []stretch {
	first, last := timeOf(lower).Truncate(time.Hour), timeOf(upper).Truncate(time.Hour)
	var all []stretch
	for hour := last; !hour.Before(first); hour = hour.Add(-time.Hour) {
		s := stretch{start: sortable(hour)}
		for shard := range shards {
			s.partitions = append(s.partitions, auditHour(hour, shard))
		}
		all = append(all, s)
	}
	return all
}

// walk reads until it has as many records as are wanted, has seen all, or has read
// enough.
func (t *trail) walk(ctx context.Context) error {
	for i, s := range t.stretches {
		ended, err := t.stretch(ctx, s)
		if err != nil || !ended || len(t.found) >= t.wanted {
			return err
		}
		if t.enough() && i+1 < len(t.stretches) {
			t.next = s.start
			return nil
		}
	}
	return nil
}

func (t *trail) enough() bool { return t.rounds >= maxTrailRounds || t.read >= maxTrailRead }

// stretch walks over the records of a stretch. It reports whether it came to its end.
func (t *trail) stretch(ctx context.Context, s stretch) (bool, error) {
	sources := make([]source, len(s.partitions))
	for i, partition := range s.partitions {
		sources[i].partition = partition
	}
	for {
		if err := t.round(ctx, sources); err != nil {
			return false, err
		}
		floor, ended := t.take(sources)
		if ended || len(t.found) >= t.wanted {
			return ended, nil
		}
		if t.enough() {
			t.next = floor
			return false, nil
		}
	}
}

// round reads on in all sources that are dry, at once.
func (t *trail) round(ctx context.Context, sources []source) error {
	limit := maxQuery
	if !t.filtered {
		limit = t.wanted - len(t.found) + 1 // and one that was on the page before
	}
	if n := len(sources); n > 1 {
		limit = 2*limit/n + 2 // they are about equally long
	}
	group, ctx := errgroup.WithContext(ctx)
	read := make([]int, len(sources))
	for i := range sources {
		if s := &sources[i]; s.dry() {
			group.Go(func() (err error) {
				read[i], err = t.query(ctx, s, min(limit, maxQuery))
				return err
			})
		}
	}
	err := group.Wait()
	t.rounds++
	for _, n := range read {
		t.read += n
	}
	return err
}

// query reads on in a source, and returns how many records that took.
func (t *trail) query(ctx context.Context, s *source, limit int) (int, error) {
	in, v := t.in, maps.Clone(t.values)
	v[":of"] = s.partition
	var err error
	if in.ExpressionAttributeValues, err = values(v); err != nil {
		return 0, fmt.Errorf("marshal a query: %w", err)
	}
	in.Limit, in.ExclusiveStartKey = new(int32(limit)), s.last //nolint:gosec // at most maxQuery
	out, err := t.table.db.Query(ctx, &in)
	if err != nil {
		return 0, fmt.Errorf("query: %w", err)
	}
	s.last, s.done = out.LastEvaluatedKey, out.LastEvaluatedKey == nil
	if !s.done {
		if err := attributevalue.Unmarshal(s.last["sk"], &s.floor); err != nil {
			return 0, fmt.Errorf("unmarshal a key: %w", err)
		}
	}
	return int(out.ScannedCount), t.keep(s, out.Items)
}

// keep takes what was read, but for what is at upper: the last record of the page
// before, or the head.
func (t *trail) keep(s *source, read []map[string]types.AttributeValue) error {
	var items []auditItem
	if err := attributevalue.UnmarshalListOfMaps(read, &items); err != nil {
		return fmt.Errorf("unmarshal audit records: %w", err)
	}
	for _, item := range items {
		if item.SK != t.upper {
			s.items = append(s.items, item)
		}
	}
	return nil
}

// take moves records from the sources to what was found, newest first, down to the
// floor: where there may be others that were not read. It reports whether none is left.
func (t *trail) take(sources []source) (floor string, ended bool) {
	for len(t.found) < t.wanted {
		var newest *source
		floor, ended = "", true
		for i := range sources {
			s := &sources[i]
			switch {
			case s.dry():
				floor, ended = max(floor, s.floor), false
			case len(s.items) > 0:
				ended = false
				if newest == nil || s.items[0].SK > newest.items[0].SK {
					newest = s
				}
			}
		}
		if newest == nil || newest.items[0].SK < floor {
			return floor, ended
		}
		t.found, newest.items = append(t.found, newest.items[0]), newest.items[1:]
	}
	return floor, false
}

// page returns what was found, up to a limit.
func (t *trail) page(limit int) page.Page[audit.Event] {
	p := page.Page[audit.Event]{Next: page.Position(t.next)}
	for _, item := range t.found[:min(limit, len(t.found))] {
		p.Entries = append(p.Entries, page.Entry[audit.Event]{Value: item.event(), After: page.Position(item.SK)})
	}
	if len(t.found) > limit {
		p.Next = p.Entries[limit-1].After
	}
	return p
}
