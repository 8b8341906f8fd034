package api

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// ReportFinder finds the last report of the platform's health.
type ReportFinder interface {
	// Latest returns it, or fault.NotFound.
	Latest(ctx context.Context) (health.Report, error)
}

// ReportRefresher makes a report of the platform's health.
type ReportRefresher interface {
	// Refresh makes one, unless one was made a moment ago.
	Refresh(ctx context.Context) error
}

// GetSystemHealth serves GET /system/health. It answers 200 with the last report,
// whatever that says; with refresh, or where there is none, with a new one.
func GetSystemHealth(reports ReportFinder, refresher ReportRefresher) Operation {
	return Operation{
		Name:  "GetSystemHealth",
		Allow: identity.Roles(identity.PlatformAdmin).OrServices(identity.HealthRead),
		Query: []string{"refresh"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			p := r.parameters()
			refresh := p.boolean("refresh")
			if err := p.err(); err != nil {
				return nil, err
			}
			report, err := reports.Latest(ctx)
			if refresh || errors.Is(err, fault.NotFound) {
				if err := refresher.Refresh(ctx); err != nil {
					return nil, err
				}
				report, err = reports.Latest(ctx)
			}
			if err != nil {
				return nil, err
			}
			return OK(newReportView(report)), nil
		},
	}
}

// ReportLister lists reports of the platform's health.
type ReportLister interface {
	// History returns a part of those of the last 24 hours, newest first.
	History(ctx context.Context, w page.Window) (page.Page[health.Report], error)
}

// ListSystemHealth serves GET /system/health/history, newest first.
func ListSystemHealth(reports ReportLister, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListSystemHealth",
		Allow: identity.Roles(identity.PlatformAdmin).OrServices(identity.HealthRead),
		Query: []string{"limit", "cursor"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			return list(ctx, r, cursors, reports.History, newReportView)
		},
	}
}

// reportView is a report as clients see it.
type reportView struct {
	Status          health.Status            `json:"status"`
	CheckedAt       timestamp                `json:"checked_at"`
	Components      []componentView          `json:"components"`
	Integrations    []componentView          `json:"integrations"`
	Tenants         *map[tenant.Status]int64 `json:"tenants"` // null where they were not counted
	StuckOperations int                      `json:"stuck_operations"`
	ExpiredLeases   int                      `json:"expired_leases"`
	LastSweepAt     *timestamp               `json:"last_sweep_at"`
}

type componentView struct {
	Name      string        `json:"name"`
	Kind      health.Kind   `json:"kind"`
	Status    health.Status `json:"status"`
	LatencyMS float64       `json:"latency_ms"`
	Version   *string       `json:"version"`
	Error     *string       `json:"error"`
}

func newReportView(r health.Report) reportView {
	v := reportView{
		Status: r.Status, CheckedAt: timestamp(r.CheckedAt), Components: newComponentViews(r.Components), Integrations: newComponentViews(r.Integrations),
		StuckOperations: r.Stuck, ExpiredLeases: r.ExpiredLeases, LastSweepAt: (*timestamp)(r.LastSweepAt),
	}
	if r.Tenants != nil {
		v.Tenants = &r.Tenants
	}
	return v
}

func newComponentViews(components []health.Component) []componentView {
	views := []componentView{}
	for _, c := range components {
		views = append(views, componentView{
			Name: c.Name, Kind: c.Kind, Status: c.Status, LatencyMS: float64(c.Latency.Round(10*time.Microsecond)) / float64(time.Millisecond),
			Version: orNull(c.Version), Error: orNull(c.Error),
		})
	}
	return views
}
