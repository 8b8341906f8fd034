package dynamodb

import (
	"encoding/json"
	"sync"
)

// A Fault decides, for tests, what becomes of an operation with the given
// request.
type Fault func(operation string, body []byte) Outcome

// An Outcome is what becomes of a call.
type Outcome int

// The outcomes of a call.
const (
	Proceed  Outcome = iota // it is answered as usual
	Refuse                  // it has no effect, and the answer is a 500
	Throttle                // it has no effect, and the answer is that there are too many calls
	Conflict                // it has no effect, and the answer is that a transaction is in conflict with it
	Lose                    // it takes effect, and the connection breaks before the answer
)

// Inject lets f decide over all operations from now on, until remove is called.
// Where several decide, the first that does not say Proceed is followed.
func (l *Layer) Inject(f Fault) (remove func()) {
	return l.faults.add(f)
}

// faults are the Faults in force.
type faults struct {
	mu  sync.Mutex
	all []*Fault
}

func (f *faults) add(fault Fault) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry := &fault
	f.all = append(f.all, entry)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		var rest []*Fault
		for _, other := range f.all {
			if other != entry {
				rest = append(rest, other)
			}
		}
		f.all = rest
	}
}

func (f *faults) decide(operation string, body []byte) Outcome {
	f.mu.Lock()
	all := f.all
	f.mu.Unlock()
	for _, fault := range all {
		if outcome := (*fault)(operation, body); outcome != Proceed {
			return outcome
		}
	}
	return Proceed
}

// refusal returns how the call is refused, or nothing if it is not.
func (o Outcome) refusal(name string, body []byte) error {
	switch o {
	case Proceed, Lose:
		return nil
	case Refuse:
		return failure(internalError, "Internal server error")
	case Throttle:
		return failure(throughputExceeded, "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.")
	case Conflict:
		if name == "TransactWriteItems" || name == "TransactGetItems" {
			return canceled(conflicts(countActions(body), func(i int) bool { return i == 0 }))
		}
		return errConflict()
	}
	return failure(internalError, "outcome %d is not known", o)
}

func errConflict() *apiError {
	return failure(transactionConflict, "Transaction is ongoing for the item")
}

// countActions returns how many actions a transaction has.
func countActions(body []byte) int {
	var in struct{ TransactItems []json.RawMessage }
	_ = json.Unmarshal(body, &in)
	return len(in.TransactItems)
}
