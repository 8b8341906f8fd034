// Package call holds the calls of tenants: leases on the slots that their limits
// give them, which come back by themselves if whoever took them dies. It knows
// neither HTTP nor AWS.
package call

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
)

const (
	maxID        = 128
	minLease     = 30 * time.Second
	maxLease     = 300 * time.Second
	defaultLease = 60 * time.Second
	maxDuration  = 7 * 24 * time.Hour

	// Kept is how long a call that is over is remembered, one that ended before it
	// started too, so that a late start takes no slot, and a late end still tells of
	// the call once.
	Kept = 35 * 24 * time.Hour
)

// An ID names a call of a tenant. The telephony edge chooses it.
type ID string

// A State is what has become of a call.
type State string

// The states of a call. One that is live holds a slot until its lease is over,
// and is counted until that is noticed.
const (
	Live    State = "live"
	Ended   State = "ended"
	Expired State = "expired" // nobody renewed its lease
)

// A Call is one call, live or over.
type Call struct {
	ID        ID
	TenantID  identity.TenantID
	AgentID   *agent.ID
	State     State
	StartedAt time.Time
	Lease     time.Duration // that was asked for last
	ExpiresAt time.Time     // the end of its lease
	// Told is whether somebody told how the call went, which is counted once.
	Told bool
}

// Holds reports whether the call holds a slot at a time.
func (c Call) Holds(at time.Time) bool { return c.State == Live && at.Before(c.ExpiresAt) }

// A Report is what is told of a call when it ends.
type Report struct {
	Duration  *time.Duration // in whole seconds
	Sentiment *float64       // from -1 to 1
}

// A Draft is what a client asks for when it takes a slot.
type Draft struct {
	ID      patch.Field[ID]
	AgentID patch.Field[*agent.ID]
	Lease   patch.Field[int] // seconds
}

// faults returns every rule that the draft breaks.
func (d Draft) faults() fault.Fields {
	var f fault.Fields
	if d.ID.Set {
		f = d.ID.Value.faults()
	} else {
		f.Add("#/call_id", "is required")
	}
	return append(f, leaseFaults(d.Lease)...)
}

// faults returns what keeps a call from having the id.
func (id ID) faults() fault.Fields {
	var f fault.Fields
	switch n := utf8.RuneCountInString(string(id)); {
	case n < 1 || n > maxID:
		f.Add("#/call_id", "must be 1 to %d characters", maxID)
	case strings.Contains(string(id), "/") || id == "." || id == "..":
		f.Add("#/call_id", "must hold no slash, and be neither . nor .., as it is a part of addresses")
	}
	return f
}

// leaseFaults returns what is wrong with the length of a lease.
func leaseFaults(seconds patch.Field[int]) fault.Fields {
	var f fault.Fields
	if lease := lease(seconds); lease < minLease || lease > maxLease {
		f.Add("#/lease_seconds", "must be from %d to %d", int(minLease.Seconds()), int(maxLease.Seconds()))
	}
	return f
}

// lease returns the length of a lease of so many seconds.
func lease(seconds patch.Field[int]) time.Duration {
	return Seconds(seconds.Or(int(defaultLease.Seconds())))
}

// Seconds returns so many seconds, or as many as a duration can hold.
func Seconds(n int) time.Duration {
	const most = int(math.MaxInt64 / time.Second)
	return time.Duration(min(max(-most, n), most)) * time.Second
}

// faults returns every rule that the report breaks.
func (r Report) faults() fault.Fields {
	var f fault.Fields
	if r.Duration != nil && (*r.Duration < 0 || *r.Duration > maxDuration) {
		f.Add("#/duration_seconds", "must be from 0 to %d", int(maxDuration.Seconds()))
	}
	if r.Sentiment != nil && math.Abs(*r.Sentiment) > 1 {
		f.Add("#/sentiment_score", "must be from -1 to 1")
	}
	return f
}

// Target returns the tenant's calls as the target of an action.
func Target(id identity.TenantID) audit.Target { return audit.Of("tenant", id) }

// Over says that a call with the id is over, and an id is not used again.
func Over(id ID) error { return fault.New(fault.CallEnded, "the call %q has ended", id) }

// NotFound says that a tenant has no such call.
func NotFound(id ID) error { return fault.New(fault.NotFound, "there is no call %q", id) }

// unitsOfSentiment is how finely scores are kept, so that their sum is exact.
const unitsOfSentiment = 10_000

// Units returns a score of sentiment in the whole units in which scores are summed.
func Units(score float64) int64 { return int64(math.Round(score * unitsOfSentiment)) }
