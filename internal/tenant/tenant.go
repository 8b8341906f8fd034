// Package tenant holds what a tenant is, and the rules that every change of one
// must keep. It knows neither HTTP nor AWS.
package tenant

import (
	"time"

	"github.com/tenantry/tenantry/internal/identity"
)

// A Tenant is one organization on the platform.
type Tenant struct {
	ID           identity.TenantID
	Name         string
	Slug         string
	Status       Status
	StatusReason *string
	OwnerID      *identity.UserID
	Country      *string // ISO 3166-1 alpha-2

	BillingPlan        PlanName
	MaxConcurrentCalls int
	MonthlyCallLimit   int
	Limits             Limits

	SIPEnabled  bool
	SIPDomain   *string
	SIPUsername *string

	RecordingEnabled bool
	RecordingFormat  string
	AnalyticsEnabled bool

	HIPAAEnabled          bool
	PCIEnabled            bool
	DataEncryptionEnabled bool
	RetentionDays         int

	WebhookURL            *string
	WebhookTimeoutSeconds int

	MetaData string // a JSON object

	Isolation     Isolation
	Database      *string // the name of its own DynamoDB table
	MongoDatabase *string
	SchemaVersion int

	// Secret is where the tenant's SIP password and webhook secret are, or nil if
	// it has neither.
	Secret *SecretRef
	// SIPRotatedAt is when the tenant got its SIP password, or nil if it has none,
	// and SIPPreviousUntil until when the one before it is valid, or nil if that
	// was not to be valid any more.
	SIPRotatedAt     *time.Time
	SIPPreviousUntil *time.Time

	// PurgeAt is when the tenant may be taken apart, and Former what it was before
	// it was to be deleted. Both are nil unless it is.
	PurgeAt *time.Time
	Former  *Former

	CreatedAt time.Time
	UpdatedAt time.Time

	Number  int64 // its place in the directory of all tenants
	Version int64 // of the stored row; 1 when it is new
}

// Changed returns the tenant one version later, as a change at a time leaves it. Its
// UpdatedAt is later than it was by a millisecond at least, whatever the clock of the
// one who changed it before said: the times of changes are in the order of versions.
func (t Tenant) Changed(now time.Time) Tenant {
	if next := t.UpdatedAt.Add(time.Millisecond); now.Before(next) {
		now = next
	}
	t.UpdatedAt, t.Version = now, t.Version+1
	return t
}

// A SecretRef names one version of a secret. A row that names a version stays
// true while the next one is being written.
type SecretRef struct {
	Name    string
	Version string
}

// Limits are what a tenant may have or use, besides its calls.
type Limits struct {
	MaxAgents        int
	MaxContacts      int
	MaxMessagesMonth int
}

// Isolation is how a tenant's own data is kept apart.
type Isolation string

// The kinds of isolation.
const (
	Pooled    Isolation = "pooled"    // in the table that tenants share
	Dedicated Isolation = "dedicated" // in a database of its own
)

// A PlanName names a billing plan.
type PlanName string

// The plans.
const (
	Starter    PlanName = "starter"
	Business   PlanName = "business"
	Enterprise PlanName = "enterprise"
)

// A Plan is what a tenant gets unless it is given something else, and the
// ceiling of what it may give itself.
type Plan struct {
	MaxConcurrentCalls int
	MonthlyCallLimit   int
	Limits             Limits
}

// Plans is the one place where the plans stand.
var Plans = map[PlanName]Plan{
	Starter:    {10, 1_000, Limits{3, 1_000, 5_000}},
	Business:   {100, 50_000, Limits{50, 100_000, 500_000}},
	Enterprise: {1000, 1_000_000, Limits{1_000, 10_000_000, 50_000_000}},
}

// selfService is the plans that a tenant's owner and admins may move between.
var selfService = map[PlanName]bool{Starter: true, Business: true, Enterprise: false}
