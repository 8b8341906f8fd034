package dynamodb

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// An actionOf makes an action of a transaction on a table.
type actionOf func(tb testing.TB, table string) types.TransactWriteItem

func putIf(condition string, i attributes) actionOf {
	return func(tb testing.TB, table string) types.TransactWriteItem {
		tb.Helper()
		p := &types.Put{TableName: &table, Item: av(tb, i)}
		if condition != "" {
			p.ConditionExpression = &condition
			p.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
		}
		return types.TransactWriteItem{Put: p}
	}
}

func update(sk, expression, condition string, values attributes) actionOf {
	return func(tb testing.TB, table string) types.TransactWriteItem {
		tb.Helper()
		u := &types.Update{TableName: &table, Key: key("p", sk), UpdateExpression: &expression}
		if condition != "" {
			u.ConditionExpression = &condition
		}
		if values != nil {
			u.ExpressionAttributeValues = av(tb, values)
		}
		return types.TransactWriteItem{Update: u}
	}
}

func remove(sk, condition string) actionOf {
	return func(_ testing.TB, table string) types.TransactWriteItem {
		d := &types.Delete{TableName: &table, Key: key("p", sk)}
		if condition != "" {
			d.ConditionExpression = &condition
		}
		return types.TransactWriteItem{Delete: d}
	}
}

func checkIf(sk, condition string) actionOf {
	return func(_ testing.TB, table string) types.TransactWriteItem {
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &table, Key: key("p", sk), ConditionExpression: &condition,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}}
	}
}

func one(sk string, v any) attributes { return attributes{"pk": "p", "sk": sk, "v": v} }

// transact carries out the actions on the table.
func transact(tb testing.TB, db *dynamodb.Client, table string, actions ...actionOf) error {
	tb.Helper()
	in := &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{}}
	for _, a := range actions {
		in.TransactItems = append(in.TransactItems, a(tb, table))
	}
	_, err := db.TransactWriteItems(tb.Context(), in)
	return err
}

// values returns the attribute v of all items of partition p, by sort key.
func values(tb testing.TB, db *dynamodb.Client, table string) map[string]float64 {
	tb.Helper()
	out, err := db.Query(tb.Context(), &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: aws.String("pk = :p"),
		ExpressionAttributeValues: av(tb, attributes{":p": "p"}), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		tb.Error(err)
		return nil
	}
	found := map[string]float64{}
	for _, raw := range out.Items {
		i := plain(tb, raw)
		found[i["sk"].(string)], _ = i["v"].(float64)
	}
	return found
}

// reasonsOf returns the codes of why a transaction was canceled.
func reasonsOf(err error) []string {
	e, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return nil
	}
	codes := make([]string, len(e.CancellationReasons))
	for i, r := range e.CancellationReasons {
		codes[i] = aws.ToString(r.Code)
	}
	return codes
}

