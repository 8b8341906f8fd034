package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/fault"
)

const (
	transactionAttempts = 14
	transactionBackoff  = 20 * time.Millisecond
	longestBackoff      = 640 * time.Millisecond
	maxActions          = 100 // that DynamoDB takes in one transaction
)

// A transaction gathers writes that happen together or not at all. Each names
// the error to be returned when its condition does not hold.
type transaction struct {
	table  *Table
	writes []types.TransactWriteItem
	unmet  []error
	firsts map[int]key // of the writes that must be the first with their key
	looks  map[int]look
	err    error
	// attempts is how many are made where others are met.
	attempts int
}

// A look returns why a write that met another cannot succeed any more, or nil.
type look func(ctx context.Context) error

func (t *Table) begin() *transaction {
	return &transaction{table: t, firsts: map[int]key{}, looks: map[int]look{}, attempts: transactionAttempts}
}

// unless has a look taken each time that the last write met another, so that a
// crowd which wants the last of something does not wait in vain.
func (tx *transaction) unless(l look) { tx.looks[len(tx.writes)-1] = l }

// put writes an item where there is none with its key. One that has expired is
// none.
func (tx *transaction) put(item any, taken error) {
	tx.write(item, "attribute_not_exists(pk) OR expires_at <= :now", map[string]any{":now": time.Now().Unix()}, taken)
	var k key
	last := len(tx.writes) - 1
	if err := attributevalue.UnmarshalMap(tx.writes[last].Put.Item, &k); err != nil {
		tx.err = errors.Join(tx.err, err)
	}
	tx.firsts[last] = k
}

// replace writes an item in place of one whose version is before.
func (tx *transaction) replace(item any, before int64, changed error) {
	tx.write(item, "version = :before", map[string]any{":before": before}, changed)
}

// overwrite writes an item, whatever is there.
func (tx *transaction) overwrite(item any) {
	av, err := attributevalue.MarshalMap(item)
	tx.add(types.TransactWriteItem{Put: &types.Put{TableName: &tx.table.name, Item: av}}, nil, err)
}

// upsert changes attributes of an item, which need not be there yet.
func (tx *transaction) upsert(k key, set string, v map[string]any) {
	av, err := attributevalue.MarshalMap(k)
	vs, err2 := values(v)
	tx.add(types.TransactWriteItem{Update: &types.Update{
		TableName: &tx.table.name, Key: av, UpdateExpression: &set, ExpressionAttributeValues: vs,
	}}, nil, err, err2)
}

// write writes an item if a condition on the one it replaces holds.
func (tx *transaction) write(item any, condition string, v map[string]any, unmet error) {
	av, err := attributevalue.MarshalMap(item)
	vs, err2 := values(v)
	tx.add(types.TransactWriteItem{Put: &types.Put{
		TableName:                 &tx.table.name,
		Item:                      av,
		ConditionExpression:       &condition,
		ExpressionAttributeValues: vs,
	}}, unmet, err, err2)
}

// update changes attributes of an item that is there. Set is an update
// expression; names stand for attributes whose names are reserved words.
func (tx *transaction) update(k key, set string, v map[string]any, names map[string]string, missing error) {
	tx.updateIf(k, set, "attribute_exists(pk)", v, names, missing)
}

// updateIf changes attributes of an item if a condition holds.
func (tx *transaction) updateIf(k key, set, condition string, v map[string]any, names map[string]string, unmet error) {
	av, err := attributevalue.MarshalMap(k)
	vs, err2 := values(v)
	tx.add(types.TransactWriteItem{Update: &types.Update{
		TableName:                 &tx.table.name,
		Key:                       av,
		UpdateExpression:          &set,
		ConditionExpression:       &condition,
		ExpressionAttributeValues: vs,
		ExpressionAttributeNames:  names,
	}}, unmet, err, err2)
}

// remove deletes an item if a condition holds.
func (tx *transaction) remove(k key, condition string, v map[string]any, unmet error) {
	tx.removeNamed(k, condition, v, nil, unmet)
}

// removeNamed is remove where names stand for attributes whose names are reserved
// words.
func (tx *transaction) removeNamed(k key, condition string, v map[string]any, names map[string]string, unmet error) {
	av, err := attributevalue.MarshalMap(k)
	vs, err2 := values(v)
	tx.add(types.TransactWriteItem{Delete: &types.Delete{
		TableName:                 &tx.table.name,
		Key:                       av,
		ConditionExpression:       &condition,
		ExpressionAttributeValues: vs,
		ExpressionAttributeNames:  names,
	}}, unmet, err, err2)
}

