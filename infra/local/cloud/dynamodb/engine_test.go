package dynamodb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The tests in this file are about what the layer leaves to dynalite and the
// project relies on.

func TestUpdateExpressions(t *testing.T) {
	_, db := newLayer(t, Options{Strict: true})
	table := newTable(t, db)
	set := func(members ...string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: members} }
	before := av(t, attributes{"pk": "p", "sk": "a", "v": 1, "parts": []any{"x", "y"}, "doc": map[string]any{"m": 1}})
	before["labels"] = set("a", "b")
	for name, test := range map[string]struct {
		expression string
		names      map[string]string
		values     map[string]types.AttributeValue
		err        string
		want       attributes // what changed; nil is gone
	}{
		"arithmetic":       {"SET v = v + :n, w = v - :n", nil, av(t, attributes{":n": 2}), "", attributes{"v": 3.0, "w": -1.0}},
		"a trailing zero":  {"SET v = :n", nil, map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "1.50"}}, "", attributes{"v": 1.5}},
		"default":          {"SET w = if_not_exists(w, :n) + :n, v = if_not_exists(v, :n)", nil, av(t, attributes{":n": 2}), "", attributes{"w": 4.0}},
		"add to none":      {"ADD w :n", nil, av(t, attributes{":n": 2}), "", attributes{"w": 2.0}},
		"lists":            {"SET parts = list_append(parts, :l)", nil, av(t, attributes{":l": []any{"z"}}), "", attributes{"parts": []any{"x", "y", "z"}}},
		"nested":           {"SET doc.#k = :n REMOVE doc.m", map[string]string{"#k": "k"}, av(t, attributes{":n": 2}), "", attributes{"doc": map[string]any{"k": 2.0}}},
		"the whole set":    {"DELETE labels :s", nil, map[string]types.AttributeValue{":s": set("a", "b")}, "", attributes{"labels": nil}},
		"a key":            {"SET pk = :n", nil, av(t, attributes{":n": "x"}), validation, nil},
		"no parent":        {"SET nowhere.x = :n", nil, av(t, attributes{":n": 2}), validation, nil},
		"overlapping":      {"SET #v = :n, v = :n", map[string]string{"#v": "v"}, av(t, attributes{":n": 2}), validation, nil},
		"a reserved word":  {"SET status = :n", nil, av(t, attributes{":n": 2}), validation, nil},
		"an unused value":  {"SET v = :n", nil, av(t, attributes{":n": 2, ":m": 2}), validation, nil},
		"an unused name":   {"SET v = :n", map[string]string{"#m": "m"}, av(t, attributes{":n": 2}), validation, nil},
		"a missing value":  {"SET v = :m", nil, av(t, attributes{":n": 2}), validation, nil},
		"text and numbers": {"SET v = pk + :n", nil, av(t, attributes{":n": 2}), validation, nil},
		"too big":          {"SET w = :n", nil, av(t, attributes{":n": strings.Repeat("x", 401<<10)}), validation, nil},
		"an index key":     {"SET tag = :n", nil, av(t, attributes{":n": 2}), validation, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: before}); err != nil {
				t.Fatal(err)
			}
			_, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: &table, Key: key("p", "a"), UpdateExpression: &test.expression,
				ExpressionAttributeNames: test.names, ExpressionAttributeValues: test.values,
			})
			if got := code(err); got != test.err {
				t.Errorf("got error %v, want %q", err, test.err)
			}
			want := plain(t, before)
			for name, v := range test.want {
				if want[name] = v; v == nil {
					delete(want, name)
				}
			}
			diff(t, "item", get(t, db, table, "a"), want)
		})
	}
}

func TestRefusedItems(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	for name, i := range map[string]attributes{
		"no sort key":                {"pk": "p"},
		"an empty key":               {"pk": "", "sk": "a"},
		"a key of another type":      {"pk": "p", "sk": 1},
		"an index key of wrong type": {"pk": "p", "sk": "a", "n": "one"},
		"too big":                    {"pk": "p", "sk": "a", "v": strings.Repeat("x", 400<<10)},
	} {
		if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: av(t, i)}); code(err) != validation {
			t.Errorf("%s: got error %v, want %s", name, err, validation)
		}
	}
}

// TestPages reads what is more than the 1 MB of a page, by query and by parallel
// scan.
func TestPages(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	for n := range 15 {
		put(t, db, table, attributes{"pk": "p", "sk": fmt.Sprintf("%02d", n), "v": strings.Repeat("x", 100<<10), "odd": n % 2})
	}
	in := &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: aws.String("pk = :p"),
		ExpressionAttributeValues: av(t, attributes{":p": "p"}), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}
	first, err := db.Query(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if first.Count < 10 || first.Count > 11 || first.LastEvaluatedKey == nil {
		t.Errorf("got %d items on the first page, want 10 or 11 and a next page", first.Count)
	}
	in.ExclusiveStartKey = first.LastEvaluatedKey
	second, err := db.Query(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got := first.Count + second.Count; got != 15 || second.LastEvaluatedKey != nil {
		t.Errorf("got %d items on two pages, want 15 and no third page", got)
	}
	found := 0
	for segment := range int32(3) {
		pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{
			TableName: &table, Segment: &segment, TotalSegments: aws.Int32(3), Limit: aws.Int32(2),
			FilterExpression: aws.String("odd = :one"), ExpressionAttributeValues: av(t, attributes{":one": 1}),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			found += len(page.Items)
		}
	}
	if found != 7 {
		t.Errorf("got %d items by scan, want 7", found)
	}
	in.FilterExpression, in.ExclusiveStartKey = aws.String("pk = :p"), nil
	if _, err := db.Query(t.Context(), in); code(err) != validation {
		t.Errorf("got error %v for a filter on the key, want %s", err, validation)
	}
}
