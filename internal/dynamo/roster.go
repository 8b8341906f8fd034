package dynamo

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// The roster of a tenant is what searches of its users read: a line for each, in
// few items, compressed, since that is what reading them costs. Each user takes
// the next number when they come, and no other has it later.
const (
	rosterPageSize = 128  // numbers
	maxRosterText  = 1500 // bytes of what a user is found by
	rosterAttempts = transactionAttempts
)

// errRosterMoved says that a page of the roster is not as it was read.
var errRosterMoved = fault.New(fault.Conflict, "the tenant's users were changed by another request meanwhile")

// A rosterPage holds the lines of the users of a tenant whose numbers are on it,
// in the order of their numbers.
type rosterPage struct {
	key
	version int64
	last    int64 // the last number that was taken
	text    string
}

// A rosterItem is a page as it is stored.
type rosterItem struct {
	key
	Version int64  `dynamodbav:"version"`
	Last    int64  `dynamodbav:"last"`
	Lines   []byte `dynamodbav:"lines"` // in DEFLATE (RFC 1951)
}

func newRosterItem(p rosterPage) (rosterItem, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return rosterItem{}, err
	}
	if _, err := io.WriteString(w, p.text); err != nil {
		return rosterItem{}, err
	}
	err = w.Close()
	return rosterItem{p.key, p.version, p.last, b.Bytes()}, err
}

// rosterPages returns the pages that items hold.
func rosterPages(items []rosterItem) ([]rosterPage, error) {
	r := flate.NewReader(nil)
	var pages []rosterPage
	for _, item := range items {
		var b strings.Builder
		err := r.(flate.Resetter).Reset(bytes.NewReader(item.Lines), nil)
		if err == nil {
			_, err = io.Copy(&b, r) //nolint:gosec // we packed it
		}
		if err != nil {
			return nil, fmt.Errorf("unpack page %s of %s: %w", item.SK, item.PK, err)
		}
		pages = append(pages, rosterPage{key: item.key, version: item.Version, last: item.Last, text: b.String()})
	}
	return pages, nil
}

// A rosterLine is what a user is found by, folded.
type rosterLine struct {
	number int64
	id     identity.UserID
	owner  bool // and not disabled
	cut    bool // the name is longer
	email  string
	name   string
}

func newRosterLine(u user.User) rosterLine {
	line := rosterLine{number: u.Number, id: u.ID, owner: u.OwnerCount() > 0, email: tenant.Fold(u.Email), name: tenant.Fold(u.FullName)}
	if room := maxRosterText - len(line.email); len(line.name) > room {
		line.cut, line.name = true, cutText(line.name, room)
	}
	return line
}

// The marks of a line. No folded text holds them.
const (
	ownerMark = "O"
	cutMark   = "C"
)

// String returns the line as it is stored. Folded texts hold neither tabs nor line
// breaks.
func (l rosterLine) String() string {
	flags := ""
	if l.owner {
		flags += ownerMark
	}
	if l.cut {
		flags += cutMark
	}
	return strconv.FormatInt(l.number, 10) + "\t" + string(l.id) + "\t" + flags + "\t" + l.email + "\t" + l.name + "\n"
}

