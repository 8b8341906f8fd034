package tenant

import (
	"reflect"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/identity"
)

// Target returns the tenant as the target of an action.
func Target(id identity.TenantID) audit.Target { return audit.Of("tenant", id) }

// audited is the fields whose values the audit tells.
var audited = []audit.Field[Tenant]{
	{Name: "name", Value: func(t Tenant) any { return t.Name }},
	{Name: "status", Value: func(t Tenant) any { return t.Status }},
	{Name: "status_reason", Value: func(t Tenant) any { return value(t.StatusReason) }},
	{Name: "owner_id", Value: func(t Tenant) any { return value(t.OwnerID) }},
	{Name: "billing_plan", Value: func(t Tenant) any { return t.BillingPlan }},
	{Name: "max_concurrent_calls", Value: func(t Tenant) any { return t.MaxConcurrentCalls }},
	{Name: "monthly_call_limit", Value: func(t Tenant) any { return t.MonthlyCallLimit }},
	{Name: "limits/max_agents", Value: func(t Tenant) any { return t.Limits.MaxAgents }},
	{Name: "limits/max_contacts", Value: func(t Tenant) any { return t.Limits.MaxContacts }},
	{Name: "limits/max_messages_month", Value: func(t Tenant) any { return t.Limits.MaxMessagesMonth }},
	{Name: "sip_enabled", Value: func(t Tenant) any { return t.SIPEnabled }},
	{Name: "sip_domain", Value: func(t Tenant) any { return value(t.SIPDomain) }},
	{Name: "sip_username", Value: func(t Tenant) any { return value(t.SIPUsername) }},
	{Name: "sip_previous_valid_until", Value: func(t Tenant) any { return value(t.SIPPreviousUntil) }},
	{Name: "recording_enabled", Value: func(t Tenant) any { return t.RecordingEnabled }},
	{Name: "recording_format", Value: func(t Tenant) any { return t.RecordingFormat }},
	{Name: "analytics_enabled", Value: func(t Tenant) any { return t.AnalyticsEnabled }},
	{Name: "hipaa_enabled", Value: func(t Tenant) any { return t.HIPAAEnabled }},
	{Name: "pci_enabled", Value: func(t Tenant) any { return t.PCIEnabled }},
	{Name: "data_encryption_enabled", Value: func(t Tenant) any { return t.DataEncryptionEnabled }},
	{Name: "retention_days", Value: func(t Tenant) any { return t.RetentionDays }},
	{Name: "webhook_url", Value: func(t Tenant) any { return value(t.WebhookURL) }},
	{Name: "webhook_timeout_seconds", Value: func(t Tenant) any { return t.WebhookTimeoutSeconds }},
	{Name: "database", Value: func(t Tenant) any { return value(t.Database) }},
	{Name: "mongo_database", Value: func(t Tenant) any { return value(t.MongoDatabase) }},
	{Name: "schema_version", Value: func(t Tenant) any { return t.SchemaVersion }},
	{Name: "purge_at", Value: func(t Tenant) any { return value(t.PurgeAt) }},
}

// Changes returns what is different between two versions of a tenant, as
// audit.Compare does. That meta_data or a secret is another one is told, and not
// what it is.
func Changes(before, after Tenant) []audit.Change {
	changes := audit.Compare(audited, before, after)
	if before.MetaData != after.MetaData {
		changes = append(changes, audit.Change{Field: "meta_data", Redacted: true})
	}
	if !reflect.DeepEqual(before.Secret, after.Secret) {
		changes = append(changes, audit.Change{Field: "secrets", Redacted: true})
	}
	return changes
}

// value returns what p points at, or nil.
func value[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}
