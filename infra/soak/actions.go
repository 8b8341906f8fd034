package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
)

// get sends a request that changes nothing.
func (l *load) get(ctx context.Context, route, path, token string) {
	l.send(ctx, "GET "+route, request{method: http.MethodGet, path: path, token: token}, http.StatusOK)
}

func (l *load) listTenants(ctx context.Context) {
	path := "/tenants?limit=20"
	if rand.IntN(4) == 0 { //nolint:gosec // of a load
		path += "&q=" + url.QueryEscape(l.name()[:len(l.names)+3]) // as somebody types a name
	}
	l.get(ctx, "/tenants", path, l.admin)
}

func (l *load) listAgents(ctx context.Context) {
	l.get(ctx, "/agents", "/agents?limit=20&tenant_id="+l.any().id, l.admin)
}

func (l *load) listUsers(ctx context.Context) {
	l.get(ctx, "/users", "/users?limit=20&tenant_id="+l.any().id, l.admin)
}

func (l *load) listCalls(ctx context.Context) {
	l.get(ctx, "/tenants/{tenant_id}/calls", "/tenants/"+l.any().id+"/calls?limit=20", l.admin)
}

func (l *load) getTenant(ctx context.Context) {
	l.get(ctx, "/tenants/{tenant_id}", "/tenants/"+l.any().id, l.admin)
}

// getAgent asks for an agent that may be removed meanwhile.
func (l *load) getAgent(ctx context.Context) {
	c := l.any()
	a := c.anyAgent(false)
	if a == nil {
		l.getTenant(ctx)
		return
	}
	l.send(ctx, "GET /agents/{agent_id}", request{method: http.MethodGet, path: "/agents/" + a.id + "?tenant_id=" + c.id, token: l.admin}, http.StatusOK, http.StatusNotFound)
}

func (l *load) getStats(ctx context.Context) {
	l.get(ctx, "/tenants/{tenant_id}/stats", "/tenants/"+l.any().id+"/stats", l.admin)
}

func (l *load) getMe(ctx context.Context) { l.get(ctx, "/auth/me", "/auth/me", l.owner) }

func (l *load) getOperation(ctx context.Context) {
	l.get(ctx, "/operations/{operation_id}", "/operations/"+l.any().operation, l.admin)
}

func (l *load) signUp(ctx context.Context) {
	a, o := l.send(ctx, "POST /auth/signup", request{method: http.MethodPost, path: "/auth/signup", body: l.account()}, http.StatusCreated)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.makes(a.text("user_id"), o)
	if o == yes {
		l.signups[a.text("user_id")] = true
	}
}

