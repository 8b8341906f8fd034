package api

import (
	"context"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// UserLister lists and searches the users of tenants.
type UserLister interface {
	// List returns a part of the users of a tenant, newest first: of all, or of
	// those whose e-mail address or name holds a text.
	List(ctx context.Context, id identity.TenantID, search string, w page.Window) (page.Page[user.User], error)
}

// ListUsers serves GET /users. Members see those of their own tenant; a platform
// admin names one.
func ListUsers(users UserLister, tenants TenantGetter, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListUsers",
		Allow: identity.Members(),
		Query: []string{"tenant_id", "search", "limit", "cursor"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			p := r.parameters()
			w, err := cursors.window(ctx, r, p)
			if err != nil {
				return nil, err
			}
			id := p.tenantID(r)
			search, searches := p.text("search")
			if searches && (tenant.Fold(search) == "" || utf8.RuneCountInString(search) > maxSearch) {
				p.invalid.AddParameter("search", "must be 1 to %d characters, and not only white space", maxSearch)
			}
			if err := p.err(); err != nil {
				return nil, err
			}
			if err := admitReader(ctx, tenants, r.Caller, id); err != nil {
				return nil, err
			}
			list, err := users.List(ctx, id, search, w)
			if err != nil {
				return nil, err
			}
			return listed(ctx, cursors, r, w, list, newUserView)
		},
	}
}
