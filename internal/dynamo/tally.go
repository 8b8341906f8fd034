package dynamo

import (
	"time"

	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/usage"
)

// The counters of calls change by edits whose conditions say what of the counters
// matters to them, so that most need not be the first after they were read. Only
// one that makes a new peak of its hour, or reaches a threshold of the month's
// limit, must find the very numbers that were read.

// hourOf names an hour in UTC.
func hourOf(t time.Time) string { return t.UTC().Format("2006-01-02T15") }

// dayOf names a day in UTC.
func dayOf(t time.Time) string { return t.UTC().Format("2006-01-02") }

// peakOf is the attribute of a day that holds how many calls were live at once in
// an hour.
func peakOf(hour string) string { return peaksOf + hour[len(hour)-2:] }

const peaksOf = "peak_"

// dayEdits is the changes of days, of which one transaction changes each once.
type dayEdits map[string]*dayEdit

// A dayEdit is a change of what is counted of the calls of a day.
type dayEdit struct{ edit }

func (d dayEdits) of(t time.Time) *dayEdit {
	day := dayOf(t)
	if d[day] == nil {
		d[day] = &dayEdit{}
	}
	return d[day]
}

func (tx *transaction) editDays(id identity.TenantID, days dayEdits) {
	for day, e := range days {
		tx.edit(dayKey(id, day), &e.edit, nil)
	}
}

// report counts what is told of a call.
func (e *dayEdit) report(r call.Report) {
	if r.Duration != nil {
		e.add("durations", 1)
		e.add("duration_seconds", int64(r.Duration.Seconds()))
	}
	if r.Sentiment != nil {
		e.add("sentiments", 1)
		e.add("sentiment", call.Units(*r.Sentiment))
	}
}

// callsIn returns how many calls were started in a month that is not over.
func (i countersItem) callsIn(month usage.Month) int {
	if i.CallsMonth < month {
		return 0
	}
	return i.MonthCalls
}

// A told threshold is one that so many calls reach for the first time in a month.
type told struct {
	month     usage.Month
	threshold usage.Threshold
	calls     int64
}

// take is the edit that counts another live call, and tells the days of it. It
// also returns the threshold that is to be told of, if there is one.
func (i countersItem) take(at time.Time, days dayEdits) (*edit, *told) {
	e := &edit{}
	e.require("status", "=", i.Status)
	e.requireBelow("active_calls", "max_concurrent_calls")
	e.add("active_calls", 1)
	i.peak(e, at, 1, days)
	return e, i.month(e, at)
}

// giveBack is the edit that counts n live calls less.
func (i countersItem) giveBack(n int, at time.Time, days dayEdits) *edit {
	e := &edit{}
	e.require("active_calls", ">=", n)
	e.add("active_calls", -n)
	i.peak(e, at, 0, days)
	return e
}

// peak keeps the peak of the hour, where more calls are live at once than before,
// or those that were live when it began.
func (i countersItem) peak(e *edit, at time.Time, more int, days dayEdits) {
	live, hour := i.ActiveCalls+more, hourOf(at)
	switch {
	case i.CallsHour >= hour && live <= i.HourPeak:
		if more > 0 {
			e.require("calls_hour", "=", i.CallsHour)
			e.requireBelow("active_calls", "hour_peak")
		}
		return
	case i.CallsHour >= hour:
		hour, at = i.CallsHour, hourStart(i.CallsHour)
	}
	e.require("calls_hour", "=", i.CallsHour)
	e.require("active_calls", "=", i.ActiveCalls)
	e.set("calls_hour", hour)
	e.set("hour_peak", live)
	days.of(at).set(peakOf(hour), live)
}

// hourStart returns when an hour begins.
func hourStart(hour string) time.Time {
	t, _ := time.Parse("2006-01-02T15", hour) // what hourOf wrote can be read
	return t
}

// month counts a call of the month.
func (i countersItem) month(e *edit, at time.Time) *told {
	month := max(i.CallsMonth, usage.MonthOf(at))
	limit, calls, before := int64(i.MonthlyCallLimit), int64(i.callsIn(month))+1, i.CallsTold
	if i.CallsMonth < month {
		before = usage.Below
	}
	reached := usage.Reached(calls, limit)
	e.require("calls_month", "=", i.CallsMonth)
	e.require("monthly_call_limit", "=", limit)
	if i.CallsMonth == month && reached <= before {
		e.require("month_calls", "<", untold(before, limit))
		e.add("month_calls", 1)
		return nil
	}
	e.require("month_calls", "=", i.MonthCalls)
	e.set("calls_month", month)
	e.set("month_calls", calls)
	e.set("calls_told", max(reached, before))
	if reached <= before {
		return nil
	}
	return &told{month, reached, calls}
}

// overrun is the edit that notes what is to be told of a limit which was lowered below
// the calls of the month. Both are nil if that was told.
func (i countersItem) overrun(at time.Time) (*edit, *told) {
	month := max(i.CallsMonth, usage.MonthOf(at))
	limit, calls := int64(i.MonthlyCallLimit), int64(i.callsIn(month))
	reached := usage.Reached(calls, limit)
	if reached <= i.CallsTold {
		return nil, nil
	}
	e := &edit{}
	e.require("calls_month", "=", i.CallsMonth)
	e.require("month_calls", "=", i.MonthCalls)
	e.require("monthly_call_limit", "=", limit)
	e.require("calls_told", "=", i.CallsTold)
	e.set("calls_told", reached)
	return e, &told{month, reached, calls}
}

// untold returns from how many calls on another one is to be told of, or refused,
// after a threshold was told of.
func untold(t usage.Threshold, limit int64) int64 {
	if t < usage.Near {
		return usage.NearAt(limit) - 1
	}
	if t < usage.Full {
		return limit - 1
	}
	return limit
}
