package api

import (
	"cmp"
	"context"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

// agentWriters is who may change the agents of a tenant.
func agentWriters() identity.Rule {
	return identity.Roles(identity.PlatformAdmin, identity.Owner, identity.Admin, identity.Supervisor).ByProxy()
}

// AgentCreator is what CreateAgent needs of an agent.Service.
type AgentCreator interface {
	Create(ctx context.Context, c identity.Caller, id identity.TenantID, s agent.Settings, unread fault.Fields, receipt agent.Receipt) (agent.Agent, error)
}

// CreateAgent serves POST /agents. It answers 201 with the agent, and 429 if the
// tenant has as many as it may have. What a tenant's status refuses is 403 or 409.
func CreateAgent(agents AgentCreator, operations RunningFinder, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:        "CreateAgent",
		Allow:       agentWriters(),
		Idempotency: &Idempotency{Records: records, Key: hashKey},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[agentDraft](r)
			if err != nil {
				return nil, err
			}
			id := cmp.Or(in.TenantID.Value, r.Caller.TenantID)
			if id == "" {
				return nil, faults.And(fault.Fields{{Pointer: "#/tenant_id", Detail: "is required of a platform admin"}}).Err()
			}
			receipt := func(a agent.Agent) (*idempotency.Record, error) { return r.Receipt(createdAgent(a)) }
			a, err := agents.Create(ctx, r.Caller, id, in.settings(), faults, receipt)
			if errors.Is(err, fault.OperationRunning) {
				return nil, nameRunning(ctx, err, operations, id)
			}
			if err != nil {
				return nil, err
			}
			return createdAgent(a), nil
		},
	}
}

func createdAgent(a agent.Agent) *Response {
	return Created("/agents/"+string(a.ID), newAgentView(a)).WithVersion(a.Version)
}

// AgentGetter finds agents.
type AgentGetter interface {
	// Get returns an agent of a tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, t tenant.Tenant, id agent.ID) (agent.Agent, error)
}

// GetAgent serves GET /agents/{agent_id}. It answers 304 to the version that the
// client has already.
func GetAgent(agents AgentGetter, tenants TenantGetter) Operation {
	return Operation{
		Name:  "GetAgent",
		Allow: identity.Members(),
		Query: []string{"tenant_id"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			p := r.parameters()
			id := p.tenantID(r)
			if err := p.err(); err != nil {
				return nil, err
			}
			t, err := readable(ctx, tenants, r.Caller, id)
			if err != nil {
				return nil, err
			}
			a, err := agents.Get(ctx, t, r.agentID())
			if err != nil {
				return nil, err
			}
			return OK(newAgentView(a)).WithVersion(a.Version), nil
		},
	}
}

// AgentLister lists the agents of a tenant.
type AgentLister interface {
	// List returns a part of them as they are now, newest first. They need not have
	// meta_data.
	List(ctx context.Context, t tenant.Tenant, w page.Window) (page.Page[agent.Agent], error)
}

// ListAgents serves GET /agents, newest first.
func ListAgents(agents AgentLister, tenants TenantGetter, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListAgents",
		Allow: identity.Members(),
		Query: []string{"limit", "cursor", "tenant_id"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			p := r.parameters()
			w, err := cursors.window(ctx, r, p)
			if err != nil {
				return nil, err
			}
			id := p.tenantID(r)
			if err := p.err(); err != nil {
				return nil, err
			}
			t, err := readable(ctx, tenants, r.Caller, id)
			if err != nil {
				return nil, err
			}
			list, err := agents.List(ctx, t, w)
			if err != nil {
				return nil, err
			}
			return listed(ctx, cursors, r, w, list, newAgentSummaryView)
		},
	}
}

// AgentUpdater is what UpdateAgent needs of an agent.Service.
type AgentUpdater interface {
	Update(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id agent.ID, versions []int64, edit agent.Editor) (agent.Agent, error)
}

// UpdateAgent serves PATCH /agents/{agent_id}. It answers 200 with the agent as it
// is then. What a tenant's status refuses is 403 or 409, and another version than
// that in If-Match is 412.
func UpdateAgent(agents AgentUpdater, operations RunningFinder) Operation {
	return Operation{
		Name:  "UpdateAgent",
		Allow: agentWriters(),
		Query: []string{"tenant_id"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[agentPatch](r)
			if err != nil {
				return nil, err
			}
			p := r.parameters()
			id := p.tenantID(r)
			if id == "" {
				return nil, faults.And(p.invalid).Err()
			}
			edit := func(current agent.Agent) (agent.Settings, fault.Fields) {
				return in.settings(), faults.And(readOnlyFaults(in.agentReadOnly, newAgentView(current)))
			}
			a, err := agents.Update(ctx, r.Caller, id, r.agentID(), r.IfMatch(), edit)
			if errors.Is(err, fault.OperationRunning) {
				return nil, nameRunning(ctx, err, operations, id)
			}
			if err != nil {
				return nil, err
			}
			return OK(newAgentView(a)).WithVersion(a.Version), nil
		},
	}
}

