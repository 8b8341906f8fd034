package api

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

// TenantGetter finds tenants.
type TenantGetter interface {
	// Get returns the tenant, or fault.NotFound.
	Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error)
}

// UsageFinder finds what tenants use.
type UsageFinder interface {
	// Usage returns what a tenant uses in the month of a time.
	Usage(ctx context.Context, id identity.TenantID, at time.Time) (usage.Usage, error)
}

// TenantReader is what GetTenant needs of the store of tenants.
type TenantReader interface {
	// GetWithUsage returns the tenant with what it uses in the month of a time, or
	// fault.NotFound.
	GetWithUsage(ctx context.Context, id identity.TenantID, at time.Time) (tenant.Tenant, usage.Usage, error)
}

// GetTenant serves GET /tenants/{tenant_id}. It answers 304 to the version that
// the client has already, which its use does not change.
func GetTenant(tenants TenantReader) Operation {
	return Operation{
		Name:  "GetTenant",
		Allow: identity.Members(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			t, used, err := tenants.GetWithUsage(ctx, r.TenantID(), time.Now())
			if err == nil {
				err = t.AdmitReader(r.Caller)
			}
			if err != nil {
				return nil, err
			}
			return OK(newTenantView(t, used)).WithVersion(t.Version), nil
		},
	}
}

// TenantUpdater is what UpdateTenant needs of a tenant.Service.
type TenantUpdater interface {
	Update(ctx context.Context, c identity.Caller, id identity.TenantID, versions []int64, edit tenant.Editor) (tenant.Updated, error)
}

// RunningFinder finds the operation that runs on a tenant.
type RunningFinder interface {
	// Running returns its id, or fault.NotFound.
	Running(ctx context.Context, id identity.TenantID) (operation.ID, error)
}

// UpdateTenant serves PUT and PATCH /tenants/{tenant_id}, which do the same. It
// answers 200 with the tenant as it is then, and with the SIP password if it had
// to make one. What a tenant's status refuses is 403 or 409, more than
// self-service gives is 403, and another version than that in If-Match is 412.
func UpdateTenant(tenants TenantUpdater, usages UsageFinder, operations RunningFinder) Operation {
	return Operation{
		Name:  "UpdateTenant",
		Allow: identity.Managers().ByProxy(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[tenantPatch](r)
			if err != nil {
				return nil, err
			}
			edit := func(current tenant.Tenant) (tenant.Patch, fault.Fields) {
				return in.patch(), faults.And(in.faults(current))
			}
			used, err := usages.Usage(ctx, r.TenantID(), time.Now()) // first: what fails after the change loses a password
			if err != nil {
				return nil, err
			}
			updated, err := tenants.Update(ctx, r.Caller, r.TenantID(), r.IfMatch(), edit)
			if errors.Is(err, fault.OperationRunning) {
				return nil, nameRunning(ctx, err, operations, r.TenantID())
			}
			if err != nil {
				return nil, err
			}
			view := updatedTenantView{newTenantView(updated.Tenant, used), updated.SIPPassword}
			return OK(view).WithVersion(updated.Tenant.Version), nil
		},
	}
}

// nameRunning adds the operation that runs on a tenant to an error of kind
// OperationRunning. It may have ended since.
func nameRunning(ctx context.Context, err error, operations RunningFinder, id identity.TenantID) error {
	running, err2 := operations.Running(ctx, id)
	if errors.Is(err2, fault.NotFound) {
		return err
	}
	if err2 != nil {
		return err2
	}
	named := fault.Error{Kind: fault.OperationRunning, Err: err, Members: map[string]any{"operation_id": running}}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		named.Detail = f.Detail
	}
	return &named
}

// nameBusy is nameRunning for an error that knows which tenant it is about, if it
// is of that kind.
func nameBusy(ctx context.Context, err error, operations RunningFinder) error {
	busy, ok := errors.AsType[tenant.Busy](err)
	if !ok {
		return err
	}
	return nameRunning(ctx, err, operations, busy.ID)
}

// tenantSettings is what a client may set of a tenant, when it is made and
// later.
type tenantSettings struct {
	Name                  patch.Field[string]          `json:"name,omitzero"`
	BillingPlan           patch.Field[tenant.PlanName] `json:"billing_plan,omitzero"`
	MaxConcurrentCalls    patch.Field[int]             `json:"max_concurrent_calls,omitzero"`
	MonthlyCallLimit      patch.Field[int]             `json:"monthly_call_limit,omitzero"`
	Limits                limitsSettings               `json:"limits,omitzero"`
	SIPEnabled            patch.Field[bool]            `json:"sip_enabled,omitzero"`
	SIPDomain             patch.Field[*string]         `json:"sip_domain,omitzero"`
	SIPUsername           patch.Field[*string]         `json:"sip_username,omitzero"`
	RecordingEnabled      patch.Field[bool]            `json:"recording_enabled,omitzero"`
	RecordingFormat       patch.Field[string]          `json:"recording_format,omitzero"`
	AnalyticsEnabled      patch.Field[bool]            `json:"analytics_enabled,omitzero"`
	HIPAAEnabled          patch.Field[bool]            `json:"hipaa_enabled,omitzero"`
	PCIEnabled            patch.Field[bool]            `json:"pci_enabled,omitzero"`
	DataEncryptionEnabled patch.Field[bool]            `json:"data_encryption_enabled,omitzero"`
	RetentionDays         patch.Field[int]             `json:"retention_days,omitzero"`
	WebhookURL            patch.Field[*string]         `json:"webhook_url,omitzero"`
	WebhookTimeoutSeconds patch.Field[int]             `json:"webhook_timeout_seconds,omitzero"`
	MetaData              patch.Field[jsontext.Value]  `json:"meta_data,omitzero"`
}

