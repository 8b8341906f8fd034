package dynamo_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	layer "github.com/tenantry/tenantry/infra/local/cloud/dynamodb"
	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

var (
	noon      = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	endOfTime = time.Date(9999, 12, 31, 23, 59, 59, 999_900_000, time.UTC)
)

// wrote writes records of a tenant, some time after noon each, and returns their
// ids, newest first.
func wrote(t *testing.T, store *dynamo.Audit, id identity.TenantID, by audit.Origin, action audit.Action, after ...time.Duration) []string {
	t.Helper()
	var ids []string
	for _, d := range after {
		r := by.Did(action, id, tenant.Target(id), audit.Change{Field: "name", From: nil, To: "N"})
		r.Time = noon.Add(d)
		if err := store.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	slices.Reverse(ids)
	return ids
}

// listed follows a list to its end, and returns the ids of its records and how
// many pages they came on.
func listed(t *testing.T, store *dynamo.Audit, f audit.Filter, limit int) (ids []string, pages int) {
	t.Helper()
	for w := (page.Window{Limit: limit}); ; pages++ {
		p, err := store.List(t.Context(), f, w)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) > limit {
			t.Errorf("got %d records on a page of %d", len(p.Entries), limit)
		}
		for _, e := range p.Entries {
			ids = append(ids, e.Value.ID)
		}
		if p.Next == "" {
			return ids, pages + 1
		}
		if w.From = p.Next; pages > 200 {
			t.Fatal("the list does not end")
		}
	}
}

func TestListAudit(t *testing.T) {
	store := dynamo.NewAudit(newTable(t))
	ada, bob := audit.By(identity.Caller{Subject: "ada"}), audit.By(identity.Caller{Subject: "bob"})
	const ms = time.Millisecond
	a := wrote(t, store, "T1", ada, audit.TenantUpdated, 0, 1*ms, 2*ms, 3*ms, 4*ms)
	b := wrote(t, store, "T1", bob, audit.TenantDeleting, time.Hour, 30*time.Hour)
	p := wrote(t, store, "", ada, audit.KeyCreated, 20*time.Minute, 3*time.Hour)
	head := audit.Head{Stream: "T1", Seq: 1, Hash: "h", SealedAt: noon}
	first := audit.Event{Record: audit.Record{ID: a[4], Time: noon, TenantID: "T1"}, Seal: audit.Seal{Seq: 1, PrevHash: audit.FirstHash, Hash: "h"}}
	if err := store.Seal(t.Context(), audit.Head{Stream: "T1"}, head, []audit.Event{first}); err != nil {
		t.Fatal(err)
	}
	t1 := slices.Concat(slices.Clone(b), a)
	day := audit.Filter{From: noon, To: noon.Add(24 * time.Hour)}
	inDay := func(f audit.Filter) audit.Filter { f.From, f.To = day.From, day.To; return f }
	for name, test := range map[string]struct {
		filter audit.Filter
		want   []string
	}{
		"a stream":                {audit.Filter{Stream: "T1"}, t1},
		"the platform's":          {audit.Filter{Stream: audit.Platform}, p},
		"no stream":               {audit.Filter{Stream: "T2"}, nil},
		"from":                    {audit.Filter{Stream: "T1", From: noon.Add(4 * ms)}, t1[:3]},
		"from just after":         {audit.Filter{Stream: "T1", From: noon.Add(4*ms + 1)}, t1[:2]},
		"to":                      {audit.Filter{Stream: "T1", To: noon.Add(2 * ms)}, a[3:]},
		"to just after":           {audit.Filter{Stream: "T1", To: noon.Add(2*ms + 1)}, a[2:]},
		"from and to":             {audit.Filter{Stream: "T1", From: noon.Add(ms), To: noon.Add(3 * ms)}, a[2:4]},
		"to the end of time":      {audit.Filter{Stream: "T1", To: endOfTime}, t1},
		"less than a millisecond": {audit.Filter{Stream: "T1", From: noon.Add(1), To: noon.Add(2)}, nil},
		"an actor":                {audit.Filter{Stream: "T1", Actor: "ada"}, a},
		"an action":               {audit.Filter{Stream: "T1", Action: audit.TenantDeleting}, b},
		"both":                    {audit.Filter{Stream: "T1", Actor: "ada", Action: audit.TenantDeleting}, nil},
		"all of a day":            {day, slices.Concat([]string{p[0], b[1], p[1]}, a)},
		"all of an actor":         {inDay(audit.Filter{Actor: "ada"}), slices.Concat(p, a)},
		"all of an action":        {inDay(audit.Filter{Action: audit.KeyCreated}), p},
		"all of part of an hour":  {audit.Filter{From: noon.Add(3 * ms), To: noon.Add(20 * time.Minute)}, a[:2]},
		"all to a full hour":      {audit.Filter{From: noon.Add(time.Minute), To: noon.Add(time.Hour)}, p[1:]},
		"all to the end of time":  {audit.Filter{From: endOfTime.Add(-24 * time.Hour), To: endOfTime}, nil},
		"all of another day":      {audit.Filter{From: noon.Add(-48 * time.Hour), To: noon.Add(-24 * time.Hour)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int{1, 2, 100} {
				var got []string
				eventually(t, "the index had all", func() bool {
					got, _ = listed(t, store, test.filter, limit)
					return test.filter.Stream != "" || len(got) >= len(test.want)
				})
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("by %d (-want +got):\n%s", limit, diff)
				}
			}
		})
	}
}

