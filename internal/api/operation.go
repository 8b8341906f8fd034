package api

import (
	"context"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// OperationGetter finds operations.
type OperationGetter interface {
	// Get returns the operation, or fault.NotFound.
	Get(ctx context.Context, id operation.ID) (operation.Operation, error)
}

// GetOperation serves GET /operations/{operation_id}. It answers 304 to the
// version that the client has already.
func GetOperation(operations OperationGetter, tenants TenantGetter) Operation {
	return Operation{
		Name:  "GetOperation",
		Allow: identity.Members(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			o, err := operations.Get(ctx, operation.ID(r.Path["operation_id"]))
			if err != nil {
				return nil, err
			}
			if !r.Caller.Sees(o.TenantID) {
				return nil, operation.NotFound(o.ID)
			}
			if err := admitReader(ctx, tenants, r.Caller, o.TenantID); err != nil {
				return nil, err
			}
			return OK(newOperationView(o)).WithVersion(o.Version), nil
		},
	}
}

// admitReader fails as Tenant.AdmitReader does.
func admitReader(ctx context.Context, tenants TenantGetter, c identity.Caller, id identity.TenantID) error {
	_, err := readable(ctx, tenants, c, id)
	return err
}

// readable returns a tenant, or fails as Tenant.AdmitReader does.
func readable(ctx context.Context, tenants TenantGetter, c identity.Caller, id identity.TenantID) (tenant.Tenant, error) {
	t, err := tenants.Get(ctx, id)
	if err != nil {
		return t, err
	}
	return t, t.AdmitReader(c)
}

// OperationLister lists the operations on a tenant.
type OperationLister interface {
	// List returns a part of them, newest first. One that was written a moment
	// ago may be missing, or as it was before.
	List(ctx context.Context, id identity.TenantID, w page.Window) (page.Page[operation.Operation], error)
}

// ListOperations serves GET /tenants/{tenant_id}/operations, newest first.
func ListOperations(operations OperationLister, tenants TenantGetter, cursors *Cursors) Operation {
	return Operation{
		Name:  "ListOperations",
		Allow: identity.Members(),
		Query: []string{"limit", "cursor"},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			p := r.parameters()
			w, err := cursors.window(ctx, r, p)
			if err != nil {
				return nil, err
			}
			if err := p.err(); err != nil {
				return nil, err
			}
			if err := admitReader(ctx, tenants, r.Caller, r.TenantID()); err != nil {
				return nil, err
			}
			list, err := operations.List(ctx, r.TenantID(), w)
			if err != nil {
				return nil, err
			}
			return listed(ctx, cursors, r, w, list, newOperationView)
		},
	}
}

// operationView is an operation as clients see it.
type operationView struct {
	ID        operation.ID      `json:"id"`
	Kind      operation.Kind    `json:"kind"`
	TenantID  identity.TenantID `json:"tenant_id"`
	State     operation.State   `json:"state"`
	Attempt   int               `json:"attempt"`
	Steps     []stepView        `json:"steps"`
	Error     *failureView      `json:"error"`
	CreatedAt timestamp         `json:"created_at"`
	EndedAt   *timestamp        `json:"ended_at"`
}

type stepView struct {
	Name      string          `json:"name"`
	State     operation.State `json:"state"`
	Attempts  int             `json:"attempts"`
	StartedAt *timestamp      `json:"started_at"`
	EndedAt   *timestamp      `json:"ended_at"`
	Error     *string         `json:"error"`
}

type failureView struct {
	Step   string `json:"step"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Hint   string `json:"hint"`
}

func newOperationView(o operation.Operation) operationView {
	view := operationView{
		ID:        o.ID,
		Kind:      o.Kind,
		TenantID:  o.TenantID,
		State:     o.State,
		Attempt:   o.Attempt,
		Error:     (*failureView)(o.Failure),
		CreatedAt: timestamp(o.CreatedAt),
		EndedAt:   (*timestamp)(o.EndedAt),
	}
	for _, step := range o.Steps {
		view.Steps = append(view.Steps, newStepView(step))
	}
	return view
}

func newStepView(s operation.Step) stepView {
	view := stepView{Name: s.Name, State: s.State, Attempts: s.Attempts, StartedAt: (*timestamp)(s.StartedAt), EndedAt: (*timestamp)(s.EndedAt)}
	if s.Error != "" {
		view.Error = &s.Error
	}
	return view
}
