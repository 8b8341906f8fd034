package dynamodb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// catchUp makes all changes due, as if the lag had passed.
func catchUp(l *Layer, table string) {
	r := must(l, table).replica
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, c := range r.pending {
		c.due = time.Now()
		r.pending[id] = c
	}
}

// TestIndexLags changes an item in every way there is. The index shows each
// change when it is due, and not before; the table shows it at once.
func TestIndexLags(t *testing.T) {
	l, db := newLayer(t, Options{Strict: true, IndexLag: 1000 * time.Hour})
	table := newTable(t, db)
	item := func(sk, tag string) attributes { return attributes{"pk": "p", "sk": sk, "tag": tag, "at": "x"} }
	for _, step := range []struct {
		what         string
		change       func() error
		other, mine  []string // what the index has under "other" and "mine" in the end
		inTableAfter int
	}{
		{"put", func() error {
			_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: av(t, item("a", "mine"))})
			return err
		}, nil, []string{"a"}, 1},
		{"update", func() error {
			_, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: &table, Key: key("p", "a"), UpdateExpression: aws.String("SET tag = :t"),
				ExpressionAttributeValues: av(t, attributes{":t": "other"}),
			})
			return err
		}, []string{"a"}, nil, 1},
		{"batch", func() error {
			_, err := db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: {
				{PutRequest: &types.PutRequest{Item: av(t, item("b", "mine"))}},
				{DeleteRequest: &types.DeleteRequest{Key: key("p", "a")}},
			}}})
			return err
		}, nil, []string{"b"}, 1},
		{"transaction", func() error {
			return transact(t, db, table, putIf("", item("c", "other")), update("b", "REMOVE tag", "", nil))
		}, []string{"c"}, nil, 2},
		{"delete", func() error {
			_, err := db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: key("p", "c")})
			return err
		}, nil, nil, 1},
		{"failed transaction", func() error {
			_ = transact(t, db, table, putIf("", item("c", "mine")), checkIf("b", "attribute_not_exists(pk)"))
			return nil
		}, nil, nil, 1},
	} {
		other, mine := tagged(t, db, table, "other"), tagged(t, db, table, "mine")
		if err := step.change(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		diff(t, step.what+", other, before it is due", tagged(t, db, table, "other"), other)
		diff(t, step.what+", mine, before it is due", tagged(t, db, table, "mine"), mine)
		if got := len(values(t, db, table)); got != step.inTableAfter {
			t.Errorf("%s: got %d items in the table, want %d", step.what, got, step.inTableAfter)
		}
		catchUp(l, table)
		diff(t, step.what+", other", tagged(t, db, table, "other"), step.other)
		diff(t, step.what+", mine", tagged(t, db, table, "mine"), step.mine)
	}
}

// TestIndexNeverLagsLonger makes many changes of few items: each item is due
// within the lag of the first change that the index does not show.
func TestIndexNeverLagsLonger(t *testing.T) {
	const lag = time.Hour
	l, db := newLayer(t, Options{Strict: true, IndexLag: lag})
	table := newTable(t, db)
	put(t, db, table, one("a", 0), one("b", 0))
	latest := time.Now().Add(lag)
	for i := range 50 {
		put(t, db, table, one("a", i), one("b", i))
	}
	pending := must(l, table).replica.pending
	if len(pending) != 2 {
		t.Errorf("got %d changes to follow, want one for each item", len(pending))
	}
	for id, c := range pending {
		if c.due.After(latest) {
			t.Errorf("%q: due %v after the lag", id, c.due.Sub(latest))
		}
	}
}

// TestIndexIsFollowedUnread has nobody read: what is written is followed all the
// same, so that it does not pile up.
func TestIndexIsFollowedUnread(t *testing.T) {
	l, db := newLayer(t, Options{Strict: true})
	table := newTable(t, db)
	put(t, db, table, attributes{"pk": "p", "sk": "a", "tag": "t", "at": "x"})
	r := must(l, table).replica
	for {
		r.mu.Lock()
		asleep := !r.awake
		left := len(r.pending)
		r.mu.Unlock()
		if asleep {
			if left > 0 {
				t.Errorf("got %d changes left, want none", left)
			}
			break
		}
		get(t, db, table, "a")
	}
}

