package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An authorizer asks an Authorizer's function, and keeps its verdicts.
type authorizer struct {
	Authorizer
	invoker Invoker

	mu       sync.Mutex
	verdicts map[string]*verdict // by identity
}

// A verdict is an answer of the authorizer, or a question that is under way.
// Done is closed when it is an answer.
type verdict struct {
	done    chan struct{}
	answer  answer
	err     error
	expires time.Time // zero until it is an answer
}

// An answer is a simple response of an authorizer.
type answer struct {
	IsAuthorized bool
	Context      jsontext.Value // null if there is none
}

// sweepAt is how many verdicts are kept before old ones are looked for.
const sweepAt = 1000

// identity returns the values of the identity sources in r, or nil if one is
// missing or empty.
func (a *authorizer) identity(r *http.Request) []string {
	values := []string{}
	for _, name := range a.Headers {
		value := strings.Join(r.Header.Values(name), ",")
		if value == "" {
			return nil
		}
		values = append(values, value)
	}
	return values
}

// ask returns the answer to event. Within the TTL, and while the question is
// under way, whoever comes with the same identity gets the same answer; a failure
// is not kept.
func (a *authorizer) ask(ctx context.Context, identity []string, event authorizerEvent) (answer, error) {
	if a.TTL == 0 || len(identity) == 0 {
		return a.invoke(ctx, event)
	}
	key := strings.Join(identity, "\x00")
	a.mu.Lock()
	v := a.verdicts[key]
	if v == nil || !v.expires.IsZero() && !time.Now().Before(v.expires) {
		v = &verdict{done: make(chan struct{})}
		a.sweep()
		a.verdicts[key] = v
		go a.decide(context.WithoutCancel(ctx), key, v, event)
	}
	a.mu.Unlock()
	select {
	case <-v.done:
		return v.answer, v.err
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// decide makes v an answer. Nobody's leaving ends it, since others may wait.
func (a *authorizer) decide(ctx context.Context, key string, v *verdict, event authorizerEvent) {
	v.answer, v.err = a.invoke(ctx, event)
	a.mu.Lock()
	defer a.mu.Unlock()
	v.expires = time.Now().Add(a.TTL)
	if v.err != nil && a.verdicts[key] == v {
		delete(a.verdicts, key)
	}
	close(v.done)
}

// sweep drops expired verdicts when there are many. The caller holds the mutex.
func (a *authorizer) sweep() {
	if len(a.verdicts) < sweepAt {
		return
	}
	now := time.Now()
	maps.DeleteFunc(a.verdicts, func(_ string, v *verdict) bool { return !v.expires.IsZero() && !now.Before(v.expires) })
}

func (a *authorizer) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.verdicts)
}

// invoke asks the function itself.
func (a *authorizer) invoke(ctx context.Context, event authorizerEvent) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, authorizerTimeout)
	defer cancel()
	res, err := a.invoker.Invoke(ctx, a.Function, encode(event))
	if err != nil {
		return answer{}, err
	}
	if res.FunctionError != "" {
		return answer{}, fmt.Errorf("function error: %s", res.Payload)
	}
	var simple struct {
		IsAuthorized *bool          `json:"isAuthorized"`
		Context      jsontext.Value `json:"context"`
	}
	if err := json.Unmarshal(res.Payload, &simple); err != nil {
		return answer{}, fmt.Errorf("not a simple response: %w", err)
	}
	if simple.IsAuthorized == nil {
		return answer{}, errors.New("not a simple response: there is no isAuthorized")
	}
	if simple.Context == nil {
		simple.Context = jsontext.Value("null")
	}
	return answer{*simple.IsAuthorized, simple.Context}, nil
}
