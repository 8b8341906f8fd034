package dynamo_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

var steps = flag.Int("steps", 20_000, "how many steps the model test of calls takes")

// stepsOfLife is how many steps one tenant of the model test lives through.
const stepsOfLife = 2_000

// errLost is an answer that is lost after the change took effect.
var errLost = errors.New("the answer was lost")

// TestCallsModel takes, renews, ends, repeats and forgets calls at random, with
// answers lost and limits changed, and compares every answer with what a model of
// leases says.
func TestCallsModel(t *testing.T) {
	seed := rand.Uint64() //nolint:gosec // draws the steps of a test
	t.Logf("seed %d", seed)
	for life := range max(1, *steps/stepsOfLife) {
		synctest.Test(t, func(t *testing.T) {
			newLife(t, rand.New(rand.NewPCG(seed, uint64(life)))).live() //nolint:gosec // a test draws its steps, and counts up
		})
		if t.Failed() {
			return
		}
	}
}

// A life is that of one tenant's calls, beside the model of them.
type life struct {
	*testing.T
	*rand.Rand
	memory  *memory
	store   *dynamo.Calls
	service *call.Service
	caller  identity.Caller
	tenant  tenant.Tenant

	limit, monthly, month int
	calls                 map[call.ID]*lease
	durations, told       int64
	lost                  bool // whether the last answer was
}

// A lease is a call as the model has it.
type lease struct {
	until time.Time
	over  bool // was ended
	told  bool
}

func newLife(t *testing.T, r *rand.Rand) *life {
	m := newMemory()
	table := dynamo.NewTable(m, "table")
	l := &life{T: t, Rand: r, memory: m, store: dynamo.NewCalls(table), calls: map[call.ID]*lease{}}
	l.tenant = newCreation("Acme", "acme").Tenant
	l.tenant.Status, l.limit, l.monthly = tenant.Active, 3, stepsOfLife
	l.caller = identity.Caller{Subject: "key", Role: identity.Service}
	l.service = call.NewService(l.store, oneTenant{l.tenant}, nil)
	m.add(l.tenant, l.limit, l.monthly)
	m.lose = func() error {
		if l.lost = l.lost || r.IntN(100) == 0; l.lost {
			return errLost
		}
		return nil
	}
	return l
}

// add puts a tenant there that may have so many calls at once, and in a month.
func (m *memory) add(t tenant.Tenant, most, monthly int) {
	m.items["S"+"TENANT#"+string(t.ID)+"|STENANT"] = row{
		"pk": &types.AttributeValueMemberS{Value: "TENANT#" + string(t.ID)}, "sk": &types.AttributeValueMemberS{Value: "TENANT"},
		"version": integer(int(t.Version)),
	}
	m.items[countersOf(t.ID)] = row{
		"pk": &types.AttributeValueMemberS{Value: "TENANT#" + string(t.ID)}, "sk": &types.AttributeValueMemberS{Value: "TENANT#COUNTERS"},
		"status": &types.AttributeValueMemberS{Value: string(t.Status)}, "calls_month": &types.AttributeValueMemberS{}, "calls_hour": &types.AttributeValueMemberS{},
		"active_calls": integer(0), "month_calls": integer(0), "calls_told": integer(0), "hour_peak": integer(0),
		"max_concurrent_calls": integer(most), "monthly_call_limit": integer(monthly),
	}
}

// countersOf is the key of a tenant's counters in the memory.
func countersOf(id identity.TenantID) string { return "STENANT#" + string(id) + "|STENANT#COUNTERS" }

