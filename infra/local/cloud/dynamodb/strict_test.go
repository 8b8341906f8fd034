package dynamodb

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TestConflicts holds a transaction on the item a, and calls whatever touches
// it, then what does not.
func TestConflicts(t *testing.T) {
	l, db := newLayer(t, Options{Strict: true})
	table := newTable(t, db)
	put(t, db, table, one("a", 1))
	read := func(sk string) error {
		_, err := db.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
			{Get: &types.Get{TableName: &table, Key: key("p", "other")}}, {Get: &types.Get{TableName: &table, Key: key("p", sk)}},
		}})
		return err
	}
	calls := map[string]struct {
		call    func(sk string) error
		err     string
		reasons []string
	}{
		"put": {call: func(sk string) error {
			_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: key("p", sk)})
			return err
		}, err: transactionConflict},
		"update": {call: func(sk string) error {
			_, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: &table, Key: key("p", sk)})
			return err
		}, err: transactionConflict},
		"delete": {call: func(sk string) error {
			_, err := db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: key("p", sk)})
			return err
		}, err: transactionConflict},
		"transaction": {call: func(sk string) error {
			return transact(t, db, table, putIf("", one("other", 1)), remove(sk, ""))
		}, err: transactionCanceled, reasons: []string{"None", "TransactionConflict"}},
		"check": {call: func(sk string) error {
			return transact(t, db, table, checkIf(sk, "attribute_not_exists(absent)"), putIf("", one("other", 1)))
		}, err: transactionCanceled, reasons: []string{"TransactionConflict", "None"}},
		"transactional read": {call: read, err: transactionCanceled, reasons: []string{"None", "TransactionConflict"}},
		"read": {call: func(sk string) error {
			_, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: key("p", sk)})
			return err
		}},
	}
	id, _, ok := must(l, table).id(item{"pk": []byte(`{"S": "p"}`), "sk": []byte(`{"S": "a"}`)})
	if !ok {
		t.Fatal("the item has no identity")
	}
	_, done := l.running.beginTransaction([]itemID{id})
	for name, test := range calls {
		t.Run(name, func(t *testing.T) {
			err := test.call("a")
			if got := code(err); got != test.err {
				t.Errorf("got error %v, want %q", err, test.err)
			}
			diff(t, "reasons", reasonsOf(err), test.reasons)
			if err := test.call("b"); err != nil {
				t.Errorf("got %v for another item", err)
			}
		})
	}
	done()
	for name, test := range calls {
		if err := test.call("a"); err != nil {
			t.Errorf("%s: got %v once the transaction has ended", name, err)
		}
	}

	_, done = l.running.beginWrite([]itemID{id})
	if got := code(read("a")); got != transactionCanceled {
		t.Errorf("got error %q for a transactional read of what is being written, want %s", got, transactionCanceled)
	}
	if err := transact(t, db, table, remove("a", "")); err != nil {
		t.Errorf("got %v for a transaction on what is being written", err)
	}
	done()
}

// must returns a table that there is.
func must(l *Layer, name string) *table {
	t, _ := l.tables.get(name)
	return t
}

// TestConflictInABatch leaves those items out that are in conflict.
func TestConflictInABatch(t *testing.T) {
	l, db := newLayer(t, Options{Strict: true})
	table := newTable(t, db)
	id, _, _ := must(l, table).id(item{"pk": []byte(`{"S": "p"}`), "sk": []byte(`{"S": "a"}`)})
	_, done := l.running.beginTransaction([]itemID{id})
	defer done()
	for name, test := range map[string]struct {
		write     []string
		left      int
		remaining map[string]float64
	}{
		"some": {[]string{"a", "b"}, 1, map[string]float64{"b": 1}},
		"all":  {[]string{"a"}, 1, map[string]float64{"b": 1}},
	} {
		var requests []types.WriteRequest
		for _, sk := range test.write {
			requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: av(t, one(sk, 1))}})
		}
		out, err := db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: requests}})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(out.UnprocessedItems[table]); got != test.left {
			t.Errorf("%s: got %d items left, want %d", name, got, test.left)
		}
		if got := plain(t, out.UnprocessedItems[table][0].PutRequest.Item)["sk"]; got != "a" {
			t.Errorf("%s: got %v left, want a", name, got)
		}
	}
	diff(t, "items", values(t, db, table), map[string]float64{"b": 1})
}

