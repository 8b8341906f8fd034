package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/directory"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// stuckAfter is how long ago an operation was to be looked at that is stuck.
const stuckAfter = time.Minute

// Health keeps the reports of the platform's health, and counts what they tell.
type Health struct{ *Table }

// NewHealth returns the reports kept in table.
func NewHealth(table *Table) *Health { return &Health{table} }

// Latest returns the last report, or fault.NotFound.
func (s *Health) Latest(ctx context.Context) (health.Report, error) {
	var item reportItem
	err := s.get(ctx, latestReportKey(), &item)
	if errors.Is(err, errNoItem) {
		return health.Report{}, fault.New(fault.NotFound, "there is no report of the platform's health yet")
	}
	return item.report(), err
}

// Claim notes that a report is being made. It fails with fault.Conflict if that was
// noted after a time.
func (s *Health) Claim(ctx context.Context, at, after time.Time) error {
	claimed := fault.New(fault.Conflict, "another report is being made, or was a moment ago")
	tx := s.begin()
	tx.updateIf(claimKey(), "SET claimed_at = :at", "attribute_not_exists(pk) OR claimed_at <= :after",
		map[string]any{":at": sortable(at), ":after": sortable(after)}, nil, claimed)
	return tx.run(ctx)
}

// Save keeps a report, as the last and in the history.
func (s *Health) Save(ctx context.Context, r health.Report) error {
	item := newReportItem(r)
	tx := s.begin()
	item.key = latestReportKey()
	tx.overwrite(item)
	item.key, item.ExpiresAt = reportKey(r.CheckedAt), r.CheckedAt.Add(health.Kept).Unix()
	tx.overwrite(item)
	return tx.run(ctx)
}

// History returns a part of the reports of the last 24 hours, newest first. It ends
// early where reports are large.
func (s *Health) History(ctx context.Context, w page.Window) (page.Page[health.Report], error) {
	var p page.Page[health.Report]
	in := dynamodb.QueryInput{
		KeyConditionExpression: new("pk = :pk AND sk BETWEEN :first AND :last"),
		ConsistentRead:         new(true),
		ScanIndexForward:       new(false),
	}
	first, last := reportKey(time.Now().Add(-health.Kept)).SK, cmp.Or(string(w.From), reportKey(time.Now()).SK)
	if last < first {
		return p, nil // the page before ended with what is too old by now
	}
	v := map[string]any{":pk": healthPartition, ":first": first, ":last": last}
	if w.From != "" {
		from, err := attributevalue.MarshalMap(key{healthPartition, string(w.From)})
		if err != nil {
			return p, fmt.Errorf("marshal a position: %w", err)
		}
		in.ExclusiveStartKey = from
	}
	items, more, err := queryOnce[reportItem](ctx, s.Table, in, v, w.Limit)
	if err != nil {
		return p, fmt.Errorf("list reports of health: %w", err)
	}
	for _, item := range items {
		p.Entries = append(p.Entries, page.Entry[health.Report]{Value: item.report(), After: page.Position(item.SK)})
	}
	if n := len(p.Entries); more && n > 0 {
		p.Next = p.Entries[n-1].After
	}
	return p, nil
}

// Swept notes that the sweeper has done its work.
func (s *Health) Swept(ctx context.Context, at time.Time) error {
	tx := s.begin()
	tx.overwrite(sweptItem{sweptKey(), at})
	return tx.run(ctx)
}

// Census counts what a report tells. The indexes that it reads are a little behind.
func (s *Health) Census(ctx context.Context, at time.Time) (health.Census, error) {
	var c health.Census
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		tree, err := NewCounts(s.Table).tree(ctx)
		if err != nil {
			return err
		}
		c.Tenants = make(map[tenant.Status]int64)
		for _, status := range tenant.Statuses() {
			c.Tenants[status] = tree.Total(directory.Filter(status))
		}
		return nil
	})
	group.Go(func() (err error) {
		c.Stuck, err = s.countDue(ctx, dueOperation, at.Add(-stuckAfter))
		return err
	})
	group.Go(func() (err error) {
		c.ExpiredLeases, err = s.countDue(ctx, dueCall, at)
		return err
	})
	group.Go(func() error {
		var item sweptItem
		err := s.get(ctx, sweptKey(), &item)
		if err == nil {
			c.LastSweepAt = &item.At
		}
		return ignore(err, errNoItem)
	})
	err := group.Wait()
	return c, err
}

