package tenant

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
)

const (
	updateAttempts = 5
	updateBackoff  = 20 * time.Millisecond
)

// A Patch is a change of a tenant.
type Patch struct {
	Settings
	Status       patch.Field[Status]
	StatusReason patch.Field[*string]
	// Others counts the members of the request besides status, since an inactive
	// tenant takes nothing but the status active.
	Others int
}

// An Editor returns the change that a client asks for of the tenant as it is
// now, and what is wrong with it besides the rules of tenants.
type Editor func(current Tenant) (Patch, fault.Fields)

// A Store keeps tenants.
type Store interface {
	// Get returns the tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.TenantID) (Tenant, error)
	// Update replaces before by after and moves what depends on it. It fails with
	// fault.Conflict if the stored version is not that of before, and with
	// fault.SIPDomainTaken.
	Update(ctx context.Context, before, after Tenant) error
}

// A Service applies the rules for changing tenants on top of a Store.
type Service struct {
	store Store
}

// NewService returns a Service that keeps its tenants in store.
func NewService(store Store) *Service { return &Service{store} }

// Update changes a tenant and returns it as it is then. It fails with
// fault.Stale if ifMatch is neither 0 nor the tenant's version, and with the
// faults of AdmitWriter. Where ifMatch is 0 and another change comes in between,
// the change is made on top of that.
func (s *Service) Update(ctx context.Context, c identity.Caller, id identity.TenantID, ifMatch int64, edit Editor) (Tenant, error) {
	for attempt := 1; ; attempt++ {
		t, err := s.tryUpdate(ctx, c, id, ifMatch, edit)
		if !errors.Is(err, fault.Conflict) || attempt == updateAttempts {
			return t, err
		}
		if err := pause(ctx, attempt); err != nil {
			return Tenant{}, err
		}
	}
}

func (s *Service) tryUpdate(ctx context.Context, c identity.Caller, id identity.TenantID, ifMatch int64, edit Editor) (Tenant, error) {
	before, err := s.store.Get(ctx, id)
	if err != nil {
		return Tenant{}, err
	}
	if err := before.AdmitReader(c); err != nil {
		return Tenant{}, err
	}
	if ifMatch != 0 && ifMatch != before.Version {
		return Tenant{}, fault.New(fault.Stale, "the tenant has changed since; get it again and look at what changed")
	}
	after, err := before.edited(c, edit)
	if err != nil {
		return Tenant{}, err
	}
	if after == before {
		return before, nil
	}
	after.UpdatedAt = time.Now().UTC().Truncate(time.Millisecond)
	after.Version = before.Version + 1
	if err := s.store.Update(ctx, before, after); err != nil {
		return Tenant{}, fmt.Errorf("update tenant %s: %w", id, err)
	}
	return after, nil
}

// edited returns the tenant with the change that the client asks for, if every
// rule allows it.
func (t Tenant) edited(c identity.Caller, edit Editor) (Tenant, error) {
	p, faults := edit(t)
	if !p.wakes(t) {
		if err := t.AdmitWriter(c); err != nil {
			return Tenant{}, err
		}
	}
	after := p.Settings.apply(t)
	after.Name = strings.TrimSpace(after.Name)
	p.statusFaults(t, &faults)
	for _, rule := range after.faults() {
		if !slices.ContainsFunc(faults, func(f fault.Field) bool { return f.Pointer == rule.Pointer }) {
			faults = append(faults, rule)
		}
	}
	if err := faults.Err(); err != nil {
		return Tenant{}, err
	}
	if err := errors.Join(after.checkCeiling(t, c), after.checkCompliance(t, c)); err != nil {
		return Tenant{}, err
	}
	return after.withStatus(p, c)
}

// wakes reports whether p does nothing but take an inactive tenant back into
// service.
func (p Patch) wakes(t Tenant) bool {
	return t.Status == Inactive && p.Others == 0 && p.Status == patch.Of(Active)
}

func (p Patch) statusFaults(t Tenant, f *fault.Fields) {
	next := p.Status.Or(t.Status)
	if next != t.Status && !slices.Contains(settable, next) {
		f.Add("#/status", "must be %s, %s or %s", Active, Inactive, Suspended)
	}
	reason := p.StatusReason.Or(t.StatusReason)
	switch {
	case next == Suspended && (reason == nil || strings.TrimSpace(*reason) == ""):
		f.Add("#/status_reason", "is required when a tenant is suspended")
	case reason != nil && len([]rune(*reason)) > maxReason:
		f.Add("#/status_reason", "must be at most %d characters", maxReason)
	}
}

const maxReason = 500

// withStatus returns the tenant with the status and reason that p asks for. A
// reason belongs to the status that it was given with.
func (t Tenant) withStatus(p Patch, c identity.Caller) (Tenant, error) {
	next := p.Status.Or(t.Status)
	if next != t.Status {
		if err := t.Status.CanBecome(next); err != nil {
			return Tenant{}, err
		}
		if (next == Suspended || t.Status == Suspended) && !c.IsPlatformAdmin() {
			return Tenant{}, fault.New(fault.Forbidden, "only a platform admin may suspend a tenant, or lift that")
		}
		t.Status, t.StatusReason = next, nil
	}
	t.StatusReason = p.StatusReason.Or(t.StatusReason)
	return t, nil
}

// pause waits a random while, longer with each attempt, so that those who met
// once do not meet again.
func pause(ctx context.Context, attempt int) error {
	longest := updateBackoff << attempt
	select {
	case <-time.After(rand.N(longest)): //nolint:gosec // spreads attempts, keeps no secret
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
