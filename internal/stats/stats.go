// Package stats tells how a tenant is doing: its calls, what it uses, and how much
// of its limits that is. It knows neither HTTP nor AWS.
package stats

import (
	"math"
	"time"

	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

// A Day is what is counted of the calls that began on a day, in UTC.
type Day struct {
	Date            string // yyyy-mm-dd
	Calls           int64
	Durations       int64 // calls whose duration was told
	DurationSeconds int64 // of those together
	Sentiments      int64 // calls whose sentiment was told
	Sentiment       int64 // of those together, in units of call.Units
	LastCallAt      *time.Time
	// Peaks is how many calls were live at once, by hour.
	Peaks map[int]int64
}

// Counts is what is counted of a tenant at present.
type Counts struct {
	usage.Usage
	ActiveCalls int64
	// How much of a limit was told of in this month.
	CallsTold    usage.Threshold
	MessagesTold usage.Threshold
	ContactsTold usage.Threshold
}

// A Quota is a limit, and how much of it is used.
type Quota struct {
	Name     string
	Limit    int64
	Used     int64
	ResetsAt *time.Time // when it starts again from zero, or nil if it does not
	// Reached is the greatest threshold that was reached in this month, where the
	// limit is one of those that are told of once a month, and else the present one.
	Reached usage.Threshold
}

// Remaining returns how much is left of the limit.
func (q Quota) Remaining() int64 { return max(0, q.Limit-q.Used) }

// Peaks is how many calls were live at once at most.
type Peaks struct{ Hour, Day, Month int64 }

// Stats is how a tenant is doing.
type Stats struct {
	TenantID     identity.TenantID
	Agents       int64
	CallsToday   int64
	CallsMonth   int64
	AvgDuration  *float64 // of the calls of this month, in seconds
	AvgSentiment *float64
	ActiveCalls  int64
	Cents        int64 // of this month
	LastCallAt   *time.Time
	Peaks        Peaks
	Quotas       []Quota
}

// New returns the stats of a tenant at a time. Days are those of this month that
// had calls, and may hold one before them.
func New(t tenant.Tenant, c Counts, days []Day, at time.Time) Stats {
	at = at.UTC()
	s := Stats{
		TenantID: t.ID, Agents: c.Agents, CallsMonth: c.Calls, ActiveCalls: c.ActiveCalls, Cents: c.Cents(),
		Peaks:  Peaks{c.ActiveCalls, c.ActiveCalls, c.ActiveCalls},
		Quotas: quotas(t, c),
	}
	var month Day
	for _, d := range days {
		if d.LastCallAt != nil && (s.LastCallAt == nil || s.LastCallAt.Before(*d.LastCallAt)) {
			s.LastCallAt = d.LastCallAt
		}
		if d.Date[:len("2006-01")] != string(usage.MonthOf(at)) {
			continue
		}
		month.add(d)
		s.Peaks.Month = max(s.Peaks.Month, d.peak())
		if d.Date == at.Format(time.DateOnly) {
			s.CallsToday = d.Calls
			s.Peaks.Day = max(s.Peaks.Day, d.peak())
			s.Peaks.Hour = max(s.Peaks.Hour, d.Peaks[at.Hour()])
		}
	}
	s.AvgDuration = average(month.DurationSeconds, month.Durations, 1)
	s.AvgSentiment = average(month.Sentiment, month.Sentiments, call.Units(1))
	return s
}

func (d *Day) add(more Day) {
	d.Durations += more.Durations
	d.DurationSeconds += more.DurationSeconds
	d.Sentiments += more.Sentiments
	d.Sentiment += more.Sentiment
}

func (d *Day) peak() int64 {
	var peak int64
	for _, p := range d.Peaks {
		peak = max(peak, p)
	}
	return peak
}

// average returns a sum of n in units, as an average to the ten-thousandth; or nil
// of none.
func average(sum, n, units int64) *float64 {
	if n == 0 {
		return nil
	}
	const precision = 10_000
	return new(math.Round(float64(sum)/float64(n)/float64(units)*precision) / precision)
}

func quotas(t tenant.Tenant, c Counts) []Quota {
	ends := c.Month.Ends()
	return []Quota{
		quota("max_agents", t.Limits.MaxAgents, c.Agents),
		quota("max_concurrent_calls", t.MaxConcurrentCalls, c.ActiveCalls),
		quota("max_contacts", t.Limits.MaxContacts, max(0, c.Contacts)).told(c.ContactsTold),
		quota("max_messages_month", t.Limits.MaxMessagesMonth, c.Messages).told(c.MessagesTold).resets(ends),
		quota("monthly_call_limit", t.MonthlyCallLimit, c.Calls).told(c.CallsTold).resets(ends),
	}
}

func quota(name string, limit int, used int64) Quota {
	return Quota{Name: name, Limit: int64(limit), Used: used, Reached: usage.Reached(used, int64(limit))}
}

func (q Quota) told(t usage.Threshold) Quota {
	q.Reached = max(q.Reached, t)
	return q
}

func (q Quota) resets(at time.Time) Quota {
	q.ResetsAt = &at
	return q
}
