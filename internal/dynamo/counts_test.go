package dynamo_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	layer "github.com/tenantry/tenantry/infra/local/cloud/dynamodb"
	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/directory"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A hookedClient calls a hook once, before its first transaction, and counts
// transactions.
type hookedClient struct {
	*dynamodb.Client
	once         *sync.Once
	hook         func()
	transactions *atomic.Int64
}

func newHookedClient(db *dynamodb.Client, hook func()) hookedClient {
	return hookedClient{db, new(sync.Once), hook, new(atomic.Int64)}
}

func (c hookedClient) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, options ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	c.once.Do(c.hook)
	c.transactions.Add(1)
	return c.Client.TransactWriteItems(ctx, in, options...)
}

// uncounted returns how many changes are not counted yet.
func uncounted(tb testing.TB, db *dynamodb.Client, table string) int {
	tb.Helper()
	pages := dynamodb.NewQueryPaginator(db, &dynamodb.QueryInput{
		TableName: &table, ConsistentRead: new(true), KeyConditionExpression: new("pk = :pk AND begins_with(sk, :sk)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":pk": &types.AttributeValueMemberS{Value: "DIRECTORY#COUNTS"}, ":sk": &types.AttributeValueMemberS{Value: "CHANGE#"},
		},
	})
	n := 0
	for pages.HasMorePages() {
		p, err := pages.NextPage(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		n += len(p.Items)
	}
	return n
}

// totals returns how many tenants there are by status, and in all under "", of
// those that there are any of.
func totals(tb testing.TB, tenants *dynamo.Tenants) map[string]int64 {
	tb.Helper()
	totals := map[string]int64{}
	for _, status := range append(tenant.Statuses(), "") {
		p, err := tenants.List(tb.Context(), status, page.Window{Limit: 1})
		if err != nil {
			tb.Fatal(err)
		}
		if p.Total != 0 {
			totals[string(status)] = p.Total
		}
	}
	return totals
}

func fold(tb testing.TB, table *dynamo.Table) {
	tb.Helper()
	if err := dynamo.NewCounts(table).Fold(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// What is counted is right at once, and a fold changes nothing of it.
func TestFold(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	table := dynamo.NewTable(db, name)
	tenants := dynamo.NewTenants(table)
	check := func(what string, left int, want map[string]int64) {
		t.Helper()
		if diff := cmp.Diff(want, totals(t, tenants)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if n := uncounted(t, db, name); n != left {
			t.Errorf("%s: %d changes are not counted, want %d", what, n, left)
		}
	}
	check("nothing", 0, map[string]int64{})
	fold(t, table)

	stored := create(t, tenants, newCreation("A", "aaa"), newCreation("B", "bbb"), newCreation("C", "ccc"))
	stored[0] = change(t, tenants, stored[0], func(t *tenant.Tenant) { t.Status = tenant.Active })
	before := map[string]int64{"": 3, "provisioning": 2, "active": 1}
	check("three", 3, before)
	fold(t, table)
	check("three, counted", 0, before)

	stored[0] = change(t, tenants, stored[0], func(t *tenant.Tenant) { t.Name = "Renamed" })
	check("a change of something else", 0, before)
	stored[0] = change(t, tenants, stored[0], func(t *tenant.Tenant) { t.Status = tenant.Suspended })
	stored[0] = change(t, tenants, stored[0], func(t *tenant.Tenant) { t.Status = tenant.Active })
	check("there and back", 1, before)
	stored[1] = change(t, tenants, stored[1], func(t *tenant.Tenant) { t.Status = tenant.Failed })
	stored[1] = change(t, tenants, stored[1], func(t *tenant.Tenant) { t.Status = tenant.Deleting })
	change(t, tenants, stored[1], func(t *tenant.Tenant) { t.Status = tenant.Deleted })
	after := map[string]int64{"": 2, "provisioning": 1, "active": 1, "deleted": 1}
	check("one deleted", 2, after)
	fold(t, table)
	check("one deleted, counted", 0, after)
	fold(t, table)
	check("counted again", 0, after)
}

// A creation that fails leaves its number behind, and is not counted.
func TestFoldFailedCreation(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	tenants := dynamo.NewTenants(table)
	create(t, tenants, newCreation("A", "acme"))
	if err := tenants.Create(t.Context(), newCreation("B", "acme")); !errors.Is(err, fault.SlugTaken) {
		t.Fatal(err)
	}
	fold(t, table)
	if diff := cmp.Diff(map[string]int64{"": 1, "provisioning": 1}, totals(t, tenants)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Many changes are counted in as many transactions as DynamoDB's 100 actions need,
// each of one leaf.
func TestFoldMany(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	numbers := []int64{4096, 8191, 3 << 20, 3<<20 + 5000}
	for n := range int64(1100) {
		numbers = append(numbers, n+1)
	}
	for chunk := range slices.Chunk(numbers, 25) {
		var puts []types.WriteRequest
		for _, n := range chunk {
			puts = append(puts, types.WriteRequest{PutRequest: &types.PutRequest{Item: map[string]types.AttributeValue{
				"pk": &types.AttributeValueMemberS{Value: "DIRECTORY#COUNTS"}, "sk": &types.AttributeValueMemberS{Value: fmt.Sprintf("CHANGE#%012d", n)},
				"was": &types.AttributeValueMemberN{Value: "0"}, "became": &types.AttributeValueMemberN{Value: strconv.FormatInt(n%2+1, 10)},
			}}})
		}
		if _, err := db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{name: puts}}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]int64{"": 1104, "active": 551, "provisioning": 553}
	if diff := cmp.Diff(want, totals(t, dynamo.NewTenants(dynamo.NewTable(db, name)))); diff != "" {
		t.Errorf("before they are counted (-want +got):\n%s", diff)
	}
	queries := new(atomic.Int64)
	counted := dynamo.NewTenants(dynamo.NewTable(countingClient{db, queries}, name))
	if _, err := counted.List(t.Context(), tenant.Failed, page.Window{Limit: 1}); err != nil || queries.Load() != 1 {
		t.Errorf("it took %d requests to see what there is, %v", queries.Load(), err)
	}
	client := newHookedClient(db, func() {})
	table := dynamo.NewTable(client, name)
	fold(t, table)
	if left := uncounted(t, db, name); left != 0 {
		t.Errorf("%d changes are not counted", left)
	}
	if diff := cmp.Diff(want, totals(t, dynamo.NewTenants(table))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := client.transactions.Load(); n != 11+2+3 {
		t.Errorf("it took %d transactions", n)
	}
}

// What happens while changes are being counted is neither lost nor counted twice.
func TestFoldMeets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		meets func(*dynamo.Table, tenant.Tenant)
		left  int
		want  map[string]int64
	}{
		"a change of what is counted": {func(table *dynamo.Table, of tenant.Tenant) {
			change(t, dynamo.NewTenants(table), of, func(t *tenant.Tenant) { t.Status = tenant.Active })
		}, 2, map[string]int64{"": 2, "active": 1, "provisioning": 1}},
		"a creation": {func(table *dynamo.Table, _ tenant.Tenant) {
			create(t, dynamo.NewTenants(table), newCreation("New", "new"))
		}, 0, map[string]int64{"": 3, "provisioning": 3}},
		"another fold": {func(table *dynamo.Table, _ tenant.Tenant) { fold(t, table) }, 0, map[string]int64{"": 2, "provisioning": 2}},
		"another fold and a change": {func(table *dynamo.Table, of tenant.Tenant) {
			fold(t, table)
			change(t, dynamo.NewTenants(table), of, func(t *tenant.Tenant) { t.Status = tenant.Active })
		}, 1, map[string]int64{"": 2, "active": 1, "provisioning": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, name := newRawTable(t)
			table := dynamo.NewTable(db, name)
			tenants := dynamo.NewTenants(table)
			stored := create(t, tenants, newCreation("A", "aaa"), newCreation("B", "bbb"))
			fold(t, dynamo.NewTable(newHookedClient(db, func() { test.meets(table, stored[0]) }), name))
			if diff := cmp.Diff(test.want, totals(t, tenants)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := uncounted(t, db, name); n != test.left {
				t.Errorf("%d changes are not counted, want %d", n, test.left)
			}
			fold(t, table)
			if diff := cmp.Diff(test.want, totals(t, tenants)); diff != "" {
				t.Errorf("counted again (-want +got):\n%s", diff)
			}
			if n := uncounted(t, db, name); n != 0 {
				t.Errorf("%d changes are not counted in the end", n)
			}
		})
	}
}

// A laterClient sees no changes of the first leaf.
type laterClient struct{ *dynamodb.Client }

func (c laterClient) Query(ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	out, err := c.Client.Query(ctx, in, options...)
	if err == nil {
		out.Items = slices.DeleteFunc(out.Items, func(item map[string]types.AttributeValue) bool {
			sk, ok := item["sk"].(*types.AttributeValueMemberS)
			return ok && strings.HasPrefix(sk.Value, "CHANGE#") && sk.Value < "CHANGE#000000004096"
		})
	}
	return out, err
}

// Two folds at once of different leaves do not undo each other, be they the first
// or not.
func TestFoldsOfDifferentLeaves(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	table := dynamo.NewTable(db, name)
	tenants := dynamo.NewTenants(table)
	low := create(t, tenants, newCreation("Low", "low"))[0]
	lose(t, db, name, 5000)
	high := create(t, tenants, newCreation("High", "high"))[0]
	for _, status := range []tenant.Status{tenant.Provisioning, tenant.Active} {
		if low.Status != status {
			low = change(t, tenants, low, func(t *tenant.Tenant) { t.Status = status })
			high = change(t, tenants, high, func(t *tenant.Tenant) { t.Status = status })
		}
		fold(t, dynamo.NewTable(newHookedClient(db, func() { fold(t, dynamo.NewTable(laterClient{db}, name)) }), name))
		if n := uncounted(t, db, name); n != 1 {
			t.Errorf("%s: %d changes are not counted, want that of the fold that came second", status, n)
		}
		fold(t, table)
		if diff := cmp.Diff(map[string]int64{"": 2, string(status): 2}, totals(t, tenants)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", status, diff)
		}
	}
}

// A tornClient answers the first query of all counts with a part from before a fold,
// and the rest from after it.
type tornClient struct {
	*dynamodb.Client
	once   *sync.Once
	fold   func()
	before []string // the beginnings of the sort keys of what is read before
}

func (c tornClient) Query(ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	out, err := c.Client.Query(ctx, in, options...)
	c.once.Do(func() {
		c.fold()
		after, err2 := c.Client.Query(ctx, in, options...)
		if err = errors.Join(err, err2); err != nil {
			return
		}
		early := func(item map[string]types.AttributeValue) bool {
			sk, _ := item["sk"].(*types.AttributeValueMemberS)
			return slices.ContainsFunc(c.before, func(beginning string) bool { return strings.HasPrefix(sk.Value, beginning) })
		}
		out.Items = slices.DeleteFunc(out.Items, func(item map[string]types.AttributeValue) bool { return !early(item) })
		out.Items = append(out.Items, slices.DeleteFunc(after.Items, early)...)
	})
	return out, err
}

// A list that sees a fold in part neither misses nor counts twice what that folds,
// whether it is of the first million tenants or not.
func TestListInTheMiddleOfAFold(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]string{
		"after the first branch": {"BRANCH"},
		"before the root":        {"BRANCH", "CHANGE#"},
	} {
		for _, lost := range []int{0, directory.BranchSize} {
			t.Run(fmt.Sprint(name, ", ", lost), func(t *testing.T) {
				t.Parallel()
				db, name := newRawTable(t)
				table := dynamo.NewTable(db, name)
				old := create(t, dynamo.NewTenants(table), newCreation("Old", "old"))[0]
				change(t, dynamo.NewTenants(table), old, func(t *tenant.Tenant) { t.Status = tenant.Active })
				fold(t, table)
				lose(t, db, name, lost)
				create(t, dynamo.NewTenants(table), newCreation("New", "new"))
				eventually(t, "the index was whole", func() bool {
					p, err := dynamo.NewTenants(table).List(t.Context(), tenant.Provisioning, page.Window{Limit: 5})
					return err == nil && len(p.Entries) == 1
				})
				torn := tornClient{db, new(sync.Once), func() { fold(t, table) }, before}
				p, err := dynamo.NewTenants(dynamo.NewTable(torn, name)).List(t.Context(), tenant.Provisioning, page.Window{Limit: 5})
				if err != nil || len(p.Entries) != 1 || p.Total != 1 {
					t.Errorf("got %d tenants of %d: %v", len(p.Entries), p.Total, err)
				}
			})
		}
	}
}

// While tenants come and are counted, a total holds all that were made before it
// was asked for, and none that was not begun when it was answered.
func TestTotalWhileCounting(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	tenants := dynamo.NewTenants(table)
	var begun, made atomic.Int64
	done := make(chan struct{})
	var creators, others sync.WaitGroup
	for range 4 {
		creators.Go(func() {
			for range 20 {
				slug := "t-" + strconv.FormatInt(begun.Add(1), 10)
				stored := create(t, tenants, newCreation(slug, slug))[0]
				made.Add(1)
				change(t, tenants, stored, func(t *tenant.Tenant) { t.Status = tenant.Active })
			}
		})
	}
	others.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				fold(t, table)
			}
		}
	})
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				least := made.Load()
				p, err := tenants.List(t.Context(), "", page.Window{Skip: 1000, Limit: 1})
				if most := begun.Load(); err != nil || p.Total < least || p.Total > most {
					t.Errorf("got a total of %d, %v, want %d to %d", p.Total, err, least, most)
				}
			}
		})
	}
	creators.Wait()
	close(done)
	others.Wait()
	if diff := cmp.Diff(map[string]int64{"": 80, "active": 80}, totals(t, tenants)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A population is tenants as their rows say that they are.
type population struct {
	t       *testing.T
	tenants *dynamo.Tenants
	mu      sync.Mutex
	made    []identity.TenantID
}

// create makes a tenant, or not, if a call fails.
func (p *population) create() {
	c := newCreation("T", "t-"+strconv.FormatInt(slugNumber.Add(1), 10))
	err := p.tenants.Create(p.t.Context(), c)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = append(p.made, c.Tenant.ID)
	p.let(err)
}

var slugNumber atomic.Int64

// change gives a tenant another status, unless it is deleted, or a call fails.
func (p *population) change(which int, to tenant.Status) {
	p.mu.Lock()
	made := p.made
	p.mu.Unlock()
	if len(made) == 0 {
		return
	}
	before, err := p.tenants.Get(p.t.Context(), made[which%len(made)])
	if err != nil || before.Status == tenant.Deleted || before.Status == to {
		p.let(err)
		return
	}
	after := before
	after.Status = to
	after.Version++
	p.let(p.tenants.Update(p.t.Context(), before, after, told()))
}

// let fails the test unless an error is one that calls are made to fail with, or
// comes of two who meet.
func (p *population) let(err error) {
	if err != nil && !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.NotFound) && !strings.Contains(err.Error(), "operation error DynamoDB") {
		p.t.Error(err)
	}
}

