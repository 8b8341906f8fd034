package dynamodb

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A script says who comes ("+name") and who goes ("-name"), and after each step
// who is inside then, in order.
type script [][2]string

// play plays the script. To enter as name waits until it is inside.
func (s script) play(t *testing.T, enter func(name string) (leave func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		inside := map[string]func(){}
		for i, step := range s {
			if name, comes := strings.CutPrefix(step[0], "+"); comes {
				go func() {
					leave := enter(name)
					mu.Lock()
					defer mu.Unlock()
					inside[name] = leave
				}()
			} else {
				name := strings.TrimPrefix(step[0], "-")
				mu.Lock()
				leave := inside[name]
				delete(inside, name)
				mu.Unlock()
				leave()
			}
			synctest.Wait()
			mu.Lock()
			got := strings.Join(slices.Sorted(maps.Keys(inside)), " ")
			mu.Unlock()
			if got != step[1] {
				t.Fatalf("after step %d, %s: got %q inside, want %q", i, step[0], got, step[1])
			}
		}
	})
}

// TestGate has names that begin with how they enter.
func TestGate(t *testing.T) {
	hows := map[byte]passage{'l': looking, 'c': changing, 'w': watching, 'a': alone}
	for name, s := range map[string]script{
		"beside one another": {
			{"+c1", "c1"},
			{"+c2", "c1 c2"},
			{"+l1", "c1 c2 l1"},
			{"-c1", "c2 l1"},
			{"-c2", "l1"},
			{"+w1", "l1 w1"},
			{"+w2", "l1 w1 w2"},
			{"+l2", "l1 l2 w1 w2"},
		},
		"alone": {
			{"+l1", "l1"},
			{"+c1", "c1 l1"},
			{"+a1", "c1 l1"},
			{"+a2", "c1 l1"},
			{"-l1", "c1"},
			{"-c1", "a1"},
			{"-a1", "a2"},
			{"+l2", "a2"},
			{"+w1", "a2"},
			{"-a2", "l2 w1"},
			{"-l2", "w1"},
			{"-w1", ""},
		},
		"sides take turns": {
			{"+c1", "c1"},
			{"+c2", "c1 c2"},
			{"+w1", "c1 c2"},
			{"+c3", "c1 c2"},
			{"+w2", "c1 c2"},
			{"+c4", "c1 c2"},
			{"-c1", "c2"},
			{"-c2", "w1 w2"},
			{"+w3", "w1 w2"},
			{"-w2", "w1"},
			{"-w1", "c3 c4"},
			{"-c4", "c3"},
			{"-c3", "w3"},
			{"-w3", ""},
		},
		"nobody passes over who waits": {
			{"+l1", "l1"},
			{"+a1", "l1"},
			{"+l2", "l1"},
			{"+c1", "l1"},
			{"+w1", "l1"},
			{"+a2", "l1"},
			{"-l1", "a1"},
			{"-a1", "c1 l2"},
			{"+c2", "c1 l2"},
			{"-l2", "c1"},
			{"-c1", "w1"},
			{"-w1", "a2"},
			{"-a2", "c2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var g gate
			s.play(t, func(name string) func() {
				how := hows[name[0]]
				g.enter(how)
				return func() { g.leave(how) }
			})
		})
	}
}

