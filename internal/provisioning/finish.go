package provisioning

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// A Runner runs provisionings, and ends them: well, or with everything undone.
type Runner struct {
	*work.Runner
	operations work.Operations
}

// NewRunner returns a Runner.
func NewRunner(operations work.Operations, tenants tenant.Store) *Runner {
	return &Runner{work.NewRunner(operations, tenants), operations}
}

// Activate ends an operation well: the tenant is active from then on, or has the
// version of the schema that it was migrated to. The passwords of the request are no
// more.
func (r *Runner) Activate(ctx context.Context, vault work.Dropper, task work.Task) error {
	o, err := r.Finish(ctx, task, stepActivate, ending)
	if err != nil || o.State != operation.Succeeded {
		return err
	}
	if err := work.Discard(ctx, r.operations, vault, o); err != nil {
		slog.WarnContext(ctx, "passwords left for the sweeper", "operation_id", o.ID, "error", err)
	}
	return nil
}

func ending(o operation.Operation) work.Ending {
	if o.Kind == operation.Migrate {
		return work.Ending{Action: audit.TenantMigrated, Tenant: migrated}
	}
	return work.Ending{Action: audit.TenantProvisioned, Tenant: activated}
}

func activated(_ operation.Operation, t tenant.Tenant, now time.Time) (tenant.Tenant, error) {
	if t.Status != tenant.Provisioning {
		return t, fault.New(fault.IllegalTransition, "the tenant is %s, not %s", t.Status, tenant.Provisioning)
	}
	t.Status = tenant.Active
	return t.Changed(now), nil
}

// Fail ends an operation whose steps are undone, if they have a way back. What was
// reserved for the tenant stays reserved for a retry.
func (r *Runner) Fail(ctx context.Context, task work.Task, cause work.Cause) error {
	return r.Runner.Fail(ctx, task, cause, failing)
}

func failing(o operation.Operation) work.Failing {
	if o.Kind == operation.Migrate {
		return work.FailedAsItWas(o.ID, migrationHint)
	}
	return work.Failing{
		Ending: work.Ending{Action: audit.TenantFailed, Tenant: failed},
		Ready:  undone,
		Hint:   hint,
	}
}

// undone fails while a step of an operation is not undone.
func undone(o operation.Operation) error {
	for _, step := range o.Steps {
		if step.Name != stepActivate && work.Made(step) {
			return fmt.Errorf("operation %s cannot end while its step %s is not undone", o.ID, step.Name)
		}
	}
	return nil
}

// failed leaves a tenant alone that went its own way.
func failed(o operation.Operation, t tenant.Tenant, now time.Time) (tenant.Tenant, error) {
	if t.Status == tenant.Provisioning {
		t.Status, t.StatusReason = tenant.Failed, new(o.Failure.Detail)
		return t.Changed(now), nil
	}
	return t, nil
}

// hint says what an operator can do about a failure.
func hint(step, code string) string {
	kind := fault.Kind(code)
	switch {
	case step == stepDatabase && kind == fault.Conflict:
		return "remove or rename the table that has the tenant's table name, then POST /operations/{id}/retry"
	case step == stepDatabase && code == work.NotReady.Code:
		return "see whether the account may have another table, then POST /operations/{id}/retry"
	case step == stepMongoDB && kind == fault.Conflict:
		return "remove or rename the database that has the tenant's database name, then POST /operations/{id}/retry"
	case step == stepMongoDB && kind == fault.Invalid:
		return "POST /operations/{id}/retry, which makes another password"
	case step == stepMongoDB && code == work.Internal.Code:
		return "see whether the server that MongoDbSecretArn names is there, and lets its user make databases and users, then POST /operations/{id}/retry"
	case step == stepIdentity && kind == fault.Invalid:
		return "retry with an admin_password that the user pool's policy allows; the admin_email cannot be changed"
	case step == stepIdentity && slices.Contains([]fault.Kind{fault.Conflict, fault.EmailTaken, fault.UsernameTaken}, kind):
		return "remove the account that has the name or the e-mail address, then POST /operations/{id}/retry"
	case step == stepSIP && kind == fault.Invalid:
		return "retry with a sip_password"
	case code == work.Dead.Code:
		return "find out what ended the execution of the workflow, then POST /operations/{id}/retry"
	}
	return "find the cause in the log of the step's function, mend it, then POST /operations/{id}/retry"
}

// Rollback undoes the steps of an operation whose workflow is dead, and fails
// it. Steps are given in their order.
func (r *Runner) Rollback(ctx context.Context, task work.Task, steps ...work.WayBack) error {
	for _, step := range slices.Backward(steps) {
		if err := r.Undo(ctx, step, task); err != nil {
			return fmt.Errorf("undo step %s: %w", step.Name(), err)
		}
	}
	return r.Fail(ctx, task, work.Dead)
}

// A Workflow is that of provisionings and migrations. One that died is rolled back, if
// it has a way back.
type Workflow struct {
	work.Machine
	Runner *Runner
	Steps  []work.WayBack // in their order
}

// Recover undoes the steps of an operation whose workflow is dead, and fails it.
func (w Workflow) Recover(ctx context.Context, o operation.Operation) error {
	return w.Runner.Rollback(ctx, work.Task{OperationID: o.ID, Attempt: o.Attempt}, w.Steps...)
}
