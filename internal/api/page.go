package api

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	maxPage      = 4 << 20 // bytes of a list
	cursorMAC    = 16      // bytes
)

// parameters reads the query of a request, and gathers what is wrong with it.
type parameters struct {
	query   url.Values
	unread  fault.Fields // of a wrong type
	invalid fault.Fields // against a rule
}

func (r *Request) parameters() *parameters { return &parameters{query: r.Query} }

// integer returns a parameter, or fallback if it is not there.
func (p *parameters) integer(name string, fallback, least, most int) int {
	text, ok := p.text(name)
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		p.unread.AddParameter(name, "must be an integer from %d to %d", least, most)
	case n < least || n > most:
		p.invalid.AddParameter(name, "must be from %d to %d", least, most)
	}
	return n
}

// boolean returns a parameter, or false if it is not there.
func (p *parameters) boolean(name string) bool {
	text, ok := p.text(name)
	if ok && text != "true" && text != "false" {
		p.unread.AddParameter(name, "must be true or false")
	}
	return text == "true"
}

// tenantID returns the tenant that r is about: the one that its query names, or else
// the caller's own. Platform admins have none, and so must name one.
func (p *parameters) tenantID(r *Request) identity.TenantID {
	named, _ := p.text("tenant_id")
	id := cmp.Or(identity.TenantID(named), r.Caller.TenantID)
	if id == "" {
		p.invalid.AddParameter("tenant_id", "is required of a platform admin")
	}
	return id
}

// text returns a parameter, and whether it is there.
func (p *parameters) text(name string) (string, bool) { return first(p.query[name]) }

// err returns all that is wrong, as fault.Malformed if any parameter could not be
// read, and else as fault.Invalid; or nil.
func (p *parameters) err() error {
	if p.unread != nil {
		return malformed("the query string cannot be read; errors lists each fault", p.unread.And(p.invalid))
	}
	return p.invalid.Err()
}

// Cursors makes the cursors of lists. A cursor is a position in a list, and a
// keyed hash that binds it to the list, its filter, and the caller.
type Cursors struct {
	key func(context.Context) ([]byte, error)
}

// NewCursors returns cursors whose hashes are made with a key.
func NewCursors(key func(context.Context) ([]byte, error)) *Cursors { return &Cursors{key} }

// window returns the part of a list that r asks for by limit and cursor. It adds
// to p what is wrong with them.
func (c *Cursors) window(ctx context.Context, r *Request, p *parameters) (page.Window, error) {
	w := page.Window{Limit: p.integer("limit", defaultLimit, 1, maxLimit)}
	cursor, ok := p.text("cursor")
	if !ok {
		return w, nil
	}
	encoded, _, _ := strings.Cut(cursor, ".")
	position, err := base64.RawURLEncoding.DecodeString(encoded)
	w.From = page.Position(position)
	if err == nil && w.From != "" {
		sealed, err := c.seal(ctx, r, w.From)
		if err != nil || hmac.Equal([]byte(sealed), []byte(cursor)) {
			return w, err
		}
	}
	p.unread.AddParameter("cursor", "is not one that this list gave to you")
	return w, nil
}

// seal returns the cursor of a position in the list that r asks for.
func (c *Cursors) seal(ctx context.Context, r *Request, position page.Position) (string, error) {
	key, err := c.key(ctx)
	if err != nil {
		return "", fmt.Errorf("key of cursors: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(fmt.Appendf(nil, "%q", []string{"cursor", string(r.Caller.Subject), r.URI, r.filter(nil).Encode(), string(position)}))
	return base64.RawURLEncoding.EncodeToString([]byte(position)) + "." +
		base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:cursorMAC]), nil
}

// filter returns the query without what says which part of the list is wanted,
// and with other parameters beside it.
func (r *Request) filter(others map[string]string) url.Values {
	query := url.Values{}
	for name, values := range r.Query {
		switch name {
		case "limit", "offset", "cursor":
		default:
			query[name] = values
		}
	}
	for name, value := range others {
		query.Set(name, value)
	}
	return query
}

// link returns one link of the header Link (RFC 8288) to another part of the list
// that r asks for.
func (r *Request) link(rel string, limit int, name, value string) string {
	query := r.filter(map[string]string{"limit": strconv.Itoa(limit), name: value})
	target := url.URL{Path: r.URI, RawQuery: query.Encode()}
	return "<" + target.String() + `>; rel="` + rel + `"`
}

// list answers with the part of a list that r asks for by limit and cursor alone.
func list[T, V any](ctx context.Context, r *Request, c *Cursors, read func(context.Context, page.Window) (page.Page[T], error), view func(T) V) (*Response, error) {
	p := r.parameters()
	w, err := c.window(ctx, r, p)
	if err != nil {
		return nil, err
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	all, err := read(ctx, w)
	if err != nil {
		return nil, err
	}
	return listed(ctx, c, r, w, all, view)
}

// listed answers with a page, and with a link to the next if the list goes on.
func listed[T, V any](ctx context.Context, c *Cursors, r *Request, w page.Window, list page.Page[T], view func(T) V) (*Response, error) {
	body, n, err := encodePage(list.Entries, view)
	if err != nil {
		return nil, err
	}
	resp := OK(body)
	return resp, linkNext(ctx, c, r, w, list, n, resp)
}

// linkNext adds a link to the next page to a response that holds n entries of this
// one, if the list goes on.
func linkNext[T any](ctx context.Context, c *Cursors, r *Request, w page.Window, list page.Page[T], n int, resp *Response) error {
	next := list.Next
	if n < len(list.Entries) {
		next = list.Entries[n-1].After
	}
	if next == "" {
		return nil
	}
	cursor, err := c.seal(ctx, r, next)
	if err == nil {
		resp.Header["link"] = r.link("next", w.Limit, "cursor", cursor)
	}
	return err
}

// listedByOffset is listed for a list that is read by offset, which w.Skip is.
func listedByOffset[T, V any](r *Request, w page.Window, list page.Page[T], view func(T) V) (*Response, error) {
	body, n, err := encodePage(list.Entries, view)
	if err != nil {
		return nil, err
	}
	resp := OK(body)
	var links []string
	if list.Next != "" || n < len(list.Entries) {
		links = append(links, r.link("next", w.Limit, "offset", strconv.Itoa(w.Skip+n)))
	}
	if w.Skip > 0 {
		links = append(links, r.link("prev", w.Limit, "offset", strconv.Itoa(max(0, w.Skip-w.Limit))))
	}
	if links != nil {
		resp.Header["link"] = strings.Join(links, ", ")
	}
	return resp, nil
}

// encodePage returns the JSON array of the entries that fit into a page, and how
// many they are: at least one, if there are any.
func encodePage[T, V any](entries []page.Entry[T], view func(T) V) (string, int, error) {
	var b strings.Builder
	b.WriteByte('[')
	for i, entry := range entries {
		text, err := json.Marshal(view(entry.Value), json.Deterministic(true))
		if err != nil {
			return "", 0, fmt.Errorf("encode a list: %w", err)
		}
		if i > 0 && b.Len()+len(text)+len(",]") > maxPage {
			return b.String() + "]", i, nil
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(text)
	}
	return b.String() + "]", len(entries), nil
}
