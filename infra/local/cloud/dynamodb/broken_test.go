package dynamodb

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// A flaw stands between a layer and dynalite, and breaks calls.
type flaw struct {
	proxy *httputil.ReverseProxy

	mu     sync.Mutex
	broken func(operation, body string) bool
}

func (f *flaw) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	broken := f.broken != nil && f.broken(strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810."), string(body))
	f.mu.Unlock()
	if broken {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.proxy.ServeHTTP(w, r)
}

// breaks makes dynalite fail the calls that f says, or none if f is nil.
func (f *flaw) breaks(when func(operation, body string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = when
}

// newFlawedLayer returns a strict layer with a flaw between it and dynalite.
func newFlawedLayer(t *testing.T) (*flaw, *dynamodb.Client) {
	t.Helper()
	upstream, err := dynalite()
	if err != nil {
		t.Fatal(err)
	}
	f := &flaw{proxy: httputil.NewSingleHostReverseProxy(upstream)}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	between, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return f, newClient(New(Options{Upstream: between, Strict: true, IndexLag: 1, TableDelay: 1}))
}

// TestTransactionMeetsAFailure has one action of a transaction fail for no
// reason of its own: the others are undone, and it is an internal error.
func TestTransactionMeetsAFailure(t *testing.T) {
	f, db := newFlawedLayer(t)
	table := newTable(t, db)
	put(t, db, table, one("a", 1), one("b", 2))
	actions := []actionOf{putIf("", one("a", 9)), remove("b", ""), update("c", "SET v = :n", "", attributes{":n": 3})}
	for _, operation := range []string{"PutItem", "DeleteItem", "UpdateItem"} {
		once := true
		f.breaks(func(called, _ string) bool {
			broken := called == operation && once
			once = once && !broken
			return broken
		})
		if got := code(transact(t, db, table, actions...)); got != internalError {
			t.Errorf("%s: got error %q, want %s", operation, got, internalError)
		}
		diff(t, operation, values(t, db, table), map[string]float64{"a": 1, "b": 2})
	}
	f.breaks(nil)
	if err := transact(t, db, table, actions...); err != nil {
		t.Fatal(err)
	}
	diff(t, "afterwards", values(t, db, table), map[string]float64{"a": 9, "c": 3})
}

// TestIndexMeetsAFailure has changes fail to reach the index: reading it fails
// rather than showing what is too old, and later it shows them.
func TestIndexMeetsAFailure(t *testing.T) {
	f, db := newFlawedLayer(t)
	table := newTable(t, db)
	f.breaks(func(operation, _ string) bool { return operation == "BatchWriteItem" })
	put(t, db, table, attributes{"pk": "p", "sk": "a", "tag": "t", "at": "x"})
	_, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: &table, IndexName: aws.String("tags")})
	if got := code(err); got != internalError {
		t.Errorf("got error %q, want %s", got, internalError)
	}
	f.breaks(nil)
	diff(t, "index", tagged(t, db, table, "t"), []string{"a"})
}
