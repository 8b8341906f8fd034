package provisioning

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
	"github.com/tenantry/tenantry/internal/work"
)

// A Request asks for a tenant.
type Request struct {
	Draft tenant.Draft
	// AdminEmail is the address of the tenant's first owner.
	AdminEmail    patch.Field[string]
	AdminPassword patch.Field[string]
	SIPPassword   patch.Field[string]
	WebhookSecret patch.Field[string]
}

// Faults returns every rule that the request breaks.
func (r Request) Faults() fault.Fields {
	f := r.Draft.Faults()
	if r.AdminEmail.Set && !tenant.IsEmail(r.AdminEmail.Value) {
		f.Add("#/admin_email", "must be an e-mail address")
	}
	if r.AdminPassword.Set {
		user.PasswordFault(&f, "#/admin_password", r.AdminPassword.Value)
		if !r.AdminEmail.Set {
			f.Add("#/admin_password", "needs an admin_email beside it")
		}
	}
	if r.SIPPassword.Set {
		tenant.SecretFault(&f, "#/sip_password", r.SIPPassword.Value)
		if !r.Draft.SIPEnabled.Value {
			f.Add("#/sip_password", "needs sip_enabled to be true")
		}
	}
	if r.WebhookSecret.Set {
		tenant.SecretFault(&f, "#/webhook_secret", r.WebhookSecret.Value)
	}
	return f
}

func (r Request) passwords() Passwords {
	return Passwords{Admin: r.AdminPassword.Value, SIP: r.SIPPassword.Value, Webhook: r.WebhookSecret.Value}
}

// A Result is what a request for a tenant gave rise to.
type Result struct {
	Tenant    tenant.Tenant
	Operation operation.Operation
	// SIPPassword is the password that was made for the tenant, or "" if it has
	// none or brought its own. It is shown once.
	SIPPassword string
}

// A Receipt makes the record of an answer, to be written with what it answers.
type Receipt func(Result) (*idempotency.Record, error)

// A Service takes requests for tenants.
type Service struct {
	tenants  Tenants
	accounts Accounts
	vault    Vault
	starter  work.Starter
	mongoDB  bool
}

// NewService returns a Service. Vault may be nil where no request has passwords.
func NewService(tenants Tenants, accounts Accounts, vault Vault, starter work.Starter) *Service {
	return &Service{tenants: tenants, accounts: accounts, vault: vault, starter: starter}
}

// WithMongoDB returns s. Where the stack has a MongoDB server, its dedicated tenants
// get a database there besides.
func (s *Service) WithMongoDB(has bool) *Service {
	s.mongoDB = has
	return s
}

// Request writes a tenant that is still to be provisioned, and starts that. It
// fails as Tenants.Create does, and with fault.PlanCeiling if the request takes
// more than c may give.
func (s *Service) Request(ctx context.Context, c identity.Caller, r Request, receipt Receipt) (Result, error) {
	return s.request(ctx, c, r, nil, receipt)
}