// TestOrder has operations on the tables t and u. Their names say the operation
// and what it is about: a table, its partition a, the item 1 of that.
func TestOrder(t *testing.T) {
	for name, s := range map[string]script{
		"a transaction has its items alone": {
			{"+write-ta1-tb1", "write-ta1-tb1"},
			{"+read-ta1", "write-ta1-tb1"},
			{"+put-tb1", "write-ta1-tb1"},
			{"+read-ta2", "read-ta2 write-ta1-tb1"},
			{"+read-ua1", "read-ta2 read-ua1 write-ta1-tb1"},
			{"-write-ta1-tb1", "put-tb1 read-ta1 read-ta2 read-ua1"},
		},
		"a transaction waits for its items": {
			{"+put-tb1", "put-tb1"}, {"+write-ta1-tb1", "put-tb1"}, {"+write-tb2", "put-tb1 write-tb2"}, {"-put-tb1", "write-ta1-tb1 write-tb2"},
		},
		"one that waits for its items does not hold up who watches": {
			{"+put-tb1", "put-tb1"},
			{"+write-ta1-tb1", "put-tb1"},
			{"+scan-t", "put-tb1 scan-t"},
			{"+query-ta", "put-tb1 query-ta scan-t"},
			{"-put-tb1", "query-ta scan-t"},
			{"-scan-t", "query-ta"},
			{"-query-ta", "write-ta1-tb1"},
		},
		"transactions take turns with who watches their table": {
			{"+write-ta1", "write-ta1"},
			{"+scan-t", "write-ta1"},
			{"+write-tb1", "write-ta1"},
			{"+scan-u", "scan-u write-ta1"},
			{"-write-ta1", "scan-t scan-u"},
			{"-scan-t", "scan-u write-tb1"},
		},
		"transactions take turns with who watches their partition": {
			{"+write-ta1-tb1", "write-ta1-tb1"},
			{"+query-ta", "write-ta1-tb1"},
			{"+write-ta2", "write-ta1-tb1"},
			{"+query-tc", "query-tc write-ta1-tb1"},
			{"-write-ta1-tb1", "query-ta query-tc"},
			{"+write-tb1", "query-ta query-tc write-tb1"},
			{"-query-ta", "query-tc write-ta2 write-tb1"},
		},
		"who watches beside plain operations": {
			{"+scan-t", "scan-t"}, {"+put-ta1", "put-ta1 scan-t"}, {"+query-ta", "put-ta1 query-ta scan-t"}, {"+read-ta1", "put-ta1 query-ta read-ta1 scan-t"},
		},
		"items are read together at one moment": {
			{"+get-ta1-tb1", "get-ta1-tb1"},
			{"+put-ta1", "get-ta1-tb1"},
			{"+put-ua1", "get-ta1-tb1 put-ua1"},
			{"+write-tb1", "get-ta1-tb1 put-ua1"},
			{"-get-ta1-tb1", "put-ta1 put-ua1 write-tb1"},
			{"+get-ta1-ua1", "put-ta1 put-ua1 write-tb1"},
			{"-put-ta1", "put-ua1 write-tb1"},
			{"-put-ua1", "get-ta1-ua1 write-tb1"},
		},
		"a table is deleted alone": {
			{"+put-ta1", "put-ta1"},
			{"+query-ta", "put-ta1 query-ta"},
			{"+drop-t", "put-ta1 query-ta"},
			{"+write-ua1", "put-ta1 query-ta write-ua1"},
			{"-query-ta", "put-ta1 write-ua1"},
			{"-put-ta1", "drop-t write-ua1"},
			{"+read-ua2", "drop-t read-ua2 write-ua1"},
			{"+scan-t", "drop-t read-ua2 write-ua1"},
			{"+read-ta1", "drop-t read-ua2 write-ua1"},
			{"-drop-t", "read-ta1 read-ua2 scan-t write-ua1"},
		},
		"what is named in another order": {
			{"+write-tb1-ua1-ta1", "write-tb1-ua1-ta1"},
			{"+write-ua1-ta1-tb1", "write-tb1-ua1-ta1"},
			{"+write-ta1-tb1-ua1", "write-tb1-ua1-ta1"},
			{"-write-tb1-ua1-ta1", "write-ua1-ta1-tb1"},
			{"-write-ua1-ta1-tb1", "write-ta1-tb1-ua1"},
		},
		"a partition by itself is an item": {{"+write-ta", "write-ta"}, {"+read-ta", "write-ta"}, {"+query-ta", "write-ta"}, {"-write-ta", "query-ta read-ta"}},
		"nothing at all":                   {{"+put", "put"}, {"-put", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			var o order
			s.play(t, func(name string) func() {
				parts := strings.Split(name, "-")
				var ids []itemID
				for _, part := range parts[1:] {
					ids = append(ids, itemID(strings.Join(strings.Split(part, ""), idSeparator)))
				}
				switch parts[0] {
				case "read":
					return o.items(looking, ids...)
				case "put":
					return o.items(changing, ids...)
				case "get":
					return o.items(watching, ids...)
				case "write":
					return o.transaction(ids)
				case "query":
					return o.partition(ids[0])
				case "scan":
					return o.content(parts[1])
				default:
					return o.table(parts[1])
				}
			})
		})
	}
}

