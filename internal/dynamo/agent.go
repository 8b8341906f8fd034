package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// Agents is an agent.Store. Those of a dedicated tenant are in its own table,
// under the same keys; what counts them is in the shared one.
type Agents struct{ *Table }

// NewAgents returns the agents of the tenants kept in table.
func NewAgents(table *Table) *Agents { return &Agents{table} }

// errUncounted says that the counters did not allow another agent.
var errUncounted = errors.New("the agent cannot be counted")

// errOvertaken says that a tenant or an agent is not what it was when it was read.
func errOvertaken() error {
	return fault.New(fault.Conflict, "the tenant or the agent was changed by another request meanwhile")
}

// Create adds an agent of t. It fails with idempotency.ErrRecorded if the receipt
// is there already, with fault.Conflict if the tenant has another status than
// t, and with fault.QuotaExceeded if it has as many agents as it may have.
func (s *Agents) Create(ctx context.Context, t tenant.Tenant, a agent.Agent, r audit.Record, receipt *idempotency.Record) error {
	tx := s.begin()
	tx.receipt(receipt)
	tx.countAgents(t, 1, cardsOf(a), " AND agents < max_agents", errUncounted)
	tx.unless(func(ctx context.Context) error { return s.room(ctx, t) })
	tx.in(s.own(t), func() {
		tx.write(newAgentItem(a), "attribute_not_exists(pk)", nil, errors.New("there is an agent "+string(a.ID)+" already"))
	})
	tx.record(r)
	err := tx.run(ctx)
	if errors.Is(err, errUncounted) {
		return cmp.Or(s.room(ctx, t), errOvertaken())
	}
	return err
}

// cardsOf returns how many agents with card numbers an agent is: none or one.
func cardsOf(a agent.Agent) int {
	if a.HoldsCardNumber() {
		return 1
	}
	return 0
}

// countAgents adds the write that keeps a tenant's count of its agents, and of those
// with card numbers, as long as the tenant has the status of t, allows more such
// numbers where there are to be, and a further condition holds.
func (tx *transaction) countAgents(t tenant.Tenant, n, cards int, condition string, unmet error) {
	v := map[string]any{":n": n, ":cards": cards, ":s": t.Status}
	if cards > 0 {
		condition += " AND pci_enabled = :no"
		v[":no"] = false
	}
	tx.updateIf(countersKey(t.ID), "ADD agents :n, card_agents :cards", "#s = :s"+condition, v, map[string]string{"#s": "status"}, unmet)
}

// room fails as Create does if a tenant cannot have another agent now.
func (s *Agents) room(ctx context.Context, t tenant.Tenant) error {
	var counters countersItem
	err := s.get(ctx, countersKey(t.ID), &counters)
	switch {
	case err != nil && !errors.Is(err, errNoItem):
		return err
	case counters.Status != t.Status:
		return errOvertaken()
	case counters.Agents < counters.MaxAgents:
		return nil
	}
	return &fault.Error{
		Kind:   fault.QuotaExceeded,
		Detail: "the tenant has as many agents as it may have",
		Members: map[string]any{
			"quota": "max_agents", "limit": counters.MaxAgents, "used": counters.Agents, "resets_at": nil,
		},
	}
}

// Get returns an agent of t as it is now, or fault.NotFound.
func (s *Agents) Get(ctx context.Context, t tenant.Tenant, id agent.ID) (agent.Agent, error) {
	if hasNone(t) {
		return agent.Agent{}, agent.NotFound(id)
	}
	var item agentItem
	err := s.own(t).get(ctx, agentKey(t.ID, id), &item)
	if errors.Is(err, errNoItem) {
		return agent.Agent{}, agent.NotFound(id)
	}
	if err != nil {
		return agent.Agent{}, err
	}
	return item.agent(t.ID), nil
}

// hasNone reports whether a tenant has no agents yet, or none any more. The table
// that its row names may be gone then.
func hasNone(t tenant.Tenant) bool {
	return t.Status == tenant.Provisioning || t.Status == tenant.Purging || t.Status == tenant.Deleted
}

