package api

import (
	"context"
	"errors"
	"reflect"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

// TenantRequester is what CreateTenant needs of a provisioning.Service.
type TenantRequester interface {
	Request(ctx context.Context, c identity.Caller, r provisioning.Request, receipt provisioning.Receipt) (provisioning.Result, error)
	Found(ctx context.Context, a provisioning.Account, r provisioning.Request, receipt provisioning.Receipt) (provisioning.Result, error)
}

// AccountFinder finds the account of a caller who is no user yet.
type AccountFinder interface {
	FindByID(ctx context.Context, id identity.UserID) (provisioning.Account, error)
}

// CreateTenant serves POST /tenants. It answers 202 with the tenant, which is
// still to be provisioned, and with the operation that does it. A slug, e-mail
// address or SIP domain that is taken is 409. Besides platform admins, a
// business account may call it whose tenant was not made at sign-up: it gets a
// pooled tenant of its own, within the ceilings of self-service.
func CreateTenant(service TenantRequester, accounts AccountFinder, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:  "CreateTenant",
		Allow: identity.Roles(identity.PlatformAdmin, identity.Applicant),
		Idempotency: &Idempotency{
			Records:   records,
			Key:       hashKey,
			WriteOnly: []string{"admin_password", "sip_password", "webhook_secret"},
		},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[tenantDraft](r)
			if err != nil {
				return nil, err
			}
			request := in.request()
			if err := faults.And(in.tenantGiven.faults()).And(request.Faults()).Err(); err != nil {
				return nil, err
			}
			receipt := func(result provisioning.Result) (*idempotency.Record, error) {
				return r.Receipt(requested(result, ""))
			}
			result, err := requestTenant(ctx, r.Caller, service, accounts, request, receipt)
			if err != nil {
				return nil, err
			}
			return requested(result, result.SIPPassword), nil
		},
	}
}

func requestTenant(ctx context.Context, c identity.Caller, service TenantRequester, accounts AccountFinder, request provisioning.Request, receipt provisioning.Receipt) (provisioning.Result, error) {
	if c.IsPlatformAdmin() {
		return service.Request(ctx, c, request, receipt)
	}
	found, err := accounts.FindByID(ctx, c.Subject)
	if errors.Is(err, fault.NotFound) {
		return provisioning.Result{}, account.ErrNoUser(err)
	}
	if err != nil {
		return provisioning.Result{}, err
	}
	if !found.Business {
		return provisioning.Result{}, fault.New(fault.Forbidden, "a developer account has no tenant")
	}
	if d := request.Draft; d.ID.Set || d.Isolation == patch.Of(tenant.Dedicated) || request.AdminEmail.Set {
		return provisioning.Result{}, fault.New(fault.Forbidden, "only a platform admin may give id, isolation dedicated and admin_email")
	}
	return service.Found(ctx, found, request, receipt)
}

// requested returns the answer to a request for a tenant. It shows a password
// that was made for it, or says that one was shown.
func requested(result provisioning.Result, password string) *Response {
	view := requestedView{
		tenantView:  newTenantView(result.Tenant, usage.Usage{}),
		OperationID: result.Operation.ID,
		SIPPassword: password,
		SecretShown: password == "" && result.SIPPassword != "",
	}
	return Accepted("/operations/"+string(result.Operation.ID), view)
}

// tenantDraft is the body of POST /tenants.
type tenantDraft struct {
	tenantSettings
	tenantGiven
	ID            patch.Field[identity.TenantID] `json:"id"`
	Slug          patch.Field[string]            `json:"slug"`
	Country       patch.Field[*string]           `json:"country"`
	Isolation     patch.Field[tenant.Isolation]  `json:"isolation"`
	AdminEmail    patch.Field[string]            `json:"admin_email"`
	AdminPassword patch.Field[string]            `json:"admin_password"`
	SIPPassword   patch.Field[string]            `json:"sip_password"`
	WebhookSecret patch.Field[string]            `json:"webhook_secret"`
}

// tenantGiven is the members of a tenant that come about by themselves.
type tenantGiven struct {
	Status            patch.Field[jsontext.Value] `json:"status"`
	StatusReason      patch.Field[jsontext.Value] `json:"status_reason"`
	OwnerID           patch.Field[jsontext.Value] `json:"owner_id"`
	Database          patch.Field[jsontext.Value] `json:"database"`
	MongoDatabase     patch.Field[jsontext.Value] `json:"mongo_database"`
	SchemaVersion     patch.Field[jsontext.Value] `json:"schema_version"`
	MonthlyUsageCents patch.Field[jsontext.Value] `json:"monthly_usage_cents"`
	CreatedAt         patch.Field[jsontext.Value] `json:"created_at"`
	UpdatedAt         patch.Field[jsontext.Value] `json:"updated_at"`
	PurgeAt           patch.Field[jsontext.Value] `json:"purge_at"`
}

// faults returns the members that were set.
func (in tenantGiven) faults() fault.Fields {
	var f fault.Fields
	fields := jsonFields(reflect.TypeOf(in))
	for _, name := range sortedKeys(fields) {
		if !reflect.ValueOf(in).FieldByIndex(fields[name]).IsZero() {
			f.Add("#/"+name, "cannot be set")
		}
	}
	return f
}

func (d tenantDraft) request() provisioning.Request {
	return provisioning.Request{
		Draft: tenant.Draft{
			Settings:  d.settings(),
			ID:        d.ID,
			Slug:      d.Slug,
			Country:   d.Country,
			Isolation: d.Isolation,
		},
		AdminEmail:    d.AdminEmail,
		AdminPassword: d.AdminPassword,
		SIPPassword:   d.SIPPassword,
		WebhookSecret: d.WebhookSecret,
	}
}

// requestedView is a tenant that is still to be provisioned.
type requestedView struct {
	tenantView
	OperationID operation.ID `json:"operation_id"`
	SIPPassword string       `json:"sip_password,omitzero"`
	SecretShown bool         `json:"secret_shown,omitzero"`
}
