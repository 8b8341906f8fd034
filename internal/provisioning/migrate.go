package provisioning

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// MigrationTenants is the store of the tenants whose databases are migrated.
type MigrationTenants interface {
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
	// Engage replaces before by after, which the operation is to work on, or does
	// nothing. It fails with idempotency.ErrRecorded if the receipt is there already,
	// with fault.Conflict if the stored version is not that of before, and with
	// fault.OperationRunning if another operation runs on the tenant.
	Engage(ctx context.Context, before, after tenant.Tenant, o operation.Operation, r audit.Record, receipt *idempotency.Record) error
}

// A Migrator takes requests for the migration of tenants. That goes through the
// workflow which makes them.
type Migrator struct {
	tenants MigrationTenants
	starter work.Starter
}

// NewMigrator returns a Migrator.
func NewMigrator(tenants MigrationTenants, starter work.Starter) *Migrator {
	return &Migrator{tenants, starter}
}

// Migrate has the tenant's databases brought to the latest version of the schema.
// Where they have it nothing changes. It fails with fault.OperationRunning while
// another operation runs on the tenant, and with fault.IllegalTransition if its status
// does not allow it.
func (m *Migrator) Migrate(ctx context.Context, c identity.Caller, id identity.TenantID, receipt work.Receipt) (operation.Operation, error) {
	o, err := conflict.Retry(ctx, func() (operation.Operation, error) { return m.migrate(ctx, c, id, receipt) })
	if err != nil {
		return o, err
	}
	work.Start(ctx, m.starter, o)
	return o, nil
}

func (m *Migrator) migrate(ctx context.Context, c identity.Caller, id identity.TenantID, receipt work.Receipt) (operation.Operation, error) {
	before, err := m.tenants.Get(ctx, id)
	if err != nil {
		return operation.Operation{}, err
	}
	if before.Status == tenant.Provisioning {
		return operation.Operation{}, before.AdmitWriter(c)
	}
	if err := before.AdmitMigration(); err != nil {
		return operation.Operation{}, err
	}
	o := newMigration(before, time.Now().UTC().Truncate(time.Millisecond))
	record, err := receipt(o)
	if err != nil {
		return o, err
	}
	after := before
	after.Version++
	told := audit.For(audit.By(c), o.ID).Did(audit.TenantMigrating, id, tenant.Target(id))
	if err := m.tenants.Engage(ctx, before, after, o, told, record); err != nil {
		return o, fmt.Errorf("migrate tenant %s: %w", id, err)
	}
	return o, nil
}

func newMigration(t tenant.Tenant, now time.Time) operation.Operation {
	o := operation.Operation{
		ID:            operation.ID(uuid.NewString()),
		Kind:          operation.Migrate,
		TenantID:      t.ID,
		State:         operation.Pending,
		Attempt:       1,
		CreatedAt:     now,
		SchemaVersion: tenant.LatestSchemaVersion,
		DueAt:         now.Add(work.StartWithin),
		Version:       1,
	}
	if t.Database != nil {
		o.Steps = append(o.Steps, operation.Step{Name: stepDatabase, State: operation.Pending})
	}
	if t.MongoDatabase != nil {
		o.Steps = append(o.Steps, operation.Step{Name: stepMongoDB, State: operation.Pending})
	}
	o.Steps = append(o.Steps, operation.Step{Name: stepActivate, State: operation.Pending})
	return o
}

func migrated(o operation.Operation, t tenant.Tenant, now time.Time) (tenant.Tenant, error) {
	return t.Migrate(o.SchemaVersion, now), nil
}

// migrationHint says what an operator can do about a failure. The tenant works on
// with the version that its databases have.
func migrationHint(step, code string) string {
	switch {
	case step == stepDatabase && fault.Kind(code) == fault.Conflict:
		return "see what became of the tenant's table, then POST /operations/{id}/retry"
	case step == stepMongoDB && fault.Kind(code) == fault.Conflict:
		return "see what became of the tenant's MongoDB database, then POST /operations/{id}/retry"
	case step == stepMongoDB && code == work.Internal.Code:
		return "see whether the server that MongoDbSecretArn names is there, and lets its user make collections and indexes, then POST /operations/{id}/retry"
	case code == work.Dead.Code:
		return "find out what ended the execution of the workflow, then POST /operations/{id}/retry"
	}
	return "find the cause in the log of the step's function, mend it, then POST /operations/{id}/retry"
}

// NewMigrationRetrier returns what runs failed migrations again.
func NewMigrationRetrier(operations work.Operations, tenants tenant.Store, starter work.Starter) *work.Retrier {
	return work.NewRetrier(operations, tenants, starter, tenant.Tenant.AdmitMigration)
}
