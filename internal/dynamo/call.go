package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

const (
	expiredAtOnce = 24 // leases that one transaction gives back
	// A crowd may take and end the calls of one tenant. Each of their transactions
	// meets the others at the tenant's counters, so that they are given more time than
	// others are, and read the counters anew each time.
	countTries   = 30
	countBackoff = 10 * time.Millisecond
	longestPause = 1500 * time.Millisecond
	// expireFor is how long the leases of one tenant are given back in a sweep, and
	// expireTogether of how many tenants at once. A crowd that is still there then gets
	// what is over by itself, when it is out of slots, or the next sweep gives it back.
	expireFor      = 3 * time.Second
	expireTogether = 16
)

// errMoved says that a call is not as it was read.
var errMoved = fault.New(fault.Conflict, "the call was changed by another request meanwhile")

// errBusy says that others were always first.
func errBusy(err error) error {
	return &fault.Error{
		Kind:       fault.TooManyRequests,
		Detail:     "too many calls of the tenant start and end at once; try again in a moment",
		RetryAfter: time.Second,
		Err:        err,
	}
}

// count calls f until it neither finds the counters changed nor meets others there.
func (s *Calls) count(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if _, met := errors.AsType[*types.TransactionCanceledException](err); !met && !errors.Is(err, errUncounted) {
			return err
		}
		if attempt == countTries {
			return errBusy(err)
		}
		if err := sleep(ctx, rand.N(min(countBackoff<<attempt, longestPause))); err != nil { //nolint:gosec // spreads attempts, keeps no secret
			return err
		}
	}
}

// beginCount begins a transaction that is made once, as count makes another.
func (s *Calls) beginCount() *transaction {
	tx := s.begin()
	tx.attempts = 1
	return tx
}

// Calls is a call.Store. Every call of a tenant is in the table that tenants
// share. Calls that hold a slot are counted in the tenant's counters, and are in
// the indexes tenant and due, by the end of their lease.
type Calls struct{ *Table }

// NewCalls returns the calls kept in table.
func NewCalls(table *Table) *Calls { return &Calls{table} }

// Get returns a call as it is now, or fault.NotFound.
func (s *Calls) Get(ctx context.Context, tenantID identity.TenantID, id call.ID) (call.Call, error) {
	var item callItem
	err := s.get(ctx, callKey(tenantID, id), &item)
	if errors.Is(err, errNoItem) || err == nil && item.ExpiresAt <= time.Now().Unix() {
		return call.Call{}, call.NotFound(id)
	}
	return item.call(), err
}

// Take adds a live call, as begin returns it for the attempt that succeeds, and
// returns it. A tenant that has no slot left gets back those whose leases are over.
func (s *Calls) Take(ctx context.Context, t tenant.Tenant, begin func() call.Call, o audit.Origin) (call.Call, error) {
	var c call.Call
	err := s.count(ctx, func() error {
		c = begin()
		var counters countersItem
		if err := s.get(ctx, countersKey(t.ID), &counters); err != nil {
			return fmt.Errorf("count the calls of tenant %s: %w", t.ID, err)
		}
		if counters.Status != t.Status {
			return fault.New(fault.Conflict, "the tenant was changed by another request meanwhile")
		}
		if spent := counters.spent(c); spent != nil { // no slot that comes back helps
			return s.refuseSpent(ctx, counters, c, o, spent)
		}
		if full := counters.full(); full != nil {
			return s.makeRoom(ctx, c, full)
		}
		return s.take(ctx, counters, c, o)
	})
	return c, err
}

// take makes the transaction of a start. It fails with errUncounted if the
// counters are not as they were read in what matters.
func (s *Calls) take(ctx context.Context, counters countersItem, c call.Call, o audit.Origin) error {
	days := dayEdits{}
	day := days.of(c.StartedAt)
	day.add("calls", 1)
	day.set("last_call_at", c.StartedAt)
	count, told := counters.take(c.StartedAt, days)
	tx := s.beginCount()
	tx.put(newCallItem(c), call.ErrKnown)
	tx.edit(countersKey(c.TenantID), count, errUncounted)
	tx.editDays(c.TenantID, days)
	if told != nil {
		tx.tellOfCalls(o, counters, c.TenantID, *told)
	}
	return tx.run(ctx)
}

