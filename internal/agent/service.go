package agent

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A Store keeps agents where their tenants keep what is theirs. Each write fails
// with fault.Conflict, and changes nothing, if the tenant has another status than
// t, and each writes the record of the change.
type Store interface {
	// Create adds an agent, and remembers an answer unless receipt is nil. It fails
	// with fault.QuotaExceeded if the tenant has as many as it may have, and with
	// idempotency.ErrRecorded.
	Create(ctx context.Context, t tenant.Tenant, a Agent, r audit.Record, receipt *idempotency.Record) error
	// Get returns the agent as it is now, or fault.NotFound.
	Get(ctx context.Context, t tenant.Tenant, id ID) (Agent, error)
	// Update replaces before by after. It fails with fault.Conflict if the stored
	// version is not that of before.
	Update(ctx context.Context, t tenant.Tenant, before, after Agent, r audit.Record) error
	// Delete removes an agent. It fails with fault.Conflict if the stored version is
	// not that of a.
	Delete(ctx context.Context, t tenant.Tenant, a Agent, r audit.Record) error
}

// TenantGetter finds tenants.
type TenantGetter interface {
	// Get returns the tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
}

// A Service applies the rules for changing agents on top of a Store.
type Service struct {
	store   Store
	tenants TenantGetter
}

// NewService returns a Service that keeps its agents in store.
func NewService(store Store, tenants TenantGetter) *Service { return &Service{store, tenants} }

// A Receipt returns the answer to be remembered for an agent that is made, or nil.
type Receipt func(Agent) (*idempotency.Record, error)

// An Editor returns the change that a client asks for of the agent as it is now,
// and what is wrong with it besides the rules of agents.
type Editor func(current Agent) (Settings, fault.Fields)

// Create makes an agent for a tenant. Unread is what is wrong with the settings
// besides the rules of agents. It fails with the faults of
// Tenant.AdmitWriter, with fault.Conflict if the tenant was never made, and with
// fault.QuotaExceeded.
func (s *Service) Create(ctx context.Context, c identity.Caller, id identity.TenantID, settings Settings, unread fault.Fields, receipt Receipt) (Agent, error) {
	return change(ctx, func() (Agent, error) {
		t, err := s.admit(ctx, c, id)
		if err != nil {
			return Agent{}, err
		}
		a := newAgent(id, settings, now())
		if err := unread.And(a.faults(t)).Err(); err != nil {
			return Agent{}, err
		}
		record, err := receipt(a)
		if err != nil {
			return Agent{}, err
		}
		made := audit.By(c).Did(audit.AgentCreated, id, Target(a.ID), Changes(Agent{}, a)...)
		if err := s.store.Create(ctx, t, a, made, record); err != nil {
			return Agent{}, fmt.Errorf("create an agent of tenant %s: %w", id, err)
		}
		return a, nil
	})
}

// Update changes an agent. It fails as Create does, and with fault.Stale if
// versions, where there are any, do not hold the agent's version. Without versions,
// where another change comes in between, the change is made on top of that.
func (s *Service) Update(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id ID, versions []int64, edit Editor) (Agent, error) {
	return change(ctx, func() (Agent, error) {
		t, before, err := s.find(ctx, c, tenantID, id, versions)
		if err != nil {
			return Agent{}, err
		}
		settings, unread := edit(before)
		after := settings.apply(before)
		if err := unread.And(after.faults(t)).Err(); err != nil {
			return Agent{}, err
		}
		if reflect.DeepEqual(after, before) {
			return before, nil
		}
		after.UpdatedAt, after.Version = now(), before.Version+1
		changed := audit.By(c).Did(audit.AgentUpdated, tenantID, Target(id), Changes(before, after)...)
		if err := s.store.Update(ctx, t, before, after, changed); err != nil {
			return Agent{}, fmt.Errorf("update agent %s: %w", id, err)
		}
		return after, nil
	})
}

// Delete removes an agent. It fails as Update does.
func (s *Service) Delete(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id ID, versions []int64) error {
	_, err := change(ctx, func() (Agent, error) {
		t, a, err := s.find(ctx, c, tenantID, id, versions)
		if err != nil {
			return Agent{}, err
		}
		if err := s.store.Delete(ctx, t, a, audit.By(c).Did(audit.AgentDeleted, tenantID, Target(id))); err != nil {
			return Agent{}, fmt.Errorf("delete agent %s: %w", id, err)
		}
		return a, nil
	})
	return err
}

// find returns an agent that the caller may change, and its tenant.
func (s *Service) find(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id ID, versions []int64) (tenant.Tenant, Agent, error) {
	t, err := s.admit(ctx, c, tenantID)
	if err != nil {
		return t, Agent{}, err
	}
	a, err := s.store.Get(ctx, t, id)
	if err != nil {
		return t, Agent{}, err
	}
	if versions != nil && !slices.Contains(versions, a.Version) {
		return t, Agent{}, fault.New(fault.Stale, "the agent has changed since; get it again and look at what changed")
	}
	return t, a, nil
}

// errNotMade says that a tenant was never made, so that there is no place to keep
// agents.
var errNotMade = errors.New("the provisioning of the tenant failed")

// admit returns a tenant whose agents the caller may change. It fails as
// Tenant.AdmitWriter does, and with errNotMade.
func (s *Service) admit(ctx context.Context, c identity.Caller, id identity.TenantID) (tenant.Tenant, error) {
	t, err := s.tenants.Get(ctx, id)
	if err != nil {
		return t, err
	}
	if err := t.AdmitWriter(c); err != nil {
		return t, err
	}
	if t.Status == tenant.Failed {
		return t, errNotMade
	}
	return t, nil
}

// change calls f, again where another change came in between. What errNotMade says
// does not pass by itself: it is a fault.Conflict in the end only.
func change(ctx context.Context, f func() (Agent, error)) (Agent, error) {
	a, err := conflict.Retry(ctx, f)
	if errors.Is(err, errNotMade) {
		return a, fault.Wrap(err, fault.Conflict, "the tenant could not be provisioned; a platform admin can retry its operation")
	}
	return a, err
}

// now returns the time, to the millisecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
