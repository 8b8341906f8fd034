// Package impersonation holds the sessions in which platform admins act as
// members of tenants. It knows neither HTTP nor AWS.
package impersonation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/opaque"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

const (
	minReason  = 10
	maxReason  = 500
	minSeconds = 60
	maxSeconds = 3600
	defSeconds = 900
)

// An ID names a session. It is a UUID in its canonical form.
type ID string

// A Session is a time in which an actor, who is a platform admin, acts as the
// subject, who is a member of a tenant.
type Session struct {
	ID        ID
	Actor     identity.UserID
	Subject   identity.UserID
	TenantID  identity.TenantID
	Reason    string
	Mode      identity.Mode
	CreatedAt time.Time
	ExpiresAt time.Time   // in whole seconds
	EndedAt   *time.Time  // nil unless it was ended before its time
	Hash      opaque.Hash // of the token
}

// A Draft is a session that is still to begin.
type Draft struct {
	UserID     identity.UserID
	Reason     string
	Mode       patch.Field[identity.Mode] // read_only where it is left out
	TTLSeconds patch.Field[int]           // 900 where it is left out
}

// Faults returns every rule that the draft breaks.
func (d Draft) Faults() fault.Fields {
	var f fault.Fields
	if uuid.Validate(string(d.UserID)) != nil {
		f.Add("#/user_id", "must be the id of a user")
	}
	if n := utf8.RuneCountInString(strings.TrimSpace(d.Reason)); n < minReason || n > maxReason {
		f.Add("#/reason", "must be %d to %d characters after trimming", minReason, maxReason)
	}
	if mode := d.Mode.Or(identity.ReadOnly); mode != identity.ReadOnly && mode != identity.Full {
		f.Add("#/mode", "must be %s or %s", identity.ReadOnly, identity.Full)
	}
	if n := d.TTLSeconds.Or(defSeconds); n < minSeconds || n > maxSeconds {
		f.Add("#/ttl_seconds", "must be from %d to %d", minSeconds, maxSeconds)
	}
	return f
}

// Admit fails unless the session goes on at a time: with fault.TokenInvalid if it
// was ended or the actor is no platform admin any more, and with
// fault.TokenExpired.
func (s Session) Admit(now time.Time, actor user.User) error {
	switch {
	case s.EndedAt != nil:
		return fault.New(fault.TokenInvalid, "the impersonation was ended")
	case actor.ID != s.Actor || actor.Role != identity.PlatformAdmin || actor.Disabled:
		return fault.New(fault.TokenInvalid, "whoever impersonates is no platform admin any more")
	case !now.Before(s.ExpiresAt):
		return fault.New(fault.TokenExpired, "the impersonation is over; begin another with POST /impersonations")
	}
	return nil
}

// CheckPolicy fails with fault.ImpersonationDenied if the tenant's policies do not
// allow the session's mode.
func (s Session) CheckPolicy(t tenant.Tenant) error {
	if t.HIPAAEnabled && s.Mode != identity.ReadOnly {
		return fault.New(fault.ImpersonationDenied, "while hipaa_enabled is true, the tenant's users can be impersonated read_only only")
	}
	return nil
}

// A Store keeps sessions.
type Store interface {
	// Get returns a session, or fault.NotFound.
	Get(ctx context.Context, id ID) (Session, error)
	// Create writes a session. It fails with idempotency.ErrRecorded if the
	// receipt, which may be nil, is there already.
	Create(ctx context.Context, s Session, r audit.Record, receipt *idempotency.Record) error
	// End notes when a session was ended. It fails with fault.Conflict if it was
	// ended already.
	End(ctx context.Context, id ID, at time.Time, r audit.Record) error
}

// Users reads users.
type Users interface {
	// Get returns the user as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.UserID) (user.User, error)
}

// Tenants reads tenants.
type Tenants interface {
	// Get returns the tenant as it is now, or fault.NotFound.
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
}

// A Receipt makes the record of an answer, to be written with what it answers.
type Receipt func(Session) (*idempotency.Record, error)

// A Service begins and ends sessions.
type Service struct {
	store   Store
	users   Users
	tenants Tenants
}