func (s *Service) request(ctx context.Context, c identity.Caller, r Request, owner *user.User, receipt Receipt) (Result, error) {
	if err := r.Faults().Err(); err != nil {
		return Result{}, err
	}
	if err := r.Draft.CheckCeiling(c); err != nil {
		return Result{}, err
	}
	result := Result{}
	passwords := r.passwords()
	if r.Draft.SIPEnabled.Value && passwords.SIP == "" {
		passwords.SIP = tenant.GeneratePassword()
		result.SIPPassword = passwords.SIP
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	result.Tenant = r.Draft.Tenant(now)
	if owner != nil {
		result.Tenant.OwnerID = &owner.ID
	}
	result.Operation = newOperation(s.steps(result.Tenant, r), result.Tenant, r, now)
	if result.Operation.Step(stepMongoDB) != nil {
		passwords.MongoDB = tenant.GeneratePassword()
	}
	if passwords != (Passwords{}) {
		secret, err := s.vault.Keep(ctx, result.Operation.ID, passwords)
		if err != nil {
			return Result{}, fmt.Errorf("keep the passwords of operation %s: %w", result.Operation.ID, err)
		}
		result.Operation.Secret = secret
	}
	result, err := s.create(ctx, c, result, r.Draft.Slug.Set, owner, receipt)
	if err != nil {
		if isRefusal(err) {
			drop(ctx, s.vault, result.Operation.ID, result.Operation.Secret)
		}
		return Result{}, err
	}
	work.Start(ctx, s.starter, result.Operation)
	return result, nil
}

// create writes the tenant under the first of its slugs that is free.
func (s *Service) create(ctx context.Context, c identity.Caller, r Result, hasSlug bool, owner *user.User, receipt Receipt) (Result, error) {
	slugs := []string{r.Tenant.Slug}
	if !hasSlug {
		slugs = tenant.SlugCandidates(r.Tenant.Name)
	}
	var err error
	for _, slug := range slugs {
		r.Tenant.Slug = slug
		creation := Creation{Tenant: r.Tenant, Operation: r.Operation, Owner: owner, Records: created(c, r, owner)}
		if receipt != nil {
			if creation.Receipt, err = receipt(r); err != nil {
				return r, err
			}
		}
		if err = s.tenants.Create(ctx, creation); !errors.Is(err, fault.SlugTaken) {
			return r, err
		}
	}
	return r, err
}

// created returns what the audit is told of a new tenant.
func created(c identity.Caller, r Result, owner *user.User) []audit.Record {
	origin := audit.For(audit.By(c), r.Operation.ID)
	records := []audit.Record{origin.Did(audit.TenantCreated, r.Tenant.ID, tenant.Target(r.Tenant.ID), tenant.Changes(tenant.Tenant{}, r.Tenant)...)}
	if owner != nil {
		records = append(records, origin.Did(audit.UserCreated, r.Tenant.ID, user.Target(owner.ID), user.Changes(user.User{}, *owner)...))
	}
	return records
}

// isRefusal reports whether err says for certain that nothing was written.
func isRefusal(err error) bool {
	return fault.KindOf(err) != "" || errors.Is(err, idempotency.ErrRecorded)
}

// drop removes passwords that no operation names, or none any more. Those that
// it does not get at are left for the sweeper.
func drop(ctx context.Context, vault Vault, id operation.ID, secret string) {
	if secret == "" {
		return
	}
	if err := vault.Drop(ctx, secret); err != nil {
		slog.WarnContext(ctx, "passwords left for the sweeper", "operation_id", id, "error", err)
	}
}

func newOperation(steps []operation.Step, t tenant.Tenant, r Request, now time.Time) operation.Operation {
	return operation.Operation{
		ID:         operation.ID(uuid.NewString()),
		Kind:       operation.Provision,
		TenantID:   t.ID,
		State:      operation.Pending,
		Attempt:    1,
		Steps:      steps,
		AdminEmail: r.AdminEmail.Value,
		CreatedAt:  now,
		DueAt:      now.Add(work.StartWithin),
		Version:    1,
	}
}

// The steps, in their order.
const (
	stepDatabase = "database"
	stepMongoDB  = "mongodb"
	stepIdentity = "identity"
	stepSIP      = "sip"
	stepActivate = "activate"
)

// steps returns the steps that a tenant needs.
func (s *Service) steps(t tenant.Tenant, r Request) []operation.Step {
	hasMongoDB := s.mongoDB && t.Isolation == tenant.Dedicated
	var steps []operation.Step
	for _, step := range []struct {
		name    string
		applies bool
	}{
		{stepDatabase, t.Isolation == tenant.Dedicated},
		{stepMongoDB, hasMongoDB},
		{stepIdentity, r.AdminEmail.Set},
		{stepSIP, t.SIPEnabled || r.WebhookSecret.Set || hasMongoDB},
		{stepActivate, true},
	} {
		if step.applies {
			steps = append(steps, operation.Step{Name: step.name, State: operation.Pending})
		}
	}
	return steps
}
