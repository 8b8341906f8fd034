package api

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// auditOf is an AuditReader of the same records for everybody. It keeps what it was
// asked. A position is the number of the next record.
type auditOf struct {
	events []audit.Event
	asked  audit.Filter
	heads  []audit.Stream // whose head was asked for
	head   int64
}

func (a *auditOf) List(_ context.Context, f audit.Filter, w page.Window) (page.Page[audit.Event], error) {
	a.asked = f
	var p page.Page[audit.Event]
	if f.Action == "broken" {
		return p, errBroken
	}
	i, _ := strconv.Atoi(string(w.From))
	for ; i < len(a.events) && len(p.Entries) < w.Limit; i++ {
		p.Entries = append(p.Entries, page.Entry[audit.Event]{Value: a.events[i], After: page.Position(strconv.Itoa(i + 1))})
	}
	if i < len(a.events) {
		p.Next = page.Position(strconv.Itoa(i))
	}
	return p, nil
}

func (a *auditOf) Head(_ context.Context, s audit.Stream) (audit.Head, error) {
	a.heads = append(a.heads, s)
	if s == "0broken" {
		return audit.Head{}, errBroken
	}
	if a.head == 0 {
		return audit.Head{Stream: s}, nil
	}
	return audit.Head{
		Stream: s, Seq: a.head, Hash: "h2", SealedAt: acmeTime,
		Signature: audit.Signature{Value: []byte("signature"), PublicKey: []byte("key")},
	}, nil
}

var acmeTime = time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)

// audited is two records: one that is sealed and has all there is, and one that is
// new and has the least.
func audited() *auditOf {
	return &auditOf{head: 2, events: []audit.Event{
		{Record: audit.Record{ID: "R2", Time: acmeTime.Add(time.Minute), Origin: audit.Origin{Actor: audit.Actor{Kind: audit.System, ID: "sweeper"}}, Action: audit.OperationFailed, Target: audit.Target{Kind: "operation", ID: "O"}}},
		{
			Record: audit.Record{
				ID: "R1", Time: acmeTime, TenantID: acmeID,
				Origin: audit.Origin{Actor: audit.Actor{Kind: audit.User, ID: "=A"}, OnBehalfOf: "U", RequestID: "Q", OperationID: "O"},
				Action: audit.TenantUpdated, Target: audit.Of("tenant", identity.TenantID(acmeID)),
				Changes: []audit.Change{{Field: "name", From: "=1", To: "two, \"2\""}, {Field: "meta_data", Redacted: true}},
			},
			Seal: audit.Seal{Seq: 2, PrevHash: "h1", Hash: "h2"},
		},
	}}
}

const (
	newEvent = `{"id":"R2","time":"2026-11-22T01:31:00.000Z","tenant_id":null,"actor":{"kind":"system","id":"sweeper"},"on_behalf_of":null,` +
		`"action":"operation.failed","target":{"kind":"operation","id":"O"},"changes":[],"request_id":null,"operation_id":null,"seq":null,"prev_hash":null,"hash":null}`
	sealedEvent = `{"id":"R1","time":"2026-11-22T01:30:00.000Z","tenant_id":"` + acmeID + `","actor":{"kind":"user","id":"=A"},"on_behalf_of":"U",` +
		`"action":"tenant.updated","target":{"kind":"tenant","id":"` + acmeID + `"},"changes":[{"field":"name","from":"=1","to":"two, \"2\"","redacted":false},` +
		`{"field":"meta_data","from":null,"to":null,"redacted":true}],"request_id":"Q","operation_id":"O","seq":2,"prev_hash":"h1","hash":"h2"}`

	csvHeader = "kind,id,time,tenant_id,actor_kind,actor_id,on_behalf_of,action,target_kind,target_id,changes,request_id,operation_id,seq,prev_hash,hash,signature,public_key\r\n"
	newRow    = "record,R2,2026-11-22T01:31:00.000Z,,system,sweeper,,operation.failed,operation,O,[],,,,,,,\r\n"
	sealedRow = "record,R1,2026-11-22T01:30:00.000Z," + acmeID + ",user,'=A,U,tenant.updated,tenant," + acmeID +
		`,"[{""field"":""name"",""from"":""=1"",""redacted"":false,""to"":""two, \""2\""""},{""field"":""meta_data"",""from"":null,""redacted"":true,""to"":null}]",Q,O,2,h1,h2,,` + "\r\n"
	headRow   = "head,,2026-11-22T01:30:00.000Z," + acmeID + ",,,,,,,,,,2,,h2,c2lnbmF0dXJl,a2V5\r\n"
	noHeadRow = "no_head,,,,,,,,,,,,,,,,,\r\n"
)

