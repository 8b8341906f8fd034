package api

import (
	"context"
	"time"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/stats"
	"github.com/tenantry/tenantry/internal/usage"
)

// CountsFinder finds what is counted of tenants.
type CountsFinder interface {
	// Counts returns what is counted of a tenant at a time, and the days of that
	// month that had calls, with one before them.
	Counts(ctx context.Context, id identity.TenantID, at time.Time) (stats.Counts, []stats.Day, error)
}

// GetTenantStats serves GET /tenants/{tenant_id}/stats.
func GetTenantStats(counts CountsFinder, tenants TenantGetter) Operation {
	return Operation{
		Name:  "GetTenantStats",
		Allow: identity.Members(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			t, err := readable(ctx, tenants, r.Caller, r.TenantID())
			if err != nil {
				return nil, err
			}
			now := time.Now()
			c, days, err := counts.Counts(ctx, t.ID, now)
			if err != nil {
				return nil, err
			}
			return OK(newStatsView(stats.New(t, c, days, now))), nil
		},
	}
}

// statsView is how a tenant is doing, as clients see it.
type statsView struct {
	TenantID          identity.TenantID    `json:"tenant_id"`
	TotalAgents       int64                `json:"total_agents"`
	TotalCallsToday   int64                `json:"total_calls_today"`
	TotalCallsMonth   int64                `json:"total_calls_month"`
	AvgCallDuration   *float64             `json:"avg_call_duration"`
	AvgSentimentScore *float64             `json:"avg_sentiment_score"`
	ActiveSessions    int64                `json:"active_sessions"`
	MonthlyUsageCents int64                `json:"monthly_usage_cents"`
	LastCallAt        *timestamp           `json:"last_call_at"`
	PeakCalls         peaksView            `json:"peak_calls"`
	Quota             map[string]quotaView `json:"quota"`
}

type peaksView struct {
	Hour  int64 `json:"hour"`
	Day   int64 `json:"day"`
	Month int64 `json:"month"`
}

type quotaView struct {
	Limit     int64           `json:"limit"`
	Used      int64           `json:"used"`
	Remaining int64           `json:"remaining"`
	ResetsAt  *timestamp      `json:"resets_at"`
	Reached   usage.Threshold `json:"reached_percent"`
}

func newStatsView(s stats.Stats) statsView {
	v := statsView{
		TenantID: s.TenantID, TotalAgents: s.Agents, TotalCallsToday: s.CallsToday, TotalCallsMonth: s.CallsMonth,
		AvgCallDuration: s.AvgDuration, AvgSentimentScore: s.AvgSentiment, ActiveSessions: s.ActiveCalls,
		MonthlyUsageCents: s.Cents, LastCallAt: (*timestamp)(s.LastCallAt), PeakCalls: peaksView(s.Peaks),
		Quota: map[string]quotaView{},
	}
	for _, q := range s.Quotas {
		v.Quota[q.Name] = quotaView{q.Limit, q.Used, q.Remaining(), (*timestamp)(q.ResetsAt), q.Reached}
	}
	return v
}
