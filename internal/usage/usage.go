// Package usage counts what tenants use, each event once, and what that costs. It
// knows neither HTTP nor AWS.
package usage

import (
	"time"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A Month names a calendar month in UTC: yyyy-mm.
type Month string

// MonthOf returns the month of a time.
func MonthOf(t time.Time) Month { return Month(t.UTC().Format("2006-01")) }

// Ends returns when the month is over.
func (m Month) Ends() time.Time {
	begins, _ := time.Parse("2006-01", string(m)) // what MonthOf wrote can be read
	return begins.AddDate(0, 1, 0)
}

// Even reports whether the month is every second one: of two that follow each other
// one is.
func (m Month) Even() bool { return m[len(m)-1]%2 == 0 }

// Sums are what a tenant used in a month.
type Sums struct {
	Messages    int64
	CallMinutes int64
	Tenths      int64 // of a cent, in which every price is a whole number
}

// Cents returns what the use costs, rounded half up.
func (s Sums) Cents() int64 { return (s.Tenths + 5) / 10 }

// A Threshold is how much of a limit is used: as many percent at least.
type Threshold int

// The thresholds that somebody should know of.
const (
	Below Threshold = 0
	Near  Threshold = 80
	Full  Threshold = 100
)

// Reached returns the threshold that so much of a limit reaches.
func Reached(used, limit int64) Threshold {
	switch {
	case used <= 0:
		return Below
	case used >= limit:
		return Full
	case used >= NearAt(limit):
		return Near
	}
	return Below
}

// NearAt returns from how much on a limit is nearly used up.
func NearAt(limit int64) int64 { return limit/5*4 + (limit%5*4+4)/5 }

// prices is what one of a kind costs, in tenths of a cent.
type prices struct{ minute, message int64 }

// priceList is the one place where the prices of the plans stand.
var priceList = map[tenant.PlanName]prices{
	tenant.Starter:    {30, 10},
	tenant.Business:   {20, 5},
	tenant.Enterprise: {10, 2},
}

// A Usage is what a tenant uses: in a month, and at present.
type Usage struct {
	TenantID identity.TenantID
	Month    Month
	Calls    int64
	Contacts int64
	Agents   int64
	Sums
}
