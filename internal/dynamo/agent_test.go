package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A home is a table with one active tenant, whose own table is the same where the
// tenant is pooled.
type home struct {
	db      *dynamodb.Client
	shared  string
	own     string
	tenants *dynamo.Tenants
	agents  *dynamo.Agents
	tenant  tenant.Tenant
}

func newHome(t *testing.T, isolation tenant.Isolation) *home {
	t.Helper()
	h := &home{}
	h.db, h.shared = newRawTable(t)
	h.own = h.shared
	if isolation == tenant.Dedicated {
		h.own = enginetest.Table(t)
	}
	table := dynamo.NewTable(h.db, h.shared)
	h.tenants, h.agents = dynamo.NewTenants(table), dynamo.NewAgents(table)
	made := create(t, h.tenants, newCreation("Acme", "acme"))[0]
	h.tenant = change(t, h.tenants, made, func(t *tenant.Tenant) {
		t.Status, t.Isolation = tenant.Active, isolation
		if isolation == tenant.Dedicated {
			t.Database = &h.own
		}
	})
	return h
}

// bothHomes runs a test for a pooled and for a dedicated tenant.
func bothHomes(t *testing.T, f func(t *testing.T, h *home)) {
	for _, isolation := range []tenant.Isolation{tenant.Pooled, tenant.Dedicated} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			f(t, newHome(t, isolation))
		})
	}
}

// newAgent returns an agent of the tenant that is still to be made.
func (h *home) newAgent(name string) agent.Agent {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return agent.Agent{
		ID: agent.ID(uuid.Must(uuid.NewV7()).String()), TenantID: h.tenant.ID, Name: name,
		MetaData: "{}", CreatedAt: now, UpdatedAt: now, Version: 1,
	}
}

// make makes agents.
func (h *home) make(t *testing.T, names ...string) []agent.Agent {
	t.Helper()
	var made []agent.Agent
	for _, name := range names {
		a := h.newAgent(name)
		if err := h.agents.Create(t.Context(), h.tenant, a, told(), nil); err != nil {
			t.Fatal(err)
		}
		made = append(made, a)
	}
	return made
}

// counted fails t unless the tenant has n agents, and as many are counted.
func (h *home) counted(t *testing.T, n int) {
	t.Helper()
	counters := item(&owned{T: t, db: h.db, name: h.shared}, "TENANT#"+string(h.tenant.ID), "TENANT#COUNTERS")
	if got, _ := counters["agents"].(*types.AttributeValueMemberN); got == nil || got.Value != fmt.Sprint(n) {
		t.Errorf("the counters are %v, want %d agents", counters, n)
	}
	list, err := h.agents.List(t.Context(), h.tenant, page.Window{Limit: 1000})
	if err != nil || len(list.Entries) != n {
		t.Errorf("there are %d agents, %v, want %d", len(list.Entries), err, n)
	}
}

