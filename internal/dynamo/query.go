package dynamo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/page"
)

const (
	maxBatch = 100  // items that one request may read by their keys
	maxQuery = 1000 // items that one request of ours asks for
)

// query reads items in the order of in, until it has as many as wanted or there
// are no more. V is the values of the expressions of in.
func query[T any](ctx context.Context, t *Table, in dynamodb.QueryInput, v map[string]any, wanted int) ([]T, error) {
	var items []T
	for {
		found, last, err := queryFrom[T](ctx, t, in, v, wanted-len(items))
		if err != nil {
			return nil, err
		}
		items = append(items, found...)
		if len(items) >= wanted || last == nil {
			return items, nil
		}
		in.ExclusiveStartKey = last
	}
}

// queryOnce is query by one request, which ends early where items are large. It
// reports whether there may be more.
func queryOnce[T any](ctx context.Context, t *Table, in dynamodb.QueryInput, v map[string]any, wanted int) ([]T, bool, error) {
	items, last, err := queryFrom[T](ctx, t, in, v, wanted)
	return items, last != nil, err
}

// queryFrom makes one request of a query. It returns the key of the last item that
// was read, or nil if there are no more.
func queryFrom[T any](ctx context.Context, t *Table, in dynamodb.QueryInput, v map[string]any, wanted int) ([]T, map[string]types.AttributeValue, error) {
	var err error
	if in.ExpressionAttributeValues, err = values(v); err != nil {
		return nil, nil, fmt.Errorf("marshal a query: %w", err)
	}
	in.TableName = &t.name
	in.Limit = new(int32(min(wanted, maxQuery))) //nolint:gosec // at most maxQuery
	out, err := t.db.Query(ctx, &in)
	if err != nil {
		return nil, nil, fmt.Errorf("query: %w", err)
	}
	var items []T
	if err := attributevalue.UnmarshalListOfMaps(out.Items, &items); err != nil {
		return nil, nil, fmt.Errorf("unmarshal what a query found: %w", err)
	}
	return items, out.LastEvaluatedKey, nil
}

// listOf returns a part of a partition of the index tenant, from the last of its
// sort keys to the first. Read returns what an item holds, and its sort key.
func listOf[I, T any](ctx context.Context, t *Table, partition string, w page.Window, read func(I) (T, string)) (page.Page[T], error) {
	in := dynamodb.QueryInput{
		IndexName:              new("tenant"),
		KeyConditionExpression: new("of_tenant = :of"),
		ScanIndexForward:       new(false),
	}
	v := map[string]any{":of": partition}
	if w.From != "" {
		in.KeyConditionExpression = new("of_tenant = :of AND of_tenant_sort < :from")
		v[":from"] = string(w.From)
	}
	var p page.Page[T]
	items, err := query[I](ctx, t, in, v, w.Limit+1)
	if err != nil {
		return p, err
	}
	for i, item := range items {
		if i == w.Limit {
			p.Next = p.Entries[i-1].After
			break
		}
		value, sort := read(item)
		p.Entries = append(p.Entries, page.Entry[T]{Value: value, After: page.Position(sort)})
	}
	return p, nil
}

// batchGet reads the attributes named, or all for "", of the items with the keys
// given, as they are now, in any order. It leaves out those that are not there.
func batchGet[T any](ctx context.Context, t *Table, keys []key, attributes string) ([]T, error) {
	var items []T
	for chunk := range slices.Chunk(keys, maxBatch) {
		more, err := t.batchGetChunk(ctx, chunk, attributes)
		if err != nil {
			return nil, err
		}
		var read []T
		if err := attributevalue.UnmarshalListOfMaps(more, &read); err != nil {
			return nil, fmt.Errorf("unmarshal a batch: %w", err)
		}
		items = append(items, read...)
	}
	return items, nil
}

func (t *Table) batchGetChunk(ctx context.Context, keys []key, attributes string) ([]map[string]types.AttributeValue, error) {
	wanted := types.KeysAndAttributes{ConsistentRead: new(true)}
	if attributes != "" {
		wanted.ProjectionExpression = &attributes
	}
	for _, k := range keys {
		av, err := attributevalue.MarshalMap(k)
		if err != nil {
			return nil, fmt.Errorf("marshal key %s: %w", k.PK, err)
		}
		wanted.Keys = append(wanted.Keys, av)
	}
	var items []map[string]types.AttributeValue
	request := map[string]types.KeysAndAttributes{t.name: wanted}
	for attempt := 1; ; attempt++ {
		out, err := t.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: request})
		if err != nil {
			return nil, fmt.Errorf("get a batch of %d: %w", len(keys), err)
		}
		items = append(items, out.Responses[t.name]...)
		if len(out.UnprocessedKeys) == 0 {
			return items, nil
		}
		if attempt == transactionAttempts {
			return nil, fmt.Errorf("get a batch of %d: DynamoDB left keys unread %d times", len(keys), attempt)
		}
		request = out.UnprocessedKeys
		if err := sleep(ctx, rand.N(min(transactionBackoff<<attempt, longestBackoff))); err != nil { //nolint:gosec // spreads attempts, keeps no secret
			return nil, err
		}
	}
}
