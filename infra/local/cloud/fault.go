package cloud

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"sync"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

// An Operation names one of a service's calls: {"dynamodb", "PutItem"}. The
// services are dynamodb, lambda, cognito-idp, states, secretsmanager and so
// on, as in the scope of a credential.
type Operation struct {
	Service string
	Name    string
}

// A Call is a request that came to the endpoint.
type Call struct {
	Operation
	Body   []byte
	Caller string // the name of the function or the state machine; empty for the administrator
}

// An Effect says how far a call gets.
type Effect int

// A call takes its course; it fails and nothing is done; it is done, and its
// answer is lost.
const (
	Pass Effect = iota
	Refuse
	LoseAnswer
)

// A Fault is what becomes of a call. Status, Code and Message are those of a
// refusal; by default it is 500 InternalFailure.
type Fault struct {
	Effect  Effect
	Status  int
	Code    string
	Message string
}

// An observer counts calls and makes them fail.
type observer struct {
	mu     sync.Mutex
	decide func(Call) Fault
	calls  map[Operation]int
}

// SetFault makes decide say what becomes of each call from now on; nil lets
// all pass. It is called from several goroutines at once.
func (o *observer) SetFault(decide func(Call) Fault) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.decide = decide
}

// Calls returns how often each operation was called since the start or the
// last ResetCalls.
func (o *observer) Calls() map[Operation]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.calls)
}

// ResetCalls makes the counts zero.
func (o *observer) ResetCalls() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = nil
}

// count counts a call and returns what decides on it.
func (o *observer) count(op Operation) func(Call) Fault {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls == nil {
		o.calls = map[Operation]int{}
	}
	o.calls[op]++
	return o.decide
}

// serve lets the service answer a call, unless there is a fault for it.
func (o *observer) serve(w http.ResponseWriter, r *http.Request, c Call, service http.Handler) {
	var fault Fault
	if decide := o.count(c.Operation); decide != nil {
		fault = decide(c)
	}
	switch fault.Effect {
	case Pass:
		service.ServeHTTP(w, r)
	case Refuse:
		awsjson.WriteError(w, &awsjson.Error{
			Status:  cmp.Or(fault.Status, http.StatusInternalServerError),
			Code:    cmp.Or(fault.Code, "InternalFailure"),
			Message: cmp.Or(fault.Message, "injected fault"),
		})
	case LoseAnswer:
		service.ServeHTTP(nobody{}, r.WithContext(context.WithoutCancel(r.Context())))
		panic(http.ErrAbortHandler) // closes the connection
	}
}

// nobody gets an answer that is lost.
type nobody struct{}

func (nobody) Header() http.Header { return http.Header{} }

func (nobody) Write(b []byte) (int, error) { return len(b), nil }

func (nobody) WriteHeader(int) {}
