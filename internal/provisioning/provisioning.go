// Package provisioning brings tenants about: it takes requests for them, and
// holds the steps of the workflow that makes them, each with a way back. It knows
// neither HTTP nor AWS.
package provisioning

import (
	"context"
	"errors"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// A Creation is all that must come about together when a tenant is asked for.
type Creation struct {
	Tenant    tenant.Tenant
	Operation operation.Operation
	// Owner is the user who signed up, or nil if a platform admin asks.
	Owner *user.User
	// Receipt is the record of the answer, or nil if the client named no key.
	Receipt *idempotency.Record
	// Records tell the audit of it.
	Records []audit.Record
}

// Passwords are the secrets of a request, and those that were made for it. They
// are kept apart from everything else, until the operation has no more use for
// them. "" stands for none.
type Passwords struct {
	Admin   string
	SIP     string
	Webhook string
	MongoDB string // of the user of the tenant's MongoDB database
}

// Tenants is the store that new tenants come into.
type Tenants interface {
	// Create writes a new tenant and all that belongs to it, or nothing. It fails
	// with idempotency.ErrRecorded if the receipt is there already, with
	// fault.Conflict if the tenant is, and with fault.SlugTaken, fault.EmailTaken
	// or fault.SIPDomainTaken.
	Create(ctx context.Context, c Creation) error
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
}

// A Vault keeps the passwords of operations. Each time they are kept it is in a
// secret of their own, so that of two requests at once neither takes the other's.
type Vault interface {
	// Keep stores the passwords of an operation, and returns the name of the
	// secret that it made for them.
	Keep(ctx context.Context, id operation.ID, p Passwords) (secret string, err error)
	// Open returns the passwords in a secret, or ErrNoPasswords.
	Open(ctx context.Context, secret string) (Passwords, error)
	// Drop removes a secret. It is no error if it is gone.
	Drop(ctx context.Context, secret string) error
}

// ErrNoPasswords says that a secret is gone, with the passwords in it.
var ErrNoPasswords = errors.New("the passwords are gone")
