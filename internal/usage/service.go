package usage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// pagesAtOnce is how many pairs of a source and a minute one transaction of a
// hundred writes has room for, beside the sums and what is to be told of them.
const pagesAtOnce = 90

// A Page is the events of one source in one minute.
type Page struct {
	Source string
	Minute int64
}

// An Account is what is counted of a tenant, as it was read.
type Account struct {
	TenantID  identity.TenantID
	Limits    Limits
	Plans     []PlanChange // in the order of time, back to what was in force at the first event
	Contacts  int64
	Contacted Period // in which the limit of contacts was looked at
	Months    map[Month]MonthSums
	Seen      map[Page]map[Hash]bool
	// Read is what the store needs to know whether it is still so.
	Read any
}

// Limits are those that events are counted against.
type Limits struct {
	Contacts      int64
	MessagesMonth int64
}

// A Period is a month, and the threshold that was told of in it.
type Period struct {
	Month Month
	Told  Threshold
}

// MonthSums are the sums of a month, and the threshold of its messages that was
// told of.
type MonthSums struct {
	Sums
	Told Threshold
}

// An Entry is what a number of events changes.
type Entry struct {
	New       map[Page][]Hash
	Months    map[Month]MonthSums // those that change, as they are then
	Contacts  int64               // how many there are then
	Contacted Period
	Records   []audit.Record
}

// A Store keeps what is counted.
type Store interface {
	// Open reads the account of a tenant, with the months named, what was seen of the
	// events that are asked for by page, and the plans since a time. It fails with
	// fault.NotFound if there is no such tenant, or one that has been taken apart.
	Open(ctx context.Context, id identity.TenantID, asked map[Page][]Hash, months []Month, since time.Time) (Account, error)
	// Save writes an entry as a whole. It fails with fault.Conflict if the account is
	// not as it was read, and with ErrTooMuch.
	Save(ctx context.Context, before Account, e Entry) error
}

// ErrTooMuch says that an entry of more than one event has no room in a transaction.
var ErrTooMuch = errors.New("the events are too many for one transaction")

// A Service counts events.
type Service struct{ store Store }

// NewService returns a Service that keeps its sums in store.
func NewService(store Store) *Service { return &Service{store} }

// A Status is what became of an event.
type Status string

// What becomes of events.
const (
	Accepted  Status = "accepted"
	Duplicate Status = "duplicate" // it was counted before
	Rejected  Status = "rejected"
)

// A Result is what became of one event, and why.
type Result struct {
	Status Status
	Detail string
}