// countDue returns how many items of a kind were due by a time. In each shard it
// counts as many as one request reads.
func (s *Health) countDue(ctx context.Context, kind string, by time.Time) (int, error) {
	counts := make([]int32, shards)
	group, ctx := errgroup.WithContext(ctx)
	for shard := range counts {
		group.Go(func() error {
			v, err := values(map[string]any{":due": dueKey(kind, shard), ":by": sortable(by)})
			if err != nil {
				return err
			}
			out, err := s.db.Query(ctx, &dynamodb.QueryInput{
				TableName:                 &s.name,
				IndexName:                 new("due"),
				KeyConditionExpression:    new("due = :due AND due_at <= :by"),
				ExpressionAttributeValues: v,
				Select:                    types.SelectCount,
			})
			if err != nil {
				return fmt.Errorf("count what is due: %w", err)
			}
			counts[shard] = out.Count
			return nil
		})
	}
	err := group.Wait()
	total := 0
	for _, n := range counts {
		total += int(n)
	}
	return total, err
}

// A sweptItem is when the sweeper had done its work.
type sweptItem struct {
	key
	At time.Time `dynamodbav:"at"`
}

// A reportItem is a report as it is stored.
type reportItem struct {
	key
	Status        health.Status           `dynamodbav:"status"`
	CheckedAt     time.Time               `dynamodbav:"checked_at"`
	Components    []componentItem         `dynamodbav:"components"`
	Integrations  []componentItem         `dynamodbav:"integrations"`
	Tenants       map[tenant.Status]int64 `dynamodbav:"tenants"`
	Stuck         int                     `dynamodbav:"stuck_operations"`
	ExpiredLeases int                     `dynamodbav:"expired_leases"`
	LastSweepAt   *time.Time              `dynamodbav:"last_sweep_at,omitempty"`
	ExpiresAt     int64                   `dynamodbav:"expires_at,omitempty"`
}

type componentItem struct {
	Name    string        `dynamodbav:"name"`
	Kind    health.Kind   `dynamodbav:"kind"`
	Status  health.Status `dynamodbav:"status"`
	Micros  int64         `dynamodbav:"latency_us"`
	Version string        `dynamodbav:"version"`
	Error   string        `dynamodbav:"error"`
}

func newReportItem(r health.Report) reportItem {
	return reportItem{
		Status: r.Status, CheckedAt: r.CheckedAt, Components: componentItems(r.Components), Integrations: componentItems(r.Integrations),
		Tenants: r.Tenants, Stuck: r.Stuck, ExpiredLeases: r.ExpiredLeases, LastSweepAt: r.LastSweepAt,
	}
}

func componentItems(components []health.Component) []componentItem {
	var items []componentItem
	for _, c := range components {
		items = append(items, componentItem{c.Name, c.Kind, c.Status, c.Latency.Microseconds(), c.Version, c.Error})
	}
	return items
}

func (i reportItem) report() health.Report {
	return health.Report{
		Status: i.Status, CheckedAt: i.CheckedAt, Components: componentsOf(i.Components), Integrations: componentsOf(i.Integrations),
		Tenants: i.Tenants, Stuck: i.Stuck, ExpiredLeases: i.ExpiredLeases, LastSweepAt: i.LastSweepAt,
	}
}

func componentsOf(items []componentItem) []health.Component {
	var components []health.Component
	for _, i := range items {
		components = append(components, health.Component{
			Name: i.Name, Kind: i.Kind, Status: i.Status, Latency: time.Duration(i.Micros) * time.Microsecond, Version: i.Version, Error: i.Error,
		})
	}
	return components
}
