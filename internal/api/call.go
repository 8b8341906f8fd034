package api

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/patch"
)

// CallStarter is what StartCall needs of a call.Service.
type CallStarter interface {
	Start(ctx context.Context, c identity.Caller, id identity.TenantID, d call.Draft, unread fault.Fields) (call.Call, bool, error)
}

// StartCall serves POST /tenants/{tenant_id}/calls. It answers 201 with the call
// that took a slot, and 200 if it had one already; 409 if the call is over, and 429
// if the tenant has no slot left. What a tenant's status refuses is 403 or 409.
func StartCall(calls CallStarter, operations RunningFinder) Operation {
	return Operation{
		Name:  "StartCall",
		Allow: identity.Services(identity.CallsWrite),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[callDraft](r)
			if err != nil {
				return nil, err
			}
			c, started, err := calls.Start(ctx, r.Caller, r.TenantID(), call.Draft(in), faults)
			if errors.Is(err, fault.OperationRunning) {
				return nil, nameRunning(ctx, err, operations, r.TenantID())
			}
			if err != nil {
				return nil, err
			}
			if !started {
				return OK(newCallView(c)), nil
			}
			return Created("/tenants/"+string(c.TenantID)+"/calls/"+url.PathEscape(string(c.ID)), newCallView(c)), nil
		},
	}
}

// CallRenewer is what RenewCall needs of a call.Service.
type CallRenewer interface {
	Renew(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id call.ID, seconds patch.Field[int], unread fault.Fields) (call.Call, error)
}

// RenewCall serves PATCH /tenants/{tenant_id}/calls/{call_id}. It answers 200 with
// the call and its new lease, and 409 if the call is over.
func RenewCall(calls CallRenewer) Operation {
	return Operation{
		Name:  "RenewCall",
		Allow: identity.Services(identity.CallsWrite),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := DecodeOptional[callLease](r)
			if err != nil {
				return nil, err
			}
			c, err := calls.Renew(ctx, r.Caller, r.TenantID(), r.callID(), in.LeaseSeconds, faults)
			if err != nil {
				return nil, err
			}
			return OK(newCallView(c)), nil
		},
	}
}

// CallEnder is what EndCall needs of a call.Service.
type CallEnder interface {
	End(ctx context.Context, c identity.Caller, tenantID identity.TenantID, id call.ID, r call.Report, unread fault.Fields) error
}

// EndCall serves POST /tenants/{tenant_id}/calls/{call_id}/end. It answers 204,
// whatever became of the call before.
func EndCall(calls CallEnder) Operation {
	return Operation{
		Name:  "EndCall",
		Allow: identity.Services(identity.CallsWrite),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := DecodeOptional[callReport](r)
			if err != nil {
				return nil, err
			}
			if err := calls.End(ctx, r.Caller, r.TenantID(), r.callID(), in.report(), faults); err != nil {
				return nil, err
			}
			return NoContent(), nil
		},
	}
}

// CallLister lists calls.
type CallLister interface {
	// List returns a part of the calls of a tenant that hold a slot, newest first.
	List(ctx context.Context, id identity.TenantID, w page.Window) (page.Page[call.Call], error)
}

// ListCalls serves GET /tenants/{tenant_id}/calls, newest first.
func ListCalls(calls CallLister, tenants TenantGetter, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListCalls",
		Allow: identity.Members().OrServices(identity.CallsWrite),
		Query: []string{"limit", "cursor"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			if err := admitReader(ctx, tenants, r.Caller, r.TenantID()); err != nil {
				return nil, err
			}
			read := func(ctx context.Context, w page.Window) (page.Page[call.Call], error) {
				return calls.List(ctx, r.TenantID(), w)
			}
			return list(ctx, r, cursors, read, newCallView)
		},
	}
}

// callID returns the call that the path names.
func (r *Request) callID() call.ID { return call.ID(r.Path["call_id"]) }

// callDraft is the body of POST /tenants/{tenant_id}/calls.
type callDraft struct {
	ID      patch.Field[call.ID]   `json:"call_id"`
	AgentID patch.Field[*agent.ID] `json:"agent_id"`
	Lease   patch.Field[int]       `json:"lease_seconds"`
}

// callLease is the body of PATCH /tenants/{tenant_id}/calls/{call_id}.
type callLease struct {
	LeaseSeconds patch.Field[int] `json:"lease_seconds"`
}

// callReport is the body of POST /tenants/{tenant_id}/calls/{call_id}/end.
type callReport struct {
	DurationSeconds patch.Field[*int]     `json:"duration_seconds"`
	SentimentScore  patch.Field[*float64] `json:"sentiment_score"`
}

func (in callReport) report() call.Report {
	r := call.Report{Sentiment: in.SentimentScore.Value}
	if seconds := in.DurationSeconds.Value; seconds != nil {
		r.Duration = new(call.Seconds(*seconds))
	}
	return r
}

// callView is a call as clients see it.
type callView struct {
	ID           call.ID           `json:"call_id"`
	TenantID     identity.TenantID `json:"tenant_id"`
	AgentID      *agent.ID         `json:"agent_id"`
	StartedAt    timestamp         `json:"started_at"`
	LeaseSeconds int               `json:"lease_seconds"`
	ExpiresAt    timestamp         `json:"expires_at"`
}

func newCallView(c call.Call) callView {
	return callView{
		ID: c.ID, TenantID: c.TenantID, AgentID: c.AgentID, StartedAt: timestamp(c.StartedAt),
		LeaseSeconds: int(c.Lease / time.Second), ExpiresAt: timestamp(c.ExpiresAt),
	}
}
