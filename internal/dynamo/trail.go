package dynamo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/page"
)

const (
	// maxTrailRequests and maxTrailRead are how many requests, and how many records
	// read, are enough for a page. There may be any number of records in a row that a
	// filter does not let pass, and any number of hours without one.
	maxTrailRequests = 32
	maxTrailRead     = 4000
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
	values       map[string]any
	lower, upper string
	partitions   []trailPartition
	wanted       int
	filtered     bool

	found    []auditItem
	requests int
	read     int
	next     string // before which it did not look, or "" if it saw all
}

// A trailPartition is where records are, and what sorts before all of them.
type trailPartition struct{ name, start string }

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
		t.partitions = []trailPartition{{name: auditPartition(f.Stream)}}
	} else {
		t.in.IndexName, t.in.KeyConditionExpression = new("tenant"), new("of_tenant = :of AND of_tenant_sort BETWEEN :lower AND :upper")
		t.partitions = hours(t.lower, t.upper)
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

// hours returns the partitions that hold the records between two sort keys, newest
// first.
func hours(lower, upper string) []trailPartition {
	first, last := timeOf(lower).Truncate(time.Hour), timeOf(upper).Truncate(time.Hour)
	var all []trailPartition
	for hour := last; !hour.Before(first); hour = hour.Add(-time.Hour) {
		all = append(all, trailPartition{auditHour(hour), sortable(hour)})
	}
	return all
}

// walk reads until it has as many records as are wanted, has seen all, or has read
// enough.
func (t *trail) walk(ctx context.Context) error {
	for i, partition := range t.partitions {
		t.values[":of"], t.in.ExclusiveStartKey = partition.name, nil
		for more := true; more; more = t.in.ExclusiveStartKey != nil {
			if err := t.query(ctx); err != nil || len(t.found) >= t.wanted {
				return err
			}
			if t.requests < maxTrailRequests && t.read < maxTrailRead {
				continue
			}
			if last := t.in.ExclusiveStartKey; last != nil {
				return attributevalue.Unmarshal(last["sk"], &t.next)
			}
			if i+1 < len(t.partitions) {
				t.next = partition.start
			}
			return nil
		}
	}
	return nil
}

// query makes the next request in a partition.
func (t *trail) query(ctx context.Context) (err error) {
	if t.in.ExpressionAttributeValues, err = values(t.values); err != nil {
		return fmt.Errorf("marshal a query: %w", err)
	}
	limit := maxQuery
	if !t.filtered {
		limit = min(limit, t.wanted-len(t.found)+1) // and one that was on the page before
	}
	t.in.Limit = new(int32(limit))
	out, err := t.table.db.Query(ctx, &t.in)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	t.requests++
	t.read += int(out.ScannedCount)
	t.in.ExclusiveStartKey = out.LastEvaluatedKey
	return t.keep(out.Items)
}

// keep takes what was read, but for what is at upper: the last record of the page
// before, or the head.
func (t *trail) keep(read []map[string]types.AttributeValue) error {
	var items []auditItem
	if err := attributevalue.UnmarshalListOfMaps(read, &items); err != nil {
		return fmt.Errorf("unmarshal audit records: %w", err)
	}
	for _, item := range items {
		if item.SK != t.upper {
			t.found = append(t.found, item)
		}
	}
	return nil
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
