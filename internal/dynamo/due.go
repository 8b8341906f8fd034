package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/sweep"
)

// Due finds work that is to be looked at. The index that it reads is a little
// behind the items, so whoever takes up the work reads the item first.
type Due struct{ *Table }

// NewDue returns the due work kept in table.
func NewDue(table *Table) *Due { return &Due{table} }

// DueOperations returns the operations that were to be looked at by now.
func (s *Due) DueOperations(ctx context.Context, now time.Time) ([]operation.ID, error) {
	var ids []operation.ID
	err := s.due(ctx, dueOperation, now, func(k key) error {
		ids = append(ids, operation.ID(k.name()))
		return nil
	})
	return ids, err
}

// RejectedAccounts returns the accounts that are to be removed.
func (s *Due) RejectedAccounts(ctx context.Context, now time.Time) ([]sweep.RejectedAccount, error) {
	var accounts []sweep.RejectedAccount
	err := s.due(ctx, dueAccount, now, func(k key) error {
		var item rejectedItem
		err := s.get(ctx, k, &item)
		if errors.Is(err, errNoItem) {
			return nil
		}
		if err == nil {
			accounts = append(accounts, sweep.RejectedAccount{ID: identity.UserID(k.name()), Username: item.Username})
		}
		return err
	})
	return accounts, err
}

// Forget notes that an account is gone.
func (s *Due) Forget(ctx context.Context, a sweep.RejectedAccount) error {
	k, err := attributevalue.MarshalMap(rejectedKey(a.ID))
	if err != nil {
		return fmt.Errorf("marshal the key of account %s: %w", a.ID, err)
	}
	if _, err := s.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.name, Key: k}); err != nil {
		return fmt.Errorf("forget account %s: %w", a.ID, err)
	}
	return nil
}

// due calls use with the key of each item of a kind that was due by now.
func (s *Due) due(ctx context.Context, kind string, now time.Time, use func(key) error) error {
	for shard := range shards {
		v, err := values(map[string]any{":due": dueKey(kind, shard), ":now": sortable(now)})
		if err != nil {
			return fmt.Errorf("marshal a query for due work: %w", err)
		}
		pages := dynamodb.NewQueryPaginator(s.db, &dynamodb.QueryInput{
			TableName:                 &s.name,
			IndexName:                 new("due"),
			KeyConditionExpression:    new("due = :due AND due_at <= :now"),
			ExpressionAttributeValues: v,
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("query due work: %w", err)
			}
			var keys []key
			if err := attributevalue.UnmarshalListOfMaps(page.Items, &keys); err != nil {
				return fmt.Errorf("unmarshal due work: %w", err)
			}
			for _, k := range keys {
				if err := use(k); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
