package call

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A Store keeps calls, and counts those that hold a slot. Each write takes effect
// once, however often it is made.
type Store interface {
	// Get returns the call as it is now, or fault.NotFound.
	Get(ctx context.Context, tenantID identity.TenantID, id ID) (Call, error)
	// Take adds a live call if the tenant has the status of t and room for it, and
	// returns it. Each attempt adds the call that begin returns then, so that a lease
	// is not partly over when it is given. Where that reaches so much of the month's
	// calls that somebody should know, or is refused as the limit was lowered to less
	// than there are, it writes a record of o. It fails with ErrKnown if there is a
	// call with the id, with fault.QuotaExceeded, and with fault.Conflict.
	Take(ctx context.Context, t tenant.Tenant, begin func() Call, o audit.Origin) (Call, error)
	// Renew moves the end of a lease. It fails with fault.Conflict if the call is
	// not live, or its lease not that of before.
	Renew(ctx context.Context, before, after Call) error
	// End ends a call, which gives its slot back unless that came back already, and
	// counts what is told of it. It fails with fault.Conflict if the call is not as
	// before.
	End(ctx context.Context, before Call, r Report, at time.Time) error
	// Refuse notes that a call ended which nobody started, so that it is not started
	// any more. It fails with fault.Conflict if there is a call with the id, or the
	// tenant is not as t.
	Refuse(ctx context.Context, t tenant.Tenant, id ID, at time.Time) error
}

// ErrKnown says that there is a call with the id already, whatever became of it.
var ErrKnown = errors.New("the call is known already")

// TenantGetter finds tenants.
type TenantGetter interface {
	// Get returns the tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
}

// AgentGetter finds agents.
type AgentGetter interface {
	// Get returns an agent of a tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, t tenant.Tenant, id agent.ID) (agent.Agent, error)
}

// A Service applies the rules of calls on top of a Store.
type Service struct {
	store   Store
	tenants TenantGetter
	agents  AgentGetter
}

// NewService returns a Service that keeps its calls in store.
func NewService(store Store, tenants TenantGetter, agents AgentGetter) *Service {
	return &Service{store, tenants, agents}
}

// Start takes a slot for a call, and reports whether it did: one that is live
// already keeps its lease. It fails with the faults of Tenant.AdmitWriter, with
// fault.Conflict if the tenant was never made, with fault.QuotaExceeded, and with
// fault.CallEnded.
func (s *Service) Start(ctx context.Context, c identity.Caller, id identity.TenantID, d Draft, unread fault.Fields) (Call, bool, error) {
	started := false
	call, err := conflict.Retry(ctx, func() (call Call, err error) {
		call, started, err = s.start(ctx, c, id, d, unread)
		return call, err
	})
	if errors.Is(err, errNotMade) {
		err = fault.Wrap(err, fault.Conflict, "the tenant could not be provisioned; a platform admin can retry its operation")
	}
	return call, started, err
}

// errNotMade says that a tenant was never made. That does not pass by itself.
var errNotMade = errors.New("the provisioning of the tenant failed")

func (s *Service) start(ctx context.Context, c identity.Caller, id identity.TenantID, d Draft, unread fault.Fields) (Call, bool, error) {
	t, err := s.tenants.Get(ctx, id)
	if err != nil {
		return Call{}, false, err
	}
	if err := t.AdmitWriter(c); err != nil {
		held, err := s.held(ctx, c, t, d, unread, err)
		return held, false, err
	}
	if t.Status == tenant.Failed {
		return Call{}, false, errNotMade
	}
	faults := unread.And(d.faults())
	unknown, err := s.agentFaults(ctx, t, d.AgentID.Value)
	if err != nil {
		return Call{}, false, err
	}
	if err := faults.And(unknown).Err(); err != nil {
		return Call{}, false, err
	}
	call, err := s.store.Take(ctx, t, func() Call { return newCall(id, d, now()) }, audit.By(c))
	if errors.Is(err, ErrKnown) {
		call, err = s.again(ctx, id, d.ID.Value)
		return call, false, err
	}
	if err != nil {
		return Call{}, false, fmt.Errorf("start a call of tenant %s: %w", id, err)
	}
	return call, true, nil
}

