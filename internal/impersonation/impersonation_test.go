package impersonation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/impersonation"
	"github.com/tenantry/tenantry/internal/opaque"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

var errBroken = errors.New("broken")

// The ids that tests use.
var (
	dewi     = newID()
	disabled = newID()
	patient  = newID() // in a tenant under HIPAA
	linus    = newID() // of no tenant
	root     = newID()
	leaving  = newID() // in a tenant that is being deleted
	lost     = newID() // of a tenant that cannot be read
	broken   = newID()
)

func newID() identity.UserID { return identity.UserID(uuid.NewString()) }

// people is an impersonation.Users.
type people struct{}

func (people) Get(_ context.Context, id identity.UserID) (user.User, error) {
	u := user.User{ID: id, Role: identity.Agent, TenantID: "T"}
	switch id {
	case dewi:
	case disabled:
		u.Disabled = true
	case patient:
		u.TenantID = "H"
	case leaving:
		u.TenantID = "D"
	case linus:
		u.Role, u.TenantID = identity.Developer, ""
	case root:
		u.Role, u.TenantID = identity.PlatformAdmin, ""
	case lost:
		u.TenantID = "broken"
	case broken:
		return user.User{}, errBroken
	default:
		return user.User{}, fault.New(fault.NotFound, "there is no user %q", id)
	}
	return u, nil
}

// tenants is an impersonation.Tenants.
type tenants struct{}

func (tenants) Get(_ context.Context, id identity.TenantID) (tenant.Tenant, error) {
	if id == "broken" {
		return tenant.Tenant{}, errBroken
	}
	t := tenant.Tenant{ID: id, Status: tenant.Active, HIPAAEnabled: id == "H"}
	if id == "D" {
		t.Status = tenant.Deleting
	}
	return t, nil
}

// A store keeps one session.
type store struct {
	session impersonation.Session
	records []audit.Record
	receipt *idempotency.Record
}

func (s *store) Get(_ context.Context, id impersonation.ID) (impersonation.Session, error) {
	if id != s.session.ID {
		return impersonation.Session{}, impersonation.NotFound(id)
	}
	return s.session, nil
}

func (s *store) Create(_ context.Context, session impersonation.Session, r audit.Record, receipt *idempotency.Record) error {
	s.session, s.records, s.receipt = session, append(s.records, r), receipt
	return nil
}

func (s *store) End(_ context.Context, _ impersonation.ID, at time.Time, r audit.Record) error {
	if s.session.EndedAt != nil {
		return fault.New(fault.Conflict, "it was ended already")
	}
	s.session.EndedAt, s.records = &at, append(s.records, r)
	return nil
}

var admin = identity.Caller{Subject: "A", Role: identity.PlatformAdmin, RequestID: "R"}

func noReceipt(impersonation.Session) (*idempotency.Record, error) { return nil, nil }

