package tenant

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
)

// A Patch is a change of a tenant.
type Patch struct {
	Settings
	Secrets      SecretSettings
	Status       patch.Field[Status]
	StatusReason patch.Field[*string]
}

// An Editor returns the change that a client asks for of the tenant as it is
// now, and what is wrong with it besides the rules of tenants.
type Editor func(current Tenant) (Patch, fault.Fields)

// A Store keeps tenants.
type Store interface {
	// Get returns the tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.TenantID) (Tenant, error)
	// Update replaces before by after, moves what depends on it, and writes the
	// record of the change. It fails with fault.Conflict if the stored version is
	// not that of before, or if it turns PCI on while agents hold card numbers, and
	// with fault.SIPDomainTaken.
	Update(ctx context.Context, before, after Tenant, r audit.Record) error
}

// A SettingsStore is a Store that also knows what a tenant's settings have to fit.
type SettingsStore interface {
	Store
	// AgentsWithCards returns how many agents of a tenant hold a card number in their
	// meta_data.
	AgentsWithCards(ctx context.Context, id identity.TenantID) (int, error)
}

// A Service applies the rules for changing tenants on top of a
// SettingsStore and a Vault.
type Service struct {
	store SettingsStore
	vault Vault
}

// NewService returns a Service that keeps its tenants in store, and their secrets
// in vault.
func NewService(store SettingsStore, vault Vault) *Service { return &Service{store, vault} }

// Updated is what an update gave rise to.
type Updated struct {
	Tenant Tenant
	// SIPPassword is the password that was made for the tenant, or "" if it has
	// one or brought its own. It is shown once.
	SIPPassword string
}

// Update changes a tenant. It fails with fault.Stale if versions, where there are
// any, do not hold the tenant's version, and with the faults of AdmitWriter.
// Without versions, where another change comes in between, the change is made on
// top of that.
func (s *Service) Update(ctx context.Context, c identity.Caller, id identity.TenantID, versions []int64, edit Editor) (Updated, error) {
	return conflict.Retry(ctx, func() (Updated, error) { return s.tryUpdate(ctx, c, id, versions, edit) })
}

