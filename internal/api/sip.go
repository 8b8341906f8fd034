package api

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

// GetSIPCredentials serves GET /tenants/{tenant_id}/sip-credentials. It answers
// 304 to the version of the tenant that the client has already, and 404 if the
// tenant has no SIP.
func GetSIPCredentials(tenants TenantGetter) Operation {
	return Operation{
		Name:  "GetSipCredentials",
		Allow: identity.Managers(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			t, err := readable(ctx, tenants, r.Caller, r.TenantID())
			if err != nil {
				return nil, err
			}
			if !t.SIPEnabled {
				return nil, tenant.NoSIP(t.ID)
			}
			view := newSIPView(t)
			return OK(view).WithVersion(t.Version, view.PreviousValidUntil.mark()), nil
		},
	}
}

// PutSIPCredentials serves PUT /tenants/{tenant_id}/sip-credentials, which turns
// SIP on. It answers 200 with the credentials, and with the password if it had to
// make one. What a tenant's status refuses is 403 or 409, a SIP domain that is
// taken is 409, and another version than that in If-Match is 412.
func PutSIPCredentials(tenants TenantUpdater, operations RunningFinder) Operation {
	return Operation{
		Name:  "PutSipCredentials",
		Allow: identity.Managers(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[sipDraft](r)
			if err != nil {
				return nil, err
			}
			edit := func(tenant.Tenant) (tenant.Patch, fault.Fields) { return in.patch(), faults.And(in.missing()) }
			updated, err := tenants.Update(ctx, r.Caller, r.TenantID(), r.IfMatch(), edit)
			if errors.Is(err, fault.OperationRunning) {
				return nil, nameRunning(ctx, err, operations, r.TenantID())
			}
			if err != nil {
				return nil, err
			}
			view := sipSecretView{sipView: newSIPView(updated.Tenant), SIPPassword: updated.SIPPassword}
			return OK(view).WithVersion(updated.Tenant.Version, view.PreviousValidUntil.mark()), nil
		},
	}
}

// SIPRotator is what RotateSIPCredentials needs of a tenant.Rotator.
type SIPRotator interface {
	Rotate(ctx context.Context, c identity.Caller, id identity.TenantID, rotation tenant.Rotation, receipt tenant.RotationReceipt) (tenant.Updated, error)
}

// RotateSIPCredentials serves POST /tenants/{tenant_id}/sip-credentials/rotate. It
// answers 200 with the credentials and the new password, and 409 while the password
// before the present one is valid, unless it is told to end that.
func RotateSIPCredentials(tenants SIPRotator, operations RunningFinder, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:        "RotateSipCredentials",
		Allow:       identity.Managers(),
		Idempotency: &Idempotency{Records: records, Key: hashKey},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := DecodeOptional[rotationDraft](r)
			if err != nil {
				return nil, err
			}
			rotation := tenant.Rotation{OverlapSeconds: in.OverlapSeconds, Force: in.Force.Value}
			if err := faults.And(rotation.Faults()).Err(); err != nil {
				return nil, err
			}
			receipt := func(u tenant.Updated) (*idempotency.Record, error) {
				return r.Receipt(rotated(u.Tenant, sipSecretView{SecretShown: true}))
			}
			updated, err := tenants.Rotate(ctx, r.Caller, r.TenantID(), rotation, receipt)
			if errors.Is(err, fault.OperationRunning) {
				return nil, nameRunning(ctx, err, operations, r.TenantID())
			}
			if err != nil {
				return nil, err
			}
			return rotated(updated.Tenant, sipSecretView{SIPPassword: updated.SIPPassword}), nil
		},
	}
}

// rotated answers with a tenant's credentials, and with what view shows of the
// password.
func rotated(t tenant.Tenant, view sipSecretView) *Response {
	view.sipView = newSIPView(t)
	return OK(view).WithVersion(t.Version, view.PreviousValidUntil.mark())
}

// SIPCredentialFinder is what GetSIPDigest needs of a tenant.Service.
type SIPCredentialFinder interface {
	SIPCredentials(ctx context.Context, c identity.Caller, id identity.TenantID) (tenant.SIPCredentials, error)
}

