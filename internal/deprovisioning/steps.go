package deprovisioning

import (
	"context"
	"errors"
	"fmt"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/sweep"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
	"github.com/tenantry/tenantry/internal/work"
)

// accountsAtOnce is how many users one call of a step removes: Cognito takes its
// time.
const accountsAtOnce = 50

// AgentRemover removes agents.
type AgentRemover interface {
	// RemoveAgents removes the agents that a tenant has in the table that tenants
	// share, and counts none from then on. Doing it again changes nothing.
	RemoveAgents(ctx context.Context, id identity.TenantID, r audit.Record) error
}

// Agents is the step that removes a tenant's agents. Those in a database of the
// tenant's own go with that.
func Agents(agents AgentRemover) work.Step { return agentStep{agents} }

type agentStep struct{ agents AgentRemover }

func (agentStep) Name() string { return stepAgents }

func (s agentStep) Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	return s.agents.RemoveAgents(ctx, t.ID, work.Origin(o).Did(audit.TenantAgentsRemoved, t.ID, tenant.Target(t.ID)))
}

// UseRemover removes what tenants used.
type UseRemover interface {
	// RemoveUse removes what a tenant used, its calls and what was counted of them.
	// It fails with operation.ErrNotReady if there is more left. Doing it again
	// changes nothing.
	RemoveUse(ctx context.Context, id identity.TenantID) error
}

// Usage is the step that removes a tenant's calls and what it used. From its
// beginning on nothing is counted for the tenant any more.
func Usage(use UseRemover) work.Step { return usageStep{use} }

type usageStep struct{ use UseRemover }

func (usageStep) Name() string { return stepUsage }

func (s usageStep) Apply(ctx context.Context, _ operation.Operation, t tenant.Tenant) error {
	return s.use.RemoveUse(ctx, t.ID)
}

// Provisions finds the operations that made tenants.
type Provisions interface {
	// Provisions returns those of a tenant. It fails with operation.ErrNotReady
	// while it does not know of any.
	Provisions(ctx context.Context, id identity.TenantID) ([]operation.Operation, error)
}

// Requests is the operations that made tenants, which name the passwords that they
// were asked for with.
type Requests interface {
	work.Operations
	Provisions
}

// Secrets is where the secrets of tenants are.
type Secrets interface {
	work.Dropper
	// OfTenant returns the names of the secrets that were made for a tenant. One
	// that was made a moment ago may be missing.
	OfTenant(ctx context.Context, id identity.TenantID) ([]string, error)
}

// Credentials is the step that removes a tenant's secrets, and the passwords of
// the request for it where they are still kept.
func Credentials(secrets Secrets, operations Requests, tenants tenant.Store) work.Step {
	return credentials{secrets, operations, tenants}
}

type credentials struct {
	secrets    Secrets
	operations Requests
	tenants    tenant.Store
}

func (credentials) Name() string { return stepCredentials }

func (s credentials) Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	if t.Secret != nil {
		if err := s.secrets.Drop(ctx, t.Secret.Name); err != nil {
			return err
		}
	}
	err := work.ChangeTenant(ctx, s.tenants, o, audit.TenantSecretsRemoved, func(t *tenant.Tenant) { t.Secret = nil })
	if err != nil {
		return err
	}
	if err := s.dropStrays(ctx, t.ID); err != nil {
		return err
	}
	return s.dropPasswords(ctx, t.ID)
}

// dropStrays removes secrets that a process which died left behind.
func (s credentials) dropStrays(ctx context.Context, id identity.TenantID) error {
	names, err := s.secrets.OfTenant(ctx, id)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.secrets.Drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s credentials) dropPasswords(ctx context.Context, id identity.TenantID) error {
	provisions, err := s.operations.Provisions(ctx, id)
	if err != nil {
		return err
	}
	for _, p := range provisions {
		if err := work.Discard(ctx, s.operations, s.secrets, p); err != nil {
			return work.Transient(fmt.Errorf("discard the passwords of operation %s: %w", p.ID, err))
		}
	}
	return nil
}

// Users is the store of the people who are removed with their tenant.
type Users interface {
	// Remaining returns how many users a tenant has, and the ids of some of them, at
	// most as many as wanted. The ids are a little behind the count.
	Remaining(ctx context.Context, id identity.TenantID, wanted int) (count int, some []identity.UserID, err error)
	Get(ctx context.Context, id identity.UserID) (user.User, error)
	// Purge removes a user, and notes that the account is to be removed. It fails
	// with fault.Conflict if the stored version is not that of u.
	Purge(ctx context.Context, u user.User, r audit.Record) error
	// RemoveRoster removes what the users were found by, who are gone.
	RemoveRoster(ctx context.Context, id identity.TenantID) error
	// ReleaseEmail frees an e-mail address that is still held for an operation.
	ReleaseEmail(ctx context.Context, email string, id operation.ID, r audit.Record) error
}

