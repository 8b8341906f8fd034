package set

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/cloud"
)

// List prices of us-east-1 for a million of each, in dollars, as they were in 2025:
// of an HTTP API, of Lambda on arm64, of DynamoDB on demand and of CloudWatch Logs.
const (
	priceGateway = 1.00
	priceInvoke  = 0.20
	priceSecond  = 0.25 * 13.3334 // of a function of 256 MB
	priceRead    = 0.125
	priceWrite   = 0.625
	priceLogged  = 0.50 * 1e-3 // a byte
)

// accessLine is a line of the gateway, in the format that template.yaml gives it, for
// the longest of the routes here and an address of IPv6.
const accessLine = `{"request_id":"JKJaXmPLvHcESHA=","route":"GET /tenants/{tenant_id}","status":"200","ms":"12",` +
	`"ip":"2001:0db8:85a3:08d3:1319:8a2e:0370:7344","error":"-"}`

// lineOverhead is what CloudWatch Logs adds to the bytes of each line.
const lineOverhead = 26

// A bill is what requests to a function have used.
type bill struct {
	function string // by its logical name

	mu            sync.Mutex
	reads, writes float64 // request units
	secrets       int
}

// An action is the part of a call of DynamoDB that says what it costs.
type action struct {
	Item, Key      map[string]value
	ConsistentRead bool
}

// A storeCall is a call of DynamoDB.
type storeCall struct {
	action
	TransactItems []map[string]action
	RequestItems  map[string]struct {
		Keys           []json.RawMessage
		ConsistentRead bool
	}
}

// watch counts a call of the function, and lets all pass. What a workflow does
// costs apart.
func (b *bill) watch(c cloud.Call) cloud.Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !strings.HasSuffix(c.Caller, "-"+b.function) {
		return cloud.Fault{}
	}
	switch c.Service {
	case "secretsmanager":
		b.secrets++
	case "dynamodb":
		b.add(c)
	}
	return cloud.Fault{}
}

func (b *bill) add(c cloud.Call) {
	var call storeCall
	if err := json.Unmarshal(c.Body, &call); err != nil {
		panic(err) // the SDK's
	}
	switch c.Name {
	case "GetItem", "Query":
		b.reads += read(call.ConsistentRead)
	case "BatchGetItem":
		for _, table := range call.RequestItems {
			b.reads += float64(len(table.Keys)) * read(table.ConsistentRead)
		}
	case "TransactGetItems":
		b.reads += 2 * float64(len(call.TransactItems))
	case "TransactWriteItems":
		for _, items := range call.TransactItems {
			for _, a := range items {
				b.writes += 2*units(a.Item) + indexed(a.Item)
			}
		}
	default:
		b.writes += units(call.Item) + indexed(call.Item)
	}
}

// read returns the units of reading up to 4 KB, more than which no item here has.
func read(consistent bool) float64 {
	if consistent {
		return 1
	}
	return 0.5
}

// units returns the units of writing an item. What is changed and not put counts as
// 1 KB at most.
func units(item map[string]value) float64 {
	bytes := 1
	for name, v := range item {
		bytes += len(name) + v.size()
	}
	return float64((bytes + 1023) / 1024)
}

// A value is one of an item, with those of its types that are used.
type value struct {
	S    *string
	N    *string
	B    []byte
	SS   []string
	L    []value
	M    map[string]value
	Bool *bool
	Null *bool
}

// size returns how many bytes DynamoDB counts a value as: Amazon DynamoDB Developer
// Guide, "DynamoDB item sizes and formats".
func (v value) size() int {
	switch {
	case v.S != nil:
		return len(*v.S)
	case v.N != nil:
		return (len(*v.N)+1)/2 + 1
	case v.L != nil:
		n := 3
		for _, e := range v.L {
			n += 1 + e.size()
		}
		return n
	case v.M != nil:
		n := 3
		for name, e := range v.M {
			n += 1 + len(name) + e.size()
		}
		return n
	case v.Bool != nil || v.Null != nil:
		return 1
	}
	n := len(v.B)
	for _, e := range v.SS {
		n += len(e)
	}
	return n
}

// indexed returns the units of writing an item to the indexes that have it. That of
// what is due has keys only.
func indexed(item map[string]value) (n float64) {
	for _, of := range []string{"bucket", "status_group", "of_tenant"} {
		if _, there := item[of]; there {
			n += units(item)
		}
	}
	if _, there := item["due"]; there {
		n++
	}
	return n
}

// dollars returns what a million such requests cost, of one, with what a function
// takes, in seconds.
func (b *bill) dollars(seconds float64, logged int) float64 {
	return priceGateway + priceInvoke + seconds*priceSecond + b.reads*priceRead + b.writes*priceWrite + float64(logged+len(accessLine)+2*lineOverhead)*priceLogged
}

// TestBill counts what requests use of the store, so that none comes to cost more
// unseen. docs/performance.md has the bars.
func TestBill(t *testing.T) {
	s := startOwn(t, nil)
	c := newClient(t, s).admin()
	id := c.do("POST", "/tenants", map[string]any{"name": "Billed", "isolation": "pooled"}).must(202).text("id")
	c.active(id)
	edge := c.as(c.do("POST", "/api-keys", map[string]any{"name": "edge", "scopes": []string{"usage:write"}}).must(201).text("key"))
	edge.do("POST", "/usage-events", []any{event(id, "first", "message.sent", 1)}).must(200) // the authorizer has the key
	agent := map[string]any{"tenant_id": id, "name": "Sales", "system_prompt": "You sell anvils. Be brief."}
	var batch []any
	for n := range 100 {
		batch = append(batch, event(id, fmt.Sprint("e", n), "message.sent", 1))
	}
	for _, route := range []struct {
		name, function string
		request        func() *answer
		status         int
		seconds        float64 // of the function, with a store as far away as DynamoDB is
		per            float64 // what is billed for of one request
		bar            float64 // dollars a million, as docs/performance.md tells of it
	}{
		{"GET /tenants/{id}", "TenantGet", func() *answer { return c.do("GET", "/tenants/"+id, nil) }, 200, 0.01, 1, 1.60},
		{"POST /agents", "AgentCreate", func() *answer { return c.do("POST", "/agents", agent) }, 201, 0.03, 1, 9},
		{"POST /tenants", "TenantCreate", func() *answer {
			return c.with("Idempotency-Key", uuid.NewString()).do("POST", "/tenants", map[string]any{"name": unique("Billed"), "isolation": "pooled"})
		}, http.StatusAccepted, 0.06, 1, 20},
		{"usage event of 100", "UsageEventCreate", func() *answer { return edge.do("POST", "/usage-events", batch) }, 200, 0.06, 100, 0.20},
	} {
		b := &bill{function: route.function}
		s.Endpoint().SetFault(b.watch)
		a := route.request()
		s.Endpoint().SetFault(nil)
		a.must(route.status)
		var line string
		eventually(t, "it was logged", func() bool {
			line = logged(s, a.Header.Get("X-Request-Id"))
			return line != ""
		})
		got := b.dollars(route.seconds, len(line)) / route.per
		t.Logf("| 8 | %-18s | $%.2f: %.1f read, %.1f write units, %d B, %d secret calls | ≤ $%.2f |", route.name, got, b.reads, b.writes, len(line), b.secrets, route.bar)
		if got > route.bar {
			t.Errorf("a million of %s cost $%.2f, want $%.2f at most", route.name, got, route.bar)
		}
	}
}
