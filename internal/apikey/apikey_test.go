package apikey_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/apikey"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/opaque"
)

func TestFaults(t *testing.T) {
	many := make([]identity.TenantID, 101)
	for i := range many {
		many[i] = identity.TenantID(uuid.NewString())
	}
	scopes := []identity.Scope{identity.SIPRead}
	for name, test := range map[string]struct {
		draft apikey.Draft
		want  []string // pointers
	}{
		"as little as possible": {apikey.Draft{Name: "edge", Scopes: scopes}, nil},
		"as much as possible":   {apikey.Draft{Name: strings.Repeat("é", 255), Scopes: identity.Scopes(), TenantIDs: many[:100], ExpiresAt: new(time.Now().Add(time.Minute))}, nil},
		"nothing":               {apikey.Draft{}, []string{"#/name", "#/scopes"}},
		"too long a name":       {apikey.Draft{Name: strings.Repeat("é", 256), Scopes: scopes}, []string{"#/name"}},
		"an unknown scope":      {apikey.Draft{Name: "edge", Scopes: []identity.Scope{"sip:write", identity.SIPRead}}, []string{"#/scopes/0"}},
		"a scope twice":         {apikey.Draft{Name: "edge", Scopes: []identity.Scope{identity.SIPRead, identity.SIPRead}}, []string{"#/scopes/1"}},
		"bound to none":         {apikey.Draft{Name: "edge", Scopes: scopes, TenantIDs: []identity.TenantID{}}, []string{"#/tenant_ids"}},
		"bound to too many":     {apikey.Draft{Name: "edge", Scopes: scopes, TenantIDs: many}, []string{"#/tenant_ids"}},
		"bound to no tenant":    {apikey.Draft{Name: "edge", Scopes: scopes, TenantIDs: []identity.TenantID{many[0], "acme", identity.TenantID(strings.ToUpper(string(many[1]))), many[0]}}, []string{"#/tenant_ids/1", "#/tenant_ids/2", "#/tenant_ids/3"}},
		"expired":               {apikey.Draft{Name: "edge", Scopes: scopes, ExpiresAt: new(time.Now())}, []string{"#/expires_at"}},
		"not before the year 10000": {
			apikey.Draft{Name: "edge", Scopes: scopes, ExpiresAt: new(time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -14*60*60)))},
			[]string{"#/expires_at"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range test.draft.Faults() {
				got = append(got, f.Pointer)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A store remembers what was written last.
type store struct {
	key     apikey.Key
	record  audit.Record
	receipt *idempotency.Record
}

func (s *store) Create(_ context.Context, k apikey.Key, r audit.Record, receipt *idempotency.Record) error {
	s.key, s.record, s.receipt = k, r, receipt
	return nil
}

func (s *store) Delete(_ context.Context, id apikey.ID, r audit.Record) error {
	if id != s.key.ID {
		return apikey.NotFound(id)
	}
	s.record = r
	return nil
}

func TestIssueAndRevoke(t *testing.T) {
	kept := &store{}
	service := apikey.NewService(kept)
	admin := identity.Caller{Subject: "A", Role: identity.PlatformAdmin, RequestID: "R"}
	draft := apikey.Draft{Name: " edge ", Scopes: []identity.Scope{identity.SIPRead}, ExpiresAt: new(time.Date(2999, 1, 1, 7, 0, 0, 5e8, time.FixedZone("", 7*3600)))}
	receipt := &idempotency.Record{}
	k, token, err := service.Issue(t.Context(), admin, draft, func(apikey.Key) (*idempotency.Record, error) { return receipt, nil })
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(token, opaque.ServiceKey) || k.Hash != opaque.HashOf(token) || uuid.Validate(string(k.ID)) != nil {
		t.Errorf("the key is %+v, its token %s", k, token)
	}
	want := apikey.Key{ID: k.ID, Name: "edge", Scopes: draft.Scopes, ExpiresAt: new(time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)), CreatedAt: k.CreatedAt, Hash: k.Hash}
	if diff := cmp.Diff(want, kept.key); diff != "" || kept.receipt != receipt {
		t.Errorf("what is kept (-want +got):\n%s", diff)
	}
	if r := kept.record; r.Action != audit.KeyCreated || r.TenantID != "" || r.Actor.ID != "A" || r.RequestID != "R" || r.Target.ID != string(k.ID) {
		t.Errorf("the record is %+v", r)
	}
	for _, c := range kept.record.Changes {
		if text, _ := c.To.(string); strings.Contains(text, string(k.Hash)) || strings.Contains(text, token) {
			t.Errorf("the record tells %+v", c)
		}
	}
	for at, want := range map[time.Time]bool{k.ExpiresAt.Add(-time.Nanosecond): false, *k.ExpiresAt: true} {
		if got := k.Expired(at); got != want {
			t.Errorf("expired at %v: got %v, want %v", at, got, want)
		}
	}

	if err := service.Revoke(t.Context(), admin, "none"); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want %v", err, fault.NotFound)
	}
	if err := service.Revoke(t.Context(), admin, k.ID); err != nil || kept.record.Action != audit.KeyRevoked || kept.record.Target.ID != string(k.ID) {
		t.Errorf("got %v and the record %+v", err, kept.record)
	}
	if _, _, err := service.Issue(t.Context(), admin, apikey.Draft{}, nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v, want %v", err, fault.Invalid)
	}
}
