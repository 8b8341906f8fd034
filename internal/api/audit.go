package api

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/elnormous/contenttype"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/trail"
)

const (
	// maxAuditSpan is how much of the audit of all tenants is listed at once.
	maxAuditSpan = 24 * time.Hour
	// maxAuditEnd is more than the first and the last row of an export take, in bytes.
	maxAuditEnd = 2048
	csvType     = "text/csv; charset=utf-8; header=present"
)

// AuditReader reads the audit.
type AuditReader interface {
	// List returns a part of the records that a filter lets pass, newest first.
	List(ctx context.Context, f audit.Filter, w page.Window) (page.Page[audit.Event], error)
	// Head returns the end of a stream's chain.
	Head(ctx context.Context, s audit.Stream) (audit.Head, error)
}

// ListAuditEvents serves GET /audit-events, newest first: as JSON, or as CSV where
// the client prefers that. A platform admin who names no tenant gets the records
// of all tenants and of the platform, of one day.
func ListAuditEvents(events AuditReader, tenants TenantGetter, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListAuditEvents",
		Allow: identity.Managers(),
		Query: []string{"limit", "cursor", "tenant_id", "actor", "action", "from", "to"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			p := r.parameters()
			w, err := cursors.window(ctx, r, p)
			if err != nil {
				return nil, err
			}
			f := auditFilter(r, p)
			if err := p.err(); err != nil {
				return nil, err
			}
			if err := admitAuditor(ctx, tenants, r.Caller, f.Stream); err != nil {
				return nil, err
			}
			resp, err := listAudit(ctx, events, cursors, r, f, w)
			if err != nil {
				return nil, err
			}
			resp.Header["vary"] = "accept"
			return resp, nil
		},
	}
}

// admitAuditor fails unless the caller may read the records of a stream, or of all
// for "". What belongs to no tenant is for platform admins; for others there is no
// tenant of that name.
func admitAuditor(ctx context.Context, tenants TenantGetter, c identity.Caller, s audit.Stream) error {
	if c.IsPlatformAdmin() && s.TenantID() == "" {
		return nil
	}
	return admitReader(ctx, tenants, c, identity.TenantID(s))
}

func listAudit(ctx context.Context, events AuditReader, cursors *Cursors, r *Request, f audit.Filter, w page.Window) (*Response, error) {
	if prefersCSV(r) {
		return exportAudit(ctx, events, cursors, r, f, w)
	}
	list, err := events.List(ctx, f, w)
	if err != nil {
		return nil, err
	}
	return listed(ctx, cursors, r, w, list, newAuditEventView)
}

// auditFilter returns which records are wanted, and adds to p what is wrong with
// that. Where it is the present time that ends them, it puts their beginning and
// end into the query, so that all pages are of the same day.
func auditFilter(r *Request, p *parameters) audit.Filter {
	actor, _ := p.text("actor")
	action, _ := p.text("action")
	named, _ := p.text("tenant_id")
	f := audit.Filter{Actor: actor, Action: audit.Action(action), From: p.time("from"), To: p.time("to")}
	f.Stream = cmp.Or(audit.Stream(named), audit.Stream(r.Caller.TenantID))
	if f.Stream == "" && p.unread == nil {
		if f.To.IsZero() {
			f.To = time.Now().UTC().Truncate(time.Millisecond)
		}
		if f.From.IsZero() {
			f.From = f.To.Add(-maxAuditSpan)
		}
		if f.To.Sub(f.From) > maxAuditSpan {
			p.invalid.AddParameter("from", "must be at most 24 hours before to, which is now if it is not given, unless tenant_id is given")
		}
		r.Query.Set("from", f.From.Format(time.RFC3339Nano))
		r.Query.Set("to", f.To.Format(time.RFC3339Nano))
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		p.invalid.AddParameter("from", "must be before to")
	}
	return f
}

// time returns a parameter, or the zero time if it is not there.
func (p *parameters) time(name string) time.Time {
	text, ok := p.text(name)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if t = t.UTC(); err != nil || t.Year() < 1 || t.Year() > 9999 {
		p.unread.AddParameter(name, "must be a time, such as 2026-11-22T01:30:00Z")
	}
	return t
}

// prefersCSV reports whether a client asks for CSV rather than JSON. One that asks
// for neither gets JSON.
func prefersCSV(r *Request) bool {
	chosen, _, err := contenttype.GetAcceptableMediaTypeFromHeader(r.Header("accept"), []contenttype.MediaType{
		contenttype.NewMediaType(jsonType), contenttype.NewMediaType("text/csv"), contenttype.NewMediaType("text/csv; charset=utf-8"),
	})
	return err == nil && chosen.Subtype == "csv"
}

// exportAudit answers with a page as CSV. Where it holds all records of one stream,
// the head that was signed last is its last row, and no record is sealed behind it.
func exportAudit(ctx context.Context, events AuditReader, cursors *Cursors, r *Request, f audit.Filter, w page.Window) (*Response, error) {
	var head *audit.Head
	if f.Stream != "" && f.Actor == "" && f.Action == "" {
		h, err := events.Head(ctx, f.Stream) // before the records, so that they reach it
		if err != nil {
			return nil, err
		}
		head = &h
	}
	list, err := events.List(ctx, f, w)
	if err != nil {
		return nil, err
	}
	end := trail.NoHead()
	if head != nil {
		unsealBehind(*head, list.Entries)
	}
	if head != nil && head.Seq > 0 {
		end = trail.Head(*head)
	}
	rows, n, err := auditRows(list.Entries)
	if err != nil {
		return nil, err
	}
	resp := OK(trail.Header() + rows + end)
	resp.Header["content-type"] = csvType
	resp.Header["content-disposition"] = `attachment; filename="audit-events.csv"`
	return resp, linkNext(ctx, cursors, r, w, list, n, resp)
}

// unsealBehind takes the seals from records that were sealed after a head was read:
// it does not sign for them.
func unsealBehind(h audit.Head, entries []page.Entry[audit.Event]) {
	for i := range entries {
		if entries[i].Value.Seq > h.Seq {
			entries[i].Value.Seal = audit.Seal{}
		}
	}
}

// auditRows returns the rows of the records that fit into a page, and how many they
// are: at least one, if there are any.
func auditRows(entries []page.Entry[audit.Event]) (string, int, error) {
	var b strings.Builder
	size := maxAuditEnd
	for i, entry := range entries {
		row, err := trail.Record(entry.Value)
		if err != nil {
			return "", 0, fmt.Errorf("encode a list: %w", err)
		}
		if size += quotedLen(row); i > 0 && size > maxPage {
			return b.String(), i, nil
		}
		b.WriteString(row)
	}
	return b.String(), len(entries), nil
}

// quotedLen returns how many bytes a row takes in what Lambda is answered, which is
// JSON, and bounded. Rows are full of quotes.
func quotedLen(row string) int {
	return len(row) + strings.Count(row, `"`) + strings.Count(row, `\`) + len("\r\n")
}

// auditEventView is an audit record as clients see it: as it is hashed, and its
// hash.
type auditEventView struct {
	audit.Document
	Hash *audit.Hash `json:"hash"`
}

func newAuditEventView(e audit.Event) auditEventView {
	view := auditEventView{Document: audit.NewDocument(e)}
	if e.Sealed() {
		view.Hash = &e.Hash
	}
	return view
}
