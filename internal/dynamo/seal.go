package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
)

// maxBacklog is how many records of one stream are found at once.
const maxBacklog = 1000

// Unsealed implements audit.SealStore. A reference is the sort key of a record. All
// shards are read to their ends, so that no stream hides those behind it.
func (s *Audit) Unsealed(ctx context.Context, before time.Time) (backlogs []audit.Backlog, more bool, err error) {
	var all [shards]unsealedShard
	var group errgroup.Group
	for i := range all {
		group.Go(func() error { return all[i].read(ctx, s.Table, i, before) })
	}
	if err = group.Wait(); err != nil {
		err = fmt.Errorf("find audit records to be sealed: %w", err)
	}
	for _, shard := range all {
		more = more || shard.more
		for stream, references := range shard.found {
			backlogs = append(backlogs, audit.Backlog{Stream: stream, References: slices.Sorted(slices.Values(references))})
		}
	}
	slices.SortFunc(backlogs, func(a, b audit.Backlog) int { return cmp.Compare(a.Stream, b.Stream) })
	return backlogs, more, err
}

// An unsealedShard is what is to be sealed of one shard of the index due.
type unsealedShard struct {
	found map[audit.Stream][]audit.Reference
	more  bool
}

func (u *unsealedShard) read(ctx context.Context, t *Table, shard int, before time.Time) error {
	u.found = map[audit.Stream][]audit.Reference{}
	v, err := values(map[string]any{":due": dueKey(dueAudit, shard), ":before": sortable(before)})
	if err != nil {
		return fmt.Errorf("marshal a query: %w", err)
	}
	pages := dynamodb.NewQueryPaginator(t.db, &dynamodb.QueryInput{
		TableName:                 &t.name,
		IndexName:                 new("due"),
		KeyConditionExpression:    new("due = :due AND due_at < :before"),
		ExpressionAttributeValues: v,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("query: %w", err)
		}
		var keys []key
		if err := attributevalue.UnmarshalListOfMaps(page.Items, &keys); err != nil {
			return fmt.Errorf("unmarshal what a query found: %w", err)
		}
		for _, k := range keys {
			stream := auditStream(k)
			if len(u.found[stream]) == maxBacklog {
				u.more = true
				continue
			}
			u.found[stream] = append(u.found[stream], audit.Reference(k.SK))
		}
	}
	return nil
}

// Read implements audit.SealStore.
func (s *Audit) Read(ctx context.Context, stream audit.Stream, references []audit.Reference) ([]audit.Record, error) {
	keys := make([]key, len(references))
	for i, r := range references {
		keys[i] = key{auditPartition(stream), string(r)}
	}
	items, err := batchGet[auditItem](ctx, s.Table, keys, "")
	if err != nil {
		return nil, fmt.Errorf("read audit records of %s: %w", stream, err)
	}
	slices.SortFunc(items, func(a, b auditItem) int { return strings.Compare(a.SK, b.SK) })
	var records []audit.Record
	for _, item := range items {
		if event := item.event(); !event.Sealed() {
			records = append(records, event.Record)
		}
	}
	return records, nil
}

// Head implements audit.SealStore. It fails if there are sealed records and no
// head: a second chain must not begin in place of one whose head was taken away.
func (s *Audit) Head(ctx context.Context, stream audit.Stream) (audit.Head, error) {
	head, err := s.head(ctx, stream)
	if err != nil || head.Seq > 0 {
		return head, err
	}
	in := dynamodb.QueryInput{
		KeyConditionExpression: new("pk = :pk AND sk < :head"),
		FilterExpression:       new("attribute_exists(seq)"),
		ConsistentRead:         new(true),
	}
	v := map[string]any{":pk": auditPartition(stream), ":head": auditHeadKey(stream).SK}
	sealed, _, err := queryOnce[key](ctx, s.Table, in, v, maxQuery)
	if err != nil {
		return head, fmt.Errorf("look for the chain of the audit of %s: %w", stream, err)
	}
	if len(sealed) == 0 {
		return head, nil
	}
	head, err = s.head(ctx, stream) // it may have begun meanwhile
	if err == nil && head.Seq == 0 {
		err = fmt.Errorf("the audit of %s has sealed records and no head", stream)
	}
	return head, err
}

func (s *Audit) head(ctx context.Context, stream audit.Stream) (audit.Head, error) {
	var item headItem
	err := s.get(ctx, auditHeadKey(stream), &item)
	if errors.Is(err, errNoItem) {
		return audit.Head{Stream: stream}, nil
	}
	if err != nil {
		return audit.Head{}, fmt.Errorf("read the head of the audit of %s: %w", stream, err)
	}
	return item.head(stream), nil
}

// Seal implements audit.SealStore.
func (s *Audit) Seal(ctx context.Context, before, after audit.Head, events []audit.Event) error {
	conflict := fault.New(fault.Conflict, "the audit of %s was sealed meanwhile", after.Stream)
	tx := s.begin()
	if item := newHeadItem(after); before.Seq == 0 {
		tx.write(item, "attribute_not_exists(pk)", nil, conflict)
	} else {
		tx.write(item, "seq = :before", map[string]any{":before": before.Seq}, conflict)
	}
	for _, e := range events {
		tx.updateIf(auditKey(e.Record), "SET seq = :seq, prev_hash = :prev, #hash = :hash REMOVE due, due_at",
			"attribute_exists(pk) AND attribute_not_exists(seq)",
			map[string]any{":seq": e.Seq, ":prev": e.PrevHash, ":hash": e.Hash},
			map[string]string{"#hash": "hash"}, conflict)
	}
	return tx.run(ctx)
}

// A headItem is the end of a chain as it is stored.
type headItem struct {
	key
	Seq       int64      `dynamodbav:"seq"`
	Hash      audit.Hash `dynamodbav:"hash"`
	SealedAt  time.Time  `dynamodbav:"sealed_at"`
	Signature []byte     `dynamodbav:"signature"`
	PublicKey []byte     `dynamodbav:"public_key"`
}

func newHeadItem(h audit.Head) headItem {
	return headItem{auditHeadKey(h.Stream), h.Seq, h.Hash, h.SealedAt, h.Value, h.PublicKey}
}

func (i headItem) head(stream audit.Stream) audit.Head {
	return audit.Head{
		Stream: stream, Seq: i.Seq, Hash: i.Hash, SealedAt: i.SealedAt,
		Signature: audit.Signature{Value: i.Signature, PublicKey: i.PublicKey},
	}
}