// TestIndexUnderLoad has many change items at once while others read the index:
// no item goes back in time, and in the end the index is the table.
func TestIndexUnderLoad(t *testing.T) {
	l, db := newLayer(t, Options{Strict: true, IndexLag: 20 * time.Millisecond})
	table := newTable(t, db)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() { watchIndex(t, db, table, stop) })
	}
	together(8, func(i int) {
		for n := range 40 {
			changeAtRandom(t, db, table, i, n)
		}
	})
	close(stop)
	readers.Wait()
	catchUp(l, table)
	inTable := versions(t, db, &dynamodb.ScanInput{TableName: &table, FilterExpression: aws.String("attribute_exists(tag)")})
	inIndex := versions(t, db, &dynamodb.ScanInput{TableName: &table, IndexName: aws.String("tags")})
	diff(t, "index", inIndex, inTable)
	if len(inTable) == 0 {
		t.Error("got no item")
	}
}

// changeAtRandom makes the n-th change of writer i, who has items of its own.
func changeAtRandom(tb testing.TB, db *dynamodb.Client, table string, i, n int) {
	tb.Helper()
	sk := fmt.Sprintf("%d-%d", i, rand.N(3)) //nolint:gosec // it is a test's choice
	next := attributes{"pk": "p", "sk": sk, "tag": fmt.Sprint("tag", n%3), "at": "x", "v": n}
	var err error
	switch rand.N(4) { //nolint:gosec // it is a test's choice
	case 0:
		_, err = db.DeleteItem(tb.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: key("p", sk)})
	case 1:
		err = transact(tb, db, table, putIf("", next))
	case 2:
		_, err = db.UpdateItem(tb.Context(), &dynamodb.UpdateItemInput{
			TableName: &table, Key: key("p", sk), UpdateExpression: aws.String("SET v = :n REMOVE tag"),
			ExpressionAttributeValues: av(tb, attributes{":n": n}),
		})
	default:
		_, err = db.PutItem(tb.Context(), &dynamodb.PutItemInput{TableName: &table, Item: av(tb, next)})
	}
	if err != nil {
		tb.Error(err)
	}
}

// watchIndex reads the index until told to stop.
func watchIndex(tb testing.TB, db *dynamodb.Client, table string, stop <-chan struct{}) {
	tb.Helper()
	latest := map[string]float64{}
	for {
		select {
		case <-stop:
			return
		default:
		}
		for sk, v := range versions(tb, db, &dynamodb.ScanInput{TableName: &table, IndexName: aws.String("tags")}) {
			if v < latest[sk] {
				tb.Errorf("%s: got version %v after %v", sk, v, latest[sk])
			}
			latest[sk] = v
		}
	}
}

// versions returns the attribute v of what a scan finds, by sort key.
func versions(tb testing.TB, db *dynamodb.Client, in *dynamodb.ScanInput) map[string]float64 {
	tb.Helper()
	out, err := db.Scan(context.Background(), in)
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

// TestIndexPages turns the pages of an index whose keys are not unique, in both
// directions, while other items come and go.
func TestIndexPages(t *testing.T) {
	_, db := newLayer(t, Options{Strict: true, IndexLag: 10 * time.Millisecond})
	table := newTable(t, db)
	together(8, func(i int) {
		for n := i; n < 120; n += 8 {
			put(t, db, table, attributes{"pk": fmt.Sprint("p", n), "sk": "stays", "tag": "t", "at": fmt.Sprintf("%03d", n/4)})
		}
	})
	for len(tagged(t, db, table, "t")) < 120 {
		continue // until the index has them all
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				changing := attributes{"pk": fmt.Sprint("p", n%50), "sk": "goes", "tag": "t", "at": fmt.Sprintf("%03d", n%30)}
				if n%2 == 0 {
					delete(changing, "tag")
				}
				put(t, db, table, changing)
			}
		}
	})
	for _, forward := range []bool{true, false} {
		order, times := turnPages(t, db, table, forward)
		if !forward {
			slices.Reverse(order)
		}
		if !slices.IsSorted(order) {
			t.Errorf("forward=%t: not in order: %v", forward, order)
		}
		if len(times) != 120 {
			t.Errorf("forward=%t: got %d items that stay, want 120", forward, len(times))
		}
		for pk, n := range times {
			if n != 1 {
				t.Errorf("forward=%t: got %s %d times", forward, pk, n)
			}
		}
	}
	close(stop)
	writer.Wait()
}

