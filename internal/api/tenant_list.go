package api

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

const (
	minSearch = 2
	maxSearch = 255
)

// TenantLister lists and searches tenants. What it returns need not have
// meta_data, and is as eventually consistent as the store says.
type TenantLister interface {
	// List returns a part of the tenants with a status, newest first; or, where
	// the status is "", of all that are not deleted. It counts them all.
	List(ctx context.Context, status tenant.Status, w page.Window) (page.Page[tenant.Tenant], error)
	// Search returns a part of the tenants whose name or slug begins with prefix.
	// It pays no heed to w.Skip.
	Search(ctx context.Context, prefix string, w page.Window) (page.Page[tenant.Tenant], error)
}

// tenantQuery is the parameters that lists of tenants take.
var tenantQuery = []string{"limit", "offset", "cursor", "status_filter", "q"}

// ListTenants serves GET /tenants. It lists them newest first, by cursor or by
// offset; or those whose name or slug begins with q, by cursor.
func ListTenants(tenants TenantLister, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListTenants",
		Allow: identity.Roles(identity.PlatformAdmin),
		Query: tenantQuery,
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			list, err := readTenants(ctx, r, tenants, cursors)
			if err != nil {
				return nil, err
			}
			return answerTenants(ctx, r, cursors, list, newTenantSummaryView)
		},
	}
}

// UsagesFinder finds what tenants use.
type UsagesFinder interface {
	// Usages returns what tenants use in the month of a time, in their order.
	Usages(ctx context.Context, ids []identity.TenantID, at time.Time) ([]usage.Usage, error)
}

// ListTenantUsage serves GET /tenants/usage: the list of ListTenants, each with what
// it uses in this month.
func ListTenantUsage(tenants TenantLister, usages UsagesFinder, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListTenantUsage",
		Allow: identity.Roles(identity.PlatformAdmin),
		Query: tenantQuery,
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			list, err := readTenants(ctx, r, tenants, cursors)
			if err != nil {
				return nil, err
			}
			used, err := usesOf(ctx, usages, list.Entries)
			if err != nil {
				return nil, err
			}
			view := func(t tenant.Tenant) tenantUsageView {
				return tenantUsageView{newTenantSummaryView(t), newUsageView(used[t.ID])}
			}
			return answerTenants(ctx, r, cursors, list, view)
		},
	}
}

// usesOf returns what the tenants of a page use, by their ids.
func usesOf(ctx context.Context, usages UsagesFinder, entries []page.Entry[tenant.Tenant]) (map[identity.TenantID]usage.Usage, error) {
	var ids []identity.TenantID
	for _, entry := range entries {
		ids = append(ids, entry.Value.ID)
	}
	found, err := usages.Usages(ctx, ids, time.Now())
	used := map[identity.TenantID]usage.Usage{}
	for _, u := range found {
		used[u.TenantID] = u
	}
	return used, err
}

// A tenantList is the part of a list of tenants that was asked for.
type tenantList struct {
	page.Page[tenant.Tenant]
	window   page.Window
	byOffset bool
	searched bool // by q, so that nobody counts them
}

// readTenants reads the part of a list that r asks for.
func readTenants(ctx context.Context, r *Request, tenants TenantLister, cursors *Cursors) (tenantList, error) {
	var l tenantList
	p := r.parameters()
	w, err := cursors.window(ctx, r, p)
	if err != nil {
		return l, err
	}
	_, l.byOffset = p.text("offset")
	w.Skip = p.integer("offset", 0, 0, math.MaxInt32)
	status, prefix := tenantFilter(p)
	if err := p.err(); err != nil {
		return l, err
	}
	l.window, l.searched = w, prefix != ""
	if l.searched {
		l.Page, err = tenants.Search(ctx, prefix, w)
	} else {
		l.Page, err = tenants.List(ctx, status, w)
	}
	return l, err
}

// answerTenants answers with a part of a list.
func answerTenants[V any](ctx context.Context, r *Request, cursors *Cursors, l tenantList, view func(tenant.Tenant) V) (*Response, error) {
	if l.byOffset {
		resp, err := listedByOffset(r, l.window, l.Page, view)
		return l.total(resp), err
	}
	resp, err := listed(ctx, cursors, r, l.window, l.Page, view)
	return l.total(resp), err
}

// total adds the number of all that are listed to a response, if there is one.
func (l tenantList) total(resp *Response) *Response {
	if resp != nil && !l.searched {
		resp.Header["x-total-count"] = strconv.FormatInt(l.Total, 10)
	}
	return resp
}

// tenantFilter returns which tenants are wanted, and adds to p what is wrong with
// that.
func tenantFilter(p *parameters) (status tenant.Status, prefix string) {
	filter, byStatus := p.text("status_filter")
	status = tenant.Status(filter)
	if byStatus && !slices.Contains(tenant.Statuses(), status) {
		p.invalid.AddParameter("status_filter", "must be the status of a tenant, such as active")
	}
	prefix, search := p.text("q")
	if n := utf8.RuneCountInString(tenant.Fold(prefix)); search && (n < minSearch || utf8.RuneCountInString(prefix) > maxSearch) {
		p.invalid.AddParameter("q", "must be %d to %d characters", minSearch, maxSearch)
	}
	if search && byStatus {
		p.invalid.AddParameter("status_filter", "must not be given together with q")
	}
	if _, byOffset := p.text("offset"); byOffset {
		if _, byCursor := p.text("cursor"); byCursor || search {
			p.invalid.AddParameter("offset", "must not be given together with cursor or q")
		}
	}
	return status, prefix
}
