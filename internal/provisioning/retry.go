package provisioning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
	"github.com/tenantry/tenantry/internal/work"
)

// A Retrier runs failed provisionings again.
type Retrier struct {
	operations work.Operations
	tenants    tenant.Store
	vault      Vault
	starter    work.Starter
}

// NewRetrier returns a Retrier.
func NewRetrier(operations work.Operations, tenants tenant.Store, vault Vault, starter work.Starter) *Retrier {
	return &Retrier{operations, tenants, vault, starter}
}

// Retry runs a failed operation again, with new passwords where there are any.
// It fails with fault.OperationNotFailed unless the operation failed, and with
// fault.Invalid where it has no use for a password or needs one.
func (r *Retrier) Retry(ctx context.Context, c identity.Caller, id operation.ID, newer work.NewPasswords, receipt work.Receipt) (operation.Operation, error) {
	o, err := r.retry(ctx, c, id, newer, receipt)
	if err == nil {
		return o, nil
	}
	if _, late := work.Failed(ctx, r.operations, id); errors.Is(late, fault.OperationNotFailed) {
		return o, late // another retry was first
	}
	return o, err
}

func (r *Retrier) retry(ctx context.Context, c identity.Caller, id operation.ID, newer work.NewPasswords, receipt work.Receipt) (operation.Operation, error) {
	before, err := work.Failed(ctx, r.operations, id)
	if err != nil {
		return before, err
	}
	t, err := r.tenants.Get(ctx, before.TenantID)
	if err != nil {
		return before, err
	}
	if err := t.Status.CanBecome(tenant.Provisioning); err != nil {
		return before, err
	}
	after := work.Again(before)
	record, err := receipt(after)
	if err != nil {
		return before, err
	}
	if after.Secret, err = r.keep(ctx, before, t, newer); err != nil {
		return before, err
	}
	tAfter := t
	tAfter.Status, tAfter.StatusReason = tenant.Provisioning, nil
	tAfter = tAfter.Changed(time.Now().UTC().Truncate(time.Millisecond))
	told := audit.For(audit.By(c), id).Did(audit.OperationRetried, t.ID, audit.Of("operation", id), tenant.Changes(t, tAfter)...)
	err = r.operations.SaveWithTenant(ctx, before, after, t, tAfter, told, record)
	r.dropOther(ctx, before, after, err)
	if err != nil {
		return before, fmt.Errorf("retry operation %s: %w", id, err)
	}
	work.Start(ctx, r.starter, after)
	return after, nil
}

// keep returns the secret that holds the passwords of the next attempt: that of
// the last one, unless there are newer passwords.
func (r *Retrier) keep(ctx context.Context, o operation.Operation, t tenant.Tenant, newer work.NewPasswords) (string, error) {
	var old Passwords
	if o.Secret != "" {
		var err error
		if old, err = r.vault.Open(ctx, o.Secret); errors.Is(err, ErrNoPasswords) {
			o.Secret = ""
		} else if err != nil {
			return "", fmt.Errorf("open the passwords of operation %s: %w", o.ID, err)
		}
	}
	all := old
	all.Admin = newer.AdminPassword.Or(old.Admin)
	all.SIP = newer.SIPPassword.Or(old.SIP)
	if o.Step(stepMongoDB) != nil && all.MongoDB == "" {
		all.MongoDB = tenant.GeneratePassword()
	}
	if err := retryFaults(o, t, newer, all).Err(); err != nil {
		return "", err
	}
	if all == old {
		return o.Secret, nil
	}
	secret, err := r.vault.Keep(ctx, o.ID, all)
	if err != nil {
		return "", fmt.Errorf("keep the passwords of operation %s: %w", o.ID, err)
	}
	return secret, nil
}

// dropOther removes the passwords that the operation does not name: the old ones,
// or the new ones if the retry was refused. Where it is not certain which those
// are, both stay for the sweeper.
func (r *Retrier) dropOther(ctx context.Context, before, after operation.Operation, outcome error) {
	switch {
	case before.Secret == after.Secret:
	case outcome == nil:
		drop(ctx, r.vault, before.ID, before.Secret)
	case isRefusal(outcome):
		drop(ctx, r.vault, before.ID, after.Secret)
	}
}

func retryFaults(o operation.Operation, t tenant.Tenant, newer work.NewPasswords, all Passwords) fault.Fields {
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
