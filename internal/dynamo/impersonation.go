package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/impersonation"
	"github.com/tenantry/tenantry/internal/opaque"
	"github.com/tenantry/tenantry/internal/page"
)

// sessionsKept is how long a session is listed after it is over.
const sessionsKept = 30 * 24 * time.Hour

// Impersonations keeps the sessions in which platform admins act as others. It is
// an api.ImpersonationGuard.
type Impersonations struct{ *Table }

// NewImpersonations returns the sessions kept in table.
func NewImpersonations(table *Table) *Impersonations { return &Impersonations{table} }

var errSessionThere = errors.New("there is an impersonation with that token, or that id, already")

// Create writes a session. It fails with idempotency.ErrRecorded if the receipt,
// which may be nil, is there already.
func (s *Impersonations) Create(ctx context.Context, session impersonation.Session, r audit.Record, receipt *idempotency.Record) error {
	item := newSessionItem(session)
	tx := s.begin()
	tx.receipt(receipt)
	tx.put(item, errSessionThere)
	tx.put(sessionTokenItem{impersonationTokenKey(session.Hash), session.ID, item.ExpiresAt}, errSessionThere)
	tx.record(r)
	return tx.run(ctx)
}

// Get returns the session as it is now, or fault.NotFound.
func (s *Impersonations) Get(ctx context.Context, id impersonation.ID) (impersonation.Session, error) {
	var item sessionItem
	err := s.get(ctx, impersonationKey(id), &item)
	if errors.Is(err, errNoItem) || err == nil && item.ExpiresAt <= time.Now().Unix() {
		return impersonation.Session{}, impersonation.NotFound(id)
	}
	return item.session(), err
}

// ByHash returns the session whose token has the hash, or fault.NotFound.
func (s *Impersonations) ByHash(ctx context.Context, hash opaque.Hash) (impersonation.Session, error) {
	var item sessionTokenItem
	err := s.get(ctx, impersonationTokenKey(hash), &item)
	if errors.Is(err, errNoItem) {
		return impersonation.Session{}, impersonation.NotFound("")
	}
	if err != nil {
		return impersonation.Session{}, err
	}
	return s.Get(ctx, item.ID)
}

// End notes when a session was ended. It fails with fault.Conflict if it was
// ended already.
func (s *Impersonations) End(ctx context.Context, id impersonation.ID, at time.Time, r audit.Record) error {
	tx := s.begin()
	tx.updateIf(impersonationKey(id), "SET ended_at = :at", "attribute_exists(pk) AND attribute_not_exists(ended_at)",
		map[string]any{":at": at}, nil, fault.New(fault.Conflict, "the impersonation was ended already"))
	tx.record(r)
	return tx.run(ctx)
}

// Guard fails unless the session that a caller is in still goes on and the tenant
// allows it, as its Admit and CheckPolicy do. It reads everything as it is now.
func (s *Impersonations) Guard(ctx context.Context, c identity.Caller) error {
	session, err := s.Get(ctx, impersonation.ID(c.Impersonation.ID))
	if err != nil {
		return goneIsInvalid(err)
	}
	actor, err := NewUsers(s.Table).Get(ctx, session.Actor)
	if err != nil {
		return goneIsInvalid(err)
	}
	if err := session.Admit(time.Now(), actor); err != nil {
		return err
	}
	t, err := NewTenants(s.Table).Get(ctx, session.TenantID)
	if err != nil {
		return goneIsInvalid(err)
	}
	return session.CheckPolicy(t)
}

// goneIsInvalid says of a token that what it stands for is gone.
func goneIsInvalid(err error) error {
	if errors.Is(err, fault.NotFound) {
		return fault.Wrap(err, fault.TokenInvalid, "the impersonation is over")
	}
	return err
}

// List returns a part of the sessions, newest first, with those that are over. The
// index that it reads is eventually consistent: a session that was begun or ended
// a moment ago may be missing, or as it was before.
func (s *Impersonations) List(ctx context.Context, w page.Window) (page.Page[impersonation.Session], error) {
	p, err := listOf(ctx, s.Table, impersonations, w, func(i sessionItem) (impersonation.Session, string) { return i.session(), i.OfTenantSort })
	if err != nil {
		return p, fmt.Errorf("list impersonations: %w", err)
	}
	now := time.Now()
	p.Entries = slices.DeleteFunc(p.Entries, func(e page.Entry[impersonation.Session]) bool {
		return !now.Before(e.Value.ExpiresAt.Add(sessionsKept)) // DynamoDB deletes late
	})
	return p, nil
}

// A sessionItem is a session as it is stored. DynamoDB deletes it some time after
// it is not listed any more.
type sessionItem struct {
	key
	ID           impersonation.ID  `dynamodbav:"id"`
	Actor        identity.UserID   `dynamodbav:"actor"`
	Subject      identity.UserID   `dynamodbav:"subject"`
	TenantID     identity.TenantID `dynamodbav:"tenant_id"`
	Reason       string            `dynamodbav:"reason"`
	Mode         identity.Mode     `dynamodbav:"mode"`
	CreatedAt    time.Time         `dynamodbav:"created_at"`
	ValidUntil   time.Time         `dynamodbav:"valid_until"`
	EndedAt      *time.Time        `dynamodbav:"ended_at,omitempty"`
	ExpiresAt    int64             `dynamodbav:"expires_at"`
	OfTenant     string            `dynamodbav:"of_tenant"`
	OfTenantSort string            `dynamodbav:"of_tenant_sort"`
}

func newSessionItem(s impersonation.Session) sessionItem {
	return sessionItem{
		key: impersonationKey(s.ID), ID: s.ID, Actor: s.Actor, Subject: s.Subject, TenantID: s.TenantID,
		Reason: s.Reason, Mode: s.Mode, CreatedAt: s.CreatedAt, ValidUntil: s.ExpiresAt, EndedAt: s.EndedAt,
		ExpiresAt: s.ExpiresAt.Add(sessionsKept).Unix(),
		OfTenant:  impersonations, OfTenantSort: inTime(s.CreatedAt, string(s.ID)),
	}
}

func (i sessionItem) session() impersonation.Session {
	return impersonation.Session{
		ID: i.ID, Actor: i.Actor, Subject: i.Subject, TenantID: i.TenantID,
		Reason: i.Reason, Mode: i.Mode, CreatedAt: i.CreatedAt, ExpiresAt: i.ValidUntil, EndedAt: i.EndedAt,
	}
}

// A sessionTokenItem leads from the hash of a token to its session.
type sessionTokenItem struct {
	key
	ID        impersonation.ID `dynamodbav:"id"`
	ExpiresAt int64            `dynamodbav:"expires_at"`
}
