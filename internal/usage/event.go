package usage

import (
	"crypto/sha256"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	// MaxAge is how long after it happened an event is still counted.
	MaxAge = 3 * 24 * time.Hour
	// maxAhead is how far the clock of a service may be ahead.
	maxAhead = 5 * time.Minute

	specVersion = "1.0"
	maxText     = 255
	maxQuantity = 1_000_000_000
)

// A Type is what happened.
type Type string

// The types of events.
const (
	MessageSent    Type = "message.sent"
	ContactAdded   Type = "contact.added"
	ContactRemoved Type = "contact.removed"
	CallMinutes    Type = "call.minutes"
)

// types is the ones that are counted.
var types = map[Type]bool{MessageSent: true, ContactAdded: true, ContactRemoved: true, CallMinutes: true}

// A Draft is an event as a service sends it: the attributes of CloudEvents 1.0
// that are read, and a quantity.
type Draft struct {
	SpecVersion patch.Field[string]
	Source      patch.Field[string]
	ID          patch.Field[string]
	Type        patch.Field[Type]
	Subject     patch.Field[identity.TenantID]
	Time        patch.Field[string]
	Quantity    patch.Field[int64]
	// Unread is what could not be read of it.
	Unread fault.Fields
}

// An Event is something that a tenant used.
type Event struct {
	Source   string
	ID       string
	Type     Type
	TenantID identity.TenantID
	Time     time.Time
	Quantity int64
}

// A Hash stands for an event among those of one source and minute.
type Hash [16]byte

// Hash returns the hash of the event: that of its id and time. The same source
// sends the same event with the same of both.
func (e Event) Hash() Hash {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d", e.ID, e.Time.UnixNano()))
	return Hash(sum[:len(Hash{})])
}

// Minute returns the minute in which the event happened, since 1970.
func (e Event) Minute() int64 { return e.Time.Unix() / 60 }

// event returns the event of a draft that breaks no rule, or the rules that it
// breaks.
func (d Draft) event(now time.Time) (Event, fault.Fields) {
	at, err := time.Parse(time.RFC3339Nano, d.Time.Value)
	e := Event{
		Source: d.Source.Value, ID: d.ID.Value, Type: d.Type.Value,
		TenantID: d.Subject.Value, Time: at.UTC(), Quantity: d.Quantity.Value,
	}
	var f fault.Fields
	d.require(&f, "#/source", d.Source.Set, d.Source.Value)
	d.require(&f, "#/id", d.ID.Set, d.ID.Value)
	d.require(&f, "#/subject", d.Subject.Set, string(d.Subject.Value))
	switch {
	case !d.SpecVersion.Set:
		f.Add("#/specversion", "is required")
	case d.SpecVersion.Value != specVersion:
		f.Add("#/specversion", "must be %s", specVersion)
	}
	switch {
	case !d.Type.Set:
		f.Add("#/type", "is required")
	case !types[e.Type]:
		f.Add("#/type", "must be message.sent, contact.added, contact.removed or call.minutes")
	}
	switch {
	case !d.Time.Set:
		f.Add("#/time", "is required")
	case err != nil:
		f.Add("#/time", "must be a time (RFC 3339)")
	case at.Before(now.Add(-MaxAge)):
		f.Add("#/time", "must be at most %d days ago", MaxAge/(24*time.Hour))
	case at.After(now.Add(maxAhead)):
		f.Add("#/time", "must not be in the future")
	}
	switch {
	case !d.Quantity.Set:
		f.Add("#/data/quantity", "is required")
	case e.Quantity < 1 || e.Quantity > maxQuantity:
		f.Add("#/data/quantity", "must be from 1 to %d", maxQuantity)
	}
	return e, d.Unread.And(f)
}

func (Draft) require(f *fault.Fields, pointer string, set bool, text string) {
	switch n := utf8.RuneCountInString(text); {
	case !set:
		f.Add(pointer, "is required")
	case n < 1 || n > maxText:
		f.Add(pointer, "must be 1 to %d characters", maxText)
	}
}

// A PlanChange is a plan, and since when a tenant has it.
type PlanChange struct {
	Plan  tenant.PlanName
	Since time.Time
}

// planAt returns the plan that was in force at a time. Changes are in the order of
// time, at least one; the first holds for all that was before.
func planAt(changes []PlanChange, at time.Time) tenant.PlanName {
	plan := changes[0].Plan
	for _, c := range changes[1:] {
		if c.Since.After(at) {
			break
		}
		plan = c.Plan
	}
	return plan
}

// add counts an event, which happened under a plan.
func (s *Sums) add(e Event, plan tenant.PlanName) {
	p := priceList[plan]
	switch e.Type {
	case MessageSent:
		s.Messages += e.Quantity
		s.Tenths += e.Quantity * p.message
	case CallMinutes:
		s.CallMinutes += e.Quantity
		s.Tenths += e.Quantity * p.minute
	case ContactAdded, ContactRemoved:
	}
}

// contacts returns how many contacts more there are by an event.
func (e Event) contacts() int64 {
	switch e.Type {
	case ContactAdded:
		return e.Quantity
	case ContactRemoved:
		return -e.Quantity
	case MessageSent, CallMinutes:
	}
	return 0
}