// list returns the slugs of a list, from the newest on.
func (p *population) list(status tenant.Status) []string {
	var list []tenant.Tenant
	for _, id := range p.made {
		stored, err := p.tenants.Get(p.t.Context(), id)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if stored.Status == status || status == "" && stored.Status != tenant.Deleted {
			list = append(list, stored)
		}
	}
	slices.SortFunc(list, func(a, b tenant.Tenant) int { return int(b.Number - a.Number) })
	var slugs []string
	for _, stored := range list {
		slugs = append(slugs, stored.Slug)
	}
	return slugs
}

// Whatever comes together and fails, in the end every list is that of the rows, by
// cursor and by offset, and so is its total.
func TestDirectory(t *testing.T) {
	t.Parallel()
	if err := flag.Set("rapid.checks", "8"); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		db, name := newRawTable(t)
		table := dynamo.NewTable(db, name)
		p := &population{t: t, tenants: dynamo.NewTenants(table)}
		action := rapid.Custom(func(rt *rapid.T) func() {
			which, to := rapid.IntRange(0, 50).Draw(rt, "which"), rapid.SampledFrom(tenant.Statuses()).Draw(rt, "to")
			lost := rapid.SampledFrom([]int{1, 4090, 65_530, 1 << 20}).Draw(rt, "lost")
			return map[string]func(){
				"create": p.create,
				"change": func() { p.change(which, to) },
				"fold":   func() { p.let(dynamo.NewCounts(table).Fold(t.Context())) },
				"lose":   func() { lose(t, db, name, lost) },
			}[rapid.SampledFrom([]string{"create", "create", "change", "change", "change", "fold", "lose"}).Draw(rt, "action")]
		})
		outcome := rapid.SampledFrom([]layer.Outcome{layer.Proceed, layer.Lose, layer.Refuse, layer.Conflict})
		outcomes := append(rapid.SliceOfN(outcome, 1, 4).Draw(rt, "outcomes"), make([]layer.Outcome, 8)...) // most proceed
		var calls atomic.Int64
		var calm atomic.Bool
		enginetest.Inject(t, func(operation string, body []byte) layer.Outcome {
			if calm.Load() || operation != "TransactWriteItems" || !strings.Contains(string(body), name) {
				return layer.Proceed
			}
			return outcomes[int(calls.Add(1))%len(outcomes)]
		})
		for range rapid.IntRange(4, 8).Draw(rt, "rounds") {
			var together sync.WaitGroup
			for _, act := range rapid.SliceOfN(action, 1, 4).Draw(rt, "actions") {
				together.Go(act)
			}
			together.Wait()
		}
		calm.Store(true)
		fold(t, table)
		if n := uncounted(t, db, name); n != 0 {
			rt.Fatalf("%d changes are not counted", n)
		}
		for _, status := range append(tenant.Statuses(), "") {
			p.check(rt, status)
		}
	})
}

// check holds a list against the rows, when the indexes have caught up.
func (p *population) check(rt *rapid.T, status tenant.Status) {
	list := func(w page.Window) (page.Page[tenant.Tenant], error) { return p.tenants.List(p.t.Context(), status, w) }
	want := p.list(status)
	eventually(p.t, "the list is that of the rows", func() bool { return cmp.Equal(want, all(p.t, list, 2)) })
	for skip := range len(want) + 2 {
		got, err := list(page.Window{Skip: skip, Limit: 3})
		if err != nil {
			rt.Fatal(err)
		}
		ahead := want[min(skip, len(want)):]
		if diff := cmp.Diff(append([]string(nil), ahead[:min(3, len(ahead))]...), slugs(got)); diff != "" {
			rt.Fatalf("status %q, offset %d (-want +got):\n%s", status, skip, diff)
		}
		if got.Total != int64(len(want)) || (got.Next != "") != (len(ahead) > 3) {
			rt.Fatalf("status %q, offset %d: got %d in all, and then %q", status, skip, got.Total, got.Next)
		}
	}
}
