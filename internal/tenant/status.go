package tenant

import (
	"slices"
	"strings"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// A Status is where a tenant stands in its life.
type Status string

// The statuses.
const (
	Provisioning Status = "provisioning" // being made
	Active       Status = "active"
	Inactive     Status = "inactive"  // paused by its owner or an admin
	Suspended    Status = "suspended" // stopped by a platform admin
	Failed       Status = "failed"    // could not be made
	Deleting     Status = "deleting"  // can be restored until the grace period is over
	Purging      Status = "purging"   // being taken apart
	Deleted      Status = "deleted"   // a tombstone
)

// transitions is the one table of legal changes of status.
var transitions = map[Status][]Status{
	Provisioning: {Active, Failed},
	Active:       {Inactive, Suspended, Deleting},
	Inactive:     {Active, Deleting},
	Suspended:    {Active, Deleting},
	Failed:       {Provisioning, Deleting},
	Deleting:     {Active, Inactive, Suspended, Failed, Purging},
	Purging:      {Deleted},
	Deleted:      {},
}

// Statuses returns all of them, in the order of a tenant's life.
func Statuses() []Status {
	return []Status{Provisioning, Active, Inactive, Suspended, Failed, Deleting, Purging, Deleted}
}

// CanBecome fails with fault.IllegalTransition unless the status may change to
// next.
func (s Status) CanBecome(next Status) error {
	if slices.Contains(transitions[s], next) {
		return nil
	}
	allowed := s.next()
	return &fault.Error{
		Kind:    fault.IllegalTransition,
		Detail:  "a tenant that is " + string(s) + " cannot become " + string(next) + "; it can become " + orNothing(strings.Join(allowed, ", ")),
		Members: map[string]any{"status_from": string(s), "status_to": string(next), "allowed": allowed},
	}
}

// next returns what the status can become.
func (s Status) next() []string {
	next := make([]string, len(transitions[s]))
	for i, status := range transitions[s] {
		next[i] = string(status)
	}
	return next
}

func orNothing(list string) string {
	if list == "" {
		return "nothing else"
	}
	return list
}

// settable is the statuses that a client may ask for by an update.
var settable = []Status{Active, Inactive, Suspended}

// AdmitReader fails unless c may read what belongs to the tenant: with
// fault.NotFound if it does not exist for the caller, and with
// fault.TenantDeleting if it is locked.
func (t Tenant) AdmitReader(c identity.Caller) error {
	if !c.Sees(t.ID) {
		return NotFound(t.ID)
	}
	if c.IsPlatformAdmin() {
		return nil
	}
	if t.Status == Deleting || t.Status == Purging || t.Status == Deleted {
		return fault.New(fault.TenantDeleting, "the tenant is being deleted; a platform admin can restore it while its status is deleting")
	}
	return nil
}

// AdmitWriter fails unless c may read the tenant, and its status allows changes.
// It does not look at the caller's role.
func (t Tenant) AdmitWriter(c identity.Caller) error {
	if err := t.AdmitReader(c); err != nil {
		return err
	}
	switch t.Status {
	case Provisioning:
		return fault.Wrap(Busy{t.ID}, fault.OperationRunning, "the tenant is still being provisioned; try again when it is active")
	case Deleting, Purging, Deleted:
		return fault.New(fault.TenantDeleting, "the tenant is %s and cannot be changed", t.Status)
	case Suspended:
		if !c.IsPlatformAdmin() {
			return fault.New(fault.TenantSuspended, "the tenant is suspended; only a platform admin can lift that")
		}
	case Inactive:
		if !c.IsPlatformAdmin() {
			return fault.New(fault.TenantInactive, `the tenant is inactive; send {"status":"active"} to take it back into service`)
		}
	case Active, Failed:
	}
	return nil
}

// Busy is the cause of a fault.OperationRunning: the tenant that the operation runs
// on.
type Busy struct{ ID identity.TenantID }

func (b Busy) Error() string { return "an operation runs on tenant " + string(b.ID) }

// NotFound says that there is no such tenant, or none that the caller may know
// of.
func NotFound(id identity.TenantID) error {
	return fault.New(fault.NotFound, "there is no tenant %q", id)
}