func (s *Service) tryUpdate(ctx context.Context, c identity.Caller, id identity.TenantID, versions []int64, edit Editor) (Updated, error) {
	before, err := s.store.Get(ctx, id)
	if err != nil {
		return Updated{}, err
	}
	if err := before.AdmitReader(c); err != nil {
		return Updated{}, err
	}
	if versions != nil && !slices.Contains(versions, before.Version) {
		return Updated{}, fault.New(fault.Stale, "the tenant has changed since; get it again and look at what changed")
	}
	p, faults := edit(before)
	unfit, err := s.agentFaults(ctx, before, p)
	if err != nil {
		return Updated{}, err
	}
	after, err := p.apply(before, c, faults.And(unfit))
	if err != nil {
		return Updated{}, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	generated, err := s.writeSecrets(ctx, now, before, &after, p.Secrets)
	if err != nil {
		return Updated{}, fmt.Errorf("secrets of tenant %s: %w", id, err)
	}
	if reflect.DeepEqual(after, before) {
		return Updated{Tenant: before}, nil
	}
	after = after.Changed(now)
	record := audit.By(c).Did(audit.TenantUpdated, id, Target(id), Changes(before, after)...)
	err = s.store.Update(ctx, before, after, record)
	s.settleSecrets(ctx, before, after, err)
	if err != nil {
		return Updated{}, fmt.Errorf("update tenant %s: %w", id, err)
	}
	return Updated{after, generated}, nil
}

// agentFaults returns what is wrong with turning PCI on for the agents that there
// are.
func (s *Service) agentFaults(ctx context.Context, before Tenant, p Patch) (fault.Fields, error) {
	if before.PCIEnabled || !p.PCIEnabled.Value {
		return nil, nil
	}
	n, err := s.store.AgentsWithCards(ctx, before.ID)
	if err != nil || n == 0 {
		return nil, err
	}
	var f fault.Fields
	f.Add("#/pci_enabled", "must be false while agents hold card numbers in their meta_data (there are %d)", n)
	return f, nil
}

// apply returns t with the change, if every rule allows it. Faults are what is
// wrong with the change besides.
func (p Patch) apply(t Tenant, c identity.Caller, faults fault.Fields) (Tenant, error) {
	after := p.Settings.apply(t)
	after.Name = strings.TrimSpace(after.Name)
	if !p.wakes(t, after) {
		if err := t.AdmitWriter(c); err != nil {
			return Tenant{}, err
		}
	}
	next := p.Status.Or(t.Status)
	if next != t.Status && (next == Suspended || t.Status == Suspended) && !c.IsPlatformAdmin() {
		return Tenant{}, fault.New(fault.Forbidden, "only a platform admin may suspend a tenant, or lift that")
	}
	rules := slices.Concat(p.Secrets.Faults(), p.secretFaults(t, after), p.statusFaults(t), after.faults())
	if err := faults.And(rules).Err(); err != nil {
		return Tenant{}, err
	}
	if err := after.checkSelfService(t, c); err != nil {
		return Tenant{}, err
	}
	if err := p.checkProxy(t, after, c); err != nil {
		return Tenant{}, err
	}
	if next != t.Status {
		if err := t.Status.CanBecome(next); err != nil {
			return Tenant{}, err
		}
	}
	after.Status, after.StatusReason = next, p.reason(t)
	return after, nil
}

// wakes reports whether p does nothing but take an inactive tenant back into
// service. After is the tenant with the settings of p.
func (p Patch) wakes(t, after Tenant) bool {
	return t.Status == Inactive && p.Status == patch.Of(Active) && p.reason(t) == nil &&
		p.Secrets == SecretSettings{} && reflect.DeepEqual(after, t)
}

// checkProxy fails with fault.ImpersonationDenied if somebody who acts for a
// member changes what is the member's own to decide. After is t with the settings
// of p. What is sent back as it was is no change.
func (p Patch) checkProxy(t, after Tenant, c identity.Caller) error {
	if c.Impersonation == nil {
		return nil
	}
	var f fault.Fields
	for _, own := range []struct {
		pointer string
		changed bool
	}{
		{"#/status", p.Status.Or(t.Status) != t.Status},
		{"#/billing_plan", after.BillingPlan != t.BillingPlan},
		{"#/max_concurrent_calls", after.MaxConcurrentCalls != t.MaxConcurrentCalls},
		{"#/monthly_call_limit", after.MonthlyCallLimit != t.MonthlyCallLimit},
		{"#/limits", after.Limits != t.Limits},
		{"#/hipaa_enabled", after.HIPAAEnabled != t.HIPAAEnabled},
		{"#/pci_enabled", after.PCIEnabled != t.PCIEnabled},
		{"#/data_encryption_enabled", after.DataEncryptionEnabled != t.DataEncryptionEnabled},
		{"#/sip_enabled", after.SIPEnabled != t.SIPEnabled},
		{"#/sip_domain", !reflect.DeepEqual(after.SIPDomain, t.SIPDomain)},
		{"#/sip_username", !reflect.DeepEqual(after.SIPUsername, t.SIPUsername)},
		{"#/sip_password", p.Secrets.SIPPassword.Set},
		{"#/webhook_secret", p.Secrets.WebhookSecret.Set},
	} {
		if own.changed {
			f.Add(own.pointer, "is the user's own to change")
		}
	}
	if f == nil {
		return nil
	}
	return &fault.Error{Kind: fault.ImpersonationDenied, Detail: "an impersonation may not change secrets, SIP, plan, limits, compliance and status", Fields: f}
}

// secretFaults refuses secrets for a tenant whose provisioning failed: when it is
// retried, that brings its own.
func (p Patch) secretFaults(t, after Tenant) fault.Fields {
	var f fault.Fields
	if t.Status != Failed {
		return nil
	}
	if after.SIPEnabled && !t.SIPEnabled {
		f.Add("#/sip_enabled", "cannot be turned on before the tenant is provisioned")
	}
	if p.Secrets.SIPPassword.Set {
		f.Add("#/sip_password", "cannot be set before the tenant is provisioned; send it with POST /operations/{operation_id}/retry")
	}
	if p.Secrets.WebhookSecret.Set {
		f.Add("#/webhook_secret", "cannot be set before the tenant is provisioned")
	}
	return f
}

func (p Patch) statusFaults(t Tenant) fault.Fields {
	var f fault.Fields
	next, reason := p.Status.Or(t.Status), p.reason(t)
	if next != t.Status && !slices.Contains(settable, next) {
		f.Add("#/status", "must be %s, %s or %s", Active, Inactive, Suspended)
	}
	switch {
	case next == Suspended && (reason == nil || strings.TrimSpace(*reason) == ""):
		f.Add("#/status_reason", "is required when a tenant is suspended")
	case reason != nil && utf8.RuneCountInString(*reason) > maxReason:
		f.Add("#/status_reason", "must be at most %d characters", maxReason)
	}
	return f
}

// reason returns the reason of the status that the tenant is to have. A reason
// belongs to the status that it was given with: one that is sent back as it was
// says nothing of a new status, unless that needs one.
func (p Patch) reason(t Tenant) *string {
	next := p.Status.Or(t.Status)
	switch {
	case next == t.Status:
		return p.StatusReason.Or(t.StatusReason)
	case next != Suspended && reflect.DeepEqual(p.StatusReason.Value, t.StatusReason):
		return nil
	}
	return p.StatusReason.Value
}

const maxReason = 500