func TestAgentRoundTrip(t *testing.T) {
	t.Parallel()
	bothHomes(t, func(t *testing.T, h *home) {
		a := h.newAgent("Sales")
		a.SystemPrompt, a.Voice, a.Language, a.MetaData = new("Be kind.\nBe brief."), new("nova"), new("id"), `{"a":[1]}`
		plain := h.newAgent("Plain")
		for _, a := range []agent.Agent{a, plain} {
			if err := h.agents.Create(t.Context(), h.tenant, a, told(), nil); err != nil {
				t.Fatal(err)
			}
			h.holds(t, a)
		}
		after := a
		after.Name, after.Voice, after.MetaData, after.Version = "Support", nil, `{}`, 2
		if err := h.agents.Update(t.Context(), h.tenant, a, after, told()); err != nil {
			t.Fatal(err)
		}
		h.holds(t, after)
		h.counted(t, 2)
		if err := h.agents.Delete(t.Context(), h.tenant, after, told()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.agents.Get(t.Context(), h.tenant, a.ID); !errors.Is(err, fault.NotFound) {
			t.Errorf("got %v after Delete, want fault.NotFound", err)
		}
		h.counted(t, 1)
	})
}

// holds fails t unless the agent is stored as it is, in the tenant's own table.
func (h *home) holds(t *testing.T, want agent.Agent) {
	t.Helper()
	got, err := h.agents.Get(t.Context(), h.tenant, want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	own := dynamo.NewAgents(dynamo.NewTable(h.db, h.own))
	pooled := h.tenant
	pooled.Database = nil
	if _, err := own.Get(t.Context(), pooled, want.ID); err != nil {
		t.Errorf("in the table %s: %v", h.own, err)
	}
}

func TestAgentNotFound(t *testing.T) {
	t.Parallel()
	h := newHome(t, tenant.Pooled)
	other := create(t, h.tenants, newCreation("Other", "other"))[0]
	theirs := h.make(t, "Sales")[0]
	for name, test := range map[string]struct {
		of tenant.Tenant
		id agent.ID
	}{
		"unknown":                 {h.tenant, h.newAgent("").ID},
		"empty":                   {h.tenant, ""},
		"longer than keys can be": {h.tenant, agent.ID(strings.Repeat("x", 2000))},
		"another tenant's":        {other, theirs.ID},
	} {
		if _, err := h.agents.Get(t.Context(), test.of, test.id); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: got %v, want fault.NotFound", name, err)
		}
	}
}

// Of many at once that a limit allows a few of, it is these few.
func TestAgentQuota(t *testing.T) {
	t.Parallel()
	bothHomes(t, func(t *testing.T, h *home) {
		const crowd, limit = 50, 3
		var made, refused atomic.Int64
		var wg sync.WaitGroup
		for i := range crowd {
			wg.Go(func() {
				err := h.agents.Create(t.Context(), h.tenant, h.newAgent(fmt.Sprint(i)), told(), nil)
				switch {
				case err == nil:
					made.Add(1)
				case errors.Is(err, fault.QuotaExceeded):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != limit || refused.Load() != crowd-limit {
			t.Errorf("%d were made and %d refused, want %d and %d", made.Load(), refused.Load(), limit, crowd-limit)
		}
		h.counted(t, limit)

		err := h.agents.Create(t.Context(), h.tenant, h.newAgent("late"), told(), nil)
		want := &fault.Error{
			Kind: fault.QuotaExceeded, Detail: "the tenant has as many agents as it may have",
			Members: map[string]any{"quota": "max_agents", "limit": 3, "used": 3, "resets_at": nil},
		}
		if diff := cmp.Diff(want, err); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// One that is deleted many times at once is counted off once, and makes room.
func TestAgentDeletedOnce(t *testing.T) {
	t.Parallel()
	bothHomes(t, func(t *testing.T, h *home) {
		agents := h.make(t, "a", "b", "c")
		var deleted atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				err := h.agents.Delete(t.Context(), h.tenant, agents[1], told())
				if err == nil {
					deleted.Add(1)
				} else if !errors.Is(err, fault.Conflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if deleted.Load() != 1 {
			t.Errorf("it was deleted %d times", deleted.Load())
		}
		h.counted(t, 2)
		h.make(t, "d")
		h.counted(t, 3)
	})
}

// What was decided on another status, version or limit than there is now is given
// up.
func TestAgentOvertaken(t *testing.T) {
	t.Parallel()
	bothHomes(t, func(t *testing.T, h *home) {
		a := h.make(t, "Sales")[0]
		before := h.tenant
		h.tenant = change(t, h.tenants, before, func(t *tenant.Tenant) { t.Status = tenant.Inactive })
		after := a
		after.Name, after.Version = "Support", 2
		newer := after
		newer.Version = 3
		for name, write := range map[string]func(ctx context.Context) error{
			"create":           func(ctx context.Context) error { return h.agents.Create(ctx, before, h.newAgent("New"), told(), nil) },
			"update":           func(ctx context.Context) error { return h.agents.Update(ctx, before, a, after, told()) },
			"delete":           func(ctx context.Context) error { return h.agents.Delete(ctx, before, a, told()) },
			"update a version": func(ctx context.Context) error { return h.agents.Update(ctx, h.tenant, after, newer, told()) },
			"delete a version": func(ctx context.Context) error { return h.agents.Delete(ctx, h.tenant, after, told()) },
		} {
			if err := write(t.Context()); !errors.Is(err, fault.Conflict) {
				t.Errorf("%s: got %v, want fault.Conflict", name, err)
			}
		}
		h.holds(t, a)
		h.counted(t, 1)
		if err := h.agents.Update(t.Context(), h.tenant, a, after, told()); err != nil {
			t.Errorf("with the status that the tenant has: %v", err)
		}
	})
}

func TestAgentReceipt(t *testing.T) {
	t.Parallel()
	h := newHome(t, tenant.Dedicated)
	record := idempotency.Record{
		Scope: idempotency.Scope{Caller: "U", Route: "CreateAgent /agents", Key: "key"}, Status: 201,
		Body: []byte(`{}`), ExpiresAt: time.Now().Add(time.Hour),
	}
	if err := h.agents.Create(t.Context(), h.tenant, h.newAgent("Sales"), told(), &record); err != nil {
		t.Fatal(err)
	}
	if err := h.agents.Create(t.Context(), h.tenant, h.newAgent("Sales"), told(), &record); !errors.Is(err, idempotency.ErrRecorded) {
		t.Errorf("again: got %v, want ErrRecorded", err)
	}
	h.counted(t, 1)
}

func TestAgentsAreAudited(t *testing.T) {
	t.Parallel()
	bothHomes(t, func(t *testing.T, h *home) {
		a := h.newAgent("Sales")
		by := audit.BySystem("test", "")
		did := func(action audit.Action) audit.Record { return by.Did(action, h.tenant.ID, agent.Target(a.ID)) }
		after := a
		after.Version = 2
		err := errors.Join(
			h.agents.Create(t.Context(), h.tenant, a, did(audit.AgentCreated), nil),
			h.agents.Update(t.Context(), h.tenant, a, after, did(audit.AgentUpdated)),
			h.agents.Delete(t.Context(), h.tenant, after, did(audit.AgentDeleted)),
		)
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, record := range audited(t, h.db, h.shared, string(h.tenant.ID)) {
			actions = append(actions, fmt.Sprint(record["action"], " ", record["target_id"]))
		}
		slices.Sort(actions)
		want := []string{"agent.created " + string(a.ID), "agent.deleted " + string(a.ID), "agent.updated " + string(a.ID)}
		if diff := cmp.Diff(want, actions); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestListAgents(t *testing.T) {
	t.Parallel()
	bothHomes(t, func(t *testing.T, h *home) {
		h.tenant = change(t, h.tenants, h.tenant, func(t *tenant.Tenant) { t.Limits.MaxAgents = 20 })
		var want []string
		for i := range 11 {
			name := fmt.Sprint("agent ", i)
			h.make(t, name)
			want = append(want, name)
		}
		slices.Reverse(want)
		for _, limit := range []int{1, 3, 10, 11, 12} {
			if got := h.names(t, limit); !cmp.Equal(want, got) {
				t.Errorf("by %d: got %q, want %q", limit, got, want)
			}
		}
		other := create(t, h.tenants, newCreation("Other", "other"))[0]
		if list, err := h.agents.List(t.Context(), other, page.Window{Limit: 10}); err != nil || list.Entries != nil || list.Next != "" {
			t.Errorf("another tenant has %+v, %v", list, err)
		}
	})
}

// names pages through all agents, and returns their names.
func (h *home) names(t *testing.T, limit int) []string {
	t.Helper()
	var names []string
	for w := (page.Window{Limit: limit}); ; {
		list, err := h.agents.List(t.Context(), h.tenant, w)
		if err != nil || len(list.Entries) > limit {
			t.Fatalf("got %d, %v", len(list.Entries), err)
		}
		for _, entry := range list.Entries {
			names = append(names, entry.Value.Name)
		}
		if w.From = list.Next; w.From == "" {
			return names
		}
	}
}

// A page of large agents ends early, and the list goes on.
func TestListLargeAgents(t *testing.T) {
	t.Parallel()
	h := newHome(t, tenant.Dedicated)
	h.tenant = change(t, h.tenants, h.tenant, func(t *tenant.Tenant) { t.Limits.MaxAgents = 50 })
	prompt := strings.Repeat("x", 32<<10)
	for i := range 40 {
		a := h.newAgent(fmt.Sprint(i))
		a.SystemPrompt, a.MetaData = &prompt, `{"a":1}`
		if err := h.agents.Create(t.Context(), h.tenant, a, told(), nil); err != nil {
			t.Fatal(err)
		}
	}
	list, err := h.agents.List(t.Context(), h.tenant, page.Window{Limit: 1000})
	if err != nil || list.Next == "" || len(list.Entries) >= 40 {
		t.Fatalf("got %d and next %q, %v, want fewer than all", len(list.Entries), list.Next, err)
	}
	if a := list.Entries[0].Value; a.MetaData != "" || a.SystemPrompt == nil || a.CreatedAt.IsZero() || a.TenantID != h.tenant.ID {
		t.Errorf("the first is %+v", a)
	}
	if names := h.names(t, 1000); len(names) != 40 {
		t.Errorf("the pages hold %d", len(names))
	}
}

// A tenant that is not made yet, or is being taken apart, has no agents to be read,
// whatever there is of its table.
func TestAgentsTakenApart(t *testing.T) {
	t.Parallel()
	h := newHome(t, tenant.Dedicated)
	a := h.make(t, "Sales")[0]
	for _, status := range []tenant.Status{tenant.Provisioning, tenant.Purging, tenant.Deleted} {
		gone := h.tenant
		gone.Status, gone.Database = status, new("no-such-table")
		if _, err := h.agents.Get(t.Context(), gone, a.ID); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: got %v, want fault.NotFound", status, err)
		}
		if list, err := h.agents.List(t.Context(), gone, page.Window{Limit: 1}); err != nil || list.Entries != nil {
			t.Errorf("%s: got %v, %v, want none", status, list.Entries, err)
		}
	}
}

// PCI is not turned on while an agent holds a card number, and no agent gets one
// while it is on, whatever was read of the tenant before.
func TestAgentsWithCards(t *testing.T) {
	bothHomes(t, func(t *testing.T, h *home) {
		const card, none = `{"a":["4111-1111 1111 1111"]}`, `{"a":[]}`
		cards := func(n int) {
			t.Helper()
			if got, err := h.tenants.AgentsWithCards(t.Context(), h.tenant.ID); err != nil || got != n {
				t.Errorf("%d agents with cards are counted, %v, want %d", got, err, n)
			}
		}
		turn := func(on bool) error {
			after := h.tenant
			after.PCIEnabled, after.Version = on, after.Version+1
			err := h.tenants.Update(t.Context(), h.tenant, after, told())
			if err == nil {
				h.tenant = after
			}
			return err
		}
		rewrite := func(a agent.Agent, metaData string) (agent.Agent, error) {
			after := a
			after.MetaData, after.Version = metaData, a.Version+1
			return after, h.agents.Update(t.Context(), h.tenant, a, after, told())
		}
		with := h.newAgent("with")
		with.MetaData = card
		if err := h.agents.Create(t.Context(), h.tenant, with, told(), nil); err != nil {
			t.Fatal(err)
		}
		without, err := rewrite(h.make(t, "without")[0], card)
		if err != nil {
			t.Fatal(err)
		}
		cards(2)
		if err := turn(true); !errors.Is(err, fault.Conflict) {
			t.Errorf("with two cards: got %v, want %v", err, fault.Conflict)
		}
		if without, err = rewrite(without, none); err != nil {
			t.Fatal(err)
		}
		cards(1)
		if err := h.agents.Delete(t.Context(), h.tenant, with, told()); err != nil {
			t.Fatal(err)
		}
		cards(0)
		if err := turn(true); err != nil {
			t.Fatal(err)
		}
		if _, err := rewrite(without, card); !errors.Is(err, fault.Conflict) {
			t.Errorf("a change after that: got %v, want %v", err, fault.Conflict)
		}
		late := h.newAgent("late")
		late.MetaData = card
		if err := h.agents.Create(t.Context(), h.tenant, late, told(), nil); !errors.Is(err, fault.Conflict) {
			t.Errorf("another after that: got %v, want %v", err, fault.Conflict)
		}
		cards(0)
		if err := turn(false); err != nil {
			t.Fatal(err)
		}
		if _, err := rewrite(without, card); err != nil {
			t.Errorf("with PCI off: %v", err)
		}
		cards(1)
	})
}