// turnPages reads index tags in pages of 7. It returns the index keys in the
// order they came, and how often each item that stays came.
func turnPages(t *testing.T, db *dynamodb.Client, table string, forward bool) (order []string, times map[string]int) {
	t.Helper()
	times = map[string]int{}
	pages := dynamodb.NewQueryPaginator(db, &dynamodb.QueryInput{
		TableName: &table, IndexName: aws.String("tags"), KeyConditionExpression: aws.String("tag = :t"),
		ExpressionAttributeValues: av(t, attributes{":t": "t"}), Limit: aws.Int32(7), ScanIndexForward: &forward,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range page.Items {
			i := plain(t, raw)
			order = append(order, i["at"].(string))
			if i["sk"] == "stays" {
				times[i["pk"].(string)]++
			}
		}
	}
	return order, times
}

// TestIndexAnswersLikeATable checks what the replica could give away.
func TestIndexAnswersLikeATable(t *testing.T) {
	_, db := newLayer(t, Options{Strict: true})
	table := newTable(t, db)
	for n := range 12 {
		put(t, db, table, attributes{"pk": "p", "sk": fmt.Sprint(n), "tag": "t", "at": fmt.Sprint(n), "owner": "o", "n": n, "v": n % 2})
	}
	out, err := db.Query(t.Context(), &dynamodb.QueryInput{
		TableName: &table, IndexName: aws.String("owners"), KeyConditionExpression: aws.String("#o = :o AND n BETWEEN :from AND :to"),
		ExpressionAttributeNames:  map[string]string{"#o": "owner"},
		ExpressionAttributeValues: av(t, attributes{":o": "o", ":from": 9, ":to": 11}),
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []attributes
	for _, raw := range out.Items {
		got = append(got, plain(t, raw))
	}
	diff(t, "keys in numeric order", got, []attributes{
		{"pk": "p", "sk": "9", "owner": "o", "n": 9.0}, {"pk": "p", "sk": "10", "owner": "o", "n": 10.0}, {"pk": "p", "sk": "11", "owner": "o", "n": 11.0},
	})
	diff(t, "capacity", units([]types.ConsumedCapacity{*out.ConsumedCapacity}), map[string]float64{table: 0.5})

	filtered, err := db.Query(t.Context(), &dynamodb.QueryInput{
		TableName: &table, IndexName: aws.String("tags"), KeyConditionExpression: aws.String("tag = :t"),
		FilterExpression: aws.String("v = :v"), ExpressionAttributeValues: av(t, attributes{":t": "t", ":v": 1}), Limit: aws.Int32(6),
	})
	if err != nil {
		t.Fatal(err)
	}
	if filtered.Count != 3 || filtered.ScannedCount != 6 || len(filtered.LastEvaluatedKey) != 4 {
		t.Errorf("got %d of %d items and a next key of %d attributes, want 3 of 6 and 4", filtered.Count, filtered.ScannedCount, len(filtered.LastEvaluatedKey))
	}
	for name, in := range map[string]*dynamodb.QueryInput{
		"consistent": {IndexName: aws.String("tags"), ConsistentRead: aws.Bool(true)},
		"unknown":    {IndexName: aws.String("nowhere")},
	} {
		in.TableName, in.KeyConditionExpression, in.ExpressionAttributeValues = &table, aws.String("tag = :t"), av(t, attributes{":t": "t"})
		if _, err := db.Query(t.Context(), in); code(err) != validation {
			t.Errorf("%s: got error %v, want %s", name, err, validation)
		}
	}
}

// TestIndexOfARefusedItem writes what dynalite refuses: the index goes on.
func TestIndexOfARefusedItem(t *testing.T) {
	_, db := newLayer(t, Options{Strict: true})
	table := newTable(t, db)
	refused := 0
	for _, i := range []attributes{{"pk": "", "sk": "s"}, {"pk": "p"}, {"pk": "p", "sk": 1}, {"pk": "p", "sk": string(make([]byte, 1025))}, {"pk": "p", "sk": "s", "tag": 1}} {
		if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: av(t, i)}); code(err) == validation {
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("got %d items refused, want 5", refused)
	}
	put(t, db, table, attributes{"pk": "p", "sk": "a", "tag": "t", "at": "x"})
	diff(t, "index", tagged(t, db, table, "t"), []string{"a"})
}
