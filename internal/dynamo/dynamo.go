// Package dynamo keeps the domain in one DynamoDB table. Each entity has its
// own file and type; keys.go lists every key that the table holds.
package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A Client is what this package uses of *dynamodb.Client.
type Client interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	BatchWriteItem(context.Context, *dynamodb.BatchWriteItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// A Table is the one table. What keeps an entity embeds it.
type Table struct {
	db   Client
	name string
}

// NewTable returns the table with the given name.
func NewTable(db Client, name string) *Table { return &Table{db, name} }

// DynamoDB takes keys of this many bytes.
const (
	maxPartitionKey = 2048
	maxSortKey      = 1024
)

// errNoItem says that there is no item with a key.
var errNoItem = errors.New("no such item")

// Ping fails unless the table can be read.
func (t *Table) Ping(ctx context.Context) error {
	err := t.get(ctx, directoryCounterKey(), &struct{ key }{})
	if errors.Is(err, errNoItem) {
		return nil
	}
	return err
}

// get reads an item as it is now. It fails with errNoItem if there is none, and
// there is none with a key that is longer than keys can be.
func (t *Table) get(ctx context.Context, k key, item any) error { return t.getItem(ctx, k, item, true) }

// getSoon is get for half the price, and a little behind.
func (t *Table) getSoon(ctx context.Context, k key, item any) error {
	return t.getItem(ctx, k, item, false)
}

func (t *Table) getItem(ctx context.Context, k key, item any, consistent bool) error {
	if len(k.PK) > maxPartitionKey || len(k.SK) > maxSortKey {
		return errNoItem
	}
	av, err := attributevalue.MarshalMap(k)
	if err != nil {
		return fmt.Errorf("marshal key %s: %w", k.PK, err)
	}
	out, err := t.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: av, ConsistentRead: &consistent})
	if err != nil {
		return fmt.Errorf("get %s: %w", k.PK, err)
	}
	if out.Item == nil {
		return errNoItem
	}
	if err := attributevalue.UnmarshalMap(out.Item, item); err != nil {
		return fmt.Errorf("unmarshal %s: %w", k.PK, err)
	}
	return nil
}

// put writes an item if there is none with its key, and else fails with taken, which
// is nil where that is no failure.
func (t *Table) put(ctx context.Context, item any, taken error) error {
	av, err := attributevalue.MarshalMap(item)
	if err != nil {
		return fmt.Errorf("marshal %T: %w", item, err)
	}
	_, err = t.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:           &t.name,
		Item:                av,
		ConditionExpression: new("attribute_not_exists(pk)"),
	})
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return taken
	}
	if err != nil {
		return fmt.Errorf("put %T: %w", item, err)
	}
	return nil
}

// update changes attributes of an item that is there, and else fails with missing.
func (t *Table) update(ctx context.Context, k key, set string, v map[string]any, missing error) error {
	av, err := attributevalue.MarshalMap(k)
	vs, err2 := values(v)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("marshal a change of %s: %w", k.PK, err)
	}
	_, err = t.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &t.name,
		Key:                       av,
		UpdateExpression:          &set,
		ConditionExpression:       new("attribute_exists(pk)"),
		ExpressionAttributeValues: vs,
	})
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return missing
	}
	if err != nil {
		return fmt.Errorf("update %s: %w", k.PK, err)
	}
	return nil
}

// values makes the values of an expression.
func values(v map[string]any) (map[string]types.AttributeValue, error) {
	if len(v) == 0 {
		return nil, nil
	}
	return attributevalue.MarshalMap(v)
}