func TestTransactWrite(t *testing.T) {
	// Every transaction finds the items a and b, with v 1 and 2.
	before := map[string]float64{"a": 1, "b": 2}
	for name, test := range map[string]struct {
		actions []actionOf
		err     string
		reasons []string
		after   map[string]float64 // as before if nil
	}{
		"one of each kind": {
			actions: []actionOf{
				putIf("attribute_not_exists(pk)", one("c", 3)), update("a", "SET v = v + :d", "v = :one", attributes{":d": 9, ":one": 1}),
				remove("b", "attribute_exists(pk)"), checkIf("d", "attribute_not_exists(pk)"),
			},
			after: map[string]float64{"a": 10, "c": 3},
		},
		"an update makes an item":  {actions: []actionOf{update("c", "SET v = :n", "", attributes{":n": 5})}, after: map[string]float64{"a": 1, "b": 2, "c": 5}},
		"an item is replaced":      {actions: []actionOf{putIf("", one("a", 7))}, after: map[string]float64{"a": 7, "b": 2}},
		"what is not there":        {actions: []actionOf{remove("z", "")}, after: before},
		"a check of what is there": {actions: []actionOf{checkIf("a", "attribute_exists(pk)"), putIf("", one("c", 3))}, after: map[string]float64{"a": 1, "b": 2, "c": 3}},
		"a put fails": {
			actions: []actionOf{putIf("", one("c", 3)), putIf("attribute_not_exists(pk)", one("a", 3)), remove("b", "")},
			err:     transactionCanceled, reasons: []string{"None", "ConditionalCheckFailed", "None"},
		},
		"an update fails": {
			actions: []actionOf{update("a", "SET v = :n", "", attributes{":n": 3}), update("b", "SET v = :n", "v > :n", attributes{":n": 3})},
			err:     transactionCanceled, reasons: []string{"None", "ConditionalCheckFailed"},
		},
		"a removal fails": {
			actions: []actionOf{remove("z", "attribute_exists(pk)"), remove("a", "")},
			err:     transactionCanceled, reasons: []string{"ConditionalCheckFailed", "None"},
		},
		"a check fails": {
			actions: []actionOf{remove("a", ""), checkIf("b", "attribute_not_exists(pk)")},
			err:     transactionCanceled, reasons: []string{"None", "ConditionalCheckFailed"},
		},
		"a check of what is not there fails": {
			actions: []actionOf{putIf("", one("c", 3)), checkIf("z", "attribute_exists(pk)")},
			err:     transactionCanceled, reasons: []string{"None", "ConditionalCheckFailed"},
		},
		"everything fails": {
			actions: []actionOf{
				checkIf("a", "attribute_not_exists(pk)"), remove("z", "attribute_exists(pk)"),
				putIf("attribute_not_exists(pk)", one("b", 3)), update("y", "SET v = :n", "v = :n", attributes{":n": 1}),
			},
			err: transactionCanceled, reasons: []string{"ConditionalCheckFailed", "ConditionalCheckFailed", "ConditionalCheckFailed", "ConditionalCheckFailed"},
		},
		"an update does not fit its item": {
			actions: []actionOf{putIf("", one("c", 3)), update("a", "SET v = pk + :n", "", attributes{":n": 1})},
			err:     transactionCanceled, reasons: []string{"None", "ValidationError"},
		},
		"an item would be too big": {
			actions: []actionOf{remove("a", ""), update("b", "SET big = :s", "", attributes{":s": strings.Repeat("x", 401<<10)})},
			err:     transactionCanceled, reasons: []string{"None", "ValidationError"},
		},
		"an index key of the wrong type": {
			actions: []actionOf{remove("a", ""), putIf("", attributes{"pk": "p", "sk": "c", "tag": 1, "at": "x"})},
			err:     transactionCanceled, reasons: []string{"None", "ValidationError"},
		},
		"a key attribute is missing": {
			actions: []actionOf{remove("a", ""), putIf("", attributes{"pk": "p"})},
			err:     transactionCanceled, reasons: []string{"None", "ValidationError"},
		},
		"a key is empty": {
			actions: []actionOf{remove("a", ""), remove("", "")},
			err:     transactionCanceled, reasons: []string{"None", "ValidationError"},
		},
		"an expression is wrong":  {actions: []actionOf{putIf("", one("c", 3)), update("a", "SET v = ", "", nil)}, err: validation},
		"a reserved word":         {actions: []actionOf{putIf("", one("c", 3)), update("a", "SET status = :n", "", attributes{":n": 1})}, err: validation},
		"a value is not used":     {actions: []actionOf{remove("a", ""), update("b", "SET v = :n", "", attributes{":n": 1, ":m": 1})}, err: validation},
		"one item twice":          {actions: []actionOf{putIf("", one("c", 3)), remove("c", "")}, err: validation},
		"one item checked, again": {actions: []actionOf{checkIf("a", "attribute_exists(pk)"), remove("a", "")}, err: validation},
		"nothing":                 {err: validation},
		"no condition to check":   {actions: []actionOf{checkIf("a", "")}, err: validation},
		"no update":               {actions: []actionOf{update("a", "", "", nil)}, err: validation},
	} {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/strict=%t", name, strict), func(t *testing.T) {
				_, db := newLayer(t, Options{Strict: strict})
				table := newTable(t, db)
				put(t, db, table, one("a", 1), one("b", 2))
				err := transact(t, db, table, test.actions...)
				if got := code(err); got != test.err {
					t.Errorf("got error %v, want %q", err, test.err)
				}
				diff(t, "reasons", reasonsOf(err), test.reasons)
				want := test.after
				if want == nil {
					want = before
				}
				diff(t, "items", values(t, db, table), want)
			})
		}
	}
}