func integer(n int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

type oneTenant struct{ tenant tenant.Tenant }

func (s oneTenant) Get(context.Context, identity.TenantID) (tenant.Tenant, error) {
	return s.tenant, nil
}

func (l *life) live() {
	for step := range stepsOfLife {
		l.lost = false
		switch l.IntN(10) {
		case 0, 1, 2:
			l.start(call.ID(fmt.Sprint("call-", step)))
		case 3:
			l.start(l.some())
		case 4, 5:
			l.renew(l.some())
		case 6, 7:
			l.end(l.some())
		case 8:
			time.Sleep(time.Duration(l.IntN(40_000)) * time.Millisecond)
		case 9:
			l.seldom()
		}
		l.check()
		if l.Failed() {
			l.Logf("in step %d", step)
			return
		}
	}
}

// seldom does what happens now and then.
func (l *life) seldom() {
	switch l.IntN(8) {
	case 0:
		time.Sleep(time.Duration(l.IntN(90)) * time.Minute) // who renewed is dead
	case 1:
		l.limit = 1 + l.IntN(6)
		l.memory.items[countersOf(l.tenant.ID)]["max_concurrent_calls"] = integer(l.limit)
	default:
		if err := l.store.ExpireDue(l.Context(), time.Now()); err != nil && !errors.Is(err, errLost) {
			l.Errorf("expire: %v", err)
		}
		l.lost = false
		if err := l.store.ExpireDue(l.Context(), time.Now()); !l.lost && (err != nil || l.active() != l.leases()) {
			l.Errorf("after a sweep %d calls are counted, and %d live: %v", l.active(), l.leases(), err)
		}
	}
}

// some returns the id of a call, known or not.
func (l *life) some() call.ID {
	if l.IntN(20) > 0 {
		for id := range l.calls { // in no order
			return id
		}
	}
	return call.ID(fmt.Sprint("unknown-", l.IntN(5)))
}

func (l *life) start(id call.ID) {
	seconds := 30 + l.IntN(271)
	room := l.leases() < l.limit && l.month < l.monthly
	c, started, err := l.service.Start(l.Context(), l.caller, l.tenant.ID, call.Draft{ID: patch.Of(id), Lease: patch.Of(seconds)}, nil)
	known := l.calls[id]
	now := time.Now().UTC().Truncate(time.Millisecond)
	switch {
	case errors.Is(err, errLost):
		if c, err := l.store.Get(l.Context(), l.tenant.ID, id); known == nil && err == nil {
			l.month++
			l.calls[id] = &lease{until: c.ExpiresAt}
		}
	case known != nil && known.holds(now):
		if err != nil || started || !c.ExpiresAt.Equal(known.until) {
			l.Errorf("a start of a live call: %+v, %v, %v, want its lease until %v", c, started, err, known.until)
		}
	case known != nil:
		if !errors.Is(err, fault.CallEnded) {
			l.Errorf("a start of a call that is over: %v", err)
		}
	case room:
		length := time.Duration(seconds) * time.Second
		if err != nil || !started || c.ExpiresAt.Sub(c.StartedAt) != length {
			l.Fatalf("a start with room: %+v, %v, %v, want a lease of %v", c, started, err, length)
		}
		l.month++
		l.calls[id] = &lease{until: c.ExpiresAt}
	case !errors.Is(err, fault.QuotaExceeded):
		l.Errorf("a start without room: %v", err)
	}
}

func (c *lease) holds(at time.Time) bool { return !c.over && at.Before(c.until) }

func (l *life) renew(id call.ID) {
	c, err := l.service.Renew(l.Context(), l.caller, l.tenant.ID, id, patch.Of(60), nil)
	known, now := l.calls[id], time.Now().UTC().Truncate(time.Millisecond)
	switch {
	case known == nil:
		if !errors.Is(err, fault.NotFound) {
			l.Errorf("a renewal of an unknown call: %v", err)
		}
	case !known.holds(now):
		if !errors.Is(err, fault.CallEnded) {
			l.Errorf("a renewal of a call that is over: %v", err)
		}
	case err != nil && !errors.Is(err, errLost):
		l.Errorf("a renewal: %v", err)
	default:
		if err == nil && !c.ExpiresAt.Equal(now.Add(time.Minute)) {
			l.Errorf("a renewal until %v, want %v", c.ExpiresAt, now.Add(time.Minute))
		}
		known.until = now.Add(time.Minute)
	}
}

func (l *life) end(id call.ID) {
	took := time.Duration(l.IntN(100)) * time.Second
	err := l.service.End(l.Context(), l.caller, l.tenant.ID, id, call.Report{Duration: &took}, nil)
	if err != nil && !errors.Is(err, errLost) {
		l.Errorf("an end: %v", err)
	}
	known := l.calls[id]
	if known == nil {
		l.calls[id] = &lease{over: true, told: true} // it does not start any more
		return
	}
	if !known.told {
		known.over, known.told = true, true
		l.durations++
		l.told += int64(took.Seconds())
	}
}

// leases returns how many calls hold a slot.
func (l *life) leases() int {
	n := 0
	for _, c := range l.calls {
		if c.holds(time.Now()) {
			n++
		}
	}
	return n
}

// active returns how many calls are counted.
func (l *life) active() int {
	return int(number(l.memory.items[countersOf(l.tenant.ID)]["active_calls"]))
}

// check compares what is counted with the calls that are there.
func (l *life) check() {
	var live, durations, seconds, begun int64
	for _, i := range l.memory.items {
		switch sk := text(i["sk"]); {
		case i["state"] != nil && text(i["state"]) == "Slive":
			live++
		case len(sk) > 5 && sk[:5] == "SDAY#":
			durations += number(i["durations"])
			seconds += number(i["duration_seconds"])
			begun += number(i["calls"])
		}
	}
	if active := int64(l.active()); active != live || active < int64(l.leases()) {
		l.Errorf("%d calls are counted, %d are kept as live, %d hold a slot", active, live, l.leases())
	}
	if durations != l.durations || seconds != l.told || begun != int64(l.month) {
		l.Errorf("%d calls, %d ended after %d s are counted, want %d, %d after %d s", begun, durations, seconds, l.month, l.durations, l.told)
	}
}
