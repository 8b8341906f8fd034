package tenant_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
)

// whole is a tenant that has everything.
func whole(status tenant.Status) tenant.Tenant {
	return tenant.Tenant{
		ID: "t", Name: "Acme", Slug: "acme", Status: status, StatusReason: new("why"), OwnerID: new(identity.UserID("o")),
		Country: new("ID"), BillingPlan: tenant.Business, MaxConcurrentCalls: 1, MonthlyCallLimit: 2, Limits: tenant.Limits{MaxAgents: 3, MaxContacts: 4, MaxMessagesMonth: 5},
		SIPEnabled: true, SIPDomain: new("sip.example.com"), SIPUsername: new("acme"), WebhookURL: new("https://example.com"),
		MetaData: `{"a":1}`, Isolation: tenant.Dedicated, Database: new("db"), MongoDatabase: new("mongo"), SchemaVersion: 1,
		Secret: &tenant.SecretRef{Name: "name", Version: "version"}, CreatedAt: time.Unix(1, 0), UpdatedAt: time.Unix(2, 0), Number: 7, Version: 3,
	}
}

var now, purgeAt = time.Unix(10, 0).UTC(), time.Unix(20, 0).UTC()

// TestDelete deletes and restores a tenant of each status.
func TestDelete(t *testing.T) {
	for _, status := range tenant.Statuses() {
		t.Run(string(status), func(t *testing.T) {
			before := whole(status)
			deleting, err := before.Delete(now, purgeAt)
			switch status {
			case tenant.Active, tenant.Inactive, tenant.Suspended, tenant.Failed:
			case tenant.Provisioning, tenant.Deleting, tenant.Purging, tenant.Deleted:
				if !errors.Is(err, fault.IllegalTransition) {
					t.Errorf("got %v, want %s", err, fault.IllegalTransition)
				}
				return
			}
			want := before
			want.Status, want.StatusReason, want.Version, want.UpdatedAt = tenant.Deleting, nil, 4, now
			want.PurgeAt, want.Former = &purgeAt, &tenant.Former{Status: status, Reason: new("why")}
			if diff := cmp.Diff(want, deleting); diff != "" || err != nil {
				t.Errorf("deleting: %v (-want +got):\n%s", err, diff)
			}
			restored, err := deleting.Restore(now)
			want = before
			want.Version, want.UpdatedAt = 5, now.Add(time.Millisecond)
			if diff := cmp.Diff(want, restored); diff != "" || err != nil {
				t.Errorf("restored: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestRestoreRefuses restores tenants that are not being deleted.
func TestRestoreRefuses(t *testing.T) {
	for _, status := range tenant.Statuses() {
		if status == tenant.Deleting {
			continue
		}
		_, err := whole(status).Restore(now)
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Kind != fault.IllegalTransition || f.Members["status_from"] != string(status) {
			t.Errorf("%s: got %v", status, err)
		}
	}
}

// TestBury takes a tenant apart, and looks at what is left of it.
func TestBury(t *testing.T) {
	deleting, err := whole(tenant.Active).Delete(now, purgeAt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deleting.Bury(now); !errors.Is(err, fault.IllegalTransition) {
		t.Errorf("a tenant that can be restored is buried: %v", err)
	}
	purging, err := deleting.Purge(now)
	if err != nil || purging.Status != tenant.Purging || purging.PurgeAt == nil {
		t.Errorf("got %+v, %v", purging, err)
	}
	if _, err := purging.Purge(now); !errors.Is(err, fault.IllegalTransition) {
		t.Errorf("a tenant is purged twice: %v", err)
	}
	buried, err := purging.Bury(now)
	want := whole(tenant.Deleted)
	want.StatusReason, want.OwnerID, want.SIPEnabled, want.SIPDomain, want.SIPUsername = nil, nil, false, nil, nil
	want.WebhookURL, want.MetaData, want.Database, want.MongoDatabase, want.Secret = nil, "{}", nil, nil, nil
	want.UpdatedAt, want.Version = now.Add(2*time.Millisecond), 6
	if diff := cmp.Diff(want, buried); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
