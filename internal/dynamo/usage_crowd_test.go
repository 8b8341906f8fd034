package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	layer "github.com/tenantry/tenantry/infra/local/cloud/dynamodb"
	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

// A metered client sums the write units of transactions.
type metered struct {
	*dynamodb.Client
	tenths atomic.Int64 // of a unit
}

func (c *metered) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, options ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.TransactWriteItems(ctx, in, options...)
	if err == nil {
		for _, consumed := range out.ConsumedCapacity {
			c.tenths.Add(int64(10 * aws.ToFloat64(consumed.CapacityUnits)))
		}
	}
	return out, err
}

// TestUsageCrowd is BenchmarkUsageCrowd with little.
func TestUsageCrowd(t *testing.T) {
	t.Parallel()
	crowd(t, 12, 3, 10)
}

// mostUnits is how many write units an event of a batch of 100 may take.
const mostUnits = 0.15

// BenchmarkUsageCrowd has 64 writers report the use of four tenants, in batches of
// 100, one in twenty of which events were reported before; one in twenty answers of
// the store is lost, and as many of its transactions are throttled. It fails where an
// event takes more write units than the bar.
func BenchmarkUsageCrowd(b *testing.B) {
	for b.Loop() {
		const writers, batches, size = 64, 10, 100
		start := time.Now()
		units := crowd(b, writers, batches, size)
		each := units / (writers * batches * size)
		if each > mostUnits {
			b.Fatalf("an event took %.3f write units, want %.2f at most", each, mostUnits)
		}
		b.ReportMetric(each, "write-units/event")
		b.ReportMetric(writers*batches*size/time.Since(start).Seconds(), "events/s")
	}
}

// crowd reports use, fails the test unless all is counted once, and returns the
// write units that it took.
func crowd(tb testing.TB, writers, batches, size int) float64 {
	tb.Helper()
	raw, name := newRawTable(tb)
	db := &metered{Client: raw}
	table := dynamo.NewTable(db, name)
	var tenants []identity.TenantID
	for i := range 4 {
		c := newCreation("Acme", fmt.Sprint("acme-", i))
		tenants = append(tenants, create(tb, dynamo.NewTenants(table), c)[0].ID)
	}
	db.tenths.Store(0)
	enginetest.Inject(tb, func(operation string, body []byte) layer.Outcome {
		if operation != "TransactWriteItems" || !strings.Contains(string(body), name) {
			return layer.Proceed
		}
		switch rand.IntN(20) { //nolint:gosec // draws faults
		case 0:
			return layer.Lose
		case 1:
			return layer.Throttle
		}
		return layer.Proceed
	})
	service := usage.NewService(dynamo.NewUsage(table))
	caller := identity.Caller{Subject: "key", Role: identity.Service}
	at := time.Now().UTC().Add(-time.Hour)
	if usage.MonthOf(at) != usage.MonthOf(at.Add(time.Hour)) {
		at = at.Add(-time.Hour) // all of it is to be in one month
	}
	var mu sync.Mutex
	sent, want := []usage.Draft{}, map[identity.TenantID]int64{}
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for batch := range batches {
				var drafts []usage.Draft
				mu.Lock()
				for i := range size {
					if len(sent) > 0 && rand.IntN(20) == 0 { //nolint:gosec // draws duplicates
						drafts = append(drafts, sent[rand.IntN(len(sent))]) //nolint:gosec // as above
						continue
					}
					d := usage.Draft{
						SpecVersion: patch.Of("1.0"), Source: patch.Of(fmt.Sprint("/writer/", writer)), ID: patch.Of(fmt.Sprint(batch, "-", i)),
						Type: patch.Of(usage.MessageSent), Subject: patch.Of(tenants[writer%len(tenants)]),
						Time: patch.Of(at.Add(time.Duration(batch) * time.Minute).Format(time.RFC3339)), Quantity: patch.Of(int64(1 + i)),
					}
					want[d.Subject.Value] += d.Quantity.Value
					sent, drafts = append(sent, d), append(drafts, d)
				}
				mu.Unlock()
				report(tb, service, caller, drafts)
			}
		})
	}
	group.Wait()
	for _, id := range tenants {
		got, err := dynamo.NewStats(table).Usage(tb.Context(), id, at)
		if err != nil || got.Messages != want[id] || got.Tenths != want[id]*10 {
			tb.Errorf("of tenant %s %d messages are counted, want %d: %v", id, got.Messages, want[id], err)
		}
	}
	return float64(db.tenths.Load()) / 10
}

// report reports use until that succeeds, as a service would.
func report(tb testing.TB, service *usage.Service, caller identity.Caller, drafts []usage.Draft) {
	tb.Helper()
	for range 20 {
		results, err := service.Count(tb.Context(), caller, drafts)
		if err == nil {
			for i, r := range results {
				if r.Status == usage.Rejected {
					tb.Errorf("event %v was rejected: %s", drafts[i].ID.Value, r.Detail)
				}
			}
			return
		}
		if kind := fault.KindOf(err); kind != "" && kind != fault.TooManyRequests {
			tb.Errorf("report: %v", err)
		}
	}
	tb.Error(errors.New("a batch was not counted in twenty tries"))
}

// A counting client counts the requests that read.
type counting struct {
	*dynamodb.Client
	requests atomic.Int64
}

func (c *counting) GetItem(ctx context.Context, in *dynamodb.GetItemInput, options ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	c.requests.Add(1)
	return c.Client.GetItem(ctx, in, options...)
}

func (c *counting) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, options ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	c.requests.Add(1)
	return c.Client.BatchGetItem(ctx, in, options...)
}

func (c *counting) Query(ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	c.requests.Add(1)
	return c.Client.Query(ctx, in, options...)
}

// A list of a hundred tenants with what they use takes four requests at most.
func TestUsagesOfAPage(t *testing.T) {
	t.Parallel()
	raw, name := newRawTable(t)
	db := &counting{Client: raw}
	table := dynamo.NewTable(db, name)
	tenants := dynamo.NewTenants(table)
	for i := range 105 {
		create(t, tenants, newCreation("Acme", fmt.Sprint("acme-", i)))
	}
	if err := dynamo.NewCounts(table).Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	var list page.Page[tenant.Tenant]
	eventually(t, "the index was whole", func() bool {
		db.requests.Store(0)
		var err error
		list, err = tenants.List(t.Context(), "", page.Window{Limit: 100, Skip: 3})
		return err == nil && len(list.Entries) == 100 && list.Total == 105
	})
	var ids []identity.TenantID
	for _, entry := range list.Entries {
		ids = append(ids, entry.Value.ID)
	}
	usages, err := dynamo.NewStats(table).Usages(t.Context(), ids, time.Now())
	if err != nil || len(usages) != 100 || usages[7].TenantID != ids[7] {
		t.Errorf("got the use of %d tenants: %v", len(usages), err)
	}
	if n := db.requests.Load(); n > 4 {
		t.Errorf("a page took %d requests", n)
	}
}
