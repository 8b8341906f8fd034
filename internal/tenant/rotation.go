package tenant

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
)

const (
	defaultOverlapSeconds = 3600
	maxOverlapSeconds     = 86_400
)

// A Rotation gives a tenant a new SIP password, which is made for it, and leaves
// the present one valid for a while.
type Rotation struct {
	OverlapSeconds patch.Field[int] // an hour where it is left out
	// Force ends the overlap of an earlier rotation, if that is not over.
	Force bool
}

// Faults returns every rule that the rotation breaks.
func (r Rotation) Faults() fault.Fields {
	var f fault.Fields
	between(&f, "#/overlap_seconds", r.OverlapSeconds.Or(0), 0, maxOverlapSeconds)
	return f
}

// apply returns old with a new current password, and until when the one before
// that is valid, or nil.
func (r Rotation) apply(old SIPPasswords, now time.Time) (SIPPasswords, *time.Time) {
	rotated := SIPPasswords{Current: GeneratePassword()}
	overlap := time.Duration(r.OverlapSeconds.Or(defaultOverlapSeconds)) * time.Second
	if overlap == 0 {
		return rotated, nil
	}
	until := now.Add(overlap)
	rotated.Previous = []FormerPassword{{old.Current, until}}
	return rotated, &until
}

// A RotationReceipt returns the answer to be remembered for a rotation, or nil.
type RotationReceipt func(Updated) (*idempotency.Record, error)

// A RotationStore is a Store that remembers answers too.
type RotationStore interface {
	SettingsStore
	// UpdateOnce is Update, and remembers an answer unless receipt is nil. It also
	// fails with idempotency.ErrRecorded.
	UpdateOnce(ctx context.Context, before, after Tenant, r audit.Record, receipt *idempotency.Record) error
}

// A Rotator rotates the SIP passwords of tenants.
type Rotator struct {
	*Service
	store RotationStore
}

// NewRotator returns a Rotator for the tenants in store, whose secrets are in
// vault.
func NewRotator(store RotationStore, vault Vault) *Rotator {
	return &Rotator{NewService(store, vault), store}
}

// errRotated says that the password was changed by somebody else.
var errRotated = errors.New("the SIP password was changed meanwhile")

// Rotate gives a tenant a new SIP password. It fails with the faults of
// AdmitWriter, with fault.NotFound if the tenant has no SIP, with
// fault.RotationOverlap while the password before the present one is valid, and
// with fault.Conflict if the password is changed at the same time.
func (s *Rotator) Rotate(ctx context.Context, c identity.Caller, id identity.TenantID, r Rotation, receipt RotationReceipt) (Updated, error) {
	var first *Tenant
	updated, err := conflict.Retry(ctx, func() (Updated, error) {
		before, err := s.rotatable(ctx, c, id, r)
		if err != nil {
			return Updated{}, err
		}
		if first == nil {
			first = &before
		}
		if !reflect.DeepEqual(first.SIPRotatedAt, before.SIPRotatedAt) {
			return Updated{}, errRotated
		}
		return s.rotate(ctx, c, before, r, receipt)
	})
	if errors.Is(err, errRotated) {
		return updated, fault.Wrap(err, fault.Conflict, "another request changed the SIP password at the same time")
	}
	return updated, err
}

// rotatable returns a tenant whose SIP password the caller may rotate now.
func (s *Rotator) rotatable(ctx context.Context, c identity.Caller, id identity.TenantID, r Rotation) (Tenant, error) {
	t, err := s.store.Get(ctx, id)
	if err != nil {
		return t, err
	}
	if err := t.AdmitWriter(c); err != nil {
		return t, err
	}
	if !t.SIPEnabled {
		return t, NoSIP(id)
	}
	if until := t.SIPOverlapUntil(time.Now()); until != nil && !r.Force {
		end := until.Format(timeFormat)
		return t, &fault.Error{
			Kind:    fault.RotationOverlap,
			Detail:  "the password before the present one is valid until " + end + "; send force to end that now",
			Members: map[string]any{"valid_until": end},
		}
	}
	return t, nil
}

// timeFormat is how a time stands in a text for clients.
const timeFormat = "2006-01-02T15:04:05.000Z"

func (s *Rotator) rotate(ctx context.Context, c identity.Caller, before Tenant, r Rotation, receipt RotationReceipt) (Updated, error) {
	secrets, err := s.readSecrets(ctx, before)
	if err != nil {
		return Updated{}, fmt.Errorf("secrets of tenant %s: %w", before.ID, err)
	}
	if secrets.SIP.Current == "" {
		return Updated{}, NoSIP(before.ID)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	after := before
	secrets.SIP, after.SIPPreviousUntil = r.apply(secrets.SIP, now)
	after.SIPRotatedAt = &now
	after = after.Changed(now)
	record, err := receipt(Updated{after, secrets.SIP.Current})
	if err != nil {
		return Updated{}, err
	}
	ref, err := s.vault.Write(ctx, before.ID, before.Secret, secrets)
	if err != nil {
		return Updated{}, fmt.Errorf("secrets of tenant %s: %w", before.ID, err)
	}
	after.Secret = &ref
	rotated := audit.By(c).Did(audit.SIPRotated, before.ID, audit.Of("sip_credentials", before.ID), Changes(before, after)...)
	err = s.store.UpdateOnce(ctx, before, after, rotated, record)
	s.settleSecrets(ctx, before, after, err)
	if err != nil {
		return Updated{}, fmt.Errorf("rotate the SIP password of tenant %s: %w", before.ID, err)
	}
	return Updated{after, secrets.SIP.Current}, nil
}

// SIPOverlapUntil returns until when the password before the present one is valid,
// or nil if it is not.
func (t Tenant) SIPOverlapUntil(now time.Time) *time.Time {
	if t.SIPPreviousUntil == nil || !now.Before(*t.SIPPreviousUntil) {
		return nil
	}
	return t.SIPPreviousUntil
}

// NoSIP says that a tenant has no SIP.
func NoSIP(id identity.TenantID) error {
	return fault.New(fault.NotFound, "tenant %q has no SIP credentials", id)
}