// NewService returns a Service that keeps its sessions in store.
func NewService(store Store, users Users, tenants Tenants) *Service {
	return &Service{store, users, tenants}
}

// Begin begins a session, and returns it with its token, which is not to be had
// again. It fails with fault.Invalid unless the subject is a member of a tenant,
// is not disabled, and the tenant is not being deleted and its policies allow the mode.
func (s *Service) Begin(ctx context.Context, c identity.Caller, d Draft, receipt Receipt) (Session, string, error) {
	if err := d.Faults().Err(); err != nil {
		return Session{}, "", err
	}
	subject, err := s.subject(ctx, d)
	if err != nil {
		return Session{}, "", err
	}
	token := opaque.New(opaque.Impersonation)
	now := time.Now().UTC().Truncate(time.Millisecond)
	session := Session{
		ID:        ID(uuid.NewString()),
		Actor:     c.Subject,
		Subject:   subject.ID,
		TenantID:  subject.TenantID,
		Reason:    strings.TrimSpace(d.Reason),
		Mode:      d.Mode.Or(identity.ReadOnly),
		CreatedAt: now,
		ExpiresAt: now.Add(time.Duration(d.TTLSeconds.Or(defSeconds)) * time.Second).Truncate(time.Second),
		Hash:      opaque.HashOf(token),
	}
	record, err := receipt(session)
	if err != nil {
		return Session{}, "", err
	}
	told := audit.By(c).Did(audit.ImpersonationStarted, session.TenantID, target(session.ID), session.told()...)
	if err := s.store.Create(ctx, session, told, record); err != nil {
		return Session{}, "", fmt.Errorf("create impersonation: %w", err)
	}
	return session, token, nil
}

// subject returns the user whom a draft names, if they can be impersonated.
func (s *Service) subject(ctx context.Context, d Draft) (user.User, error) {
	var f fault.Fields
	u, err := s.users.Get(ctx, d.UserID)
	switch {
	case errors.Is(err, fault.NotFound):
		f.Add("#/user_id", "is not the id of a user")
		return u, f.Err()
	case err != nil:
		return u, err
	case u.TenantID == "":
		f.Add("#/user_id", "is not a member of a tenant")
		return u, f.Err()
	case u.Disabled:
		f.Add("#/user_id", "is disabled")
	}
	t, err := s.tenants.Get(ctx, u.TenantID)
	if err != nil {
		return u, err
	}
	if t.AdmitReader(identity.Caller{Subject: u.ID, TenantID: u.TenantID, Role: u.Role}) != nil {
		f.Add("#/user_id", "is a member of a tenant that is being deleted")
	}
	if t.HIPAAEnabled && d.Mode.Or(identity.ReadOnly) != identity.ReadOnly {
		f.Add("#/mode", "must be %s while the tenant's hipaa_enabled is true", identity.ReadOnly)
	}
	return u, f.Err()
}

// End ends a session at once. Ending one that has ended, or is over, changes
// nothing. It fails with fault.NotFound.
func (s *Service) End(ctx context.Context, c identity.Caller, id ID) error {
	session, err := s.store.Get(ctx, id)
	now := time.Now().UTC().Truncate(time.Millisecond)
	if err != nil || session.EndedAt != nil || !now.Before(session.ExpiresAt) {
		return err
	}
	told := audit.By(c).Did(audit.ImpersonationEnded, session.TenantID, target(id), session.told()...)
	err = s.store.End(ctx, id, now, told)
	if errors.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// told is what the audit of the tenant tells of a session, when it begins and when
// it is ended.
func (s Session) told() []audit.Change {
	return []audit.Change{
		{Field: "user_id", To: s.Subject},
		{Field: "reason", To: s.Reason},
		{Field: "mode", To: s.Mode},
		{Field: "expires_at", To: s.ExpiresAt},
	}
}

func target(id ID) audit.Target { return audit.Of("impersonation", id) }

// NotFound says that there is no such session.
func NotFound(id ID) error { return fault.New(fault.NotFound, "there is no impersonation %q", id) }
