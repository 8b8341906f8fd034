package tenant

import (
	"github.com/tenantry/tenantry/internal/patch"
)

// Settings are what a client may set when a tenant is made, and change later. A
// field that is not set stays as it is.
type Settings struct {
	Name        patch.Field[string]
	BillingPlan patch.Field[PlanName]

	MaxConcurrentCalls patch.Field[int]
	MonthlyCallLimit   patch.Field[int]
	MaxAgents          patch.Field[int]
	MaxContacts        patch.Field[int]
	MaxMessagesMonth   patch.Field[int]

	SIPEnabled  patch.Field[bool]
	SIPDomain   patch.Field[*string]
	SIPUsername patch.Field[*string]

	RecordingEnabled patch.Field[bool]
	RecordingFormat  patch.Field[string]
	AnalyticsEnabled patch.Field[bool]

	HIPAAEnabled          patch.Field[bool]
	PCIEnabled            patch.Field[bool]
	DataEncryptionEnabled patch.Field[bool]
	RetentionDays         patch.Field[int]

	WebhookURL            patch.Field[*string]
	WebhookTimeoutSeconds patch.Field[int]

	MetaData patch.Field[string]
}

// apply returns t with the settings. A limit that is the plan's own follows the
// tenant to another plan; one that was given to it stays.
func (s Settings) apply(t Tenant) Tenant {
	before, plan := Plans[t.BillingPlan], s.BillingPlan.Or(t.BillingPlan)
	after, known := Plans[plan]
	if !known {
		after = before
	}
	follow := func(now, old, next int) int {
		if now == old {
			return next
		}
		return now
	}
	t.BillingPlan = plan
	t.Name = s.Name.Or(t.Name)
	t.MaxConcurrentCalls = s.MaxConcurrentCalls.Or(follow(t.MaxConcurrentCalls, before.MaxConcurrentCalls, after.MaxConcurrentCalls))
	t.MonthlyCallLimit = s.MonthlyCallLimit.Or(follow(t.MonthlyCallLimit, before.MonthlyCallLimit, after.MonthlyCallLimit))
	t.Limits = Limits{
		MaxAgents:        s.MaxAgents.Or(follow(t.Limits.MaxAgents, before.Limits.MaxAgents, after.Limits.MaxAgents)),
		MaxContacts:      s.MaxContacts.Or(follow(t.Limits.MaxContacts, before.Limits.MaxContacts, after.Limits.MaxContacts)),
		MaxMessagesMonth: s.MaxMessagesMonth.Or(follow(t.Limits.MaxMessagesMonth, before.Limits.MaxMessagesMonth, after.Limits.MaxMessagesMonth)),
	}
	t.SIPEnabled = s.SIPEnabled.Or(t.SIPEnabled)
	t.SIPDomain = s.SIPDomain.Or(t.SIPDomain)
	t.SIPUsername = s.SIPUsername.Or(t.SIPUsername)
	t.RecordingEnabled = s.RecordingEnabled.Or(t.RecordingEnabled)
	t.RecordingFormat = s.RecordingFormat.Or(t.RecordingFormat)
	t.AnalyticsEnabled = s.AnalyticsEnabled.Or(t.AnalyticsEnabled)
	t.HIPAAEnabled = s.HIPAAEnabled.Or(t.HIPAAEnabled)
	t.PCIEnabled = s.PCIEnabled.Or(t.PCIEnabled)
	t.DataEncryptionEnabled = s.DataEncryptionEnabled.Or(t.DataEncryptionEnabled)
	t.RetentionDays = s.RetentionDays.Or(t.RetentionDays)
	t.WebhookURL = s.WebhookURL.Or(t.WebhookURL)
	t.WebhookTimeoutSeconds = s.WebhookTimeoutSeconds.Or(t.WebhookTimeoutSeconds)
	t.MetaData = s.MetaData.Or(t.MetaData)
	return t
}
