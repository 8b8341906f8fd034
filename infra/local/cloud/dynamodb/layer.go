// Package dynamodb is a layer in front of dynalite that adds what dynalite
// lacks of DynamoDB: transactions, old items on failed conditions, time to
// live, continuous backups, deletion protection, and tags at creation.
package dynamodb

import (
	"net/http"
	"net/url"
	"time"
)

// Options are the settings of a Layer.
type Options struct {
	// Upstream is the address of dynalite. All its tables must have been made
	// through the Layer.
	Upstream *url.URL

	// Strict makes the Layer as unkind as DynamoDB may be: items in a running
	// transaction are in conflict with others, indexes lag behind, and tables
	// take a while to come and go.
	Strict bool

	// IndexLag is, in strict mode, how far an index may be behind its table: 2 s
	// if zero.
	IndexLag time.Duration

	// TableDelay is, in strict mode, how long a table is CREATING and DELETING:
	// 300 ms if zero.
	TableDelay time.Duration
}

// A Layer is an http.Handler that speaks DynamoDB's protocol.
type Layer struct {
	options Options
}

// New returns a Layer with the given options.
func New(o Options) *Layer {
	return &Layer{options: o}
}

// ServeHTTP answers one operation.
func (l *Layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "not built yet", http.StatusNotImplemented)
}

// A Fault decides, for tests, what becomes of a call with the given body.
type Fault func(operation string, body []byte) Outcome

// An Outcome is what becomes of a call.
type Outcome int

// The outcomes of a call.
const (
	Proceed  Outcome = iota // it is answered as usual
	Refuse                  // it has no effect, and the answer is a 500
	Throttle                // it has no effect, and the answer is a throttle
	Conflict                // it has no effect: a transaction is in conflict with it
	Lose                    // it takes effect, and the connection breaks before the answer
)

// Inject lets f decide over all calls from now on, until remove is called.
func (l *Layer) Inject(f Fault) (remove func()) {
	return func() {}
}