// AgentDeleter is what DeleteAgent needs of an agent.Service.
type AgentDeleter interface {
	Delete(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id agent.ID, versions []int64) error
}

// DeleteAgent serves DELETE /agents/{agent_id}. It answers 204. What a tenant's
// status refuses is 403 or 409, and another version than that in If-Match is 412.
func DeleteAgent(agents AgentDeleter, operations RunningFinder) Operation {
	return Operation{
		Name:  "DeleteAgent",
		Allow: agentWriters(),
		Query: []string{"tenant_id"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			p := r.parameters()
			id := p.tenantID(r)
			if err := p.err(); err != nil {
				return nil, err
			}
			err := agents.Delete(ctx, r.Caller, id, r.agentID(), r.IfMatch())
			if errors.Is(err, fault.OperationRunning) {
				return nil, nameRunning(ctx, err, operations, id)
			}
			if err != nil {
				return nil, err
			}
			return NoContent(), nil
		},
	}
}

// agentID returns the agent that the path names. What is not an id names none.
func (r *Request) agentID() agent.ID { return agent.ID(r.Path["agent_id"]) }

// agentDraft is the body of POST /agents.
type agentDraft struct {
	agentSettings
	TenantID patch.Field[identity.TenantID] `json:"tenant_id"`
}

// agentSettings is what a client may set of an agent, when it is made and later.
type agentSettings struct {
	Name         patch.Field[string]         `json:"name"`
	SystemPrompt patch.Field[*lines]         `json:"system_prompt"`
	Voice        patch.Field[*string]        `json:"voice"`
	Language     patch.Field[*string]        `json:"language"`
	MetaData     patch.Field[jsontext.Value] `json:"meta_data"`
}

func (in agentSettings) settings() agent.Settings {
	s := agent.Settings{
		Name:         in.Name,
		SystemPrompt: patch.Field[*string]{Set: in.SystemPrompt.Set, Value: (*string)(in.SystemPrompt.Value)},
		Voice:        in.Voice,
		Language:     in.Language,
	}
	if in.MetaData.Set {
		s.MetaData = patch.Of(plainJSON(in.MetaData.Value))
	}
	return s
}

// agentPatch is the body of PATCH /agents/{agent_id}.
type agentPatch struct {
	agentSettings
	agentReadOnly
}

// agentReadOnly is the members of an agent that a client may send back as they
// were.
type agentReadOnly struct {
	ID        patch.Field[jsontext.Value] `json:"id"`
	TenantID  patch.Field[jsontext.Value] `json:"tenant_id"`
	CreatedAt patch.Field[jsontext.Value] `json:"created_at"`
	UpdatedAt patch.Field[jsontext.Value] `json:"updated_at"`
}

// agentView is an agent as clients see it.
type agentView struct {
	agentSummaryView
	MetaData jsontext.Value `json:"meta_data"`
}

// agentSummaryView is an agent in a list.
type agentSummaryView struct {
	ID           agent.ID          `json:"id"`
	TenantID     identity.TenantID `json:"tenant_id"`
	Name         string            `json:"name"`
	SystemPrompt *string           `json:"system_prompt"`
	Voice        *string           `json:"voice"`
	Language     *string           `json:"language"`
	CreatedAt    timestamp         `json:"created_at"`
	UpdatedAt    timestamp         `json:"updated_at"`
}

func newAgentView(a agent.Agent) agentView {
	return agentView{newAgentSummaryView(a), jsontext.Value(a.MetaData)}
}

func newAgentSummaryView(a agent.Agent) agentSummaryView {
	return agentSummaryView{
		ID:           a.ID,
		TenantID:     a.TenantID,
		Name:         a.Name,
		SystemPrompt: a.SystemPrompt,
		Voice:        a.Voice,
		Language:     a.Language,
		CreatedAt:    timestamp(a.CreatedAt),
		UpdatedAt:    timestamp(a.UpdatedAt),
	}
}