func listAuditEvents(t *testing.T, events AuditReader, caller AuthorizerContext, accept, query string) envelope {
	t.Helper()
	op := ListAuditEvents(events, &oneTenant{newAcme(nil)}, testCursors())
	return serve(t, op, sent{method: "GET", path: "/audit-events", query: query, headers: map[string]string{"accept": accept}, caller: caller})
}

func TestListAuditEvents(t *testing.T) {
	const (
		end     = `,"instance":"/audit-events","request_id":"R1"`
		unread  = `{"type":"/docs/problems/malformed","title":"The request cannot be read","status":400,"detail":"the query string cannot be read; errors lists each fault"` + end
		invalid = `{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each"` + end
		span    = invalid + `,"errors":[{"parameter":"from","detail":"must be at most 24 hours before to, which is now if it is not given, unless tenant_id is given"}]}`
		noTime  = `must be a time, such as 2026-11-22T01:30:00Z`
		both    = `[` + newEvent + `,` + sealedEvent + `]`
	)
	missing := func(id string) string {
		return `{"type":"/docs/problems/not-found","title":"There is no such thing","status":404,"detail":"there is no tenant \"` + id + `\""` + end + `}`
	}
	day := func(hours int) string {
		return time.Now().UTC().Add(time.Duration(-hours) * time.Hour).Format(time.RFC3339)
	}
	for name, test := range map[string]struct {
		caller AuthorizerContext
		query  string
		status int
		want   string
	}{
		"all":                    {asAdmin, "", 200, both},
		"a tenant's":             {asAdmin, "tenant_id=" + acmeID, 200, both},
		"the platform's":         {asAdmin, "tenant_id=platform", 200, both},
		"their own":              {asOwner, "", 200, both},
		"their own, named":       {asOwner, "tenant_id=" + acmeID, 200, both},
		"one":                    {asOwner, "limit=1", 200, `[` + newEvent + `]`},
		"no tenant's":            {asAdmin, "tenant_id=none", 404, missing("none")},
		"another's":              {asOwner, "tenant_id=none", 404, missing("none")},
		"the platform's, to one": {asOwner, "tenant_id=platform", 404, missing("platform")},
		"a day of all":           {asAdmin, "from=2026-11-21T01:30:00%2B07:00&to=2026-11-21T18:30:00Z", 200, both},
		"over a day of all":      {asAdmin, "from=2026-11-21T01:30:00Z&to=2026-11-22T01:30:00.001Z", 422, span},
		"all for over a day":     {asAdmin, "from=" + day(25), 422, span},
		"years of a tenant":      {asAdmin, "from=2016-11-21T01:30:00Z&tenant_id=" + acmeID, 200, both},
		"years of their own":     {asOwner, "from=2016-11-21T01:30:00Z", 200, both},
		"backwards":              {asOwner, "from=2026-11-22T01:30:00Z&to=2026-11-22T01:30:00Z", 422, invalid + `,"errors":[{"parameter":"from","detail":"must be before to"}]}`},
		"no times":               {asAdmin, "from=yesterday&to=", 400, unread + `,"errors":[{"parameter":"from","detail":"` + noTime + `"},{"parameter":"to","detail":"` + noTime + `"}]}`},
		"the end of time":        {asAdmin, "to=9999-12-31T23:59:59.999Z", 200, both},
		"a tenant's, to the end": {asAdmin, "to=9999-12-31T23:59:59.999Z&tenant_id=" + acmeID, 200, both},
		"from the end":           {asOwner, "from=9999-12-31T23:59:59.999Z", 200, both},
		"the year 10000":         {asAdmin, "to=9999-12-31T23:59:59-01:00", 400, unread + `,"errors":[{"parameter":"to","detail":"` + noTime + `"}]}`},
		"the year -1":            {asAdmin, "to=0000-01-01T00:00:00%2B01:00", 400, unread + `,"errors":[{"parameter":"to","detail":"` + noTime + `"}]}`},
		"everything at once":     {asAdmin, "limit=0&from=x&cursor=x", 400, unread + `,"errors":[{"parameter":"cursor","detail":"is not one that this list gave to you"},{"parameter":"from","detail":"` + noTime + `"},{"parameter":"limit","detail":"must be from 1 to 1000"}]}`},
		"broken":                 {asOwner, "action=broken", 500, `{"type":"/docs/problems/internal","title":"Something failed that is ours to mend","status":500` + end + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			listAuditEvents(t, audited(), test.caller, "", test.query).check(t, test.status, test.want)
		})
	}
	for _, role := range []identity.Role{identity.Supervisor, identity.Agent, identity.Developer, identity.Applicant, identity.Service} {
		if got := listAuditEvents(t, audited(), AuthorizerContext{Subject: "X", Role: role, TenantID: acmeID}, "", ""); got.StatusCode != 403 {
			t.Errorf("%s: got %d %s", role, got.StatusCode, got.Body)
		}
	}
}

