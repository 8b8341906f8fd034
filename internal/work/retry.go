package work

import (
	"context"
	"errors"
	"fmt"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A Retrier runs failed operations again that left the tenant as it is.
type Retrier struct {
	operations Operations
	tenants    tenant.Store
	starter    Starter
	admit      func(tenant.Tenant) error
}

// NewRetrier returns a Retrier. Admit fails where the operation cannot go on with the
// tenant.
func NewRetrier(operations Operations, tenants tenant.Store, starter Starter, admit func(tenant.Tenant) error) *Retrier {
	return &Retrier{operations, tenants, starter, admit}
}

// Retry runs a failed operation again. It fails with fault.OperationNotFailed
// unless the operation failed, and with fault.Invalid if there is a password.
func (r *Retrier) Retry(ctx context.Context, c identity.Caller, id operation.ID, newer NewPasswords, receipt Receipt) (operation.Operation, error) {
	o, err := r.retry(ctx, c, id, newer, receipt)
	if err == nil {
		return o, nil
	}
	if _, late := Failed(ctx, r.operations, id); errors.Is(late, fault.OperationNotFailed) {
		return o, late // another retry was first
	}
	return o, err
}

func (r *Retrier) retry(ctx context.Context, c identity.Caller, id operation.ID, newer NewPasswords, receipt Receipt) (operation.Operation, error) {
	before, err := Failed(ctx, r.operations, id)
	if err != nil {
		return before, err
	}
	if err := uselessPasswords(newer).Err(); err != nil {
		return before, err
	}
	tBefore, err := r.tenants.Get(ctx, before.TenantID)
	if err != nil {
		return before, err
	}
	if err := r.admit(tBefore); err != nil {
		return before, err
	}
	after := Again(before)
	record, err := receipt(after)
	if err != nil {
		return before, err
	}
	tAfter := tBefore
	tAfter.Version++
	told := audit.For(audit.By(c), id).Did(audit.OperationRetried, tBefore.ID, audit.Of("operation", id))
	if err := r.operations.SaveWithTenant(ctx, before, after, tBefore, tAfter, told, record); err != nil {
		return before, fmt.Errorf("retry operation %s: %w", id, err)
	}
	Start(ctx, r.starter, after)
	return after, nil
}

func uselessPasswords(newer NewPasswords) fault.Fields {
	var f fault.Fields
	if newer.AdminPassword.Set {
		f.Add("#/admin_password", "is of no use: the operation makes no account")
	}
	if newer.SIPPassword.Set {
		f.Add("#/sip_password", "is of no use: the operation keeps no secret")
	}
	return f
}