// createTenant makes a tenant, and asks for the same again half of the time.
func (l *load) createTenant(ctx context.Context) {
	r := request{
		method: http.MethodPost, path: "/tenants", token: l.admin, key: uuid.NewString(),
		body: map[string]any{"name": l.name(), "isolation": "pooled"},
	}
	a, o := l.send(ctx, "POST /tenants", r, http.StatusAccepted)
	if o == unknown || rand.IntN(2) == 0 { //nolint:gosec // of a load
		again, second := l.send(ctx, "POST /tenants", r, http.StatusAccepted)
		if second == yes {
			if o == yes && again.text("id") != a.text("id") {
				l.record.add(outcome{"POST /tenants", again.status}, 0, fmt.Sprintf("one key gave tenants %s and %s", a.text("id"), again.text("id")))
			}
			a, o = again, yes
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.makes(a.text("id"), o)
}

// makes notes that a tenant was made. The caller holds l.mu.
func (l *load) makes(id string, o done) {
	switch o {
	case yes:
		l.made[id] = true
	case unknown:
		l.unsure++
	case no:
	}
}

func (l *load) updateTenant(ctx context.Context) {
	c := l.any()
	c.mu.Lock()
	free := !c.busy
	c.busy = true
	next := c.note + 1
	c.mu.Unlock()
	if !free {
		l.getTenant(ctx)
		return
	}
	_, o := l.send(ctx, "PATCH /tenants/{tenant_id}", request{
		method: http.MethodPatch, path: "/tenants/" + c.id, token: l.admin, body: map[string]any{"meta_data": map[string]any{"note": next}},
	}, http.StatusOK)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	c.note = next
	c.changes.add(1, o)
}

func (l *load) updateAgent(ctx context.Context) {
	c := l.any()
	a := c.anyAgent(true)
	if a == nil {
		l.getTenant(ctx)
		return
	}
	next := a.note + 1
	_, o := l.send(ctx, "PATCH /agents/{agent_id}", request{
		method: http.MethodPatch, path: "/agents/" + a.id + "?tenant_id=" + c.id, token: l.admin, body: map[string]any{"voice": fmt.Sprint(next)},
	}, http.StatusOK)
	c.mu.Lock()
	defer c.mu.Unlock()
	a.busy = false
	a.note = next
	a.changes.add(1, o)
}

func (l *load) createAgent(ctx context.Context) {
	c := l.any()
	answer, o := l.send(ctx, "POST /agents", request{
		method: http.MethodPost, path: "/agents", token: l.admin, body: map[string]any{"tenant_id": c.id, "name": l.name()},
	}, http.StatusCreated)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.adds.add(1, o)
	if o == yes {
		c.agents = append(c.agents, &agent{id: answer.text("id")})
	}
}

func (l *load) deleteAgent(ctx context.Context) {
	c := l.any()
	a := c.anyAgent(true)
	if a == nil {
		l.getTenant(ctx)
		return
	}
	_, o := l.send(ctx, "DELETE /agents/{agent_id}", request{
		method: http.MethodDelete, path: "/agents/" + a.id + "?tenant_id=" + c.id, token: l.admin,
	}, http.StatusNoContent)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removes.add(1, o)
	c.agents = slices.DeleteFunc(c.agents, func(other *agent) bool { return other == a })
	c.gone = append(c.gone, a)
}

func (l *load) startCall(ctx context.Context) {
	c := &call{l.any(), uuid.NewString()}
	_, o := l.send(ctx, "POST /tenants/{tenant_id}/calls", request{
		method: http.MethodPost, path: "/tenants/" + c.customer.id + "/calls", token: l.edge, body: map[string]any{"call_id": c.id, "lease_seconds": 300},
	}, http.StatusCreated)
	c.customer.mu.Lock()
	c.customer.calls.add(1, o)
	c.customer.mu.Unlock()
	if o == no {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = append(l.live, c)
}

// takeCall takes the oldest call that goes on out of the books; or nil.
func (l *load) takeCall() *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.live) == 0 {
		return nil
	}
	c := l.live[0]
	l.live = l.live[1:]
	return c
}

func (l *load) renewCall(ctx context.Context) {
	c := l.takeCall()
	if c == nil {
		l.startCall(ctx)
		return
	}
	l.send(ctx, "PATCH /tenants/{tenant_id}/calls/{call_id}", request{
		method: http.MethodPatch, path: "/tenants/" + c.customer.id + "/calls/" + c.id, token: l.edge, body: map[string]any{},
	}, http.StatusOK)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = append(l.live, c)
}

func (l *load) endCall(ctx context.Context) {
	if c := l.takeCall(); c != nil {
		l.end(ctx, c)
		return
	}
	l.startCall(ctx)
}

// end ends a call, and does so again if it does not know whether it did.
func (l *load) end(ctx context.Context, c *call) {
	seconds := 1 + rand.IntN(600) //nolint:gosec // of a load
	r := request{
		method: http.MethodPost, path: "/tenants/" + c.customer.id + "/calls/" + c.id + "/end", token: l.edge, body: map[string]any{"duration_seconds": seconds},
	}
	_, o := l.send(ctx, "POST /tenants/{tenant_id}/calls/{call_id}/end", r, http.StatusNoContent)
	if o == unknown || rand.IntN(10) == 0 { //nolint:gosec // of a load
		if _, again := l.send(ctx, "POST /tenants/{tenant_id}/calls/{call_id}/end", r, http.StatusNoContent); again == yes {
			o = yes
		}
	}
	c.customer.mu.Lock()
	defer c.customer.mu.Unlock()
	c.customer.seconds.add(seconds, o)
}

// reportUse reports a batch, and does so again a fifth of the time.
func (l *load) reportUse(ctx context.Context) {
	messages, minutes := l.any(), l.any()
	n, m := 1+rand.IntN(9), 1+rand.IntN(9) //nolint:gosec // of a load
	event := func(c *customer, kind string, quantity int) map[string]any {
		return map[string]any{
			"specversion": "1.0", "source": "/soak", "id": uuid.NewString(), "type": kind, "subject": c.id,
			"time": time.Now().UTC().Format(time.RFC3339), "data": map[string]any{"quantity": quantity},
		}
	}
	r := request{method: http.MethodPost, path: "/usage-events", token: l.edge, body: []any{
		event(messages, "message.sent", n), event(minutes, "call.minutes", m),
	}}
	a, o := l.send(ctx, "POST /usage-events", r, http.StatusOK)
	accepted := a.object()["accepted"]
	if o == yes && accepted != 2.0 {
		l.record.add(outcome{"POST /usage-events", a.status}, 0, "not both are counted: "+string(a.body))
	}
	if o == unknown || rand.IntN(5) == 0 { //nolint:gosec // of a load
		again, second := l.send(ctx, "POST /usage-events", r, http.StatusOK)
		if o == yes && second == yes && again.object()["duplicates"] != 2.0 {
			l.record.add(outcome{"POST /usage-events", again.status}, 0, "not both are known: "+string(again.body))
		}
		if second == yes {
			o = yes
		}
	}
	messages.mu.Lock()
	messages.messages.add(n, o)
	messages.mu.Unlock()
	minutes.mu.Lock()
	minutes.minutes.add(m, o)
	minutes.mu.Unlock()
}