// What a tenant's status locks its members out of is locked.
func TestListAuditEventsOfALockedTenant(t *testing.T) {
	op := ListAuditEvents(audited(), &oneTenant{newAcme(func(t *tenant.Tenant) { t.Status = tenant.Deleting })}, testCursors())
	for caller, status := range map[*AuthorizerContext]int{&asOwner: 403, &asAdmin: 200} {
		got := serve(t, op, sent{method: "GET", path: "/audit-events", query: "tenant_id=" + acmeID, caller: *caller})
		if got.StatusCode != status {
			t.Errorf("%s: got %d %s, want %d", caller.Role, got.StatusCode, got.Body, status)
		}
	}
}

func TestAuditFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is 2000-01-01 there
		now := time.Now().UTC()
		for query, want := range map[string]audit.Filter{
			"":                            {From: now.Add(-24 * time.Hour), To: now},
			"to=1999-05-01T00:00:00Z":     {From: time.Date(1999, 4, 30, 0, 0, 0, 0, time.UTC), To: time.Date(1999, 5, 1, 0, 0, 0, 0, time.UTC)},
			"from=1999-12-31T12:00:00.5Z": {From: time.Date(1999, 12, 31, 12, 0, 0, 5e8, time.UTC), To: now},
			"tenant_id=platform":          {Stream: audit.Platform},
			"actor=U1&action=tenant.updated&tenant_id=" + acmeID: {Stream: acmeID, Actor: "U1", Action: audit.TenantUpdated},
		} {
			events := audited()
			if got := listAuditEvents(t, events, asAdmin, "", query); got.StatusCode != 200 {
				t.Fatalf("%s: got %d %s", query, got.StatusCode, got.Body)
			}
			if diff := cmp.Diff(want, events.asked); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
	})
}

// All pages of the last day are of the same day, whatever time it is meanwhile.
func TestAuditPagesAreOfOneDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, accept := range []string{"", "text/csv"} {
			events := audited()
			first := listAuditEvents(t, events, asAdmin, accept, "limit=1")
			asked := events.asked
			time.Sleep(time.Hour)
			second := listAuditEvents(t, events, asAdmin, accept, nextQuery(t, first))
			if diff := cmp.Diff(asked, events.asked); diff != "" {
				t.Errorf("(-first +second):\n%s", diff)
			}
			if !strings.Contains(second.Body, "R1") || strings.Contains(second.Body, "R2") || second.Headers["link"] != "" {
				t.Errorf("got the second page %v %s", second.Headers, second.Body)
			}
		}
	})
}

// nextQuery returns the query of the next page.
func nextQuery(t *testing.T, e envelope) string {
	t.Helper()
	target, _, _ := strings.Cut(strings.TrimPrefix(e.Headers["link"], "<"), ">")
	u, err := url.Parse(target)
	if err != nil || u.Path != "/audit-events" {
		t.Fatalf("got the link %q of %d %s", e.Headers["link"], e.StatusCode, e.Body)
	}
	return u.RawQuery
}

func TestExportAuditEvents(t *testing.T) {
	for name, test := range map[string]struct {
		caller AuthorizerContext
		query  string
		want   string
	}{
		"a tenant's":    {asAdmin, "tenant_id=" + acmeID, csvHeader + newRow + sealedRow + headRow},
		"their own":     {asOwner, "", csvHeader + newRow + sealedRow + headRow},
		"a part of it":  {asOwner, "from=2026-11-21T01:30:00Z&to=2026-11-23T01:30:00Z", csvHeader + newRow + sealedRow + headRow},
		"a page":        {asOwner, "limit=1", csvHeader + newRow + headRow},
		"of an actor":   {asOwner, "actor=U", csvHeader + newRow + sealedRow + noHeadRow},
		"of an action":  {asOwner, "action=a.b", csvHeader + newRow + sealedRow + noHeadRow},
		"all":           {asAdmin, "", csvHeader + newRow + sealedRow + noHeadRow},
		"the platform":  {asAdmin, "tenant_id=platform", csvHeader + newRow + sealedRow + strings.Replace(headRow, acmeID, "", 1)},
		"with a cursor": {asOwner, nextQuery(t, listAuditEvents(t, audited(), asOwner, "text/csv", "limit=1")), csvHeader + sealedRow + headRow},
	} {
		t.Run(name, func(t *testing.T) {
			got := listAuditEvents(t, audited(), test.caller, "text/csv", test.query)
			got.check(t, 200, test.want)
			if got.Headers["content-type"] != "text/csv; charset=utf-8; header=present" || got.Headers["vary"] != "accept" ||
				got.Headers["content-disposition"] != `attachment; filename="audit-events.csv"` {
				t.Errorf("got %v", got.Headers)
			}
		})
	}
	unsealed := audited()
	unsealed.events, unsealed.head = unsealed.events[:1], 0
	listAuditEvents(t, unsealed, asOwner, "text/csv", "").check(t, 200, csvHeader+newRow+noHeadRow)
	listAuditEvents(t, &auditOf{}, asAdmin, "text/csv", "").check(t, 200, csvHeader+noHeadRow)
}

