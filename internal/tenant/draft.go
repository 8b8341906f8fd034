package tenant

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
)

// What a tenant gets where its draft does not say.
const (
	defaultRecordingFormat = "mp4"
	defaultRetentionDays   = 90
	defaultWebhookSeconds  = 20
)

// A Draft is a tenant that is still to be made.
type Draft struct {
	Settings
	ID        patch.Field[identity.TenantID] // given when importing
	Slug      patch.Field[string]            // derived from the name where it is left out
	Country   patch.Field[*string]
	Isolation patch.Field[Isolation] // dedicated where it is left out
}

// Tenant returns the tenant that d describes, with its status provisioning.
// Its slug is still to be chosen where the draft has none.
func (d Draft) Tenant(now time.Time) Tenant {
	plan := Plans[Starter]
	t := d.apply(Tenant{
		ID:                    d.ID.Or(identity.TenantID(uuid.NewString())),
		Slug:                  d.Slug.Value,
		Status:                Provisioning,
		Country:               d.Country.Value,
		BillingPlan:           Starter,
		MaxConcurrentCalls:    plan.MaxConcurrentCalls,
		MonthlyCallLimit:      plan.MonthlyCallLimit,
		Limits:                plan.Limits,
		RecordingEnabled:      true,
		RecordingFormat:       defaultRecordingFormat,
		AnalyticsEnabled:      true,
		DataEncryptionEnabled: true,
		RetentionDays:         defaultRetentionDays,
		WebhookTimeoutSeconds: defaultWebhookSeconds,
		MetaData:              "{}",
		Isolation:             d.Isolation.Or(Dedicated),
		SchemaVersion:         LatestSchemaVersion,
		CreatedAt:             now,
		UpdatedAt:             now,
		Version:               1,
	})
	t.Name = strings.TrimSpace(t.Name)
	return t
}

// Faults returns every rule that the draft breaks.
func (d Draft) Faults() fault.Fields {
	t := d.Tenant(time.Time{})
	if !d.Slug.Set {
		t.Slug = SlugCandidates(t.Name)[0]
	}
	f := t.faults()
	if id, err := uuid.Parse(string(t.ID)); err != nil || id.String() != string(t.ID) {
		f.Add("#/id", "must be a UUID in lower case with hyphens")
	}
	return f
}

// CheckCeiling fails with fault.PlanCeiling if the draft takes more than c may
// give.
func (d Draft) CheckCeiling(c identity.Caller) error {
	plan := Plans[Starter]
	return d.Tenant(time.Time{}).checkSelfService(Tenant{
		BillingPlan:        Starter,
		MaxConcurrentCalls: plan.MaxConcurrentCalls,
		MonthlyCallLimit:   plan.MonthlyCallLimit,
		Limits:             plan.Limits,
	}, c)
}
