package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// A load is the requests that are sent, and the books of what they did.
type load struct {
	set    *set
	record *record
	admin  string // the platform admin's token
	edge   string // the key of the service that reports calls and use
	owner  string // the token of one who signed up
	names  string // what all names begin with

	customers []*customer

	mu      sync.Mutex
	made    map[string]bool // the ids of all tenants
	signups map[string]bool // those of them that came by signing up
	unsure  int             // tenants that may have been made, for all that was answered
	live    []*call
}

// A customer is a tenant that most requests are about. What is told of by a counter
// is what was answered as done.
type customer struct {
	id        string
	operation string

	mu      sync.Mutex
	busy    bool // it is being changed
	note    int
	changes tally
	agents  []*agent
	gone    []*agent
	adds    tally // of agents
	removes tally
	calls   tally
	seconds tally
	messages,
	minutes tally
}

// An agent is one of a customer's.
type agent struct {
	id      string
	busy    bool // it is being changed or removed
	note    int
	changes tally
}

// A call is one that goes on.
type call struct {
	customer *customer
	id       string
}

// A tally is how often something was done, and how often it may have been besides,
// as the answer was none or a failure.
type tally struct{ sure, maybe int }

func (t *tally) add(n int, o done) {
	switch o {
	case yes:
		t.sure += n
	case unknown:
		t.maybe += n
	case no:
	}
}

// done tells whether what was asked for was done.
type done int

const (
	no done = iota
	yes
	unknown
)

func newLoad(s *set) *load {
	return &load{
		set: s, record: newRecord(), names: "soak-" + uuid.NewString()[:8],
		made: map[string]bool{}, signups: map[string]bool{},
	}
}

// errNotDue is the failure of what has to succeed for anything else to make sense.
var errNotDue = errors.New("the answer is not the one that was due")

// must sends a request that has to be answered with the status.
func (l *load) must(ctx context.Context, r request, status int) (answer, error) {
	a, err := l.set.do(ctx, r)
	if err == nil && a.status != status {
		err = fmt.Errorf("%s %s: %w: %d %s", r.method, r.path, errNotDue, a.status, a.body)
	}
	return a, err
}

