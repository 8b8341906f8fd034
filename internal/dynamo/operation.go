package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// Operations keeps operations.
type Operations struct{ *Table }

// NewOperations returns the operations kept in table.
func NewOperations(table *Table) *Operations { return &Operations{table} }

// Get returns the operation as it is now, or fault.NotFound.
func (s *Operations) Get(ctx context.Context, id operation.ID) (operation.Operation, error) {
	var item operationItem
	err := s.get(ctx, operationKey(id), &item)
	if errors.Is(err, errNoItem) {
		return operation.Operation{}, operation.NotFound(id)
	}
	if err != nil {
		return operation.Operation{}, err
	}
	return item.operation(), nil
}

// List returns a part of the operations on a tenant, newest first. The index that
// it reads is eventually consistent: an operation that was written a moment ago
// may be missing, or as it was before.
func (s *Operations) List(ctx context.Context, id identity.TenantID, w page.Window) (page.Page[operation.Operation], error) {
	p, err := listOf(ctx, s.Table, operationsOf(id), w, func(i operationItem) (operation.Operation, string) { return i.operation(), i.OfTenantSort })
	if err != nil {
		return p, fmt.Errorf("list the operations on tenant %s: %w", id, err)
	}
	return p, nil
}

// Running returns the id of the operation that runs on a tenant, or
// fault.NotFound.
func (s *Operations) Running(ctx context.Context, id identity.TenantID) (operation.ID, error) {
	var item runningItem
	err := s.get(ctx, runningKey(id), &item)
	if errors.Is(err, errNoItem) {
		return "", fault.New(fault.NotFound, "no operation runs on tenant %q", id)
	}
	return item.OperationID, err
}

// Save replaces before by after, which is the same operation one version later.
// It fails with fault.Conflict if the stored version is not that of before.
func (s *Operations) Save(ctx context.Context, before, after operation.Operation) error {
	tx := s.begin()
	tx.replaceOperation(before, after)
	return tx.run(ctx)
}

// SaveWithTenant is Save together with a change of the tenant. Where after has
// ended, no operation runs on the tenant from then on; where it goes on after it
// had ended, it runs again, and fault.OperationRunning says that another does.
// Receipt is nil where no answer is to be remembered.
func (s *Operations) SaveWithTenant(ctx context.Context, before, after operation.Operation, tBefore, tAfter tenant.Tenant, r audit.Record, receipt *idempotency.Record) error {
	tx := s.begin()
	tx.receipt(receipt)
	tx.replaceOperation(before, after)
	tx.replaceTenant(tBefore, tAfter)
	switch {
	case after.Done() && !before.Done():
		tx.remove(runningKey(after.TenantID), "operation_id = :o", map[string]any{":o": after.ID}, errLost(after.TenantID, "operation"))
	case before.Done() && !after.Done():
		tx.put(runningItem{runningKey(after.TenantID), after.ID}, fault.New(fault.OperationRunning, "another operation runs on the tenant"))
	}
	tx.record(r)
	return tx.run(ctx)
}

// Engage replaces before by after, which the operation is to work on, or does
// nothing. It fails with idempotency.ErrRecorded if the receipt is there already, with
// fault.Conflict if the stored version is not that of before, and with
// fault.OperationRunning if another operation runs on the tenant.
func (s *Tenants) Engage(ctx context.Context, before, after tenant.Tenant, o operation.Operation, r audit.Record, receipt *idempotency.Record) error {
	tx := s.begin()
	tx.receipt(receipt)
	tx.replaceTenant(before, after)
	tx.engage(o)
	tx.record(r)
	return tx.run(ctx)
}

// engage writes an operation that is to run on a tenant which has been there.
func (tx *transaction) engage(o operation.Operation) {
	tx.put(newOperationItem(o), fault.New(fault.Conflict, "there is an operation %q already", o.ID))
	tx.put(runningItem{runningKey(o.TenantID), o.ID}, fault.New(fault.OperationRunning, "another operation runs on the tenant"))
}

