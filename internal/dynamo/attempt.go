package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/attempt"
)

// Attempts counts attempts. A window has an item of its own, so that one which
// DynamoDB has not removed yet counts for nothing.
type Attempts struct{ *Table }

// NewAttempts returns the attempts counted in table.
func NewAttempts(table *Table) *Attempts { return &Attempts{table} }

// keepAttempts is for how long a window is kept after its end.
const keepAttempts = time.Minute

// Count adds one to a count, which is zero when a window begins, and returns what
// it has come to. A request whose answer is lost is counted again when it is tried
// again.
func (s *Attempts) Count(ctx context.Context, k attempt.Key, w attempt.Window) (int, error) {
	av, err := attributevalue.MarshalMap(attemptKey(k, w.Start))
	if err != nil {
		return 0, fmt.Errorf("marshal the key of an attempt: %w", err)
	}
	v, err := values(map[string]any{":one": 1, ":end": w.End.Add(keepAttempts).Unix()})
	if err != nil {
		return 0, err
	}
	out, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.name,
		Key:                       av,
		UpdateExpression:          new("SET expires_at = :end ADD n :one"),
		ExpressionAttributeValues: v,
		ReturnValues:              types.ReturnValueUpdatedNew,
	})
	if err != nil {
		return 0, fmt.Errorf("count an attempt: %w", err)
	}
	var item struct {
		N int `dynamodbav:"n"`
	}
	if err := attributevalue.UnmarshalMap(out.Attributes, &item); err != nil {
		return 0, fmt.Errorf("unmarshal the count of attempts: %w", err)
	}
	return item.N, nil
}