// GetSIPDigest serves GET /tenants/{tenant_id}/sip-credentials/digest, for the
// telephony edge: what the sign-ins of the tenant's SIP user are checked with. A
// tenant that is not in service is 403, and one without SIP 404.
func GetSIPDigest(tenants SIPCredentialFinder, operations RunningFinder) Operation {
	return Operation{
		Name:  "GetSipDigest",
		Allow: identity.Services(identity.SIPRead),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			credentials, err := tenants.SIPCredentials(ctx, r.Caller, r.TenantID())
			if errors.Is(err, fault.OperationRunning) {
				return nil, nameRunning(ctx, err, operations, r.TenantID())
			}
			if err != nil {
				return nil, err
			}
			return OK(newDigestView(credentials)), nil
		},
	}
}

// sipDraft is the body of PUT /tenants/{tenant_id}/sip-credentials.
type sipDraft struct {
	SIPDomain   patch.Field[string] `json:"sip_domain"`
	SIPUsername patch.Field[string] `json:"sip_username"`
	SIPPassword patch.Field[string] `json:"sip_password"`
}

// missing returns the members that are required and not there.
func (in sipDraft) missing() fault.Fields {
	var f fault.Fields
	if !in.SIPDomain.Set {
		f.Add("#/sip_domain", "is required")
	}
	if !in.SIPUsername.Set {
		f.Add("#/sip_username", "is required")
	}
	return f
}

func (in sipDraft) patch() tenant.Patch {
	return tenant.Patch{
		Settings: tenant.Settings{
			SIPEnabled:  patch.Of(true),
			SIPDomain:   patch.Field[*string]{Set: in.SIPDomain.Set, Value: &in.SIPDomain.Value},
			SIPUsername: patch.Field[*string]{Set: in.SIPUsername.Set, Value: &in.SIPUsername.Value},
		},
		Secrets: tenant.SecretSettings{SIPPassword: in.SIPPassword},
	}
}

// rotationDraft is the body of POST /tenants/{tenant_id}/sip-credentials/rotate.
type rotationDraft struct {
	OverlapSeconds patch.Field[int]  `json:"overlap_seconds"`
	Force          patch.Field[bool] `json:"force"`
}

// sipView is a tenant's SIP credentials as clients see them.
type sipView struct {
	SIPEnabled         bool       `json:"sip_enabled"`
	SIPDomain          *string    `json:"sip_domain"`
	SIPUsername        *string    `json:"sip_username"`
	RotatedAt          *timestamp `json:"rotated_at"`
	PreviousValidUntil *timestamp `json:"previous_valid_until"`
}

func newSIPView(t tenant.Tenant) sipView {
	return sipView{
		SIPEnabled:         t.SIPEnabled,
		SIPDomain:          t.SIPDomain,
		SIPUsername:        t.SIPUsername,
		RotatedAt:          (*timestamp)(t.SIPRotatedAt),
		PreviousValidUntil: (*timestamp)(t.SIPOverlapUntil(time.Now())),
	}
}

// sipSecretView is the credentials with a password that was just made, or with the
// word that one was shown.
type sipSecretView struct {
	sipView
	SIPPassword string `json:"sip_password,omitzero"`
	SecretShown bool   `json:"secret_shown,omitzero"`
}

// digestView is what a registrar checks sign-ins with.
type digestView struct {
	SIPDomain   string           `json:"sip_domain"`
	SIPUsername string           `json:"sip_username"`
	Credentials []credentialView `json:"credentials"`
}

type credentialView struct {
	ValidUntil *timestamp `json:"valid_until"`
	HA1        ha1View    `json:"ha1"`
}

// ha1View is the digest of a password by the names of the algorithms.
type ha1View struct {
	MD5    string `json:"MD5"`
	SHA256 string `json:"SHA-256"`
}

func newDigestView(c tenant.SIPCredentials) digestView {
	view := digestView{SIPDomain: c.Domain, SIPUsername: c.Username}
	for _, d := range c.Digests {
		view.Credentials = append(view.Credentials, credentialView{(*timestamp)(d.ValidUntil), ha1View{d.MD5, d.SHA256}})
	}
	return view
}