// tellOfCalls records a threshold of the month's calls that is reached.
func (tx *transaction) tellOfCalls(o audit.Origin, counters countersItem, id identity.TenantID, t told) {
	tx.record(usage.Told(o, id, "monthly_call_limit", t.month, t.threshold, t.calls, int64(counters.MonthlyCallLimit)))
}

// refuseSpent fails with spent, or with call.ErrKnown if there is a call with the id
// already. Where the limit was lowered below the calls that there are, no start comes
// to reach it, so the first that is refused tells of it.
func (s *Calls) refuseSpent(ctx context.Context, counters countersItem, c call.Call, o audit.Origin, spent error) error {
	count, told := counters.overrun(c.StartedAt)
	if err := s.unlessKnown(ctx, c, spent); told == nil || !errors.Is(err, spent) {
		return err
	}
	tx := s.beginCount()
	tx.edit(countersKey(c.TenantID), count, errUncounted)
	tx.tellOfCalls(o, counters, c.TenantID, *told)
	if err := tx.run(ctx); err != nil {
		return err
	}
	return spent
}

// spent returns why a tenant cannot have another call in the month, or nil.
func (i countersItem) spent(c call.Call) error {
	month := usage.MonthOf(c.StartedAt)
	if calls := i.callsIn(month); calls >= i.MonthlyCallLimit {
		ends := month.Ends()
		return exceeded("monthly_call_limit", i.MonthlyCallLimit, calls, sortable(ends), ends.Sub(c.StartedAt))
	}
	return nil
}

// full returns why a tenant cannot have another call at once, or nil.
func (i countersItem) full() error {
	if i.ActiveCalls >= i.MaxConcurrentCalls {
		return exceeded("max_concurrent_calls", i.MaxConcurrentCalls, i.ActiveCalls, nil, time.Second)
	}
	return nil
}

// exceeded says that a limit of calls is reached.
func exceeded(quota string, limit, used int, resetsAt any, retryAfter time.Duration) error {
	return &fault.Error{
		Kind:       fault.QuotaExceeded,
		Detail:     "the tenant has as many calls as " + quota + " allows",
		Members:    map[string]any{"quota": quota, "limit": limit, "used": used, "resets_at": resetsAt},
		RetryAfter: retryAfter,
	}
}

// unlessKnown fails with call.ErrKnown if there is a call with the id already, and else
// with refused.
func (s *Calls) unlessKnown(ctx context.Context, c call.Call, refused error) error {
	_, err := s.Get(ctx, c.TenantID, c.ID)
	switch {
	case err == nil:
		return call.ErrKnown
	case errors.Is(err, fault.NotFound):
		return refused
	}
	return err
}

// makeRoom gives slots back whose leases are over, and fails with errUncounted then.
// It fails with full if there are none, and with call.ErrKnown if there is a call with
// the id already.
func (s *Calls) makeRoom(ctx context.Context, c call.Call, full error) error {
	if err := s.unlessKnown(ctx, c, errUncounted); !errors.Is(err, errUncounted) {
		return err
	}
	n, err := s.expireOf(ctx, c.TenantID, c.StartedAt)
	switch {
	case err != nil:
		return err
	case n == 0:
		return full
	}
	return errUncounted
}

// expireOf gives back slots of a tenant whose leases were over at a time, at most
// as many as one transaction can. It returns how many it found.
func (s *Calls) expireOf(ctx context.Context, id identity.TenantID, at time.Time) (int, error) {
	in, v := leasesOver(id, at)
	items, _, err := queryOnce[callItem](ctx, s.Table, in, v, expiredAtOnce)
	if err != nil {
		return 0, fmt.Errorf("find the leases of tenant %s that are over: %w", id, err)
	}
	var over []call.Call
	for _, item := range items {
		over = append(over, item.call())
	}
	return len(over), s.expire(ctx, id, over, at)
}

// leasesOver is the query of the calls of a tenant that are kept as live, and whose
// leases were over at a time.
func leasesOver(id identity.TenantID, at time.Time) (dynamodb.QueryInput, map[string]any) {
	return dynamodb.QueryInput{IndexName: new("tenant"), KeyConditionExpression: new("of_tenant = :of AND of_tenant_sort < :later")},
		map[string]any{":of": liveCallsOf(id), ":later": justAfter(at)}
}

// justAfter parts, in the index tenant, the leases that are over at a time from
// those that last.
func justAfter(at time.Time) string { return sortable(at.Add(time.Millisecond)) }