// What is listed is what was written, and sealed.
func TestListAuditEvents(t *testing.T) {
	store := dynamo.NewAudit(newTable(t))
	r := audit.By(identity.Caller{Subject: "U", RequestID: "R", Impersonation: &identity.Impersonation{Actor: "A"}}).Did(
		audit.TenantUpdated, "T1", tenant.Target("T1"), audit.Change{Field: "name", From: "a", To: 1.5}, audit.Change{Field: "meta_data", Redacted: true})
	r.OperationID, r.Time = "O", noon
	if err := store.Record(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := (&audit.Sealer{Store: store, Signer: signer{}}).Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got audit.Event
	eventually(t, "the record was sealed", func() bool {
		p, err := store.List(t.Context(), audit.Filter{Stream: "T1"}, page.Window{Limit: 1})
		if err != nil || len(p.Entries) != 1 {
			t.Fatalf("got %v (%v)", p, err)
		}
		if got = p.Entries[0].Value; got.Sealed() {
			return true
		}
		if err := (&audit.Sealer{Store: store, Signer: signer{}}).Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		return false
	})
	want := audit.Event{Record: r, Seal: audit.Seal{Seq: 1, PrevHash: audit.FirstHash, Hash: got.Hash}}
	if diff := cmp.Diff(audit.NewDocument(want), audit.NewDocument(got), jsonText); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if digest, err := want.Digest(); err != nil || digest != got.Hash {
		t.Errorf("got the hash %s, want that of the record as it was written, %s (%v)", got.Hash, digest, err)
	}
}

// jsonText compares values by the JSON that they are.
var jsonText = cmp.Transformer("JSON", func(c audit.ChangeDocument) string {
	text, err := audit.Canonical(c)
	if err != nil {
		return err.Error()
	}
	return string(text)
})

// A page that a filter leaves little of ends before it has read much.
func TestListAuditReadsLittle(t *testing.T) {
	db, name := newRawTable(t)
	store := dynamo.NewAudit(dynamo.NewTable(db, name))
	origin := audit.By(identity.Caller{Subject: "ada"})
	origin.RequestID = strings.Repeat("R", 100_000) // so that a request of DynamoDB's reads ten
	var after []time.Duration
	for i := range 400 {
		after = append(after, time.Duration(i)*time.Second)
	}
	ids := wrote(t, store, "T1", origin, audit.TenantUpdated, after...)
	oldest := wrote(t, store, "T1", audit.By(identity.Caller{Subject: "bob"}), audit.TenantUpdated, -time.Hour)
	var queries atomic.Int64
	enginetest.Inject(t, func(operation string, body []byte) layer.Outcome {
		if operation == "Query" && bytes.Contains(body, []byte(name)) {
			queries.Add(1)
		}
		return layer.Proceed
	})
	got, pages := listed(t, store, audit.Filter{Stream: "T1", Actor: "bob"}, 100)
	if diff := cmp.Diff(oldest, got); diff != "" || pages < 2 {
		t.Errorf("got %d pages: %s", pages, diff)
	}
	if n := queries.Load(); n > int64(32*pages) || n < int64(16*pages) {
		t.Errorf("got %d requests for %d pages", n, pages)
	}
	got, _ = listed(t, store, audit.Filter{Stream: "T1"}, 1000)
	if diff := cmp.Diff(slices.Concat(ids, oldest), got); diff != "" {
		t.Errorf("without a filter: %s", diff)
	}
}

// So does one of all streams, between any hours.
func TestListAuditOfHoursReadsLittle(t *testing.T) {
	store := dynamo.NewAudit(newTable(t))
	ids := wrote(t, store, "T1", byTest, audit.TenantUpdated, -90*time.Hour, 0)
	f := audit.Filter{From: noon.Add(-100 * time.Hour), To: noon.Add(time.Hour)}
	eventually(t, "the index had all", func() bool {
		got, pages := listed(t, store, f, 10)
		return cmp.Equal(ids, got) && pages == 4 // of 32 hours each
	})
}

// The records of an hour are spread, since all tenants write to them at once, and are
// listed as if they were not.
func TestListAuditOfAnHour(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	store := dynamo.NewAudit(dynamo.NewTable(db, name))
	large := audit.By(identity.Caller{Subject: "ada"})
	large.RequestID = strings.Repeat("R", 100_000) // so that a request of DynamoDB's reads ten
	var ada, all []string
	for i := range 120 {
		id, by := identity.TenantID(fmt.Sprint("T", i%3)), large
		if i%40 == 0 {
			by = audit.By(identity.Caller{Subject: "bob"})
		}
		wrote := wrote(t, store, id, by, audit.TenantUpdated, time.Duration(i)*time.Second)
		if all = append(wrote, all...); i%40 != 0 {
			ada = append(wrote, ada...)
		}
	}
	bob := []string{all[39], all[79], all[119]}
	hour := audit.Filter{From: noon, To: noon.Add(time.Hour)}
	eventually(t, "the index had all", func() bool {
		got, _ := listed(t, store, hour, 1000)
		return len(got) == len(all)
	})
	for actor, want := range map[string][]string{"": all, "ada": ada, "bob": bob} {
		hour.Actor = actor
		for _, limit := range []int{2, 50, 1000} {
			got, _ := listed(t, store, hour, limit)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("of %q by %d (-want +got):\n%s", actor, limit, diff)
			}
		}
	}
	partitions := map[string]bool{}
	pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{TableName: &name, IndexName: new("tenant"), ProjectionExpression: new("of_tenant")})
	for pages.HasMorePages() {
		p, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range p.Items {
			partitions[item["of_tenant"].(*types.AttributeValueMemberS).Value] = true
		}
	}
	if len(partitions) != 8 {
		t.Errorf("got the partitions %v, want 8", partitions)
	}
}