// TestTransactWriteUndoesAll has each of many actions changed by the
// transaction, and compares whole items.
func TestTransactWriteUndoesAll(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	actions := []actionOf{checkIf("none", "attribute_exists(pk)")}
	before := map[string]attributes{}
	for i := range 33 {
		sk := func(kind string) string { return fmt.Sprintf("%s%d", kind, i) }
		for _, kind := range []string{"update", "remove", "replace"} {
			a := attributes{"pk": "p", "sk": sk(kind), "tag": "t", "at": sk("at"), "parts": []any{"x", float64(i), nil, map[string]any{"deep": true}}}
			put(t, db, table, a)
			before[sk(kind)] = a
		}
		actions = append(actions, update(sk("update"), "SET v = :n REMOVE tag, parts[0]", "", attributes{":n": i}), remove(sk("remove"), ""), putIf("", one(sk("replace"), 1)))
	}
	if got := code(transact(t, db, table, actions...)); got != transactionCanceled {
		t.Fatalf("got error %q, want %s", got, transactionCanceled)
	}
	for sk, want := range before {
		diff(t, sk, get(t, db, table, sk), want)
	}
	if got := tagged(t, db, table, "t"); len(got) != 99 {
		t.Errorf("got %d items in the index, want 99", len(got))
	}
}

// tagged returns the sort keys of the items that index tags has under a tag.
func tagged(tb testing.TB, db *dynamodb.Client, table, tag string) []string {
	tb.Helper()
	out, err := db.Query(tb.Context(), &dynamodb.QueryInput{
		TableName: &table, IndexName: aws.String("tags"), KeyConditionExpression: aws.String("tag = :t"),
		ExpressionAttributeValues: av(tb, attributes{":t": tag}),
	})
	if err != nil {
		tb.Fatal(err)
	}
	var found []string
	for _, raw := range out.Items {
		found = append(found, plain(tb, raw)["sk"].(string))
	}
	return found
}

func TestTransactWriteLimits(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	many := func(n, size int) []actionOf {
		actions := make([]actionOf, n)
		for i := range actions {
			actions[i] = putIf("", attributes{"pk": "many", "sk": strconv.Itoa(i), "v": strings.Repeat("x", size)})
		}
		return actions
	}
	for name, test := range map[string]struct {
		actions []actionOf
		err     string
	}{
		"100 actions":      {many(100, 1), ""},
		"101 actions":      {many(101, 1), validation},
		"less than 4 MB":   {many(10, 390<<10), ""},
		"more than 4 MB":   {many(11, 390<<10), validation},
		"an item too big":  {many(1, 410<<10), transactionCanceled},
		"an unknown table": {[]actionOf{func(testing.TB, string) types.TransactWriteItem { return remove("a", "")(t, "nowhere") }}, resourceNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if err := transact(t, db, table, test.actions...); code(err) != test.err {
				t.Errorf("got error %v, want %q", err, test.err)
			}
		})
	}
}

// TestTransactWriteTellsKeysByValue uses two spellings of one number.
func TestTransactWriteTellsKeysByValue(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := aws.String(newTable(t, db) + "-numbers")
	_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: "N"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: "HASH"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{TableName: table, Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberN{Value: s}}}}
	}
	for _, same := range []string{"1", "1.0", "10e-1", "+1", "0.1E1"} {
		_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			TransactItems: []types.TransactWriteItem{number("1"), number(same)},
		})
		if got := code(err); got != validation {
			t.Errorf("1 and %s: got error %q, want %s", same, got, validation)
		}
	}
	_, err = db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
		TransactItems: []types.TransactWriteItem{number("12345678901234567890123456789012345678"), number("12345678901234567890123456789012345679")},
	})
	if err != nil {
		t.Errorf("got error %v for two numbers of 38 digits", err)
	}
}

func TestTransactWriteShowsTheOldItem(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	put(t, db, table, one("a", 1))
	err := transact(t, db, table, checkIf("a", "v = sk"), checkIf("z", "attribute_exists(pk)"), putIf("", one("b", 2)))
	e, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		t.Fatalf("got %v, want a canceled transaction", err)
	}
	diff(t, "item", plain(t, e.CancellationReasons[0].Item), attributes{"pk": "p", "sk": "a", "v": 1.0})
	if e.CancellationReasons[1].Item != nil || e.CancellationReasons[2].Item != nil {
		t.Error("got items where there are none")
	}
	want := "Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, ConditionalCheckFailed, None]"
	if got := e.ErrorMessage(); got != want {
		t.Errorf("got message %q, want %q", got, want)
	}
}

