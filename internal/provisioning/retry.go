package provisioning

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// A Retrier runs failed operations again.
type Retrier struct {
	operations Operations
	tenants    tenant.Store
	vault      Vault
	starter    Starter
}

// NewRetrier returns a Retrier.
func NewRetrier(operations Operations, tenants tenant.Store, vault Vault, starter Starter) *Retrier {
	return &Retrier{operations, tenants, vault, starter}
}

// NewPasswords take the place of those of the first request.
type NewPasswords struct {
	AdminPassword patch.Field[string]
	SIPPassword   patch.Field[string]
}

// A RetryReceipt makes the record of an answer, to be written with the retry, or
// nil if the client named no key.
type RetryReceipt func(operation.Operation) (*idempotency.Record, error)

// Retry runs a failed operation again, with new passwords where there are any.
// It fails with fault.OperationNotFailed unless the operation failed, and with
// fault.Invalid where it has no use for a password or needs one.
func (r *Retrier) Retry(ctx context.Context, id operation.ID, newer NewPasswords, receipt RetryReceipt) (operation.Operation, error) {
	before, err := r.operations.Get(ctx, id)
	if err != nil {
		return before, err
	}
	if before.State != operation.Failed {
		return before, fault.New(fault.OperationNotFailed, "the operation is %s; only a failed one can be retried", before.State)
	}
	t, err := r.tenants.Get(ctx, before.TenantID)
	if err != nil {
		return before, err
	}
	if err := t.Status.CanBecome(tenant.Provisioning); err != nil {
		return before, err
	}
	after, err := r.again(ctx, before, t, newer)
	if err != nil {
		return before, err
	}
	record, err := receipt(after)
	if err != nil {
		return before, err
	}
	tAfter := t
	tAfter.Status, tAfter.UpdatedAt, tAfter.Version = tenant.Provisioning, time.Now().UTC().Truncate(time.Millisecond), t.Version+1
	if err := r.operations.SaveWithTenant(ctx, before, after, t, tAfter, record); err != nil {
		return before, fmt.Errorf("retry operation %s: %w", id, err)
	}
	(&Service{starter: r.starter}).start(ctx, after)
	return after, nil
}

// again returns the operation as it is before its next attempt, its passwords
// kept.
func (r *Retrier) again(ctx context.Context, o operation.Operation, t tenant.Tenant, newer NewPasswords) (operation.Operation, error) {
	old, err := r.vault.Open(ctx, o.ID)
	if err != nil {
		return o, fmt.Errorf("open the passwords of operation %s: %w", o.ID, err)
	}
	all := old
	all.Admin = newer.AdminPassword.Or(old.Admin)
	all.SIP = newer.SIPPassword.Or(old.SIP)
	if err := retryFaults(o, t, newer, all).Err(); err != nil {
		return o, err
	}
	if all != old {
		if o.Secret, err = r.vault.Keep(ctx, o.ID, all); err != nil {
			return o, fmt.Errorf("keep the passwords of operation %s: %w", o.ID, err)
		}
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	o.Steps = slices.Clone(o.Steps)
	for i, step := range o.Steps {
		o.Steps[i] = operation.Step{Name: step.Name, State: operation.Pending, Attempts: step.Attempts}
	}
	o.State, o.EndedAt, o.Failure = operation.Pending, nil, nil
	o.Attempt++
	o.DueAt = now.Add(startWithin)
	o.Version++
	return o, nil
}

func retryFaults(o operation.Operation, t tenant.Tenant, newer NewPasswords, all Passwords) fault.Fields {
	var f fault.Fields
	if newer.AdminPassword.Set {
		user.PasswordFault(&f, "#/admin_password", newer.AdminPassword.Value)
		if o.AdminEmail == "" {
			f.Add("#/admin_password", "is of no use: the operation makes no account")
		}
	}
	if newer.SIPPassword.Set {
		tenant.SecretFault(&f, "#/sip_password", newer.SIPPassword.Value)
		if !t.SIPEnabled {
			f.Add("#/sip_password", "is of no use: the tenant has no SIP")
		}
	}
	if t.SIPEnabled && all.SIP == "" {
		f.Add("#/sip_password", "is needed: the one of the first request is kept for 7 days only")
	}
	return f
}