// Leavers is the accounts that are noted to be removed.
type Leavers interface {
	// Forget notes that an account is gone.
	Forget(ctx context.Context, a sweep.RejectedAccount) error
}

// Accounts is the step that removes a tenant's users, with their accounts, and
// frees their e-mail addresses.
func Accounts(users Users, directory sweep.Remover, leavers Leavers, provisions Provisions) work.Step {
	return accounts{users, directory, leavers, provisions}
}

type accounts struct {
	users      Users
	directory  sweep.Remover
	leavers    Leavers
	provisions Provisions
}

func (accounts) Name() string { return stepAccounts }

func (s accounts) Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	_, ids, err := s.users.Remaining(ctx, t.ID, accountsAtOnce)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.remove(ctx, o, id); err != nil {
			return fmt.Errorf("remove user %s: %w", id, work.Transient(err))
		}
	}
	count, _, err := s.users.Remaining(ctx, t.ID, 1)
	if err != nil {
		return err
	}
	if count > 0 {
		return operation.ErrNotReady
	}
	if err := s.users.RemoveRoster(ctx, t.ID); err != nil {
		return err
	}
	return s.releaseEmails(ctx, o)
}

// remove removes a user with the account, which goes first: the sweeper would
// remove it too, but later than the tenant is gone.
func (s accounts) remove(ctx context.Context, o operation.Operation, id identity.UserID) error {
	u, err := s.users.Get(ctx, id)
	if errors.Is(err, fault.NotFound) || err == nil && u.TenantID != o.TenantID {
		return nil
	}
	if err != nil {
		return err
	}
	account := sweep.RejectedAccount{ID: u.ID, Username: u.Username}
	if err := s.directory.Remove(ctx, account); err != nil {
		return err
	}
	if err := s.users.Purge(ctx, u, work.Origin(o).Did(audit.UserDeleted, o.TenantID, user.Target(id))); err != nil {
		return err
	}
	return s.leavers.Forget(ctx, account)
}

// releaseEmails frees the address of an owner who was never made.
func (s accounts) releaseEmails(ctx context.Context, o operation.Operation) error {
	provisions, err := s.provisions.Provisions(ctx, o.TenantID)
	if err != nil {
		return err
	}
	for _, p := range provisions {
		if p.AdminEmail == "" {
			continue
		}
		told := work.Origin(o).Did(audit.TenantEmailReleased, o.TenantID, tenant.Target(o.TenantID))
		if err := s.users.ReleaseEmail(ctx, p.AdminEmail, p.ID, told); err != nil {
			return err
		}
	}
	return nil
}

// DatabaseRemover removes the databases of dedicated tenants.
type DatabaseRemover interface {
	// Remove removes the tenant's database, whatever operation made it, and no
	// other's. It fails with operation.ErrNotReady until it is gone.
	Remove(ctx context.Context, t tenant.Tenant) error
}

// Database is the step that removes a dedicated tenant's database.
func Database(databases DatabaseRemover, tenants tenant.Store) work.Step {
	return database{databases, tenants}
}

type database struct {
	databases DatabaseRemover
	tenants   tenant.Store
}

func (database) Name() string { return stepDatabase }

func (s database) Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	if err := s.databases.Remove(ctx, t); err != nil {
		return err
	}
	return work.ChangeTenant(ctx, s.tenants, o, audit.TenantDatabaseRemoved, func(t *tenant.Tenant) { t.Database = nil })
}

// MongoRemover removes the MongoDB databases of dedicated tenants.
type MongoRemover interface {
	// Remove removes the tenant's database with its user, whatever operation made
	// it. It is no error if it is gone. It fails with fault.Conflict if another's
	// has the name.
	Remove(ctx context.Context, t tenant.Tenant) error
}

// MongoDB is the step that removes a dedicated tenant's MongoDB database.
func MongoDB(databases MongoRemover, tenants tenant.Store) work.Step {
	return mongoDB{databases, tenants}
}

type mongoDB struct {
	databases MongoRemover
	tenants   tenant.Store
}

func (mongoDB) Name() string { return stepMongoDB }

func (s mongoDB) Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	if err := s.databases.Remove(ctx, t); err != nil {
		return err
	}
	return work.ChangeTenant(ctx, s.tenants, o, audit.TenantMongoRemoved, func(t *tenant.Tenant) { t.MongoDatabase = nil })
}