func TestTransactGet(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	put(t, db, table, one("a", 1), attributes{"pk": "p", "sk": "b", "v": 2, "w": 3})
	read := func(table, sk, projection string) types.TransactGetItem {
		g := &types.Get{TableName: &table, Key: key("p", sk)}
		if projection != "" {
			g.ProjectionExpression = &projection
		}
		return types.TransactGetItem{Get: g}
	}
	for name, test := range map[string]struct {
		reads   []types.TransactGetItem
		err     string
		reasons []string
		want    []attributes
	}{
		"in order":         {reads: []types.TransactGetItem{read(table, "b", "w"), read(table, "z", ""), read(table, "a", "")}, want: []attributes{{"w": 3.0}, {}, {"pk": "p", "sk": "a", "v": 1.0}}},
		"twice":            {reads: []types.TransactGetItem{read(table, "a", ""), read(table, "a", "v")}, err: validation},
		"an unknown table": {reads: []types.TransactGetItem{read("nowhere", "a", "")}, err: resourceNotFound},
		"a wrong key":      {reads: []types.TransactGetItem{read(table, "a", ""), read(table, "", "")}, err: transactionCanceled, reasons: []string{"None", "ValidationError"}},
		"a wrong path":     {reads: []types.TransactGetItem{read(table, "a", "v[")}, err: validation},
		"nothing":          {reads: []types.TransactGetItem{}, err: validation},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := db.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: test.reads})
			if got := code(err); got != test.err {
				t.Fatalf("got error %v, want %q", err, test.err)
			}
			diff(t, "reasons", reasonsOf(err), test.reasons)
			var got []attributes
			for i := 0; err == nil && i < len(out.Responses); i++ {
				got = append(got, plain(t, out.Responses[i].Item))
			}
			diff(t, "items", got, test.want)
		})
	}
}

// TestTransactCapacity compares with the same operations by themselves, which
// consume half as much.
func TestTransactCapacity(t *testing.T) {
	_, db := newLayer(t, Options{})
	table, other := newTable(t, db), newTable(t, db)
	put(t, db, table, attributes{"pk": "p", "sk": "big", "v": strings.Repeat("x", 2500)}) // 3 units to write, 1 to read
	in := &dynamodb.TransactWriteItemsInput{ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal}
	for _, a := range []actionOf{putIf("", one("a", 1)), checkIf("big", "attribute_exists(pk)"), remove("none", "")} {
		in.TransactItems = append(in.TransactItems, a(t, table))
	}
	in.TransactItems = append(in.TransactItems, putIf("", one("a", 1))(t, other))
	out, err := db.TransactWriteItems(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "units written", units(out.ConsumedCapacity), map[string]float64{table: 2 * (1 + 3 + 1), other: 2})
	read, err := db.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		TransactItems: []types.TransactGetItem{
			{Get: &types.Get{TableName: &table, Key: key("p", "big")}},
			{Get: &types.Get{TableName: &table, Key: key("p", "none")}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "units read", units(read.ConsumedCapacity), map[string]float64{table: 2 * (1 + 1)})
}

func units(all []types.ConsumedCapacity) map[string]float64 {
	sum := map[string]float64{}
	for _, c := range all {
		sum[aws.ToString(c.TableName)] += aws.ToFloat64(c.CapacityUnits)
	}
	return sum
}

// TestOneWinner has many transactions claim the same thing.
func TestOneWinner(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict=%t", strict), func(t *testing.T) {
			_, db := newLayer(t, Options{Strict: strict})
			table := newTable(t, db)
			for round := range 10 {
				seat := fmt.Sprintf("seat%d", round)
				put(t, db, table, one(seat, 1))
				var won atomic.Int64
				together(16, func(i int) {
					err := transact(t, db, table,
						putIf("", one(fmt.Sprintf("claim%d-%d", round, i), 1)),
						update(seat, "SET v = v - :one", "v >= :one", attributes{":one": 1}))
					switch {
					case err == nil:
						won.Add(1)
					case code(err) != transactionCanceled:
						t.Error(err)
					}
				})
				if won.Load() != 1 {
					t.Errorf("round %d: got %d winners, want 1", round, won.Load())
				}
			}
			claims := 0
			for sk := range maps.Keys(values(t, db, table)) {
				if strings.HasPrefix(sk, "claim") {
					claims++
				}
			}
			if claims != 10 {
				t.Errorf("got %d claims, want one for each of 10 rounds", claims)
			}
		})
	}
}