// held returns the call that a request asks for once more, if it is live, though its
// tenant takes no calls since. Else it fails as refused says.
func (s *Service) held(ctx context.Context, c identity.Caller, t tenant.Tenant, d Draft, unread fault.Fields, refused error) (Call, error) {
	if t.AdmitReader(c) != nil || unread.And(d.faults()).Err() != nil {
		return Call{}, refused
	}
	known, err := s.store.Get(ctx, t.ID, d.ID.Value)
	if errors.Is(err, fault.NotFound) || err == nil && !known.Holds(now()) {
		return Call{}, refused
	}
	return known, err
}

func newCall(id identity.TenantID, d Draft, at time.Time) Call {
	l := lease(d.Lease)
	return Call{
		ID: d.ID.Value, TenantID: id, AgentID: d.AgentID.Value, State: Live,
		StartedAt: at, Lease: l, ExpiresAt: at.Add(l),
	}
}

// agentFaults returns what is wrong with the agent that takes a call.
func (s *Service) agentFaults(ctx context.Context, t tenant.Tenant, id *agent.ID) (fault.Fields, error) {
	if id == nil {
		return nil, nil
	}
	_, err := s.agents.Get(ctx, t, *id)
	if errors.Is(err, fault.NotFound) {
		return fault.Fields{{Pointer: "#/agent_id", Detail: "is not an agent of the tenant"}}, nil
	}
	return nil, err
}

// again answers a call that was started before.
func (s *Service) again(ctx context.Context, tenantID identity.TenantID, id ID) (Call, error) {
	known, err := s.store.Get(ctx, tenantID, id)
	switch {
	case errors.Is(err, fault.NotFound):
		return known, fault.Wrap(err, fault.Conflict, "the call was forgotten meanwhile")
	case err != nil:
		return known, err
	case !known.Holds(now()):
		return known, Over(id)
	}
	return known, nil
}

// Renew gives a call a lease from now on, of as many seconds as before unless
// others are named. It fails with fault.NotFound, and with fault.CallEnded if the
// call is over, by its lease too.
func (s *Service) Renew(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id ID, seconds patch.Field[int], unread fault.Fields) (Call, error) {
	return conflict.Retry(ctx, func() (Call, error) {
		if _, err := s.find(ctx, c, tenantID); err != nil {
			return Call{}, err
		}
		if err := unread.And(leaseFaults(seconds)).Err(); err != nil {
			return Call{}, err
		}
		before, err := s.store.Get(ctx, tenantID, id)
		if err != nil {
			return Call{}, err
		}
		at := now()
		if !before.Holds(at) {
			return Call{}, Over(id)
		}
		after := before
		if seconds.Set {
			after.Lease = lease(seconds)
		}
		after.ExpiresAt = at.Add(after.Lease)
		if err := s.store.Renew(ctx, before, after); err != nil {
			return Call{}, fmt.Errorf("renew a call of tenant %s: %w", tenantID, err)
		}
		return after, nil
	})
}

// End ends a call. One that was never started can not start from then on: its start
// may be late. Nothing happens if it was ended before. What is told of one whose
// lease was over is counted all the same, once.
func (s *Service) End(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id ID, r Report, unread fault.Fields) error {
	_, err := conflict.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, s.end(ctx, c, tenantID, id, r, unread)
	})
	return err
}

func (s *Service) end(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id ID, r Report, unread fault.Fields) error {
	t, err := s.find(ctx, c, tenantID)
	if err != nil {
		return err
	}
	if err := unread.And(r.faults()).Err(); err != nil {
		return err
	}
	if id.faults() != nil {
		return nil // no call has it
	}
	before, err := s.store.Get(ctx, tenantID, id)
	switch {
	case errors.Is(err, fault.NotFound):
		err = s.store.Refuse(ctx, t, id, now())
	case err == nil && !before.Told:
		err = s.store.End(ctx, before, r, now())
	}
	if err != nil {
		return fmt.Errorf("end a call of tenant %s: %w", tenantID, err)
	}
	return nil
}

// find returns the tenant, if it exists for the caller. What its status is does not
// matter: a call that goes on may go on, and end.
func (s *Service) find(ctx context.Context, c identity.Caller, id identity.TenantID) (tenant.Tenant, error) {
	t, err := s.tenants.Get(ctx, id)
	if err != nil {
		return tenant.Tenant{}, err
	}
	return t, t.AdmitReader(c)
}

// now returns the time, to the millisecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