// TestOrderUnderLoad moves amounts between items that only the order guards, for
// the race detector to watch, and ends, which is that nobody waits for ever.
func TestOrderUnderLoad(t *testing.T) {
	const n = 6
	ids := make([]itemID, n)
	for i := range ids {
		ids[i] = itemID(fmt.Sprintf("table%d%s%d", i%2, idSeparator, i))
	}
	var o order
	var amounts [n]int
	together(16, func(int) {
		for range 500 {
			i, j := rand.IntN(n), rand.IntN(n) //nolint:gosec // it is a test's choice
			switch rand.IntN(5) {              //nolint:gosec // it is a test's choice
			case 0:
				leave := o.transaction([]itemID{ids[i], ids[j]})
				amounts[i]++
				amounts[j]--
				leave()
			case 1:
				leave := o.content("table0")
				_ = amounts[0] + amounts[2] + amounts[4]
				leave()
			case 4:
				leave := o.partition(ids[i])
				_ = amounts[i]
				leave()
			case 2:
				leave := o.items(looking, ids[i])
				_ = amounts[i]
				leave()
			default:
				leave := o.table("table0")
				amounts[0]++
				amounts[2]--
				amounts[2]++
				amounts[0]--
				leave()
			}
		}
	})
	if len(o.places) > 0 {
		t.Errorf("%d places are kept", len(o.places))
	}
}

func TestPartitionOfAQuery(t *testing.T) {
	table := &table{name: "t", keys: []keyAttribute{{"pk", "S"}, {"sk", "S"}}}
	for request, want := range map[string]itemID{
		`{"KeyConditionExpression": "pk = :a", "ExpressionAttributeValues": {":a": {"S": "x"}}}`:                                                                   "t\x00x",
		`{"KeyConditionExpression": "(sk=:b) AND (pk=:a)", "ExpressionAttributeValues": {":a": {"S": "x"}, ":b": {"S": "y"}}}`:                                     "t\x00x",
		`{"KeyConditionExpression": "#a = :b AND #b = :a", "ExpressionAttributeNames": {"#a": "sk", "#b": "pk"}, "ExpressionAttributeValues": {":a": {"S": "x"}}}`: "t\x00x",
		`{"KeyConditionExpression": "pk = :a AND sk >= :b", "ExpressionAttributeValues": {":a": {"S": "x\u0000y"}, ":b": {"S": "y"}}}`:                             "t\x00x\x00y",
		`{"KeyConditionExpression": "pk = :a", "IndexName": "i", "ExpressionAttributeValues": {":a": {"S": "x"}}}`:                                                 "",
		`{"KeyConditionExpression": "pk = :a", "ExpressionAttributeValues": {":b": {"S": "x"}}}`:                                                                   "",
		`{"KeyConditionExpression": "sk = :a", "ExpressionAttributeValues": {":a": {"S": "x"}}}`:                                                                   "",
		`{"KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "x"}]}}}`:                                                              "",
		`{}`: "",
	} {
		var in listRequest
		if err := decode([]byte(request), &in); err != nil {
			t.Fatal(err)
		}
		if got, ok := in.partition(table); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %t, want %q", request, got, ok, want)
		}
	}
}

// An upstreamFunc answers in place of dynalite.
type upstreamFunc func(operation string)