type limitsSettings struct {
	MaxAgents        patch.Field[int] `json:"max_agents,omitzero"`
	MaxContacts      patch.Field[int] `json:"max_contacts,omitzero"`
	MaxMessagesMonth patch.Field[int] `json:"max_messages_month,omitzero"`
}

func (in tenantSettings) settings() tenant.Settings {
	settings := tenant.Settings{
		Name:                  in.Name,
		BillingPlan:           in.BillingPlan,
		MaxConcurrentCalls:    in.MaxConcurrentCalls,
		MonthlyCallLimit:      in.MonthlyCallLimit,
		MaxAgents:             in.Limits.MaxAgents,
		MaxContacts:           in.Limits.MaxContacts,
		MaxMessagesMonth:      in.Limits.MaxMessagesMonth,
		SIPEnabled:            in.SIPEnabled,
		SIPDomain:             in.SIPDomain,
		SIPUsername:           in.SIPUsername,
		RecordingEnabled:      in.RecordingEnabled,
		RecordingFormat:       in.RecordingFormat,
		AnalyticsEnabled:      in.AnalyticsEnabled,
		HIPAAEnabled:          in.HIPAAEnabled,
		PCIEnabled:            in.PCIEnabled,
		DataEncryptionEnabled: in.DataEncryptionEnabled,
		RetentionDays:         in.RetentionDays,
		WebhookURL:            in.WebhookURL,
		WebhookTimeoutSeconds: in.WebhookTimeoutSeconds,
	}
	if in.MetaData.Set {
		settings.MetaData = patch.Of(plainJSON(in.MetaData.Value))
	}
	return settings
}

// plainJSON returns a JSON text in the form in which answers show it, so that
// what is sent back as it was is what it was.
func plainJSON(value jsontext.Value) string {
	text, err := json.Marshal(value)
	if err != nil {
		return string(value)
	}
	return string(text)
}

// tenantPatch is the body of PUT and PATCH /tenants/{tenant_id}.
type tenantPatch struct {
	tenantSettings
	tenantReadOnly
	SIPPassword   patch.Field[string]        `json:"sip_password,omitzero"`
	WebhookSecret patch.Field[string]        `json:"webhook_secret,omitzero"`
	Status        patch.Field[tenant.Status] `json:"status,omitzero"`
	StatusReason  patch.Field[*string]       `json:"status_reason,omitzero"`
	// What a tenant's use costs changes all the time, so a client that sends back
	// what it was has done nothing wrong.
	MonthlyUsageCents patch.Field[int64] `json:"monthly_usage_cents,omitzero"`
}

// tenantReadOnly is the members of a tenant that a client may send back as they
// were.
type tenantReadOnly struct {
	ID            patch.Field[jsontext.Value] `json:"id,omitzero"`
	Slug          patch.Field[jsontext.Value] `json:"slug,omitzero"`
	OwnerID       patch.Field[jsontext.Value] `json:"owner_id,omitzero"`
	Country       patch.Field[jsontext.Value] `json:"country,omitzero"`
	Isolation     patch.Field[jsontext.Value] `json:"isolation,omitzero"`
	Database      patch.Field[jsontext.Value] `json:"database,omitzero"`
	MongoDatabase patch.Field[jsontext.Value] `json:"mongo_database,omitzero"`
	SchemaVersion patch.Field[jsontext.Value] `json:"schema_version,omitzero"`
	CreatedAt     patch.Field[jsontext.Value] `json:"created_at,omitzero"`
	UpdatedAt     patch.Field[jsontext.Value] `json:"updated_at,omitzero"`
	PurgeAt       patch.Field[jsontext.Value] `json:"purge_at,omitzero"`
}

func (in tenantPatch) patch() tenant.Patch {
	return tenant.Patch{
		Settings:     in.settings(),
		Secrets:      tenant.SecretSettings{SIPPassword: in.SIPPassword, WebhookSecret: in.WebhookSecret},
		Status:       in.Status,
		StatusReason: in.StatusReason,
	}
}

// faults returns the members that would change what cannot be changed of t.
func (in tenantReadOnly) faults(t tenant.Tenant) fault.Fields {
	return readOnlyFaults(in, newTenantView(t, usage.Usage{}))
}