func (tx *transaction) replaceOperation(before, after operation.Operation) {
	tx.replace(newOperationItem(after), before.Version, fault.New(fault.Conflict, "the operation went on meanwhile"))
}

// An operationItem is an operation as it is stored. It is in the index due until
// it has ended and its passwords are gone.
type operationItem struct {
	key
	ID            operation.ID      `dynamodbav:"id"`
	Kind          operation.Kind    `dynamodbav:"kind"`
	TenantID      identity.TenantID `dynamodbav:"tenant_id"`
	State         operation.State   `dynamodbav:"state"`
	Attempt       int               `dynamodbav:"attempt"`
	Steps         []stepItem        `dynamodbav:"steps"`
	Failure       *failureItem      `dynamodbav:"failure,omitempty"`
	CreatedAt     time.Time         `dynamodbav:"created_at"`
	EndedAt       *time.Time        `dynamodbav:"ended_at,omitempty"`
	AdminEmail    string            `dynamodbav:"admin_email,omitempty"`
	Secret        string            `dynamodbav:"secret,omitempty"`
	SchemaVersion int               `dynamodbav:"schema_version,omitempty"`
	NotBefore     *time.Time        `dynamodbav:"not_before,omitempty"`
	Version       int64             `dynamodbav:"version"`
	OfTenant      string            `dynamodbav:"of_tenant"`
	OfTenantSort  string            `dynamodbav:"of_tenant_sort"`
	Due           string            `dynamodbav:"due,omitempty"`
	DueAt         string            `dynamodbav:"due_at,omitempty"`
}

type stepItem struct {
	Name      string          `dynamodbav:"name"`
	State     operation.State `dynamodbav:"state"`
	Attempts  int             `dynamodbav:"attempts"`
	StartedAt *time.Time      `dynamodbav:"started_at,omitempty"`
	EndedAt   *time.Time      `dynamodbav:"ended_at,omitempty"`
	Error     string          `dynamodbav:"error,omitempty"`
}

type failureItem struct {
	Step   string `dynamodbav:"step"`
	Code   string `dynamodbav:"code"`
	Detail string `dynamodbav:"detail"`
	Hint   string `dynamodbav:"hint"`
}

func newOperationItem(o operation.Operation) operationItem {
	item := operationItem{
		key: operationKey(o.ID), ID: o.ID, Kind: o.Kind, TenantID: o.TenantID, State: o.State, Attempt: o.Attempt,
		Failure: (*failureItem)(o.Failure), CreatedAt: o.CreatedAt, EndedAt: o.EndedAt,
		AdminEmail: o.AdminEmail, Secret: o.Secret, SchemaVersion: o.SchemaVersion, Version: o.Version,
		OfTenant: operationsOf(o.TenantID), OfTenantSort: inTime(o.CreatedAt, string(o.ID)),
	}
	if !o.NotBefore.IsZero() {
		item.NotBefore = &o.NotBefore
	}
	for _, step := range o.Steps {
		item.Steps = append(item.Steps, stepItem(step))
	}
	if !o.Done() || o.Secret != "" {
		item.Due, item.DueAt = dueKey(dueOperation, shardOf(string(o.ID))), sortable(o.DueAt)
	}
	return item
}

func (i operationItem) operation() operation.Operation {
	o := operation.Operation{
		ID: i.ID, Kind: i.Kind, TenantID: i.TenantID, State: i.State, Attempt: i.Attempt,
		Failure: (*operation.Failure)(i.Failure), CreatedAt: i.CreatedAt, EndedAt: i.EndedAt,
		AdminEmail: i.AdminEmail, Secret: i.Secret, SchemaVersion: i.SchemaVersion, Version: i.Version,
	}
	if i.NotBefore != nil {
		o.NotBefore = *i.NotBefore
	}
	for _, step := range i.Steps {
		o.Steps = append(o.Steps, operation.Step(step))
	}
	if at, err := time.Parse(time.RFC3339, i.DueAt); err == nil {
		o.DueAt = at
	}
	return o
}
