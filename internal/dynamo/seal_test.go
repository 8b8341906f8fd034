package dynamo_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	layer "github.com/tenantry/tenantry/infra/local/cloud/dynamodb"
	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
)

// signer signs nothing.
type signer struct{}

func (signer) Sign(context.Context, []byte) (audit.Signature, error) {
	return audit.Signature{Value: []byte("signature"), PublicKey: []byte("key")}, nil
}

// recorded writes records of a tenant that came about some time ago, a second
// after each other, and returns them.
func recorded(t *testing.T, store *dynamo.Audit, id identity.TenantID, n int, age time.Duration) []audit.Record {
	t.Helper()
	var records []audit.Record
	for i := range n {
		r := byTest.Did(audit.TenantUpdated, id, tenant.Target(id), audit.Change{Field: "name", From: nil, To: fmt.Sprint(i)})
		r.Time = r.Time.Add(time.Duration(i)*time.Second - age)
		if err := store.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// sealedItems returns the chain of a stream as it is stored, and how many records
// have no place in it.
func sealedItems(t *testing.T, db *dynamodb.Client, table, of string) (chain []sealItem, unsealed int) {
	t.Helper()
	out, err := db.Query(t.Context(), &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: new("pk = :pk AND sk < :head"), ConsistentRead: new(true),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":pk": &types.AttributeValueMemberS{Value: "AUDIT#" + of}, ":head": &types.AttributeValueMemberS{Value: "HEAD"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var items []sealItem
	if err := attributevalue.UnmarshalListOfMaps(out.Items, &items); err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if (item.Seq == 0) == (item.Due == "") {
			t.Errorf("record %s has the number %d, and in the index due it is in %q", item.SK, item.Seq, item.Due)
		}
		if item.Seq == 0 {
			unsealed++
			continue
		}
		chain = append(chain, item)
	}
	slices.SortFunc(chain, func(a, b sealItem) int { return cmp.Compare(a.Seq, b.Seq) })
	prev := audit.FirstHash
	for i, item := range chain {
		if item.Seq != int64(i+1) || item.PrevHash != prev {
			t.Fatalf("record %s is number %d after %s, want %d after %s", item.SK, item.Seq, item.PrevHash, i+1, prev)
		}
		prev = item.Hash
	}
	return chain, unsealed
}

type sealItem struct {
	SK       string     `dynamodbav:"sk"`
	Seq      int64      `dynamodbav:"seq"`
	PrevHash audit.Hash `dynamodbav:"prev_hash"`
	Hash     audit.Hash `dynamodbav:"hash"`
	Due      string     `dynamodbav:"due"`
}

// Many sealers at once, over an index that lags and calls that fail before and
// after they take effect, make one chain of each stream.
func TestSealers(t *testing.T) {
	db, name := newRawTable(t)
	store := dynamo.NewAudit(dynamo.NewTable(db, name))
	streams := map[string]int{"T1": 120, "T2": 3, "PLATFORM": 2}
	for stream, n := range streams {
		recorded(t, store, identity.TenantID(strings.TrimPrefix(stream, "PLATFORM")), n, time.Hour)
	}
	var calls atomic.Int64
	var calm atomic.Bool
	outcomes := []layer.Outcome{layer.Lose, layer.Proceed, layer.Refuse, layer.Conflict, layer.Proceed, layer.Throttle}
	enginetest.Inject(t, func(operation string, body []byte) layer.Outcome {
		if operation != "TransactWriteItems" || !bytes.Contains(body, []byte(name)) || calm.Load() {
			return layer.Proceed
		}
		return outcomes[int(calls.Add(1)-1)%len(outcomes)]
	})
	var sealers sync.WaitGroup
	for range 4 {
		sealers.Go(func() { // that one fails is as good as that it died
			_ = (&audit.Sealer{Store: store, Signer: signer{}}).Seal(t.Context())
		})
	}
	sealers.Wait()
	calm.Store(true)
	if calls.Load() == 0 {
		t.Error("no call failed")
	}
	for stream, n := range streams {
		eventually(t, "every record of "+stream+" was sealed", func() bool {
			chain, unsealed := sealedItems(t, db, name, stream)
			if unsealed == 0 && len(chain) == n {
				return true
			}
			if err := (&audit.Sealer{Store: store, Signer: signer{}}).Seal(t.Context()); err != nil {
				t.Error(err)
			}
			return false
		})
	}
	head, err := store.Head(t.Context(), "T1")
	chain, _ := sealedItems(t, db, name, "T1")
	if err != nil || head.Seq != 120 || head.Hash != chain[119].Hash || string(head.Value) != "signature" || string(head.PublicKey) != "key" || head.SealedAt.IsZero() {
		t.Errorf("got the head %+v (%v)", head, err)
	}
	// The index due is behind, and empty in the end.
	eventually(t, "nothing was due", func() bool {
		backlogs, more, err := store.Unsealed(t.Context(), time.Now())
		return err == nil && len(backlogs) == 0 && !more
	})
}

// A record that was sealed, or changed, since it was found is not sealed again.
func TestSealConflicts(t *testing.T) {
	db, name := newRawTable(t)
	store := dynamo.NewAudit(dynamo.NewTable(db, name))
	records := recorded(t, store, "T1", 3, time.Hour)
	none, err := store.Head(t.Context(), "T1")
	if err != nil || none.Seq != 0 || none.Stream != "T1" {
		t.Fatalf("got the head %+v (%v)", none, err)
	}
	head := func(seq int64) audit.Head { return audit.Head{Stream: "T1", Seq: seq, Hash: "h", SealedAt: time.Now()} }
	event := func(r audit.Record, seq int64) []audit.Event {
		return []audit.Event{{Record: r, Seal: audit.Seal{Seq: seq, PrevHash: audit.FirstHash, Hash: "h"}}}
	}
	if err := store.Seal(t.Context(), none, head(1), event(records[0], 1)); err != nil {
		t.Fatal(err)
	}
	gone := records[2]
	gone.ID = "gone"
	for what, err := range map[string]error{
		"the first head again": store.Seal(t.Context(), none, head(1), event(records[1], 1)),
		"an older head":        store.Seal(t.Context(), head(2), head(3), event(records[1], 3)),
		"a sealed record":      store.Seal(t.Context(), head(1), head(2), event(records[0], 2)),
		"no record":            store.Seal(t.Context(), head(1), head(2), event(gone, 2)),
	} {
		if !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: got %v, want a conflict", what, err)
		}
	}
	if chain, unsealed := sealedItems(t, db, name, "T1"); len(chain) != 1 || unsealed != 2 {
		t.Errorf("%d are sealed and %d are not, want 1 and 2", len(chain), unsealed)
	}
}

// withoutHead seals a record of T1, and takes the head away.
func withoutHead(t *testing.T, db *dynamodb.Client, name string, store *dynamo.Audit, first audit.Record) {
	t.Helper()
	head := audit.Head{Stream: "T1", Seq: 1, Hash: "h", SealedAt: time.Now()}
	sealed := []audit.Event{{Record: first, Seal: audit.Seal{Seq: 1, PrevHash: audit.FirstHash, Hash: "h"}}}
	if err := store.Seal(t.Context(), audit.Head{Stream: "T1"}, head, sealed); err != nil {
		t.Fatal(err)
	}
	_, err := db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &name, Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "AUDIT#T1"}, "sk": &types.AttributeValueMemberS{Value: "HEAD"},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// A stream whose head is gone is an alarm, and no new chain.
func TestSealWithoutHead(t *testing.T) {
	db, name := newRawTable(t)
	store := dynamo.NewAudit(dynamo.NewTable(db, name))
	records := recorded(t, store, "T1", 2, time.Hour)
	withoutHead(t, db, name, store, records[0])
	const want = "the audit of T1 has sealed records and no head"
	if _, err := store.Head(t.Context(), "T1"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	eventually(t, "the sealer failed", func() bool { // the index due is behind
		err := (&audit.Sealer{Store: store, Signer: signer{}}).Seal(t.Context())
		return err != nil && err.Error() == "1 streams of the audit could not be sealed"
	})
	if chain, unsealed := sealedItems(t, db, name, "T1"); len(chain) != 1 || unsealed != 1 {
		t.Errorf("%d are sealed and %d are not, want 1 and 1", len(chain), unsealed)
	}
}

// A stream with more records than are found at once, of which none can be sealed, does
// not hide those behind it in its shard.
func TestSealBehindMany(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	store := dynamo.NewAudit(dynamo.NewTable(db, name))
	first := recorded(t, store, "T1", 1005, time.Hour)[0]
	other := ""
	for i := 0; other == "" || shard(other) != shard("T1"); i++ {
		other = fmt.Sprint("other-", i)
	}
	recorded(t, store, identity.TenantID(other), 1, time.Minute)
	eventually(t, "both streams were found", func() bool {
		backlogs, more, err := store.Unsealed(t.Context(), time.Now())
		return err == nil && more && len(backlogs) == 2 && len(backlogs[0].References) == 1000 && len(backlogs[1].References) == 1
	})
	withoutHead(t, db, name, store, first)
	if err := (&audit.Sealer{Store: store, Signer: signer{}}).Seal(t.Context()); err == nil {
		t.Error("a stream without its head was sealed")
	}
	for stream, want := range map[string][2]int{"T1": {1, 1004}, other: {1, 0}} {
		if chain, unsealed := sealedItems(t, db, name, stream); len(chain) != want[0] || unsealed != want[1] {
			t.Errorf("%s: %d are sealed and %d are not, want %v", stream, len(chain), unsealed, want)
		}
	}
}

// shard returns where a stream is in the index due.
func shard(stream string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte("AUDIT#" + stream))
	return h.Sum32() % 8
}