// List returns a part of the agents of t as they are now, newest first, without
// meta_data. It ends early where that part is large.
func (s *Agents) List(ctx context.Context, t tenant.Tenant, w page.Window) (page.Page[agent.Agent], error) {
	var p page.Page[agent.Agent]
	if hasNone(t) {
		return p, nil
	}
	in := dynamodb.QueryInput{
		KeyConditionExpression:   new("pk = :pk AND begins_with(sk, :agents)"),
		ProjectionExpression:     new("sk, #n, system_prompt, voice, #l, created_at, updated_at"),
		ExpressionAttributeNames: map[string]string{"#n": "name", "#l": "language"},
		ConsistentRead:           new(true),
		ScanIndexForward:         new(false),
	}
	if w.From != "" {
		from, err := attributevalue.MarshalMap(agentKey(t.ID, agent.ID(w.From)))
		if err != nil {
			return p, fmt.Errorf("marshal a position: %w", err)
		}
		in.ExclusiveStartKey = from
	}
	v := map[string]any{":pk": tenantKey(t.ID).PK, ":agents": agentsOf}
	items, more, err := queryOnce[agentItem](ctx, s.own(t), in, v, w.Limit+1)
	if err != nil {
		return p, fmt.Errorf("list the agents of tenant %s: %w", t.ID, err)
	}
	if len(items) > w.Limit {
		items, more = items[:w.Limit], true
	}
	for _, item := range items {
		a := item.agent(t.ID)
		p.Entries = append(p.Entries, page.Entry[agent.Agent]{Value: a, After: page.Position(a.ID)})
	}
	if n := len(p.Entries); more && n > 0 {
		p.Next = p.Entries[n-1].After
	}
	return p, nil
}

// Update replaces before by after. It fails with fault.Conflict if the tenant
// has another status than t, or the stored version is not that of before.
func (s *Agents) Update(ctx context.Context, t tenant.Tenant, before, after agent.Agent, r audit.Record) error {
	tx := s.begin()
	if cards := cardsOf(after) - cardsOf(before); cards != 0 {
		tx.countAgents(t, 0, cards, "", errOvertaken())
	} else {
		tx.checkStatus(t, errOvertaken())
	}
	tx.in(s.own(t), func() { tx.replace(newAgentItem(after), before.Version, errOvertaken()) })
	tx.record(r)
	return tx.run(ctx)
}

// Delete removes an agent of t, and counts one less. It fails with
// fault.Conflict if the tenant has another status than t, or the stored
// version is not that of a.
func (s *Agents) Delete(ctx context.Context, t tenant.Tenant, a agent.Agent, r audit.Record) error {
	tx := s.begin()
	tx.countAgents(t, -1, -cardsOf(a), "", errOvertaken())
	tx.in(s.own(t), func() {
		tx.remove(agentKey(t.ID, a.ID), "version = :before", map[string]any{":before": a.Version}, errOvertaken())
	})
	tx.record(r)
	return tx.run(ctx)
}

// An agentItem is an agent as it is stored.
type agentItem struct {
	key
	Name         string    `dynamodbav:"name"`
	SystemPrompt *string   `dynamodbav:"system_prompt,omitempty"`
	Voice        *string   `dynamodbav:"voice,omitempty"`
	Language     *string   `dynamodbav:"language,omitempty"`
	MetaData     string    `dynamodbav:"meta_data"`
	CreatedAt    time.Time `dynamodbav:"created_at"`
	UpdatedAt    time.Time `dynamodbav:"updated_at"`
	Version      int64     `dynamodbav:"version"`
}

func newAgentItem(a agent.Agent) agentItem {
	return agentItem{
		key: agentKey(a.TenantID, a.ID), Name: a.Name, SystemPrompt: a.SystemPrompt, Voice: a.Voice, Language: a.Language,
		MetaData: a.MetaData, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, Version: a.Version,
	}
}

// agent returns the agent of a tenant.
func (i agentItem) agent(of identity.TenantID) agent.Agent {
	return agent.Agent{
		ID: agent.ID(i.SK[len(agentsOf):]), TenantID: of, Name: i.Name, SystemPrompt: i.SystemPrompt, Voice: i.Voice, Language: i.Language,
		MetaData: i.MetaData, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt, Version: i.Version,
	}
}