func (f upstreamFunc) RoundTrip(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f(operation)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

// TestTransactionsPassTogether has no transaction go on before all have come as
// far as dynalite. If one waited for another, all would wait, and the test fail.
func TestTransactionsPassTogether(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict=%t", strict), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 3
				var come sync.WaitGroup
				come.Add(2 * n)
				l := New(Options{Upstream: new(url.URL), Strict: strict})
				l.upstream.client = &http.Client{Transport: upstreamFunc(func(string) {
					come.Done()
					come.Wait()
				})}
				l.tables.put(&table{name: "t", keys: []keyAttribute{{"pk", "S"}}, made: true})
				together(n, func(i int) {
					put := func(pk string) string {
						return fmt.Sprintf(`{"Put": {"TableName": "t", "Item": {"pk": {"S": "%s%d"}}}}`, pk, i)
					}
					answer := post(l, "TransactWriteItems", `{"TransactItems": [`+put("a")+","+put("b")+`]}`)
					if answer.Code != http.StatusOK {
						t.Errorf("got %d %s", answer.Code, answer.Body)
					}
				})
			})
		})
	}
}

// TestNothingSeesHalfOfATransaction has transactions give all items the next
// version, and others, that are undone, one below zero, while everything reads.
func TestNothingSeesHalfOfATransaction(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict=%t", strict), func(t *testing.T) {
			_, db := newLayer(t, Options{Strict: strict})
			table := newTable(t, db)
			const n = 5
			version := func(v int) []actionOf {
				var actions []actionOf
				for i := range n {
					actions = append(actions, putIf("", attributes{"pk": "p", "sk": fmt.Sprint(i), "tag": "t", "at": "x", "v": v}))
				}
				return actions
			}
			if err := transact(t, db, table, version(0)...); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			var readers sync.WaitGroup
			for name, read := range readersOf(t, db, table, n) {
				readers.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						seen := read()
						for _, v := range seen {
							if v < 0 || v != seen[0] {
								t.Errorf("%s: got the versions %v", name, seen)
								break
							}
						}
					}
				})
			}
			for v := range 40 {
				undone := append(version(-1), checkIf("none", "attribute_exists(pk)"))
				if err := transact(t, db, table, undone...); code(err) != transactionCanceled {
					t.Errorf("got %v, want %s", err, transactionCanceled)
				}
				if err := transact(t, db, table, version(v)...); err != nil {
					t.Error(err)
				}
			}
			close(stop)
			readers.Wait()
		})
	}
}

// readersOf returns all ways to read the versions of n items. In strict mode an
// index shows items of several ages, so that of it only those below zero are told.
func readersOf(t *testing.T, db *dynamodb.Client, table string, n int) map[string]func() []float64 {
	t.Helper()
	list := func(index *string) func() []float64 {
		return func() []float64 {
			in := &dynamodb.ScanInput{TableName: &table, IndexName: index}
			return slices.Collect(maps.Values(versions(t, db, in)))
		}
	}
	negative := func(read func() []float64) func() []float64 {
		return func() []float64 {
			return slices.DeleteFunc(read(), func(v float64) bool { return v >= 0 })
		}
	}
	var keys []map[string]types.AttributeValue
	for i := range n {
		keys = append(keys, key("p", fmt.Sprint(i)))
	}
	return map[string]func() []float64{
		"query": func() []float64 { return slices.Collect(maps.Values(values(t, db, table))) },
		"scan":  list(nil),
		"index": negative(list(aws.String("tags"))),
		"item":  func() []float64 { return []float64{get(t, db, table, "3")["v"].(float64)} },
		"batch": func() []float64 {
			out, err := db.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
				table: {Keys: keys, ConsistentRead: aws.Bool(true)},
			}})
			if err != nil {
				t.Error(err)
				return nil
			}
			var all []float64
			for _, i := range out.Responses[table] {
				all = append(all, plain(t, i)["v"].(float64))
			}
			return all
		},
	}
}