// TestTransfers moves amounts from one item to another, while others read both.
func TestTransfers(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict=%t", strict), func(t *testing.T) {
			_, db := newLayer(t, Options{Strict: strict})
			table := newTable(t, db)
			put(t, db, table, one("a", 1000), one("b", 1000))
			move := []actionOf{
				update("a", "SET v = v - :one", "", attributes{":one": 1}),
				update("b", "SET v = v + :one", "", attributes{":one": 1}),
				checkIf("none", "attribute_not_exists(pk)"),
			}
			fail := []actionOf{move[0], move[1], checkIf("none", "attribute_exists(pk)")}
			stop := make(chan struct{})
			var readers sync.WaitGroup
			for range 2 {
				readers.Go(func() {
					for {
						if sum, ok := sumOf(t, db, table); ok && sum != 2000 {
							t.Errorf("got a sum of %v, want 2000", sum)
						}
						select {
						case <-stop:
							return
						default:
						}
					}
				})
			}
			const movers, moves = 4, 4
			together(movers, func(int) {
				for range moves {
					if err := transact(t, db, table, fail...); code(err) != transactionCanceled {
						t.Errorf("a transfer that must fail: got %v, want %s", err, transactionCanceled)
					}
					err := transact(t, db, table, move...)
					for code(err) == transactionCanceled {
						err = transact(t, db, table, move...)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
			close(stop)
			readers.Wait()
			diff(t, "balances", values(t, db, table), map[string]float64{"a": 1000 - movers*moves, "b": 1000 + movers*moves})
		})
	}
}

// sumOf returns the sum of the items a and b, by a transaction or by a query.
// It is not ok if the read was in conflict.
func sumOf(tb testing.TB, db *dynamodb.Client, table string) (sum float64, ok bool) {
	tb.Helper()
	for _, v := range values(tb, db, table) {
		sum += v
	}
	if sum != 2000 {
		return sum, true
	}
	out, err := db.TransactGetItems(tb.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
		{Get: &types.Get{TableName: &table, Key: key("p", "a")}},
		{Get: &types.Get{TableName: &table, Key: key("p", "b")}},
	}})
	if err != nil {
		return 0, false
	}
	sum = 0
	for _, r := range out.Responses {
		sum += plain(tb, r.Item)["v"].(float64)
	}
	return sum, true
}

func TestToken(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	add := func(token, sk, condition string, n int) error {
		values := attributes{":n": n}
		_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			ClientRequestToken: &token,
			TransactItems:      []types.TransactWriteItem{update(sk, "ADD v :n", condition, values)(t, table)},
		})
		return err
	}
	for range 3 {
		if err := add("token", "a", "", 1); err != nil {
			t.Fatal(err)
		}
	}
	if got := code(add("token", "a", "", 2)); got != tokenMismatch {
		t.Errorf("got error %q for other parameters, want %s", got, tokenMismatch)
	}
	if err := add("other", "a", "", 1); err != nil {
		t.Error(err)
	}
	diff(t, "two transactions", values(t, db, table), map[string]float64{"a": 2})

	if got := code(add("failed", "b", "attribute_exists(pk)", 1)); got != transactionCanceled {
		t.Errorf("got error %q, want %s", got, transactionCanceled)
	}
	put(t, db, table, one("b", 0))
	if err := add("failed", "b", "attribute_exists(pk)", 1); err != nil {
		t.Errorf("got %v for what failed the first time", err)
	}
	diff(t, "b", get(t, db, table, "b"), one("b", 1.0))
	for _, token := range []string{"", strings.Repeat("x", 37)} {
		if got := code(add(token, "a", "", 1)); got != validation {
			t.Errorf("token %q: got error %q, want %s", token, got, validation)
		}
	}
}

func TestTokenAtTheSameTime(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict=%t", strict), func(t *testing.T) {
			_, db := newLayer(t, Options{Strict: strict})
			table := newTable(t, db)
			in := &dynamodb.TransactWriteItemsInput{
				ClientRequestToken: aws.String("token"),
				TransactItems:      []types.TransactWriteItem{update("a", "ADD v :n", "", attributes{":n": 1})(t, table)},
			}
			together(8, func(int) {
				_, err := db.TransactWriteItems(t.Context(), in)
				if err != nil && (!strict || code(err) != transactionRunning) {
					t.Error(err)
				}
			})
			diff(t, "items", values(t, db, table), map[string]float64{"a": 1})
		})
	}
}
