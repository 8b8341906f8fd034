// Package operation holds the long-running work on a tenant: what it is made of
// and how far it has come. It knows neither HTTP nor AWS.
package operation

import (
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// An ID names an operation. It is a UUID in its canonical form.
type ID string

// A Kind is what an operation is for.
type Kind string

// The kinds of operations.
const (
	Provision   Kind = "provision"
	Deprovision Kind = "deprovision"
	Migrate     Kind = "migrate"
)

// A State is how far an operation or one of its steps has come.
type State string

// The states. Only steps are undone, and only operations are cancelled.
const (
	Pending   State = "pending"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
	Undone    State = "undone"
)

// An Operation is one piece of work on a tenant.
type Operation struct {
	ID        ID
	Kind      Kind
	TenantID  identity.TenantID
	State     State
	Attempt   int // 1 for the first; a retry adds one
	Steps     []Step
	Failure   *Failure
	CreatedAt time.Time
	EndedAt   *time.Time

	// AdminEmail is whom the tenant is provisioned for, or "".
	AdminEmail string
	// Secret names the secret that holds the passwords of the request, or is ""
	// where there were none.
	Secret string
	// SchemaVersion is the version of the schema that a migration brings the tenant's
	// databases to. Other kinds have none.
	SchemaVersion int
	// NotBefore is when its work may begin. The zero value is at once.
	NotBefore time.Time
	// DueAt is when the sweeper looks whether the operation still goes on.
	DueAt   time.Time
	Version int64
}

// A Step is one part of an operation.
type Step struct {
	Name      string
	State     State
	Attempts  int
	StartedAt *time.Time
	EndedAt   *time.Time
	Error     string
}

// A Failure is why an operation failed, and what to do about it.
type Failure struct {
	Step   string
	Code   string
	Detail string
	Hint   string
}

// HasWayBack reports whether what the operation did can be undone.
func (o Operation) HasWayBack() bool { return o.Kind == Provision }

// Done reports whether the operation has ended.
func (o Operation) Done() bool { return o.EndedAt != nil }

// Step returns the step with the given name, or nil if the operation has none.
func (o *Operation) Step(name string) *Step {
	for i := range o.Steps {
		if o.Steps[i].Name == name {
			return &o.Steps[i]
		}
	}
	return nil
}

// NotFound says that there is no such operation, or none that the caller may
// know of.
func NotFound(id ID) error { return fault.New(fault.NotFound, "there is no operation %q", id) }
