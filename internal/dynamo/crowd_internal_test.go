package dynamo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/infra/local/engines"
	"github.com/tenantry/tenantry/internal/directory"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A meter counts what requests cost: how many there are, how many of them one
// after the other, and their read units.
type meter struct {
	*dynamodb.Client
	mu       sync.Mutex
	requests int
	ended    int // one after the other
	units    float64
}

// begin counts a request, and returns how many will have ended one after the other
// when it has.
func (m *meter) begin() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	return m.ended + 1
}

func (m *meter) end(inRow int, used *types.ConsumedCapacity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = max(m.ended, inRow)
	m.units += aws.ToFloat64(used.CapacityUnits)
}

func (m *meter) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	inRow := m.begin()
	out, err := m.Client.GetItem(ctx, in, o...)
	if err == nil {
		m.end(inRow, out.ConsumedCapacity)
	}
	return out, err
}

func (m *meter) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	inRow := m.begin()
	out, err := m.Client.Query(ctx, in, o...)
	if err == nil {
		m.end(inRow, out.ConsumedCapacity)
	}
	return out, err
}

// crowdClient returns a client of a dynalite of its own. Nothing lies between that
// and the benchmark, since a crowd takes long enough to be written.
func crowdClient(b *testing.B) *dynamodb.Client {
	b.Helper()
	dir, err := filepath.Abs("../../.tools/engines")
	if err != nil {
		b.Fatal(err)
	}
	if err := engines.Install(b.Context(), dir, os.Stderr); err != nil {
		b.Fatal(err)
	}
	dynalite, err := engines.StartDynalite(b.Context(), dir, "", io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := dynalite.Stop(); err != nil {
			b.Error(err)
		}
	})
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: new(dynalite.URL.String()), Region: "us-east-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
		}),
	})
}

// crowdTable makes a table with the indexes that lists of tenants read, as
// infra/data.yaml has them.
func crowdTable(b *testing.B, client *dynamodb.Client) *Table {
	b.Helper()
	const name = "crowd"
	keys := func(hash, sort string) []types.KeySchemaElement {
		return []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}}
	}
	in := &dynamodb.CreateTableInput{TableName: new(name), BillingMode: types.BillingModePayPerRequest, KeySchema: keys("pk", "sk")}
	for attribute, kind := range map[string]types.ScalarAttributeType{"pk": "S", "sk": "S", "bucket": "N", "n": "N", "status_group": "S"} {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &attribute, AttributeType: kind})
	}
	for index, hash := range map[string]string{"directory": "bucket", "status": "status_group"} {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: &index, KeySchema: keys(hash, "n"),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{"version", "profile"}},
		})
	}
	if _, err := client.CreateTable(b.Context(), in); err != nil {
		b.Fatal(err)
	}
	if err := dynamodb.NewTableExistsWaiter(client).Wait(b.Context(), &dynamodb.DescribeTableInput{TableName: new(name)}, time.Minute); err != nil {
		b.Fatal(err)
	}
	return NewTable(client, name)
}

// crowdRow is the row of a tenant, padded to 2 KiB by what lists show. One in a
// thousand is suspended.
func crowdRow(n int64) (map[string]types.AttributeValue, directory.Code, error) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	t := tenant.Draft{}.Tenant(now)
	t.ID, t.Number, t.Version, t.Status = identity.TenantID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)), n, 1, tenant.Active
	t.Name, t.Slug, t.MetaData, t.WebhookURL = fmt.Sprintf("Tenant %d", n), fmt.Sprintf("tenant-%d", n), "{}", new("")
	if n%1000 == 500 {
		t.Status = tenant.Suspended
	}
	row, err := attributevalue.MarshalMap(newTenantItem(t))
	if err != nil {
		return nil, directory.None, err
	}
	t.WebhookURL = new(strings.Repeat("x", 2<<10-sizeOf(&types.AttributeValueMemberM{Value: row})))
	row, err = attributevalue.MarshalMap(newTenantItem(t))
	return row, directory.CodeOf(t.Status), err
}