// What was sealed after the head was read has no place in an export that ends with
// that head.
func TestExportSealedMeanwhile(t *testing.T) {
	unsealedRow := strings.Replace(sealedRow, "2,h1,h2,,", ",,,,", 1)
	for head, want := range map[int64]string{
		0: unsealedRow + noHeadRow,
		1: unsealedRow + strings.Replace(headRow, ",2,,", ",1,,", 1),
		2: sealedRow + headRow,
	} {
		events := audited()
		events.head = head
		listAuditEvents(t, events, asOwner, "text/csv", "").check(t, 200, csvHeader+newRow+want)
	}
	events := audited()
	events.head = 1
	listAuditEvents(t, events, asOwner, "text/csv", "actor=U").check(t, 200, csvHeader+newRow+sealedRow+noHeadRow)
	listAuditEvents(t, events, asOwner, "", "").check(t, 200, "["+newEvent+","+sealedEvent+"]")
}

// The client's wishes count, by their weight; JSON is for whoever has none that can
// be fulfilled. What is refused is a problem document all the same.
func TestAuditMediaType(t *testing.T) {
	for accept, csv := range map[string]bool{
		"":                                    false,
		"*/*":                                 false,
		"application/json":                    false,
		"text/csv":                            true,
		"TEXT/CSV":                            true,
		"text/csv;q=0.9, application/json":    false,
		"text/csv, application/json;q=0.9":    true,
		"application/json;q=0.2,text/*;q=.3":  false, // no weight
		"application/json;q=0.2,text/*;q=0.3": true,
		"text/csv;q=0":                        false,
		"image/png, */*;q=0.1":                false,
		"image/png":                           false,
		"text/csv; charset=utf-8":             true,
		"text/csv; charset=utf-16":            false,
		"text/csv;;":                          false,
	} {
		got := listAuditEvents(t, audited(), asOwner, accept, "")
		if isCSV := strings.HasPrefix(got.Headers["content-type"], "text/csv"); got.StatusCode != 200 || isCSV != csv || got.Headers["vary"] != "accept" {
			t.Errorf("Accept: %s: got %d %v", accept, got.StatusCode, got.Headers)
		}
	}
	if got := listAuditEvents(t, audited(), asOwner, "text/csv", "limit=0"); got.StatusCode != 422 || got.Headers["content-type"] != "application/problem+json" {
		t.Errorf("got %d %v", got.StatusCode, got.Headers)
	}
}

// An export ends before Lambda's answer gets too large, and the next page begins
// where it ended. Quotes take several bytes there.
func TestExportLargePages(t *testing.T) {
	events := &auditOf{head: 1}
	for range 1000 {
		e := audited().events[1]
		e.Changes = []audit.Change{{Field: "system_prompt", To: strings.Repeat(`"`, 5000)}}
		events.events = append(events.events, e)
	}
	got := listAuditEvents(t, events, asOwner, "text/csv", "limit=1000")
	n := strings.Count(got.Body, "\r\n") - 2
	quoted := len(strconv.Quote(got.Body))
	if quoted > 4<<20 || quoted < 4<<20-50_000 || n == len(events.events) {
		t.Errorf("got %d rows in %d bytes, %d as JSON", n, len(got.Body), quoted)
	}
	if !strings.HasSuffix(got.Body, strings.Replace(headRow, ",2,,", ",1,,", 1)) {
		t.Errorf("the last row is no head: %q", got.Body[len(got.Body)-100:])
	}
	next, err := url.ParseQuery(nextQuery(t, got))
	if err != nil {
		t.Fatal(err)
	}
	if position, _, _ := strings.Cut(next.Get("cursor"), "."); position != encodedPosition(page.Position(strconv.Itoa(n))) {
		t.Errorf("got %d rows, and then another cursor", n)
	}
}