// prepare signs in, and makes n customers.
func (l *load) prepare(ctx context.Context, n int) error {
	a, err := l.must(ctx, request{
		method: http.MethodPost, path: "/auth/token",
		body: map[string]any{"username": l.set.Admin.Username, "password": l.set.Admin.Password},
	}, http.StatusOK)
	if err != nil {
		return err
	}
	l.admin = a.text("access_token")
	a, err = l.must(ctx, request{
		method: http.MethodPost, path: "/api-keys", token: l.admin,
		body: map[string]any{"name": l.names, "scopes": []string{"calls:write", "usage:write"}},
	}, http.StatusCreated)
	if err != nil {
		return err
	}
	l.edge = a.text("key")
	if err := l.prepareOwner(ctx); err != nil {
		return err
	}
	for i := range n {
		isolation := "pooled"
		if i%10 == 0 {
			isolation = "dedicated"
		}
		a, err := l.must(ctx, request{method: http.MethodPost, path: "/tenants", token: l.admin, body: map[string]any{
			"name": l.name(), "isolation": isolation, "billing_plan": "enterprise",
		}}, http.StatusAccepted)
		if err != nil {
			return err
		}
		c := &customer{id: a.text("id"), operation: a.text("operation_id")}
		l.made[c.id] = true
		l.customers = append(l.customers, c)
	}
	for _, c := range l.customers {
		if err := l.prepareCustomer(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// prepareOwner signs somebody up.
func (l *load) prepareOwner(ctx context.Context) error {
	draft := l.account()
	a, err := l.must(ctx, request{method: http.MethodPost, path: "/auth/signup", body: draft}, http.StatusCreated)
	if err != nil {
		return err
	}
	l.made[a.text("user_id")], l.signups[a.text("user_id")] = true, true
	a, err = l.must(ctx, request{
		method: http.MethodPost, path: "/auth/token",
		body: map[string]any{"username": draft["username"], "password": draft["password"]},
	}, http.StatusOK)
	l.owner = a.text("access_token")
	return err
}

// prepareCustomer waits until a customer is active, and gives it an agent.
func (l *load) prepareCustomer(ctx context.Context, c *customer) error {
	if err := eventually(ctx, "tenant "+c.id+" is active", func() (bool, error) {
		a, err := l.must(ctx, request{method: http.MethodGet, path: "/tenants/" + c.id, token: l.admin}, http.StatusOK)
		return a.text("status") == "active", err
	}); err != nil {
		return err
	}
	a, err := l.must(ctx, request{
		method: http.MethodPost, path: "/agents", token: l.admin,
		body: map[string]any{"tenant_id": c.id, "name": l.name()},
	}, http.StatusCreated)
	c.agents = append(c.agents, &agent{id: a.text("id")})
	c.adds.sure++
	return err
}

// patience is how long what comes about by itself may take.
const patience = 3 * time.Minute

// eventually asks again and again until ok.
func eventually(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		if good, err := ok(); good || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
}

// run sends requests at the rate of o, whatever the answers, and returns the rate
// that was reached.
func (l *load) run(ctx context.Context, o options, w *watch, out io.Writer) float64 {
	start := time.Now()
	sending, cancel := context.WithTimeout(ctx, o.duration)
	defer cancel()
	reporting := make(chan struct{})
	go func() {
		defer close(reporting)
		l.report(sending, o.progress, w, out)
	}()
	pace := rate.NewLimiter(rate.Limit(o.rate), max(1, int(o.rate/10)))
	places := make(chan struct{}, o.inFlight)
	var group sync.WaitGroup
	sent := 0
	for pace.Wait(sending) == nil {
		places <- struct{}{}
		sent++
		group.Go(func() {
			pick()(l, ctx)
			<-places
		})
	}
	took := time.Since(start)
	group.Wait()
	cancel()
	<-reporting
	return float64(sent) / took.Seconds()
}

// report writes a line of progress every so often.
func (l *load) report(ctx context.Context, every time.Duration, w *watch, out io.Writer) {
	start, before := time.Now(), 0
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		total, failed := l.record.counts()
		say(out, "%6s  %d answers, %.1f a second, %d not due%s",
			time.Since(start).Round(time.Second), total, float64(total-before)/every.Seconds(), failed, w.latest())
		before = total
	}
}

// An action sends one request, or two.
type action func(*load, context.Context)

// mix is what the load is made of, in thousandths.
var mix = []struct {
	weight int
	action action
}{
	{5, (*load).signUp},
	{5, (*load).createTenant},

	{80, (*load).listTenants},
	{60, (*load).listAgents},
	{30, (*load).listUsers},
	{30, (*load).listCalls},

	{200, (*load).getTenant},
	{80, (*load).getAgent},
	{40, (*load).getStats},
	{50, (*load).getMe},
	{10, (*load).getOperation},

	{60, (*load).updateTenant},
	{60, (*load).updateAgent},
	{25, (*load).createAgent},
	{20, (*load).deleteAgent},

	{70, (*load).startCall},
	{60, (*load).renewCall},
	{65, (*load).endCall},
	{50, (*load).reportUse},
}

// pick returns an action by its weight.
func pick() action {
	n := rand.IntN(1000) //nolint:gosec // of a load
	for _, m := range mix {
		if n -= m.weight; n < 0 {
			return m.action
		}
	}
	panic("the weights are less than 1000")
}

// send sends a request whose answer is to have one of the statuses, of which the
// first says that it was done, and tells whether it was.
func (l *load) send(ctx context.Context, route string, r request, due ...int) (answer, done) {
	start := time.Now()
	a, err := l.set.do(ctx, r)
	took := time.Since(start)
	switch {
	case err != nil:
		l.record.add(outcome{route, 0}, took, err.Error())
		return a, unknown
	case !slices.Contains(due, a.status):
		l.record.add(outcome{route, a.status}, took, string(a.body))
	default:
		l.record.add(outcome{route, a.status}, took, "")
	}
	switch {
	case a.status == due[0]:
		return a, yes
	case a.status >= 500:
		return a, unknown
	}
	return a, no
}

func (l *load) name() string { return l.names + " " + uuid.NewString()[:8] }

// account returns the draft of a business account.
func (l *load) account() map[string]any {
	username := "u" + uuid.NewString()[:13]
	return map[string]any{
		"username": username, "email": username + "@example.com", "password": "correct horse " + username, "organization_name": l.name(),
	}
}

// any returns a customer.
func (l *load) any() *customer { return l.customers[rand.IntN(len(l.customers))] } //nolint:gosec // of a load

// anyAgent returns one of a customer's agents, to be left alone until it is released
// if it is to be changed; or nil.
func (c *customer) anyAgent(change bool) *agent {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.agents) == 0 {
		return nil
	}
	a := c.agents[rand.IntN(len(c.agents))] //nolint:gosec // of a load
	if a.busy {
		return nil
	}
	a.busy = change
	return a
}
