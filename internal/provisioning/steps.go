package provisioning

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
	"github.com/tenantry/tenantry/internal/work"
)

// Databases makes and removes the databases of dedicated tenants.
type Databases interface {
	// Name returns the name of the tenant's database.
	Name(t tenant.Tenant) string
	// Create makes the tenant's database on behalf of an operation, or adopts the
	// one that the operation made. It fails with fault.Conflict if somebody else's
	// has the name, and with operation.ErrNotReady until it can be used.
	Create(ctx context.Context, t tenant.Tenant, id operation.ID) error
	// Delete removes the tenant's database if the operation made it. It fails with
	// operation.ErrNotReady until it is gone.
	Delete(ctx context.Context, t tenant.Tenant, id operation.ID) error
	// Migrate brings the tenant's database to a version of the schema, unless it has
	// a later one. It fails with fault.Conflict if there is none of the tenant.
	Migrate(ctx context.Context, t tenant.Tenant, version int) error
}

// Database is the step that gives a dedicated tenant a database of its own, or
// migrates that.
func Database(databases Databases, tenants tenant.Store) work.TwoWayStep {
	return database{databases, tenants}
}

type database struct {
	databases Databases
	tenants   tenant.Store
}

func (database) Name() string { return stepDatabase }

func (s database) Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	if o.Kind == operation.Migrate {
		return s.databases.Migrate(ctx, t, o.SchemaVersion)
	}
	if err := s.databases.Create(ctx, t, o.ID); err != nil {
		return err
	}
	return work.ChangeTenant(ctx, s.tenants, o, audit.TenantDatabaseCreated, func(t *tenant.Tenant) { t.Database = new(s.databases.Name(*t)) })
}

func (s database) Undo(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	if err := s.databases.Delete(ctx, t, o.ID); err != nil {
		return err
	}
	return work.ChangeTenant(ctx, s.tenants, o, audit.TenantDatabaseRemoved, func(t *tenant.Tenant) { t.Database = nil })
}

// MongoDatabases makes and removes the MongoDB databases of dedicated tenants.
type MongoDatabases interface {
	// Name returns the name of the tenant's database.
	Name(t tenant.Tenant) string
	// Create makes the tenant's database on behalf of an operation's attempt, or
	// adopts the one that the operation made, brings it to the tenant's schema
	// version, and gives its user the password. It fails with fault.Conflict if
	// somebody else's has the name.
	Create(ctx context.Context, t tenant.Tenant, o operation.Operation, password string) error
	// Delete removes the tenant's database with its user if the operation made it,
	// by the attempt or an earlier one. It fails if a later one has made it anew.
	Delete(ctx context.Context, t tenant.Tenant, o operation.Operation) error
	// Migrate brings the tenant's database to a version of the schema, unless it has
	// a later one. It fails with fault.Conflict if there is none of the tenant.
	Migrate(ctx context.Context, t tenant.Tenant, version int) error
}

// MongoDB is the step that gives a dedicated tenant a MongoDB database of its own, or
// migrates that.
func MongoDB(databases MongoDatabases, vault Vault, tenants tenant.Store) work.TwoWayStep {
	return mongoDB{databases, vault, tenants}
}

type mongoDB struct {
	databases MongoDatabases
	vault     Vault
	tenants   tenant.Store
}

func (mongoDB) Name() string { return stepMongoDB }

func (s mongoDB) Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	if o.Kind == operation.Migrate {
		return s.databases.Migrate(ctx, t, o.SchemaVersion)
	}
	passwords, err := open(ctx, s.vault, o)
	if err != nil {
		return err
	}
	if passwords.MongoDB == "" {
		return fault.New(fault.Invalid, "the password of the MongoDB database's user is gone")
	}
	if err := s.databases.Create(ctx, t, o, passwords.MongoDB); err != nil {
		return err
	}
	return work.ChangeTenant(ctx, s.tenants, o, audit.TenantMongoCreated, func(t *tenant.Tenant) { t.MongoDatabase = new(s.databases.Name(*t)) })
}

func (s mongoDB) Undo(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	if err := s.databases.Delete(ctx, t, o); err != nil {
		return err
	}
	return work.ChangeTenant(ctx, s.tenants, o, audit.TenantMongoRemoved, func(t *tenant.Tenant) { t.MongoDatabase = nil })
}

// A FunctionUndoer has the function of a step undo it.
type FunctionUndoer interface {
	// Undo has the step of the operation's attempt undone. Doing it again changes
	// nothing.
	Undo(ctx context.Context, o operation.Operation) error
}

// RemoteMongoDB is the way back of MongoDB, for whoever cannot reach the server.
func RemoteMongoDB(function FunctionUndoer) work.WayBack { return remoteMongoDB{function} }

type remoteMongoDB struct{ function FunctionUndoer }

func (remoteMongoDB) Name() string { return stepMongoDB }

func (s remoteMongoDB) Undo(ctx context.Context, o operation.Operation, _ tenant.Tenant) error {
	return s.function.Undo(ctx, o)
}

// Directory is where accounts are made and removed.
type Directory interface {
	// AdminCreate makes a confirmed account, or finds the one with that name, and
	// sets its password. Without a password an invitation is mailed.
	AdminCreate(ctx context.Context, username, email, password string) (identity.UserID, error)
	// AdminDelete removes an account. It is no error if it is gone.
	AdminDelete(ctx context.Context, username string) error
}

