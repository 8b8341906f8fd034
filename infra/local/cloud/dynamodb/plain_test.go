package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const allOld = types.ReturnValuesOnConditionCheckFailureAllOld

// TestOldItemOnFailure has each kind of write fail on an item, and on none.
func TestOldItemOnFailure(t *testing.T) {
	_, db := newLayer(t, Options{Strict: true})
	table := newTable(t, db)
	put(t, db, table, one("a", 1))
	no := aws.String("attribute_exists(absent)")
	writes := map[string]func(ctx context.Context, sk string) error{
		"put": func(ctx context.Context, sk string) error {
			_, err := db.PutItem(ctx, &dynamodb.PutItemInput{
				TableName: &table, Item: key("p", sk), ConditionExpression: no, ReturnValuesOnConditionCheckFailure: allOld,
			})
			return err
		},
		"update": func(ctx context.Context, sk string) error {
			_, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName: &table, Key: key("p", sk), ConditionExpression: no, ReturnValuesOnConditionCheckFailure: allOld,
				UpdateExpression: aws.String("REMOVE v"),
			})
			return err
		},
		"delete": func(ctx context.Context, sk string) error {
			_, err := db.DeleteItem(ctx, &dynamodb.DeleteItemInput{
				TableName: &table, Key: key("p", sk), ConditionExpression: no, ReturnValuesOnConditionCheckFailure: allOld,
			})
			return err
		},
		"put, not asked for": func(ctx context.Context, _ string) error {
			_, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: key("p", "none"), ConditionExpression: no})
			return err
		},
	}
	for name, write := range writes {
		for sk, want := range map[string]attributes{"a": one("a", 1.0), "none": {}} {
			if name == "put, not asked for" {
				want = attributes{}
			}
			t.Run(name+" "+sk, func(t *testing.T) {
				e, ok := errors.AsType[*types.ConditionalCheckFailedException](write(t.Context(), sk))
				if !ok {
					t.Fatalf("got no failed condition")
				}
				diff(t, "item", plain(t, e.Item), want)
			})
		}
	}
	diff(t, "items", values(t, db, table), map[string]float64{"a": 1})
}

// TestOldItemIsTheOneThatFailed has many claim a number each. Whoever fails is
// shown an item that explains it.
func TestOldItemIsTheOneThatFailed(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	put(t, db, table, one("a", 0))
	together(16, func(int) {
		for want := range 10 {
			_, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: &table, Key: key("p", "a"),
				UpdateExpression: aws.String("SET v = v + :one"), ConditionExpression: aws.String("v = :want"),
				ExpressionAttributeValues:           av(t, attributes{":one": 1, ":want": want}),
				ReturnValuesOnConditionCheckFailure: allOld,
			})
			e, failed := errors.AsType[*types.ConditionalCheckFailedException](err)
			if !failed && err != nil {
				t.Error(err)
			}
			if failed && plain(t, e.Item)["v"] == float64(want) {
				t.Errorf("got v = %d of an item that is said not to have it", want)
			}
		}
	})
	diff(t, "items", values(t, db, table), map[string]float64{"a": 10})
}

// TestCounters adds to one item from many sides.
func TestCounters(t *testing.T) {
	_, db := newLayer(t, Options{Strict: true})
	table := newTable(t, db)
	var seen [401]atomic.Bool
	together(16, func(int) {
		for range 25 {
			out, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: &table, Key: key("p", "a"), ReturnValues: types.ReturnValueUpdatedNew,
				UpdateExpression:          aws.String("SET v = if_not_exists(v, :zero) + :one ADD w :one"),
				ExpressionAttributeValues: av(t, attributes{":one": 1, ":zero": 0}),
			})
			if err != nil {
				t.Error(err)
				continue
			}
			if n := int(plain(t, out.Attributes)["v"].(float64)); seen[n].Swap(true) {
				t.Errorf("got %d twice", n)
			}
		}
	})
	diff(t, "item", get(t, db, table, "a"), attributes{"pk": "p", "sk": "a", "v": 400.0, "w": 400.0})
}

func TestOneConditionalPutWins(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	for round := range 20 {
		var won atomic.Int64
		together(32, func(int) {
			_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{
				TableName: &table, Item: key("p", fmt.Sprint(round)), ConditionExpression: aws.String("attribute_not_exists(pk)"),
			})
			switch code(err) {
			case "":
				won.Add(1)
			case conditionFailed:
			default:
				t.Error(err)
			}
		})
		if won.Load() != 1 {
			t.Errorf("round %d: got %d winners, want 1", round, won.Load())
		}
	}
}

func TestBatches(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict=%t", strict), func(t *testing.T) {
			_, db := newLayer(t, Options{Strict: strict})
			table := newTable(t, db)
			write := func(n int) error {
				var requests []types.WriteRequest
				for i := range n {
					requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: av(t, attributes{"pk": "p", "sk": fmt.Sprint(i), "tag": "t", "at": "a"})}})
				}
				_, err := db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: requests}})
				return err
			}
			if got := code(write(26)); got != validation {
				t.Errorf("26 items: got error %q, want %s", got, validation)
			}
			if err := write(25); err != nil {
				t.Fatal(err)
			}
			if got := len(tagged(t, db, table, "t")); got != 25 {
				t.Errorf("got %d items in the index, want 25", got)
			}
			out, err := db.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
				table: {Keys: []map[string]types.AttributeValue{key("p", "1"), key("p", "none")}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(out.Responses[table]); got != 1 {
				t.Errorf("got %d items, want 1", got)
			}
		})
	}
}

func TestTooDeep(t *testing.T) {
	nested := func(levels int) any {
		var v any = "x"
		for i := range levels {
			if i%2 == 0 {
				v = []any{v}
			} else {
				v = map[string]any{"m": v}
			}
		}
		return v
	}
	for _, test := range []struct {
		strict bool
		levels int
		err    string
	}{{true, 32, ""}, {true, 33, validation}, {false, 33, ""}} {
		_, db := newLayer(t, Options{Strict: test.strict})
		table := newTable(t, db)
		deep := attributes{"pk": "p", "sk": "a", "v": nested(test.levels)}
		_, putErr := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: av(t, deep)})
		_, updateErr := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: &table, Key: key("p", "b"), UpdateExpression: aws.String("SET v = :v"),
			ExpressionAttributeValues: av(t, attributes{":v": nested(test.levels)}),
		})
		_, batchErr := db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{
			table: {{PutRequest: &types.PutRequest{Item: av(t, deep)}}},
		}})
		transactErr := transact(t, db, table, putIf("", deep))
		for what, err := range map[string]error{"put": putErr, "update": updateErr, "batch": batchErr, "transaction": transactErr} {
			if got := code(err); got != test.err {
				t.Errorf("strict=%t, %d levels, %s: got error %q, want %q", test.strict, test.levels, what, got, test.err)
			}
		}
	}
}