// readOnlyFaults returns the members that in, a struct of members that a client
// may send back as they were, would change of what view shows.
func readOnlyFaults(in, view any) fault.Fields {
	var f fault.Fields
	values, shown := reflect.ValueOf(in), reflect.ValueOf(view)
	from, to := jsonFields(values.Type()), jsonFields(shown.Type())
	for _, name := range sortedKeys(from) {
		field, ok := reflect.TypeAssert[patch.Field[jsontext.Value]](values.FieldByIndex(from[name]))
		if ok && field.Set && !encodesTo(shown.FieldByIndex(to[name]).Interface(), field.Value) {
			f.Add("#/"+name, "cannot be changed")
		}
	}
	return f
}

// encodesTo reports whether v is, in JSON, the same as value.
func encodesTo(v any, value jsontext.Value) bool {
	text, err := json.Marshal(v)
	return err == nil && string(text) == plainJSON(value)
}

// tenantView is a tenant as clients see it.
type tenantView struct {
	tenantSummaryView
	MonthlyUsageCents int64          `json:"monthly_usage_cents"`
	MetaData          jsontext.Value `json:"meta_data"`
}

// tenantSummaryView is a tenant in a list.
type tenantSummaryView struct {
	ID                    identity.TenantID `json:"id"`
	Name                  string            `json:"name"`
	Slug                  string            `json:"slug"`
	Status                tenant.Status     `json:"status"`
	StatusReason          *string           `json:"status_reason"`
	OwnerID               *identity.UserID  `json:"owner_id"`
	BillingPlan           tenant.PlanName   `json:"billing_plan"`
	Country               *string           `json:"country"`
	MaxConcurrentCalls    int               `json:"max_concurrent_calls"`
	MonthlyCallLimit      int               `json:"monthly_call_limit"`
	Limits                limitsView        `json:"limits"`
	SIPEnabled            bool              `json:"sip_enabled"`
	SIPDomain             *string           `json:"sip_domain"`
	SIPUsername           *string           `json:"sip_username"`
	RecordingEnabled      bool              `json:"recording_enabled"`
	RecordingFormat       string            `json:"recording_format"`
	AnalyticsEnabled      bool              `json:"analytics_enabled"`
	HIPAAEnabled          bool              `json:"hipaa_enabled"`
	PCIEnabled            bool              `json:"pci_enabled"`
	DataEncryptionEnabled bool              `json:"data_encryption_enabled"`
	RetentionDays         int               `json:"retention_days"`
	WebhookURL            *string           `json:"webhook_url"`
	WebhookTimeoutSeconds int               `json:"webhook_timeout_seconds"`
	Isolation             tenant.Isolation  `json:"isolation"`
	Database              *string           `json:"database"`
	MongoDatabase         *string           `json:"mongo_database"`
	SchemaVersion         int               `json:"schema_version"`
	CreatedAt             timestamp         `json:"created_at"`
	UpdatedAt             timestamp         `json:"updated_at"`
	PurgeAt               *timestamp        `json:"purge_at"`
}

type limitsView struct {
	MaxAgents        int `json:"max_agents"`
	MaxContacts      int `json:"max_contacts"`
	MaxMessagesMonth int `json:"max_messages_month"`
}

// updatedTenantView is a tenant after an update, with the password that the
// update made.
type updatedTenantView struct {
	tenantView
	SIPPassword string `json:"sip_password,omitzero"`
}

// newTenantView shows a tenant, and what its use costs.
func newTenantView(t tenant.Tenant, used usage.Usage) tenantView {
	return tenantView{newTenantSummaryView(t), used.Cents(), jsontext.Value(t.MetaData)}
}

func newTenantSummaryView(t tenant.Tenant) tenantSummaryView {
	return tenantSummaryView{
		ID:                    t.ID,
		Name:                  t.Name,
		Slug:                  t.Slug,
		Status:                t.Status,
		StatusReason:          t.StatusReason,
		OwnerID:               t.OwnerID,
		BillingPlan:           t.BillingPlan,
		Country:               t.Country,
		MaxConcurrentCalls:    t.MaxConcurrentCalls,
		MonthlyCallLimit:      t.MonthlyCallLimit,
		Limits:                limitsView(t.Limits),
		SIPEnabled:            t.SIPEnabled,
		SIPDomain:             t.SIPDomain,
		SIPUsername:           t.SIPUsername,
		RecordingEnabled:      t.RecordingEnabled,
		RecordingFormat:       t.RecordingFormat,
		AnalyticsEnabled:      t.AnalyticsEnabled,
		HIPAAEnabled:          t.HIPAAEnabled,
		PCIEnabled:            t.PCIEnabled,
		DataEncryptionEnabled: t.DataEncryptionEnabled,
		RetentionDays:         t.RetentionDays,
		WebhookURL:            t.WebhookURL,
		WebhookTimeoutSeconds: t.WebhookTimeoutSeconds,
		Isolation:             t.Isolation,
		Database:              t.Database,
		MongoDatabase:         t.MongoDatabase,
		SchemaVersion:         t.SchemaVersion,
		CreatedAt:             timestamp(t.CreatedAt),
		UpdatedAt:             timestamp(t.UpdatedAt),
		PurgeAt:               (*timestamp)(t.PurgeAt),
	}
}
