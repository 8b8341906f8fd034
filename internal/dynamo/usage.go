package dynamo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

const (
	// openPage is how many hashes are on a page that takes more: so many that it is
	// written as one unit (1 KiB) beside its key.
	openPage = 40
	// maxPages is how many pages there are of a source and minute. An event that comes
	// when the last is written is remembered by an item of its own: dear to write, and
	// found by its key, so that what a batch reads does not grow without an end.
	maxPages = 100
	// seenFor is how long events are remembered: longer than they are taken.
	seenFor = usage.MaxAge + 24*time.Hour
)

// Usage is a usage.Store. Beside what it counts it remembers each event by a hash,
// on pages of a source and minute, or apart where those are many.
type Usage struct{ *Table }

// NewUsage returns the use that is counted in table.
func NewUsage(table *Table) *Usage { return &Usage{table} }

// opened is what an account was when it was read.
type opened struct {
	counters countersItem
	months   map[usage.Month]monthItem
	last     map[usage.Page]seenItem
}

// Open reads the account of a tenant. One that is taken apart meanwhile may have its
// counters as they were, and no plan any more: it is gone.
func (s *Usage) Open(ctx context.Context, id identity.TenantID, asked map[usage.Page][]usage.Hash, months []usage.Month, since time.Time) (usage.Account, error) {
	read := opened{months: map[usage.Month]monthItem{}, last: map[usage.Page]seenItem{}}
	pages := slices.Collect(maps.Keys(asked))
	a := usage.Account{TenantID: id, Months: map[usage.Month]usage.MonthSums{}, Seen: map[usage.Page]map[usage.Hash]bool{}}
	found := make([][]seenItem, len(pages))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallel)
	group.Go(func() error { return s.get(gctx, countersKey(id), &read.counters) })
	group.Go(func() (err error) {
		a.Plans, err = s.plans(gctx, id, since)
		return err
	})
	var sums []monthItem
	group.Go(func() (err error) {
		var keys []key
		for _, month := range months {
			keys = append(keys, monthKey(id, month))
		}
		sums, err = batchGet[monthItem](gctx, s.Table, keys, "")
		return err
	})
	for i, p := range pages {
		group.Go(func() (err error) {
			found[i], err = s.seen(gctx, id, p, asked[p])
			return err
		})
	}
	err := group.Wait()
	switch {
	case errors.Is(err, errNoItem), err == nil && (!counts(read.counters.Status) || len(a.Plans) == 0):
		return a, tenant.NotFound(id)
	case err != nil:
		return a, fmt.Errorf("open the account of tenant %s: %w", id, err)
	}
	for _, item := range sums {
		read.months[item.month()] = item
		a.Months[item.month()] = item.sums()
	}
	for i, p := range pages {
		a.Seen[p] = map[usage.Hash]bool{}
		for _, item := range found[i] {
			if !item.apart() {
				read.last[p] = item
			}
			for hash := range slices.Chunk(item.Hashes, len(usage.Hash{})) {
				a.Seen[p][usage.Hash(hash)] = true
			}
		}
	}
	a.Limits = usage.Limits{Contacts: int64(read.counters.MaxContacts), MessagesMonth: int64(read.counters.MaxMessagesMonth)}
	a.Contacts = read.counters.Contacts
	a.Contacted = usage.Period{Month: read.counters.ContactsMonth, Told: read.counters.ContactsTold}
	a.Read = read
	return a, nil
}

// counts reports whether the use of a tenant with a status is counted. What it used
// before it was deleted is, until it is taken apart.
func counts(s tenant.Status) bool { return s != tenant.Purging && s != tenant.Deleted }

// plans returns the plans that a tenant had since a time.
func (s *Usage) plans(ctx context.Context, id identity.TenantID, since time.Time) ([]usage.PlanChange, error) {
	in := dynamodb.QueryInput{
		KeyConditionExpression: new("pk = :pk AND begins_with(sk, :plans)"),
		ConsistentRead:         new(true),
		ScanIndexForward:       new(false),
	}
	v := map[string]any{":pk": tenantKey(id).PK, ":plans": plansOf}
	var changes []usage.PlanChange
	for {
		items, last, err := queryFrom[planItem](ctx, s.Table, in, v, maxPlans)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			c := item.change()
			changes = append(changes, c)
			if !c.Since.After(since) {
				last = nil
				break
			}
		}
		if last == nil {
			slices.Reverse(changes)
			return changes, nil
		}
		in.ExclusiveStartKey = last
	}
}

// maxPlans is how many plans one request reads. A tenant seldom changes its plan.
const maxPlans = 4

// seen returns the pages of a source and minute, in their order, and then what there
// is apart of the events asked for.
func (s *Usage) seen(ctx context.Context, id identity.TenantID, p usage.Page, asked []usage.Hash) ([]seenItem, error) {
	pk := seenKey(id, p, 0).PK
	if len(pk) > maxPartitionKey {
		return nil, nil // no tenant has so long an id
	}
	in := dynamodb.QueryInput{KeyConditionExpression: new("pk = :pk"), ConsistentRead: new(true)}
	items, err := query[seenItem](ctx, s.Table, in, map[string]any{":pk": pk}, maxPages)
	if err != nil || len(items) == 0 || !items[len(items)-1].closed() {
		return items, err
	}
	var keys []key
	for _, hash := range asked {
		keys = append(keys, apartKey(id, p, hash))
	}
	apart, err := batchGet[seenItem](ctx, s.Table, keys, "")
	return append(items, apart...), err
}