// check requires a condition of an item that stays as it is. Names are as for
// update.
func (tx *transaction) check(k key, condition string, v map[string]any, names map[string]string, unmet error) {
	av, err := attributevalue.MarshalMap(k)
	vs, err2 := values(v)
	tx.add(types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName:                 &tx.table.name,
		Key:                       av,
		ConditionExpression:       &condition,
		ExpressionAttributeValues: vs,
		ExpressionAttributeNames:  names,
	}}, unmet, err, err2)
}

// in has the writes that f adds go to another table. Of those, none may be a put.
func (tx *transaction) in(table *Table, f func()) {
	before := tx.table
	tx.table = table
	f()
	tx.table = before
}

func (tx *transaction) add(w types.TransactWriteItem, unmet error, errs ...error) {
	tx.writes = append(tx.writes, w)
	tx.unmet = append(tx.unmet, unmet)
	tx.err = errors.Join(append(errs, tx.err)...)
}

// run makes the writes. Where conditions do not hold it returns the error of
// the first, in the order in which the writes were added. A transaction that
// met another on the same items, or too many requests, is tried again; in the end it
// fails with fault.TooManyRequests.
func (tx *transaction) run(ctx context.Context) error {
	if tx.err != nil {
		return fmt.Errorf("marshal a transaction: %w", tx.err)
	}
	for attempt := 1; ; attempt++ {
		_, err := tx.table.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: tx.writes})
		canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
		if !ok {
			return err
		}
		if unmet := tx.firstUnmet(canceled.CancellationReasons); unmet != nil {
			return unmet
		}
		if !passing(canceled.CancellationReasons) {
			return err
		}
		if attempt == tx.attempts {
			return errCrowded(err)
		}
		if lost := tx.overtaken(ctx, canceled.CancellationReasons); lost != nil {
			return lost
		}
		if err := sleep(ctx, rand.N(min(transactionBackoff<<attempt, longestBackoff))); err != nil { //nolint:gosec // spreads attempts, keeps no secret
			return err
		}
	}
}

// errCrowded says that others were met again and again.
func errCrowded(err error) error {
	return &fault.Error{
		Kind:       fault.TooManyRequests,
		Detail:     "too many requests change the same thing at once; try again in a moment",
		RetryAfter: time.Second,
		Err:        err,
	}
}

func (tx *transaction) firstUnmet(reasons []types.CancellationReason) error {
	for i, reason := range reasons {
		if aws.ToString(reason.Code) == "ConditionalCheckFailed" {
			return tx.unmet[i]
		}
	}
	return nil
}

// overtaken returns the error of the first write that met another and cannot
// succeed any more, or nil: one that must be the first with its key where there is
// one, or one that a look says it of. In a crowd that wants one key it spares all
// but one the attempts that they would lose.
//
// It reads the items backwards: those of one transaction come about at once, so
// where a later one is seen, the earlier ones are seen too.
func (tx *transaction) overtaken(ctx context.Context, reasons []types.CancellationReason) error {
	var lost error
	for i, reason := range slices.Backward(reasons) {
		if aws.ToString(reason.Code) != "TransactionConflict" {
			continue
		}
		taken, err := tx.taken(ctx, i)
		switch {
		case err != nil:
			return err
		case taken:
			lost = tx.unmet[i]
		case tx.looks[i] != nil:
			if err := tx.looks[i](ctx); err != nil {
				lost = err
			}
		}
	}
	return lost
}

// taken reports whether the write must be the first with its key, and is not.
func (tx *transaction) taken(ctx context.Context, i int) (bool, error) {
	k, first := tx.firsts[i]
	if !first {
		return false, nil
	}
	var item struct {
		ExpiresAt int64 `dynamodbav:"expires_at"`
	}
	err := tx.table.get(ctx, k, &item)
	if errors.Is(err, errNoItem) {
		return false, nil
	}
	return item.ExpiresAt == 0 || item.ExpiresAt > time.Now().Unix(), err
}

// passing reports whether nothing but what passes kept a transaction from taking
// effect. The SDK, which tries again what is throttled, does not look at reasons.
func passing(reasons []types.CancellationReason) bool {
	for _, reason := range reasons {
		switch aws.ToString(reason.Code) {
		case "None", "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError":
		default:
			return false
		}
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
