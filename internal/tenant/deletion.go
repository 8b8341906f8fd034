package tenant

import (
	"time"

	"github.com/tenantry/tenantry/internal/fault"
)

// A Former is what a tenant was, and is again when it is restored.
type Former struct {
	Status Status
	Reason *string
}

// Delete returns the tenant as it is while it can still be restored. It fails
// with fault.IllegalTransition unless its status allows that.
func (t Tenant) Delete(now, purgeAt time.Time) (Tenant, error) {
	if err := t.Status.CanBecome(Deleting); err != nil {
		return t, err
	}
	t.Former, t.PurgeAt = &Former{t.Status, t.StatusReason}, &purgeAt
	return t.become(Deleting, nil, now), nil
}

// Restore returns the tenant as it was before it was to be deleted. It fails with
// fault.IllegalTransition unless the tenant can still be restored.
func (t Tenant) Restore(now time.Time) (Tenant, error) {
	if t.Status != Deleting {
		return t, &fault.Error{
			Kind:    fault.IllegalTransition,
			Detail:  "a tenant that is " + string(t.Status) + " cannot be restored; only one that is " + string(Deleting) + " can",
			Members: map[string]any{"status_from": string(t.Status), "allowed": t.Status.next()},
		}
	}
	former := t.Former
	t.Former, t.PurgeAt = nil, nil
	return t.become(former.Status, former.Reason, now), nil
}

// Purge returns the tenant as it is while it is taken apart. It fails with
// fault.IllegalTransition unless its status allows that.
func (t Tenant) Purge(now time.Time) (Tenant, error) {
	if err := t.Status.CanBecome(Purging); err != nil {
		return t, err
	}
	return t.become(Purging, nil, now), nil
}

// Bury returns what is kept of a tenant that was taken apart: who it was, and what
// is to be billed. It fails with fault.IllegalTransition unless its status allows
// that.
func (t Tenant) Bury(now time.Time) (Tenant, error) {
	if err := t.Status.CanBecome(Deleted); err != nil {
		return t, err
	}
	t.OwnerID, t.WebhookURL, t.MetaData = nil, nil, "{}"
	t.SIPEnabled, t.SIPDomain, t.SIPUsername = false, nil, nil
	t.Database, t.MongoDatabase, t.Secret = nil, nil, nil
	t.SIPRotatedAt, t.SIPPreviousUntil = nil, nil
	t.PurgeAt, t.Former = nil, nil
	return t.become(Deleted, nil, now), nil
}

// become returns the tenant one version later, with another status.
func (t Tenant) become(status Status, reason *string, now time.Time) Tenant {
	t.Status, t.StatusReason = status, reason
	return t.Changed(now)
}
