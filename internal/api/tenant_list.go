package api

import (
	"context"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
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

// ListTenants serves GET /tenants. It lists them newest first, by cursor or by
// offset; or those whose name or slug begins with q, by cursor.
func ListTenants(tenants TenantLister, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListTenants",
		Allow: identity.Roles(identity.PlatformAdmin),
		Query: []string{"limit", "offset", "cursor", "status_filter", "q"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			p := r.parameters()
			w, err := cursors.window(ctx, r, p)
			if err != nil {
				return nil, err
			}
			_, byOffset := p.text("offset")
			w.Skip = p.integer("offset", 0, 0, math.MaxInt32)
			status, prefix := tenantFilter(p)
			if err := p.err(); err != nil {
				return nil, err
			}
			if prefix != "" {
				list, err := tenants.Search(ctx, prefix, w)
				if err != nil {
					return nil, err
				}
				return listed(ctx, cursors, r, w, list, newTenantSummaryView)
			}
			list, err := tenants.List(ctx, status, w)
			if err != nil {
				return nil, err
			}
			var resp *Response
			if byOffset {
				resp, err = listedByOffset(r, w, list, newTenantSummaryView)
			} else {
				resp, err = listed(ctx, cursors, r, w, list, newTenantSummaryView)
			}
			if err != nil {
				return nil, err
			}
			resp.Header["x-total-count"] = strconv.FormatInt(list.Total, 10)
			return resp, nil
		},
	}
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
