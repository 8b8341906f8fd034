package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// drain ends all calls that go on.
func (l *load) drain(ctx context.Context, atOnce int) {
	var g errgroup.Group
	g.SetLimit(min(atOnce, 32))
	for c := l.takeCall(); c != nil; c = l.takeCall() {
		g.Go(func() error {
			l.end(ctx, c)
			return nil
		})
	}
	_ = g.Wait() // which has no errors
}

// reconcile returns where what the set has is not what it was told.
func (l *load) reconcile(ctx context.Context) []string {
	b := &books{load: l}
	b.check("the tenants", b.tenants(ctx))
	b.check("the users of tenants that signed up", b.users(ctx))
	for _, c := range l.customers {
		b.check("tenant "+c.id, b.customer(ctx, c))
	}
	b.check("what tenants use", b.use(ctx))
	return b.wrong
}

// books are what is compared.
type books struct {
	load  *load
	wrong []string
}

// check notes that something could not be compared.
func (b *books) check(what string, err error) {
	if err != nil {
		b.found("%s: %v", what, err)
	}
}

func (b *books) found(format string, args ...any) {
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// equal notes that there is not as much of something as there should be.
func (b *books) equal(what string, got int, want tally) {
	if got < want.sure || got > want.sure+want.maybe {
		b.found("%s: there are %d, and should be %d, or up to %d more", what, got, want.sure, want.maybe)
	}
}

// all returns the items of every page of a list.
func (b *books) all(ctx context.Context, path string) ([]map[string]any, error) {
	var items []map[string]any
	for path != "" {
		a, err := b.load.must(ctx, request{method: http.MethodGet, path: path, token: b.load.admin}, http.StatusOK)
		if err != nil {
			return nil, err
		}
		page, err := a.list()
		if err != nil {
			return nil, err
		}
		items = append(items, page...)
		path = nextPage(a.header.Get("Link"))
	}
	return items, nil
}

// nextPage returns the path of the page after, or "".
func nextPage(link string) string {
	for each := range strings.SplitSeq(link, ",") {
		target, rel, _ := strings.Cut(each, ">")
		if strings.Contains(rel, `rel="next"`) {
			return strings.TrimPrefix(strings.TrimSpace(target), "<")
		}
	}
	return ""
}

// tenants holds the list of tenants against those that were made: each is there
// once, and active, and they are counted right.
func (b *books) tenants(ctx context.Context) error {
	l := b.load
	var times map[string]int
	err := eventually(ctx, "all are active, and counted", func() (bool, error) {
		items, err := b.all(ctx, "/tenants?limit=1000")
		if err != nil {
			return false, err
		}
		times = map[string]int{}
		active := true
		for _, item := range items {
			times[fmt.Sprint(item["id"])]++
			active = active && item["status"] == "active"
		}
		a, err := l.must(ctx, request{method: http.MethodGet, path: "/tenants?limit=1", token: l.admin}, http.StatusOK)
		total, _ := strconv.Atoi(a.header.Get("X-Total-Count"))
		return active && total == len(items) && len(times) >= len(l.made), err
	})
	others := 0
	for id, n := range times {
		if n > 1 {
			b.found("tenant %s is listed %d times", id, n)
		}
		if !l.made[id] {
			others++
		}
	}
	for id := range l.made {
		if times[id] == 0 {
			b.found("tenant %s is lost", id)
		}
	}
	b.equal("tenants that nobody was told of", others, tally{0, l.unsure})
	return err
}

// users holds that each tenant that signed up has one user, who is its owner.
func (b *books) users(ctx context.Context) error {
	for id := range b.load.signups {
		items, err := b.all(ctx, "/users?tenant_id="+id)
		if err != nil {
			return err
		}
		if len(items) != 1 || items[0]["id"] != id {
			b.found("tenant %s has the users %v", id, items)
		}
	}
	return nil
}

// customer holds one tenant's row, agents, calls and audit against the books.
func (b *books) customer(ctx context.Context, c *customer) error {
	l := b.load
	a, err := l.must(ctx, request{method: http.MethodGet, path: "/tenants/" + c.id, token: l.admin}, http.StatusOK)
	if err != nil {
		return err
	}
	note := 0.0
	if data, ok := a.object()["meta_data"].(map[string]any); ok {
		note, _ = data["note"].(float64)
	}
	if c.changes.maybe == 0 && int(note) != c.note {
		b.found("tenant %s: the last change was %d, and it shows %v", c.id, c.note, note)
	}
	if err := b.agents(ctx, c); err != nil {
		return err
	}
	if a, err = l.must(ctx, request{method: http.MethodGet, path: "/tenants/" + c.id + "/stats", token: l.admin}, http.StatusOK); err != nil {
		return err
	}
	stats := a.object()
	b.equal("tenant "+c.id+": its agents, as counted", number(stats["total_agents"]), tally{c.adds.sure - c.removes.sure, c.adds.maybe + c.removes.maybe})
	b.equal("tenant "+c.id+": its calls", number(stats["total_calls_month"]), c.calls)
	b.equal("tenant "+c.id+": its calls that go on", number(stats["active_sessions"]), tally{})
	if n := c.calls.sure; n > 0 && c.calls.maybe+c.seconds.maybe == 0 {
		average, _ := stats["avg_call_duration"].(float64)
		if want := float64(c.seconds.sure) / float64(n); average < want-0.01 || average > want+0.01 {
			b.found("tenant %s: its calls took %v s on average, and should %v", c.id, average, want)
		}
	}
	return b.audit(ctx, c)
}

// agents holds the list of a tenant's agents against those that were made and not
// removed.
func (b *books) agents(ctx context.Context, c *customer) error {
	items, err := b.all(ctx, "/agents?limit=1000&tenant_id="+c.id)
	if err != nil {
		return err
	}
	listed := map[string][]map[string]any{}
	for _, item := range items {
		id := fmt.Sprint(item["id"])
		listed[id] = append(listed[id], item)
	}
	for _, a := range c.agents {
		switch found := listed[a.id]; {
		case len(found) != 1:
			b.found("tenant %s: agent %s is there %d times", c.id, a.id, len(found))
		case a.note > 0 && a.changes.maybe == 0 && found[0]["voice"] != strconv.Itoa(a.note):
			b.found("tenant %s: agent %s: the last change was %d, and it shows %v", c.id, a.id, a.note, found[0]["voice"])
		}
		delete(listed, a.id)
	}
	b.equal("tenant "+c.id+": agents that should not be there", len(listed), tally{0, c.adds.maybe + c.removes.maybe})
	return nil
}

// audit holds that each change is on record, once.
func (b *books) audit(ctx context.Context, c *customer) error {
	var changes tally
	for _, a := range slices.Concat(c.agents, c.gone) {
		changes.add(a.changes.sure, yes)
		changes.add(a.changes.maybe, unknown)
	}
	for action, want := range map[string]tally{
		"tenant.created": {1, 0}, "tenant.updated": c.changes,
		"agent.created": c.adds, "agent.updated": changes, "agent.deleted": c.removes,
	} {
		var ids map[string]bool
		path := "/audit-events?limit=1000&" + url.Values{"tenant_id": {c.id}, "action": {action}}.Encode()
		err := eventually(ctx, "all of "+action+" are listed", func() (bool, error) {
			items, err := b.all(ctx, path)
			ids = map[string]bool{}
			for _, item := range items {
				ids[fmt.Sprint(item["id"])] = true
			}
			return len(ids) >= want.sure, err
		})
		b.equal("tenant "+c.id+": records of "+action, len(ids), want)
		if err != nil {
			return err
		}
	}
	return nil
}

// use holds what tenants use against what was reported.
func (b *books) use(ctx context.Context) error {
	shown := map[string]map[string]any{}
	items, err := b.all(ctx, "/tenants/usage?limit=100")
	if err != nil {
		return err
	}
	for _, item := range items {
		shown[fmt.Sprint(item["id"])], _ = item["usage"].(map[string]any)
	}
	for _, c := range b.load.customers {
		u := shown[c.id]
		b.equal("tenant "+c.id+": messages", number(u["messages"]), c.messages)
		b.equal("tenant "+c.id+": minutes of calls", number(u["call_minutes"]), c.minutes)
	}
	for id := range maps.Keys(b.load.made) {
		if shown[id] == nil {
			b.found("tenant %s is not among those that are listed with what they use", id)
		}
	}
	return nil
}

// number reads a number of JSON, or -1.
func number(v any) int {
	f, ok := v.(float64)
	if !ok {
		return -1
	}
	return int(f)
}