// sizeOf returns the bytes that DynamoDB counts of a value: those of an item, 3 too
// many.
func sizeOf(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return (len(v.Value)+1)/2 + 1
	case *types.AttributeValueMemberM:
		size := 3
		for name, value := range v.Value {
			size += 1 + len(name) + sizeOf(value)
		}
		return size
	default:
		return 1
	}
}

// crowd fills a table with tenants, as they are when all are counted.
func crowd(b *testing.B, table *Table, tenants int64) {
	b.Helper()
	leaves, branches, root := make([][]directory.Change, tenants/directory.LeafSize+1), map[int64]directory.Sums{}, directory.Sums(nil)
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(8)
	for numbers := range slices.Chunk(countTo(tenants), maxBatchWrite) {
		var puts []types.WriteRequest
		for _, n := range numbers {
			row, code, err := crowdRow(n)
			if err != nil {
				b.Fatal(err)
			}
			puts = append(puts, types.WriteRequest{PutRequest: &types.PutRequest{Item: row}})
			c := directory.Change{Number: n, To: code}
			leaves[c.Leaf()] = append(leaves[c.Leaf()], c)
		}
		group.Go(func() error { return table.batchWrite(ctx, puts) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	put := func(item any) {
		if err := table.put(b.Context(), item, nil); err != nil {
			b.Fatal(err)
		}
	}
	for i, changes := range leaves {
		leaf, number := directory.Leaf(nil).With(changes), int64(i)
		branch := number * directory.LeafSize / directory.BranchSize
		branches[branch] = branches[branch].With(number%(directory.BranchSize/directory.LeafSize), leaf.Counts())
		put(leafItem{leafKey(number), leaf})
	}
	for number, sums := range branches {
		put(countingItem{key: branchKey(number), Version: 1, Sums: sums.Encode()})
		root = root.With(number, sums.Total())
	}
	put(countingItem{key: rootKey(), Version: 1, Sums: root.Encode()})
}

func countTo(most int64) []int64 {
	var numbers []int64
	for n := range most {
		numbers = append(numbers, n+1)
	}
	return numbers
}

// BenchmarkListTenants is a page of 25 at the far end of a list, and one of a
// status that one in a thousand has. It fails where one takes more requests or read
// units than the bar. TENANTS says how many there are: make bench-tenants has a
// million, and a page of them costs the same.
func BenchmarkListTenants(b *testing.B) {
	tenants, err := strconv.ParseInt(cmp.Or(os.Getenv("TENANTS"), "100100"), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	client := crowdClient(b)
	table := crowdTable(b, client)
	crowd(b, table, tenants)
	for name, test := range map[string]struct {
		status tenant.Status
		w      page.Window
		total  int64
		first  int64 // the number of the first tenant on the page
	}{
		"offset":        {"", page.Window{Skip: int(tenants - 100), Limit: 25}, tenants, 100},
		"status":        {tenant.Suspended, page.Window{Limit: 25}, tenants / 1000, tenants/1000*1000 - 500},
		"status,offset": {tenant.Suspended, page.Window{Skip: int(tenants/1000 - 50), Limit: 25}, tenants / 1000, 49_500},
	} {
		b.Run(name, func(b *testing.B) {
			var m *meter
			for b.Loop() {
				m = &meter{Client: client}
				p, err := NewTenants(NewTable(m, table.name)).List(b.Context(), test.status, test.w)
				if err != nil {
					b.Fatal(err)
				}
				if len(p.Entries) != 25 || p.Total != test.total || p.Entries[0].Value.Number != test.first {
					b.Fatalf("got %d tenants of %d from number %d on", len(p.Entries), p.Total, p.Entries[0].Value.Number)
				}
			}
			if m.ended > 4 || m.units > 8 {
				b.Errorf("it took %d requests one after the other and %.1f read units", m.ended, m.units)
			}
			b.ReportMetric(float64(m.requests), "requests")
			b.ReportMetric(float64(m.ended), "in-a-row")
			b.ReportMetric(m.units, "read-units")
		})
	}
}