// TestOverlap has transactions overlap for real: some are in conflict, and what
// succeeds counts once.
func TestOverlap(t *testing.T) {
	_, db := newLayer(t, Options{Strict: true})
	table := newTable(t, db)
	var done, refused atomic.Int64
	together(16, func(int) {
		for range 10 {
			switch err := transact(t, db, table, update("a", "ADD v :one", "", attributes{":one": 1})); code(err) {
			case "":
				done.Add(1)
			case transactionCanceled:
				diff(t, "reasons", reasonsOf(err), []string{"TransactionConflict"})
				refused.Add(1)
			default:
				t.Error(err)
			}
		}
	})
	diff(t, "items", values(t, db, table), map[string]float64{"a": float64(done.Load())})
	if refused.Load() == 0 {
		t.Error("got no conflict at all")
	}
}

func TestInject(t *testing.T) {
	for name, test := range map[string]struct {
		outcome     Outcome
		plain       string
		transaction string
		items       int
	}{
		"proceed":  {Proceed, "", "", 2},
		"refuse":   {Refuse, internalError, internalError, 0},
		"throttle": {Throttle, throughputExceeded, throughputExceeded, 0},
		"conflict": {Conflict, transactionConflict, transactionCanceled, 0},
		"lose":     {Lose, "broke", "broke", 2},
	} {
		t.Run(name, func(t *testing.T) {
			l, db := newLayer(t, Options{})
			table, other := newTable(t, db), newTable(t, db)
			removeFault := l.Inject(func(operation string, body []byte) Outcome {
				if operation == "PutItem" && bytes.Contains(body, []byte(table)) || operation == "TransactWriteItems" {
					return test.outcome
				}
				return Proceed
			})
			put(t, db, other, one("a", 1))
			_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: key("p", "plain")})
			if !matches(err, test.plain) {
				t.Errorf("put: got error %v, want %q", err, test.plain)
			}
			if err := transact(t, db, table, putIf("", one("transaction", 1)), checkIf("z", "attribute_not_exists(pk)")); !matches(err, test.transaction) {
				t.Errorf("transaction: got error %v, want %q", err, test.transaction)
			} else if test.outcome == Conflict {
				diff(t, "reasons", reasonsOf(err), []string{"TransactionConflict", "None"})
			}
			if got := len(values(t, db, table)); got != test.items {
				t.Errorf("got %d items, want %d", got, test.items)
			}
			removeFault()
			put(t, db, table, one("a", 1))
		})
	}
}

// TestInjectTwice has two faults at once, of which the first that decides wins.
func TestInjectTwice(t *testing.T) {
	l, db := newLayer(t, Options{})
	var calls atomic.Int64
	count := l.Inject(func(string, []byte) Outcome { calls.Add(1); return Proceed })
	refuse := l.Inject(func(string, []byte) Outcome { return Refuse })
	list := func() string {
		_, err := db.ListTables(t.Context(), &dynamodb.ListTablesInput{})
		return code(err)
	}
	if got := list(); got != internalError {
		t.Errorf("got error %q, want %s", got, internalError)
	}
	refuse()
	if got := list(); got != "" {
		t.Errorf("got error %q, want none", got)
	}
	count()
	list()
	if got := calls.Load(); got != 2 {
		t.Errorf("got %d calls counted, want 2", got)
	}
}

// matches says whether err is the error called want, or holds it in its text.
func matches(err error, want string) bool {
	return code(err) == want || err != nil && want != "" && strings.Contains(err.Error(), want)
}