// Count counts each event once, and returns what became of each, in their order.
// What breaks a rule, or is of no tenant of the caller's, is rejected, and the
// rest counted all the same. If it fails, some may be counted: sending all of them
// again counts the rest.
func (s *Service) Count(ctx context.Context, c identity.Caller, drafts []Draft) ([]Result, error) {
	results := make([]Result, len(drafts))
	var batch []numbered
	now := time.Now()
	for i, d := range drafts {
		e, faults := d.event(now)
		switch {
		case faults != nil:
			results[i] = Result{Rejected, detail(faults)}
		case !c.Sees(e.TenantID):
			results[i] = noTenant(e.TenantID)
		default:
			batch = append(batch, numbered{e, i})
		}
	}
	for _, part := range split(batch) {
		if err := s.count(ctx, c, part, results); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// detail puts what is wrong with an event into one line.
func detail(faults fault.Fields) string {
	var all []string
	for _, f := range faults {
		all = append(all, strings.TrimPrefix(f.Pointer, "#/")+" "+f.Detail)
	}
	return strings.Join(all, "; ")
}

func noTenant(id identity.TenantID) Result {
	return Result{Rejected, fmt.Sprintf("there is no tenant %q", id)}
}

// A numbered event knows its place in the batch.
type numbered struct {
	Event
	i int
}

func (e numbered) page() Page { return Page{e.Source, e.Minute()} }

// split returns the parts of a batch that each go into one transaction: of one
// tenant, and of no more pages than that has room for.
func split(batch []numbered) [][]numbered {
	type part struct {
		events []numbered
		pages  map[Page]bool
	}
	var parts []*part
	open := map[identity.TenantID]*part{}
	for _, e := range batch {
		p := open[e.TenantID]
		if p == nil || !p.pages[e.page()] && len(p.pages) == pagesAtOnce {
			p = &part{pages: map[Page]bool{}}
			parts, open[e.TenantID] = append(parts, p), p
		}
		p.events, p.pages[e.page()] = append(p.events, e), true
	}
	var split [][]numbered
	for _, p := range parts {
		split = append(split, p.events)
	}
	return split
}

// count counts events of one tenant in one transaction, and notes what became of
// each.
func (s *Service) count(ctx context.Context, c identity.Caller, events []numbered, results []Result) error {
	id := events[0].TenantID
	_, err := conflict.Persist(ctx, func() (struct{}, error) {
		account, err := s.open(ctx, id, events)
		if err != nil {
			return struct{}{}, err
		}
		entry := account.enter(events, results, audit.By(c))
		if len(entry.New) == 0 {
			return struct{}{}, nil
		}
		return struct{}{}, s.store.Save(ctx, account, entry)
	})
	if errors.Is(err, ErrTooMuch) {
		half := len(events) / 2
		if err := s.count(ctx, c, events[:half], results); err != nil {
			return err
		}
		return s.count(ctx, c, events[half:], results)
	}
	if errors.Is(err, fault.NotFound) {
		for _, e := range events {
			results[e.i] = noTenant(id)
		}
		return nil
	}
	if errors.Is(err, fault.Conflict) {
		return &fault.Error{
			Kind:       fault.TooManyRequests,
			Detail:     "too much use of a tenant is reported at once; send the batch again, and what was counted shows as duplicate",
			RetryAfter: time.Second,
			Err:        err,
		}
	}
	if err != nil {
		return fmt.Errorf("count the use of tenant %s: %w", id, err)
	}
	return nil
}

func (s *Service) open(ctx context.Context, id identity.TenantID, events []numbered) (Account, error) {
	asked, months, since := map[Page][]Hash{}, map[Month]bool{}, events[0].Time
	for _, e := range events {
		if hash := e.Hash(); !slices.Contains(asked[e.page()], hash) {
			asked[e.page()] = append(asked[e.page()], hash)
		}
		months[MonthOf(e.Time)] = true
		if e.Time.Before(since) {
			since = e.Time
		}
	}
	return s.store.Open(ctx, id, asked, slices.Collect(maps.Keys(months)), since)
}

// enter returns what the events change that were not seen before, and notes what
// becomes of each. What reaches a threshold for the first time in a month is told
// under the origin.
func (a Account) enter(events []numbered, results []Result, o audit.Origin) Entry {
	e := Entry{New: map[Page][]Hash{}, Months: map[Month]MonthSums{}, Contacts: a.Contacts, Contacted: a.Contacted}
	for _, event := range events {
		page, hash := event.page(), event.Hash()
		if a.Seen[page][hash] || slices.Contains(e.New[page], hash) {
			results[event.i] = Result{Status: Duplicate}
			continue
		}
		results[event.i] = Result{Status: Accepted}
		e.New[page] = append(e.New[page], hash)
		month := MonthOf(event.Time)
		sums, ok := e.Months[month]
		if !ok {
			sums = a.Months[month]
		}
		sums.add(event.Event, planAt(a.Plans, event.Time))
		e.Months[month] = sums
		e.Contacts += event.contacts()
	}
	e.tell(a, o)
	return e
}

// tell adds the records of the thresholds that the entry reaches for the first
// time.
func (e *Entry) tell(a Account, o audit.Origin) {
	for month, sums := range e.Months {
		if reached := Reached(sums.Messages, a.Limits.MessagesMonth); reached > sums.Told {
			sums.Told = reached
			e.Months[month] = sums
			e.Records = append(e.Records, Told(o, a.TenantID, "max_messages_month", month, reached, sums.Messages, a.Limits.MessagesMonth))
		}
	}
	if e.Contacts == a.Contacts {
		return
	}
	if month := MonthOf(time.Now()); e.Contacted.Month < month {
		e.Contacted = Period{Month: month}
	}
	if reached := Reached(e.Contacts, a.Limits.Contacts); reached > e.Contacted.Told {
		e.Contacted.Told = reached
		e.Records = append(e.Records, Told(o, a.TenantID, "max_contacts", e.Contacted.Month, reached, e.Contacts, a.Limits.Contacts))
	}
}

// Told returns the record of a limit of which so much is used. The month is named, as
// what is reported late is of the month in which it happened.
func Told(o audit.Origin, id identity.TenantID, quota string, month Month, reached Threshold, used, limit int64) audit.Record {
	return o.Did(audit.LimitReached, id, audit.Of("limit", quota),
		audit.Change{Field: "percent", To: int(reached)}, audit.Change{Field: "used", To: used}, audit.Change{Field: "limit", To: limit},
		audit.Change{Field: "month", To: string(month)})
}