// Save writes what events change, if the account is as it was read.
func (s *Usage) Save(ctx context.Context, before usage.Account, e usage.Entry) error {
	read, ok := before.Read.(opened)
	if !ok {
		return errors.New("the account was not read by this store")
	}
	changed := fault.New(fault.Conflict, "the use of the tenant was counted by another request meanwhile")
	tx := s.begin()
	for p, hashes := range e.New {
		last, ok := read.last[p]
		if ok && last.closed() {
			for _, hash := range hashes {
				tx.put(seenItem{key: apartKey(before.TenantID, p, hash), Hashes: hash[:], ExpiresAt: last.ExpiresAt}, changed)
			}
			continue
		}
		item := nextPage(before.TenantID, p, last, ok, hashes)
		tx.write(item, "attribute_not_exists(pk) OR version = :before", map[string]any{":before": item.Version - 1}, changed)
	}
	for month, sums := range e.Months {
		item := newMonthItem(before.TenantID, month, sums, read.months[month].Version+1)
		tx.write(item, "attribute_not_exists(pk) OR version = :before", map[string]any{":before": item.Version - 1}, changed)
	}
	tx.edit(countersKey(before.TenantID), read.counters.use(e), changed)
	tx.record(e.Records...)
	if len(tx.writes) > maxActions {
		return usage.ErrTooMuch
	}
	return tx.run(ctx)
}

// use is the edit that keeps what the counters tell of a tenant's use.
func (i countersItem) use(entry usage.Entry) *edit {
	e := &edit{}
	e.require("status", "=", i.Status)
	e.require("contacts", "=", i.Contacts)
	e.set("contacts", entry.Contacts)
	e.set("contacts_month", entry.Contacted.Month)
	e.set("contacts_told", entry.Contacted.Told)
	for month, sums := range entry.Months {
		attribute, last := i.copyOf(month)
		if last.Month <= month {
			e.set(attribute, monthCopy{month, sums.Messages, sums.CallMinutes, sums.Tenths})
		}
	}
	return e
}

// A monthCopy is a copy of the sums of a month. It is written with the month's own
// item, whose version keeps two from writing it at once.
type monthCopy struct {
	Month       usage.Month `dynamodbav:"month"`
	Messages    int64       `dynamodbav:"messages"`
	CallMinutes int64       `dynamodbav:"call_minutes"`
	Tenths      int64       `dynamodbav:"tenths"`
}

// copyOf returns the attribute that holds the copy of a month, and what it holds.
func (i countersItem) copyOf(month usage.Month) (string, monthCopy) {
	if month.Even() {
		return "even_month", i.EvenMonth
	}
	return "odd_month", i.OddMonth
}

// sumsOf returns the sums of a month, which is the present one.
func (i countersItem) sumsOf(month usage.Month) usage.Sums {
	_, c := i.copyOf(month)
	if c.Month != month {
		return usage.Sums{}
	}
	return usage.Sums{Messages: c.Messages, CallMinutes: c.CallMinutes, Tenths: c.Tenths}
}

// A seenItem is a page of the hashes of events, or that of one event apart.
type seenItem struct {
	key
	Hashes    []byte `dynamodbav:"hashes"`
	Page      int    `dynamodbav:"page"`
	Version   int64  `dynamodbav:"version"`
	ExpiresAt int64  `dynamodbav:"expires_at"`
}

// apart reports whether the item is that of one event apart.
func (i seenItem) apart() bool { return strings.HasPrefix(i.SK, eventOf) }

// closed reports whether the page is the last that there may be. Nothing is added to
// it, so that an event is not written both there and apart.
func (i seenItem) closed() bool { return i.Page == maxPages-1 }

// nextPage returns the page that holds more hashes: the last with them, or one
// behind it.
func nextPage(id identity.TenantID, p usage.Page, last seenItem, known bool, hashes []usage.Hash) seenItem {
	size := len(usage.Hash{})
	item := last
	if !known || len(last.Hashes)/size+len(hashes) > openPage {
		item = seenItem{ExpiresAt: time.Unix(p.Minute*60, 0).Add(seenFor).Unix()}
		if known {
			item.Page = last.Page + 1
		}
		item.key = seenKey(id, p, item.Page)
	}
	item.Hashes = slices.Clone(item.Hashes)
	for _, hash := range hashes {
		item.Hashes = append(item.Hashes, hash[:]...)
	}
	item.Version++
	return item
}

// A monthItem is the sums of what a tenant used in a month.
type monthItem struct {
	key
	Messages    int64           `dynamodbav:"messages"`
	CallMinutes int64           `dynamodbav:"call_minutes"`
	Tenths      int64           `dynamodbav:"tenths"`
	Told        usage.Threshold `dynamodbav:"told"`
	Version     int64           `dynamodbav:"version"`
}

func newMonthItem(id identity.TenantID, month usage.Month, s usage.MonthSums, version int64) monthItem {
	return monthItem{monthKey(id, month), s.Messages, s.CallMinutes, s.Tenths, s.Told, version}
}

func (i monthItem) month() usage.Month { return usage.Month(i.SK[len(monthsOf):]) }

func (i monthItem) sums() usage.MonthSums {
	return usage.MonthSums{Sums: usage.Sums{Messages: i.Messages, CallMinutes: i.CallMinutes, Tenths: i.Tenths}, Told: i.Told}
}

// A planItem is a plan that a tenant got.
type planItem struct {
	key
	Plan tenant.PlanName `dynamodbav:"plan"`
}

func newPlanItem(t tenant.Tenant, since time.Time) planItem {
	return planItem{planKey(t.ID, since), t.BillingPlan}
}

func (i planItem) change() usage.PlanChange {
	return usage.PlanChange{Plan: i.Plan, Since: timeOf(i.SK[len(plansOf):])}
}