// ExpireDue gives back all slots whose leases were over at a time. Tenants whose calls
// start and end in a crowd do not keep it from those of the others.
func (s *Calls) ExpireDue(ctx context.Context, at time.Time) error {
	var keys []key
	err := (&Due{s.Table}).due(ctx, dueCall, at, func(k key) error {
		keys = append(keys, k)
		return nil
	})
	items, err2 := batchGet[callItem](ctx, s.Table, keys, "")
	over := map[identity.TenantID][]call.Call{}
	for _, item := range items {
		if c := item.call(); c.State == call.Live && !c.Holds(at) {
			over[c.TenantID] = append(over[c.TenantID], c)
		}
	}
	ids := slices.Collect(maps.Keys(over)) // in no order, so that none is always the last
	errs := make([]error, len(ids))
	var group errgroup.Group
	group.SetLimit(expireTogether)
	for i, id := range ids {
		group.Go(func() error {
			errs[i] = s.expireSome(ctx, id, over[id], at)
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	return errors.Join(append(errs, err, err2)...)
}

// expireSome gives back as many slots of one tenant as there is time for.
func (s *Calls) expireSome(ctx context.Context, id identity.TenantID, over []call.Call, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, expireFor)
	defer cancel()
	var errs []error
	for some := range slices.Chunk(over, expiredAtOnce) {
		errs = append(errs, s.expire(ctx, id, some, at))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("give back the slots of tenant %s: %w", id, err)
	}
	return nil
}

// expire gives back the slots of calls of one tenant whose leases are over. One
// that was renewed or ended meanwhile stays as it is.
func (s *Calls) expire(ctx context.Context, id identity.TenantID, over []call.Call, at time.Time) error {
	if len(over) == 0 {
		return nil
	}
	err := s.giveBack(ctx, id, at, len(over), func(tx *transaction, _ dayEdits) {
		for _, c := range over {
			tx.edit(callKey(id, c.ID), giveUp(c, call.Expired), errMoved)
		}
	})
	if !errors.Is(err, errMoved) || len(over) == 1 {
		return ignore(err, errMoved)
	}
	var errs []error
	for i := range over {
		errs = append(errs, s.expire(ctx, id, over[i:i+1], at))
	}
	return errors.Join(errs...)
}

// ignore returns err, or nil if it is the one that does not matter.
func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

// giveBack counts n calls less in the transaction that f adds the other writes to.
func (s *Calls) giveBack(ctx context.Context, id identity.TenantID, at time.Time, n int, f func(*transaction, dayEdits)) error {
	return s.count(ctx, func() error {
		tx, days := s.beginCount(), dayEdits{}
		f(tx, days)
		if n > 0 {
			var counters countersItem
			if err := s.get(ctx, countersKey(id), &counters); err != nil {
				return fmt.Errorf("count the calls of tenant %s: %w", id, err)
			}
			tx.edit(countersKey(id), counters.giveBack(n, at, days), errUncounted)
		}
		tx.editDays(id, days)
		return tx.run(ctx)
	})
}

// giveUp is the edit of a call that holds no slot from then on.
func giveUp(c call.Call, state call.State) *edit {
	e := &edit{}
	e.require("state", "=", call.Live)
	e.require("lease_until", "=", sortable(c.ExpiresAt))
	e.set("state", state)
	for _, index := range []string{"of_tenant", "of_tenant_sort", "due", "due_at"} {
		e.remove(index)
	}
	return e
}

// Renew moves the end of a call's lease.
func (s *Calls) Renew(ctx context.Context, before, after call.Call) error {
	e, item := &edit{}, newCallItem(after)
	e.require("state", "=", call.Live)
	e.require("lease_until", "=", sortable(before.ExpiresAt))
	e.set("lease_seconds", item.LeaseSeconds)
	e.set("lease_until", item.LeaseUntil)
	e.set("of_tenant_sort", item.OfTenantSort)
	e.set("due_at", item.DueAt)
	e.set("expires_at", item.ExpiresAt)
	tx := s.begin()
	tx.edit(callKey(before.TenantID, before.ID), e, errMoved)
	return tx.run(ctx)
}

// End ends a call, and counts what is told of it with the day on which it began.
func (s *Calls) End(ctx context.Context, before call.Call, r call.Report, at time.Time) error {
	e, held := &edit{}, 0
	if before.State == call.Live {
		e, held = giveUp(before, call.Ended), 1
	} else {
		e.require("state", "=", before.State)
	}
	e.require("told", "=", false)
	e.set("told", true)
	e.set("ended_at", at)
	return s.giveBack(ctx, before.TenantID, at, held, func(tx *transaction, days dayEdits) {
		tx.edit(callKey(before.TenantID, before.ID), e, errMoved)
		days.of(before.StartedAt).report(r)
	})
}

// Refuse notes that a call ended which nobody started.
func (s *Calls) Refuse(ctx context.Context, t tenant.Tenant, id call.ID, at time.Time) error {
	tx := s.begin()
	tx.put(callItem{
		key: callKey(t.ID, id), State: call.Ended, StartedAt: at, EndedAt: &at,
		LeaseUntil: sortable(at), Told: true, ExpiresAt: at.Add(call.Kept).Unix(),
	}, errMoved)
	// What is purged is to stay so.
	tx.check(tenantKey(t.ID), "version = :read", map[string]any{":read": t.Version}, nil, errTenantChanged)
	return tx.run(ctx)
}

// List returns a part of the calls of a tenant that hold a slot, newest first. The
// index that it reads is a little behind. There are at most as many as a tenant
// may have at once, so all of them are read, to keep the order in which they
// began: renewing a call does not move it.
func (s *Calls) List(ctx context.Context, id identity.TenantID, w page.Window) (page.Page[call.Call], error) {
	var p page.Page[call.Call]
	in := dynamodb.QueryInput{IndexName: new("tenant"), KeyConditionExpression: new("of_tenant = :of AND of_tenant_sort > :later")}
	v := map[string]any{":of": liveCallsOf(id), ":later": justAfter(time.Now())}
	items, err := query[callItem](ctx, s.Table, in, v, math.MaxInt)
	if err != nil {
		return p, fmt.Errorf("list the calls of tenant %s: %w", id, err)
	}
	for _, item := range items {
		after := page.Position(inTime(item.StartedAt, string(item.id())))
		if w.From == "" || after < w.From {
			p.Entries = append(p.Entries, page.Entry[call.Call]{Value: item.call(), After: after})
		}
	}
	slices.SortFunc(p.Entries, func(a, b page.Entry[call.Call]) int { return cmp.Compare(b.After, a.After) })
	if len(p.Entries) > w.Limit {
		p.Entries = p.Entries[:w.Limit]
		p.Next = p.Entries[w.Limit-1].After
	}
	return p, nil
}

// A callItem is a call as it is stored. Only while it is live is it in the indexes
// tenant and due.
type callItem struct {
	key
	State        call.State `dynamodbav:"state"`
	AgentID      *agent.ID  `dynamodbav:"agent_id,omitempty"`
	StartedAt    time.Time  `dynamodbav:"started_at"`
	EndedAt      *time.Time `dynamodbav:"ended_at,omitempty"`
	LeaseSeconds int        `dynamodbav:"lease_seconds"`
	LeaseUntil   string     `dynamodbav:"lease_until"`
	Told         bool       `dynamodbav:"told"`
	OfTenant     string     `dynamodbav:"of_tenant,omitempty"`
	OfTenantSort string     `dynamodbav:"of_tenant_sort,omitempty"`
	Due          string     `dynamodbav:"due,omitempty"`
	DueAt        string     `dynamodbav:"due_at,omitempty"`
	ExpiresAt    int64      `dynamodbav:"expires_at"`
}

// newCallItem returns the item of a call that is live.
func newCallItem(c call.Call) callItem {
	return callItem{
		key: callKey(c.TenantID, c.ID), State: c.State, AgentID: c.AgentID, StartedAt: c.StartedAt,
		LeaseSeconds: int(c.Lease.Seconds()), LeaseUntil: sortable(c.ExpiresAt),
		OfTenant: liveCallsOf(c.TenantID), OfTenantSort: inTime(c.ExpiresAt, string(c.ID)),
		Due: dueKey(dueCall, shardOf(string(c.ID))), DueAt: sortable(c.ExpiresAt),
		ExpiresAt: c.ExpiresAt.Add(call.Kept).Unix(),
	}
}

func (i callItem) id() call.ID { return call.ID(i.SK[len(callsOf):]) }

func (i callItem) call() call.Call {
	return call.Call{
		ID: i.id(), TenantID: identity.TenantID(i.name()), AgentID: i.AgentID, State: i.State, StartedAt: i.StartedAt,
		Lease: time.Duration(i.LeaseSeconds) * time.Second, ExpiresAt: timeOf(i.LeaseUntil), Told: i.Told,
	}
}