func TestBegin(t *testing.T) {
	full := patch.Of(identity.Full)
	for name, test := range map[string]struct {
		draft impersonation.Draft
		want  []string // pointers of the faults
	}{
		"to look":             {impersonation.Draft{UserID: dewi, Reason: "ticket 4711"}, nil},
		"to mend":             {impersonation.Draft{UserID: dewi, Reason: "ticket 4711", Mode: full, TTLSeconds: patch.Of(3600)}, nil},
		"to look, HIPAA":      {impersonation.Draft{UserID: patient, Reason: "ticket 4711"}, nil},
		"to mend, HIPAA":      {impersonation.Draft{UserID: patient, Reason: "ticket 4711", Mode: full}, []string{"#/mode"}},
		"nothing":             {impersonation.Draft{}, []string{"#/user_id", "#/reason"}},
		"no mode, no time":    {impersonation.Draft{UserID: dewi, Reason: "ticket 4711", Mode: patch.Of(identity.Mode("")), TTLSeconds: patch.Of(59)}, []string{"#/mode", "#/ttl_seconds"}},
		"too long":            {impersonation.Draft{UserID: dewi, Reason: strings.Repeat("é", 501), TTLSeconds: patch.Of(3601)}, []string{"#/reason", "#/ttl_seconds"}},
		"somebody unknown":    {impersonation.Draft{UserID: newID(), Reason: "ticket 4711"}, []string{"#/user_id"}},
		"somebody disabled":   {impersonation.Draft{UserID: disabled, Reason: "ticket 4711"}, []string{"#/user_id"}},
		"somebody leaving":    {impersonation.Draft{UserID: leaving, Reason: "ticket 4711"}, []string{"#/user_id"}},
		"a developer":         {impersonation.Draft{UserID: linus, Reason: "ticket 4711"}, []string{"#/user_id"}},
		"a platform admin":    {impersonation.Draft{UserID: root, Reason: "ticket 4711"}, []string{"#/user_id"}},
		"in 500 characters é": {impersonation.Draft{UserID: dewi, Reason: strings.Repeat("é", 500), TTLSeconds: patch.Of(60)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			kept := &store{}
			session, token, err := impersonation.NewService(kept, people{}, tenants{}).Begin(t.Context(), admin, test.draft, noReceipt)
			if test.want == nil {
				if err != nil || session != kept.session || session.Hash != opaque.HashOf(token) || !strings.HasPrefix(token, opaque.Impersonation) {
					t.Errorf("got %+v, %v, and kept %+v", session, err, kept.session)
				}
				if lasts := session.ExpiresAt.Sub(session.CreatedAt); lasts > time.Duration(test.draft.TTLSeconds.Or(900))*time.Second || lasts < time.Duration(test.draft.TTLSeconds.Or(900)-1)*time.Second {
					t.Errorf("it lasts %v", lasts)
				}
				return
			}
			var got []string
			if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.Invalid {
				for _, field := range f.Fields {
					got = append(got, field.Pointer)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || kept.session != (impersonation.Session{}) {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for _, id := range []identity.UserID{broken, lost} {
		_, _, err := impersonation.NewService(&store{}, people{}, tenants{}).Begin(t.Context(), admin, impersonation.Draft{UserID: id, Reason: "ticket 4711"}, noReceipt)
		if !errors.Is(err, errBroken) {
			t.Errorf("got %v, want %v", err, errBroken)
		}
	}
}

// The tenant's audit tells who acts as whom, why and how, at both ends.
func TestBeginAndEnd(t *testing.T) {
	kept, receipt := &store{}, &idempotency.Record{}
	service := impersonation.NewService(kept, people{}, tenants{})
	draft := impersonation.Draft{UserID: dewi, Reason: " ticket 4711 ", Mode: patch.Of(identity.Full)}
	session, _, err := service.Begin(t.Context(), admin, draft, func(impersonation.Session) (*idempotency.Record, error) { return receipt, nil })
	if err != nil || kept.receipt != receipt {
		t.Fatalf("got %v, and kept the receipt %v", err, kept.receipt)
	}
	if session.Actor != "A" || session.Subject != dewi || session.TenantID != "T" || session.Reason != "ticket 4711" || session.Mode != identity.Full {
		t.Errorf("the session is %+v", session)
	}
	for range 2 {
		if err := service.End(t.Context(), admin, session.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := service.End(t.Context(), admin, "none"); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want %v", err, fault.NotFound)
	}
	told := []audit.Change{{Field: "user_id", To: dewi}, {Field: "reason", To: "ticket 4711"}, {Field: "mode", To: identity.Full}, {Field: "expires_at", To: session.ExpiresAt}}
	actions := []audit.Action{audit.ImpersonationStarted, audit.ImpersonationEnded}
	if len(kept.records) != len(actions) {
		t.Fatalf("there are %d records: %+v", len(kept.records), kept.records)
	}
	for i, r := range kept.records {
		if diff := cmp.Diff(told, r.Changes); diff != "" || r.Action != actions[i] || r.TenantID != "T" || r.Actor.ID != "A" || r.Target != (audit.Target{Kind: "impersonation", ID: string(session.ID)}) {
			t.Errorf("the record is %+v (-want +got):\n%s", r, diff)
		}
	}
}

// A session that is over is not ended.
func TestEndOfOver(t *testing.T) {
	kept := &store{session: impersonation.Session{ID: "I", ExpiresAt: time.Now().Add(-time.Second)}}
	if err := impersonation.NewService(kept, people{}, tenants{}).End(t.Context(), admin, "I"); err != nil || kept.session.EndedAt != nil {
		t.Errorf("got %v and %+v", err, kept.session)
	}
}

func TestAdmit(t *testing.T) {
	now := time.Now()
	good := user.User{ID: "A", Role: identity.PlatformAdmin}
	for name, test := range map[string]struct {
		edit func(*impersonation.Session, *user.User)
		want fault.Kind
	}{
		"goes on":            {func(*impersonation.Session, *user.User) {}, ""},
		"until the end":      {func(s *impersonation.Session, _ *user.User) { s.ExpiresAt = now.Add(1) }, ""},
		"over":               {func(s *impersonation.Session, _ *user.User) { s.ExpiresAt = now }, fault.TokenExpired},
		"ended":              {func(s *impersonation.Session, _ *user.User) { s.EndedAt = &now }, fault.TokenInvalid},
		"ended, over":        {func(s *impersonation.Session, _ *user.User) { s.EndedAt, s.ExpiresAt = &now, now }, fault.TokenInvalid},
		"actor demoted":      {func(_ *impersonation.Session, u *user.User) { u.Role = identity.Developer }, fault.TokenInvalid},
		"actor disabled":     {func(_ *impersonation.Session, u *user.User) { u.Disabled = true }, fault.TokenInvalid},
		"of somebody else's": {func(_ *impersonation.Session, u *user.User) { u.ID = "B" }, fault.TokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			s, u := impersonation.Session{Actor: "A", ExpiresAt: now.Add(time.Hour)}, good
			test.edit(&s, &u)
			if err := s.Admit(now, u); fault.KindOf(err) != test.want || test.want == "" && err != nil {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestCheckPolicy(t *testing.T) {
	for name, test := range map[string]struct {
		hipaa bool
		mode  identity.Mode
		want  fault.Kind
	}{
		"read_only":        {false, identity.ReadOnly, ""},
		"full":             {false, identity.Full, ""},
		"read_only, HIPAA": {true, identity.ReadOnly, ""},
		"full, HIPAA":      {true, identity.Full, fault.ImpersonationDenied},
		"no mode, HIPAA":   {true, "", fault.ImpersonationDenied},
	} {
		err := impersonation.Session{Mode: test.mode}.CheckPolicy(tenant.Tenant{HIPAAEnabled: test.hipaa})
		if fault.KindOf(err) != test.want || test.want == "" && err != nil {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