func parseRosterLine(text string) (rosterLine, error) {
	fields := strings.Split(strings.TrimSuffix(text, "\n"), "\t")
	if len(fields) != 5 {
		return rosterLine{}, fmt.Errorf("a line of a roster has %d fields", len(fields))
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	return rosterLine{
		number: n, id: identity.UserID(fields[1]),
		owner: strings.Contains(fields[2], ownerMark), cut: strings.Contains(fields[2], cutMark),
		email: fields[3], name: fields[4],
	}, err
}

// matches reports whether a search for a folded text may find the user. Where the
// line does not hold all of the name, the user's row has the last word.
func (l rosterLine) matches(folded string) bool {
	return l.cut || strings.Contains(l.email, folded) || strings.Contains(l.name, folded)
}

// found reports whether a search for a folded text finds the user.
func found(u user.User, folded string) bool {
	return strings.Contains(tenant.Fold(u.Email), folded) || strings.Contains(tenant.Fold(u.FullName), folded)
}

// matching returns the lines of the page that a search for a folded text may
// find.
func (p rosterPage) matching(folded string) ([]rosterLine, error) {
	var lines []rosterLine
	for text := range strings.Lines(p.text) {
		if !strings.Contains(text, folded) && !strings.Contains(text, cutMark) {
			continue
		}
		line, err := parseRosterLine(text)
		if err != nil {
			return nil, fmt.Errorf("read page %s of %s: %w", p.SK, p.PK, err)
		}
		if line.matches(folded) {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// add gives a new user the next number of the page, and a line.
func (p *rosterPage) add(u *user.User) {
	p.last++
	u.Number = p.last
	p.text += newRosterLine(*u).String()
}

// set replaces the line of a user, or removes it where u is nil.
func (p *rosterPage) set(number int64, u *user.User) {
	var b strings.Builder
	for text := range strings.Lines(p.text) {
		if !strings.HasPrefix(text, strconv.FormatInt(number, 10)+"\t") {
			b.WriteString(text)
		} else if u != nil {
			b.WriteString(newRosterLine(*u).String())
		}
	}
	p.text = b.String()
}

// newRosterPage returns the page that a number is on, as it is before anybody is.
func newRosterPage(id identity.TenantID, number int64) rosterPage {
	n := (number - 1) / rosterPageSize
	return rosterPage{key: rosterKey(id, n), last: n * rosterPageSize}
}

// saveRoster adds the write that replaces a page by what it became.
func (tx *transaction) saveRoster(before, after rosterPage) {
	if before == after {
		return
	}
	after.version++
	item, err := newRosterItem(after)
	tx.err = errors.Join(tx.err, err)
	if before.version == 0 {
		tx.put(item, errRosterMoved)
	} else {
		tx.replace(item, before.version, errRosterMoved)
	}
}

// withRoster runs a transaction that build adds writes to, together with what
// build makes of a page of a tenant's roster: the page of a number, or where that
// is 0 the page of the next user. Where another changes the page meanwhile, it
// begins anew.
func (t *Table) withRoster(ctx context.Context, id identity.TenantID, number int64, build func(tx *transaction, p *rosterPage)) error {
	for attempt := 1; ; attempt++ {
		before, err := t.rosterPage(ctx, id, number)
		if err != nil {
			return fmt.Errorf("read the roster of tenant %s: %w", id, err)
		}
		tx, after := t.begin(), before
		build(tx, &after)
		tx.saveRoster(before, after)
		err = tx.run(ctx)
		if !errors.Is(err, errRosterMoved) || attempt == rosterAttempts {
			return err
		}
		if err := sleep(ctx, rand.N(min(transactionBackoff<<attempt, longestBackoff))); err != nil { //nolint:gosec // spreads attempts, keeps no secret
			return err
		}
	}
}

func (t *Table) rosterPage(ctx context.Context, id identity.TenantID, number int64) (rosterPage, error) {
	if number == 0 {
		return t.lastRosterPage(ctx, id)
	}
	k := newRosterPage(id, number).key
	var item rosterItem
	if err := t.get(ctx, k, &item); err != nil {
		return rosterPage{}, err
	}
	pages, err := rosterPages([]rosterItem{item})
	if err != nil {
		return rosterPage{}, err
	}
	return pages[0], nil
}

// lastRosterPage returns the page of the next user.
func (t *Table) lastRosterPage(ctx context.Context, id identity.TenantID) (rosterPage, error) {
	pages, err := t.queryRoster(ctx, id, false, math.MaxInt64, 1)
	if err != nil || len(pages) == 0 {
		return newRosterPage(id, 1), err
	}
	next := newRosterPage(id, pages[0].last+1)
	if next.key == pages[0].key {
		return pages[0], nil
	}
	return next, nil
}

// queryRoster reads so many pages with numbers up to last, as they are now, from
// the first to the last or the other way round.
func (t *Table) queryRoster(ctx context.Context, id identity.TenantID, forward bool, last int64, wanted int) ([]rosterPage, error) {
	from, to := newRosterPage(id, 1), newRosterPage(id, last)
	items, err := query[rosterItem](ctx, t, dynamodb.QueryInput{
		KeyConditionExpression: new("pk = :pk AND sk BETWEEN :from AND :to"),
		ScanIndexForward:       &forward,
		ConsistentRead:         new(true),
	}, map[string]any{":pk": from.PK, ":from": from.SK, ":to": to.SK}, wanted)
	if err != nil {
		return nil, err
	}
	return rosterPages(items[:min(wanted, len(items))])
}

// List returns a part of the users of a tenant as they are now, newest first: of
// all, or of those whose e-mail address or name holds a text.
func (s *Users) List(ctx context.Context, id identity.TenantID, search string, w page.Window) (page.Page[user.User], error) {
	var p page.Page[user.User]
	folded := tenant.Fold(search)
	lines, err := s.search(ctx, id, folded, w)
	if err != nil {
		return p, fmt.Errorf("list the users of tenant %s: %w", id, err)
	}
	if len(lines) > w.Limit {
		lines = lines[:w.Limit]
		p.Next = position(lines[w.Limit-1].number)
	}
	rows, err := s.rows(ctx, lines)
	if err != nil {
		return p, fmt.Errorf("list the users of tenant %s: %w", id, err)
	}
	for _, line := range lines {
		if u := rows[line.id]; u.TenantID == id && u.Number == line.number && found(u, folded) {
			p.Entries = append(p.Entries, page.Entry[user.User]{Value: u, After: position(line.number)})
		}
	}
	return p, nil
}

// position is where the list goes on after the user with a number.
func position(number int64) page.Position { return page.Position(strconv.FormatInt(number, 10)) }

// search returns the lines that a search for a folded text may find from w.From
// on, newest first: one more than w.Limit, or all if there are not so many. It
// reads few pages at first, and many if those do not do.
func (s *Users) search(ctx context.Context, id identity.TenantID, folded string, w page.Window) ([]rosterLine, error) {
	var found []rosterLine
	last := int64(math.MaxInt64)
	if w.From != "" {
		from, err := strconv.ParseInt(string(w.From), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read a position: %w", err)
		}
		last = from - 1
	}
	for wanted := w.Limit/rosterPageSize + 2; last > 0 && len(found) <= w.Limit; wanted *= 64 {
		pages, err := s.queryRoster(ctx, id, false, last, wanted)
		if err != nil {
			return nil, err
		}
		for _, p := range pages {
			lines, err := p.matching(folded)
			if err != nil {
				return nil, err
			}
			for _, line := range slices.Backward(lines) {
				if line.number <= last {
					found = append(found, line)
				}
			}
		}
		if len(pages) < wanted {
			break
		}
		last = pages[len(pages)-1].before()
	}
	return found[:min(len(found), w.Limit+1)], nil
}

// before returns the last number of the page before.
func (p rosterPage) before() int64 { return (p.last - 1) / rosterPageSize * rosterPageSize }

// rows returns the users of lines, as they are now.
func (s *Users) rows(ctx context.Context, lines []rosterLine) (map[identity.UserID]user.User, error) {
	var keys []key
	for _, line := range lines {
		keys = append(keys, userKey(line.id))
	}
	items, err := batchGet[userItem](ctx, s.Table, keys, "")
	if err != nil {
		return nil, err
	}
	users := make(map[identity.UserID]user.User, len(items))
	for _, item := range items {
		users[item.ID] = item.user(time.Now())
	}
	return users, nil
}

// OtherOwner returns the owner of a tenant who is not disabled and has been its
// user for the longest, leaving out one, or fault.NotFound.
func (s *Users) OtherOwner(ctx context.Context, id identity.TenantID, than identity.UserID) (identity.UserID, error) {
	pages, err := s.queryRoster(ctx, id, true, math.MaxInt64, math.MaxInt)
	if err != nil {
		return "", fmt.Errorf("find an owner of tenant %s: %w", id, err)
	}
	for _, p := range pages {
		lines, err := p.matching("")
		if err != nil {
			return "", err
		}
		for _, line := range lines {
			if line.owner && line.id != than {
				return line.id, nil
			}
		}
	}
	return "", fault.New(fault.NotFound, "tenant %q has no other owner", id)
}