// Owners makes and removes the users that tenants are provisioned for.
type Owners interface {
	// CreateOwner writes the user, binds the e-mail address that was reserved for
	// the operation, and makes the user the tenant's owner, as long as the attempt
	// of the operation is under way. Doing it again changes nothing.
	CreateOwner(ctx context.Context, o operation.Operation, u user.User, r audit.Record) error
	// DeleteOwner takes that back, as long as the attempt is under way. The e-mail
	// address stays reserved for the operation. It is no error if there is no
	// owner.
	DeleteOwner(ctx context.Context, o operation.Operation, by audit.Origin) error
}

// Identity is the step that makes the account of a tenant's first owner.
func Identity(directory Directory, owners Owners, vault Vault) work.TwoWayStep {
	return account{directory, owners, vault}
}

type account struct {
	directory Directory
	owners    Owners
	vault     Vault
}

func (account) Name() string { return stepIdentity }

func (s account) Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	passwords, err := open(ctx, s.vault, o)
	if err != nil {
		return err
	}
	username := accountName(o)
	id, err := s.directory.AdminCreate(ctx, username, o.AdminEmail, passwords.Admin)
	if err != nil {
		return work.Transient(fmt.Errorf("create account %s: %w", username, err))
	}
	owner := Account{ID: id, Username: username, Email: o.AdminEmail}.user(identity.Owner, t.ID)
	owner.FullName = o.AdminEmail
	told := work.Origin(o).Did(audit.UserCreated, t.ID, user.Target(owner.ID), user.Changes(user.User{}, owner)...)
	return work.Transient(s.owners.CreateOwner(ctx, o, owner, told))
}

func (s account) Undo(ctx context.Context, o operation.Operation, _ tenant.Tenant) error {
	if err := s.owners.DeleteOwner(ctx, o, work.Origin(o)); err != nil {
		return work.Transient(err)
	}
	return s.directory.AdminDelete(ctx, accountName(o))
}

// accountName derives the account's user name from the attempt, so that making it
// twice makes one, and undoing removes no other.
func accountName(o operation.Operation) string {
	return uuid.NewSHA1(uuid.MustParse(string(o.ID)), []byte("admin-"+strconv.Itoa(o.Attempt))).String()
}

// open returns the passwords of an operation. It fails with fault.Invalid if they
// are gone.
func open(ctx context.Context, vault Vault, o operation.Operation) (Passwords, error) {
	if o.Secret == "" {
		return Passwords{}, nil
	}
	p, err := vault.Open(ctx, o.Secret)
	if errors.Is(err, ErrNoPasswords) {
		return p, fault.Wrap(err, fault.Invalid, "the passwords of the request are gone")
	}
	return p, err
}

// Credentials keeps the secrets of tenants.
type Credentials interface {
	// Create keeps the secrets of a tenant that has none, under a name that is
	// unique to the attempt.
	Create(ctx context.Context, id identity.TenantID, attempt string, s tenant.Secrets) (tenant.SecretRef, error)
	// Delete removes them at once. It is no error if they are gone.
	Delete(ctx context.Context, id identity.TenantID, attempt string) error
}

// SIP is the step that puts a tenant's SIP password, the secret of its webhook, and
// the user of its MongoDB database where they are used from.
func SIP(credentials Credentials, vault Vault, tenants tenant.Store) work.TwoWayStep {
	return sip{credentials, vault, tenants}
}

type sip struct {
	credentials Credentials
	vault       Vault
	tenants     tenant.Store
}

func (sip) Name() string { return stepSIP }

func (s sip) Apply(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	passwords, err := open(ctx, s.vault, o)
	if err != nil {
		return err
	}
	if t.SIPEnabled && passwords.SIP == "" {
		return fault.New(fault.Invalid, "the SIP password of the request is gone")
	}
	if passwords.SIP == "" && passwords.Webhook == "" && passwords.MongoDB == "" {
		return nil // a retry when all are gone, and SIP is turned off
	}
	secrets := tenant.Secrets{SIP: tenant.SIPPasswords{Current: passwords.SIP}, Webhook: passwords.Webhook}
	if passwords.MongoDB != "" {
		secrets.MongoDB = tenant.DatabaseUser{Username: tenant.MongoUsername, Password: passwords.MongoDB}
	}
	ref, err := s.credentials.Create(ctx, t.ID, attemptName(o), secrets)
	if err != nil {
		return err
	}
	return work.ChangeTenant(ctx, s.tenants, o, audit.TenantSecretsStored, func(t *tenant.Tenant) {
		t.Secret = &ref
		if passwords.SIP != "" {
			t.SIPRotatedAt = new(time.Now().UTC().Truncate(time.Millisecond))
		}
	})
}

func (s sip) Undo(ctx context.Context, o operation.Operation, t tenant.Tenant) error {
	err := work.ChangeTenant(ctx, s.tenants, o, audit.TenantSecretsRemoved, func(t *tenant.Tenant) {
		if t.Secret != nil && strings.HasSuffix(t.Secret.Name, attemptName(o)) {
			t.Secret, t.SIPRotatedAt = nil, nil
		}
	})
	if err != nil {
		return err
	}
	return s.credentials.Delete(ctx, t.ID, attemptName(o))
}

// attemptName is unique among all attempts of all operations on a tenant, since
// the name of a removed secret cannot be had again for a while.
func attemptName(o operation.Operation) string {
	return string(o.ID) + "-" + strconv.Itoa(o.Attempt)
}
