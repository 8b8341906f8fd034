package deprovisioning

import (
	"context"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// The steps, in their order.
const (
	stepBegin       = "begin"
	stepAgents      = "agents"
	stepUsage       = "usage"
	stepCredentials = "credentials"
	stepAccounts    = "accounts"
	stepDatabase    = "database"
	stepMongoDB     = "mongodb"
	stepFinish      = "finish"
)

var stepNames = []string{stepBegin, stepAgents, stepUsage, stepCredentials, stepAccounts, stepDatabase, stepMongoDB, stepFinish}

// A Runner runs deprovisionings: it begins and ends them. There is no way back
// once they have begun.
type Runner struct {
	*work.Runner
	operations work.Operations
	tenants    tenant.Store
}

// NewRunner returns a Runner.
func NewRunner(operations work.Operations, tenants tenant.Store) *Runner {
	return &Runner{work.NewRunner(operations, tenants), operations, tenants}
}

// Begin takes a tenant from those who could restore it, if that is still to be. It
// fails with operation.ErrNotDue while the grace period goes on.
func (r *Runner) Begin(ctx context.Context, task work.Task) error {
	before, err := r.operations.Get(ctx, task.OperationID)
	if err != nil || before.Done() || before.Attempt != task.Attempt || before.Step(stepBegin).State == operation.Succeeded {
		return err
	}
	tBefore, err := r.tenants.Get(ctx, before.TenantID)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	if now.Before(before.NotBefore) {
		return operation.ErrNotDue
	}
	after := work.Past(before, stepBegin, now)
	if tBefore.Status == tenant.Purging { // by an earlier attempt
		return work.Transient(r.operations.Save(ctx, before, after))
	}
	if tBefore.PurgeAt == nil || !tBefore.PurgeAt.Equal(before.NotBefore) {
		return fmt.Errorf("tenant %s is not to be purged by operation %s", tBefore.ID, before.ID)
	}
	tAfter, err := tBefore.Purge(now)
	if err != nil {
		return err
	}
	told := work.Origin(before).Did(audit.TenantPurging, tBefore.ID, tenant.Target(tBefore.ID), tenant.Changes(tBefore, tAfter)...)
	if err := r.operations.SaveWithTenant(ctx, before, after, tBefore, tAfter, told, nil); err != nil {
		return work.Transient(fmt.Errorf("begin operation %s: %w", before.ID, err))
	}
	return nil
}

// Finish ends an operation whose other steps are done: a tombstone is left of the
// tenant, and what was reserved for it is free.
func (r *Runner) Finish(ctx context.Context, task work.Task) error {
	_, err := r.Runner.Finish(ctx, task, stepFinish, work.Always(work.Ending{
		Action: audit.TenantDeleted,
		Tenant: func(_ operation.Operation, t tenant.Tenant, now time.Time) (tenant.Tenant, error) { return t.Bury(now) },
	}))
	return err
}

// Fail ends an operation that cannot go on. The tenant stays as it is: a retry goes
// on with it.
func (r *Runner) Fail(ctx context.Context, task work.Task, cause work.Cause) error {
	return r.Runner.Fail(ctx, task, cause, work.Always(work.FailedAsItWas(task.OperationID, hint)))
}

// hint says what an operator can do about a failure.
func hint(step, code string) string {
	switch {
	case step == stepDatabase && code == work.NotReady.Code:
		return "see why the tenant's table is still there, then POST /operations/{id}/retry"
	case step == stepMongoDB && fault.Kind(code) == fault.Conflict:
		return "see whose the database with the tenant's database name is; remove it if it is the tenant's, rename it if not, then POST /operations/{id}/retry"
	case step == stepMongoDB && code == work.Internal.Code:
		return "see whether the server that MongoDbSecretArn names is there, and lets its user remove databases and users, then POST /operations/{id}/retry"
	case step == stepAccounts && code == work.NotReady.Code:
		return "see whether the user pool removes accounts, then POST /operations/{id}/retry"
	}
	return "find the cause in the log of the step's function, mend it, then POST /operations/{id}/retry"
}

// A Workflow is that of deprovisionings. One that died is run again.
type Workflow struct {
	work.Machine
	Operations work.Operations
}

// Recover runs an operation whose workflow is dead again, in another attempt.
func (w Workflow) Recover(ctx context.Context, o operation.Operation) error {
	before, err := w.Operations.Get(ctx, o.ID)
	if err != nil || before.Done() || before.Attempt != o.Attempt {
		return err
	}
	after := work.Again(before)
	if err := w.Operations.Save(ctx, before, after); err != nil {
		return fmt.Errorf("run operation %s again: %w", o.ID, err)
	}
	work.Start(ctx, w.Machine, after)
	return nil
}
