package api

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

var (
	asEdge   = AuthorizerContext{Subject: "K", Role: identity.Service, Scopes: []identity.Scope{identity.SIPRead}}
	sipRoute = "/tenants/" + acmeID + "/sip-credentials"
)

const sipEnd = `"instance":"/tenants/` + acmeID + `/sip-credentials","request_id":"R1"`

// A telephony is one tenant with its secrets, and the operations on them.
type telephony struct {
	oneTenant
	noVault
	records recorder
}

// newTelephony returns an active tenant with SIP, whose password is Circle of
// Life.
func newTelephony(edit func(*tenant.Tenant)) *telephony {
	t := newAcme(func(t *tenant.Tenant) {
		t.SIPEnabled, t.SIPDomain, t.SIPUsername = true, new("sip.example.com"), new("acme")
		t.Secret, t.SIPRotatedAt = &tenant.SecretRef{Name: "name", Version: "version"}, new(t.CreatedAt)
		if edit != nil {
			edit(t)
		}
	})
	secrets := &tenant.Secrets{SIP: tenant.SIPPasswords{Current: "Circle of Life"}}
	return &telephony{oneTenant{t}, noVault{secrets}, recorder{}}
}

func (p *telephony) UpdateOnce(ctx context.Context, before, after tenant.Tenant, r audit.Record, receipt *idempotency.Record) error {
	if err := p.records.keep(receipt); err != nil {
		return err
	}
	return p.Update(ctx, before, after, r)
}

// send sends a request to an operation on the credentials: GET, PUT, rotate or
// digest.
func (p *telephony) send(t *testing.T, name string, s sent) envelope {
	t.Helper()
	running := runningFunc(func() (operation.ID, error) { return "operation-1", nil })
	key := func(context.Context) ([]byte, error) { return []byte("key"), nil }
	service := tenant.NewService(p, p)
	s.path, s.params = sipRoute, map[string]string{"tenant_id": acmeID}
	switch name {
	case "PUT":
		s.method = name
		return serve(t, PutSIPCredentials(service, running), s)
	case "rotate":
		s.path += "/rotate"
		return serve(t, RotateSIPCredentials(tenant.NewRotator(p, p), running, p.records, key), s)
	case "digest":
		s.method, s.path = "GET", s.path+"/digest"
		return serve(t, GetSIPDigest(service, running), s)
	}
	s.method = "GET"
	return serve(t, GetSIPCredentials(&p.oneTenant), s)
}

func TestGetSIPCredentials(t *testing.T) {
	const start = `{"sip_enabled":true,"sip_domain":"sip.example.com","sip_username":"acme",`
	for name, test := range map[string]struct {
		edit   func(*tenant.Tenant)
		caller AuthorizerContext
		status int
		want   string
	}{
		"as they are made":   {nil, asOwner, 200, start + `"rotated_at":"2026-11-22T01:30:00.000Z","previous_valid_until":null}`},
		"without a password": {func(t *tenant.Tenant) { t.SIPRotatedAt = nil }, asAdmin, 200, start + `"rotated_at":null,"previous_valid_until":null}`},
		"in an overlap": {
			func(t *tenant.Tenant) { t.SIPPreviousUntil = new(time.Date(2126, 11, 22, 1, 30, 0, 0, time.UTC)) }, asOwner, 200,
			start + `"rotated_at":"2026-11-22T01:30:00.000Z","previous_valid_until":"2126-11-22T01:30:00.000Z"}`,
		},
		"after an overlap": {
			func(t *tenant.Tenant) { t.SIPPreviousUntil = new(t.CreatedAt.AddDate(-10, 0, 0)) }, asOwner, 200,
			start + `"rotated_at":"2026-11-22T01:30:00.000Z","previous_valid_until":null}`,
		},
		"no SIP":       {func(t *tenant.Tenant) { t.SIPEnabled = false }, asOwner, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"tenant \"`+acmeID+`\" has no SIP credentials",`+sipEnd)},
		"another's":    {nil, asStranger, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+sipEnd)},
		"another role": {nil, asSupervisor, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, supervisor, may not do this",`+sipEnd)},
		"a service":    {nil, asEdge, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, service, may not do this",`+sipEnd)},
	} {
		t.Run(name, func(t *testing.T) {
			got := newTelephony(test.edit).send(t, "GET", sent{caller: test.caller})
			got.check(t, test.status, test.want)
			if version, ok := parseETag(got.Headers["etag"]); ok != (test.status == 200) || ok && version != 7 {
				t.Errorf("got the ETag %s", got.Headers["etag"])
			}
		})
	}
}

// The end of an overlap changes the ETag, though it does not change the tenant.
func TestOverlapEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := time.Now().Add(time.Hour)
		telephony := newTelephony(func(t *tenant.Tenant) { t.SIPPreviousUntil = &ends })
		get := func(tag string) envelope {
			return telephony.send(t, "GET", sent{caller: asOwner, headers: map[string]string{"if-none-match": tag}})
		}
		during := get("")
		get(during.Headers["etag"]).check(t, 304, "")
		time.Sleep(time.Hour)
		after := get(during.Headers["etag"])
		if after.StatusCode != 200 || !strings.Contains(after.Body, `"previous_valid_until":null`) || after.Headers["etag"] != `"7"` {
			t.Errorf("got %d %s with ETag %s", after.StatusCode, after.Body, after.Headers["etag"])
		}
	})
}

// A sipAnswer is what a change of credentials is answered with.
type sipAnswer struct {
	SIPEnabled         bool       `json:"sip_enabled"`
	SIPDomain          string     `json:"sip_domain"`
	SIPUsername        string     `json:"sip_username"`
	RotatedAt          time.Time  `json:"rotated_at"`
	PreviousValidUntil *time.Time `json:"previous_valid_until"`
	SIPPassword        string     `json:"sip_password"`
	SecretShown        bool       `json:"secret_shown"`
}

func readSIPAnswer(t *testing.T, e envelope) sipAnswer {
	t.Helper()
	var answer sipAnswer
	if err := json.Unmarshal([]byte(e.Body), &answer); err != nil || e.StatusCode != 200 {
		t.Fatalf("got %d %s, %v", e.StatusCode, e.Body, err)
	}
	return answer
}

func TestPutSIPCredentials(t *testing.T) {
	const body = `{"sip_domain":"sip.example.net","sip_username":"simba"`
	off := func(t *tenant.Tenant) {
		t.SIPEnabled, t.SIPDomain, t.SIPUsername, t.Secret, t.SIPRotatedAt = false, nil, nil, nil, nil
	}
	for name, test := range map[string]struct {
		edit      func(*tenant.Tenant)
		body      string
		generated bool
		password  string // "" where it is generated
		rotated   bool
	}{
		"turned on":           {off, body + `}`, true, "", true},
		"turned on with one":  {off, body + `,"sip_password":"given-password"}`, false, "given-password", true},
		"moved":               {nil, body + `}`, false, "Circle of Life", false},
		"with a new password": {nil, body + `,"sip_password":"given-password"}`, false, "given-password", true},
		"turned on again":     {func(t *tenant.Tenant) { t.SIPEnabled = false }, body + `}`, false, "Circle of Life", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTelephony(test.edit)
			if p.Secret == nil {
				*p.secrets = tenant.Secrets{}
			}
			e := p.send(t, "PUT", sent{caller: asOwner, body: test.body})
			got := readSIPAnswer(t, e)
			if test.generated {
				test.password = got.SIPPassword
			}
			if !got.SIPEnabled || got.SIPDomain != "sip.example.net" || got.SIPUsername != "simba" || got.PreviousValidUntil != nil {
				t.Errorf("got %s", e.Body)
			}
			if test.generated != (got.SIPPassword != "") || test.password == "" || p.secrets.SIP.Current != test.password {
				t.Errorf("got %s, and the password is %q, want %q", e.Body, p.secrets.SIP.Current, test.password)
			}
			if rotated := got.RotatedAt.After(p.CreatedAt); rotated != test.rotated {
				t.Errorf("it was rotated at %v", got.RotatedAt)
			}
			if e.Headers["etag"] != `"8"` || p.Version != 8 {
				t.Errorf("got the ETag %s and version %d", e.Headers["etag"], p.Version)
			}
		})
	}
}

func TestPutSIPCredentialsRefused(t *testing.T) {
	const body = `{"sip_domain":"sip.example.net","sip_username":"simba"}`
	invalid := func(faults string) string {
		return problemBody(fault.Invalid, "The request breaks rules", 422, `"detail":"the request breaks a rule; errors lists each",`+sipEnd+`,"errors":[`+faults+`]`)
	}
	for name, test := range map[string]struct {
		edit   func(*tenant.Tenant)
		caller AuthorizerContext
		match  string
		body   string
		status int
		want   string
	}{
		"nothing": {nil, asOwner, "", `{}`, 422, invalid(`{"pointer":"#/sip_domain","detail":"is required"},{"pointer":"#/sip_username","detail":"is required"}`)},
		"everything wrong": {nil, asOwner, "", `{"sip_domain":"SIP","sip_username":null,"sip_password":"short"}`, 422, invalid(
			`{"pointer":"#/sip_username","detail":"must not be null"},{"pointer":"#/sip_password","detail":"must be 12 to 128 characters"},` +
				`{"pointer":"#/sip_domain","detail":"must be a host name in lower case, such as sip.example.com"}`,
		)},
		"unknown":      {nil, asOwner, "", `{"sip_enabled":true}`, 400, problemBody(fault.Malformed, "The request cannot be read", 400, `"detail":"the body holds what this operation does not take",`+sipEnd+`,"errors":[{"pointer":"#/sip_enabled","detail":"is not a member of this resource"}]`)},
		"stale":        {nil, asOwner, `"6"`, body, 412, problemBody(fault.Stale, "The version is not the present one", 412, `"detail":"the tenant has changed since; get it again and look at what changed",`+sipEnd)},
		"another's":    {nil, asStranger, "", body, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+sipEnd)},
		"another role": {nil, asSupervisor, "", body, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, supervisor, may not do this",`+sipEnd)},
		"suspended":    {func(t *tenant.Tenant) { t.Status = tenant.Suspended }, asOwner, "", body, 403, problemBody(fault.TenantSuspended, "The tenant is suspended", 403, `"detail":"the tenant is suspended; only a platform admin can lift that",`+sipEnd)},
		"provisioning": {func(t *tenant.Tenant) { t.Status = tenant.Provisioning }, asOwner, "", body, 409, problemBody(fault.OperationRunning, "An operation is running", 409, `"detail":"the tenant is still being provisioned; try again when it is active",`+sipEnd+`,"operation_id":"operation-1"`)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTelephony(test.edit)
			p.send(t, "PUT", sent{caller: test.caller, body: test.body, headers: map[string]string{"if-match": test.match}}).check(t, test.status, test.want)
			if p.Version != 7 || p.secrets.SIP.Current != "Circle of Life" {
				t.Errorf("the tenant changed all the same: %+v", p.Tenant)
			}
		})
	}
}

func TestRotateSIPCredentials(t *testing.T) {
	for body, overlap := range map[string]time.Duration{
		``: time.Hour, `{}`: time.Hour, `{"overlap_seconds":60}`: time.Minute, `{"overlap_seconds":0,"force":true}`: 0, `{"overlap_seconds":86400,"force":false}`: 24 * time.Hour,
	} {
		p := newTelephony(nil)
		e := p.send(t, "rotate", sent{caller: asOwner, body: body})
		got := readSIPAnswer(t, e)
		version, _ := parseETag(e.Headers["etag"])
		if p.secrets.SIP.Current != got.SIPPassword || got.SIPPassword == "" || got.SecretShown || version != 8 {
			t.Errorf("%s: got %s with ETag %s", body, e.Body, e.Headers["etag"])
		}
		if overlap == 0 {
			if got.PreviousValidUntil != nil || p.secrets.SIP.Previous != nil {
				t.Errorf("%s: got %s", body, e.Body)
			}
			continue
		}
		until := got.RotatedAt.Add(overlap)
		if !got.PreviousValidUntil.Equal(until) {
			t.Errorf("%s: got %s", body, e.Body)
		}
		if diff := cmp.Diff([]tenant.FormerPassword{{Value: "Circle of Life", ValidUntil: until}}, p.secrets.SIP.Previous); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestRotateSIPCredentialsOnce(t *testing.T) {
	p := newTelephony(nil)
	s := sent{caller: asOwner, body: `{"overlap_seconds":60}`, headers: map[string]string{"idempotency-key": "key"}}
	first := readSIPAnswer(t, p.send(t, "rotate", s))
	e := p.send(t, "rotate", s)
	second := readSIPAnswer(t, e)
	if second.SIPPassword != "" || !second.SecretShown || e.Headers["idempotent-replayed"] != "true" || p.Version != 8 || !second.RotatedAt.Equal(first.RotatedAt) {
		t.Errorf("got %s", e.Body)
	}
	for scope, record := range p.records {
		if strings.Contains(string(record.Body), first.SIPPassword) {
			t.Errorf("the record of %v holds the password", scope)
		}
	}
}

func TestRotateSIPCredentialsRefused(t *testing.T) {
	const end = `"instance":"/tenants/` + acmeID + `/sip-credentials/rotate","request_id":"R1"`
	until := time.Date(2126, 11, 22, 1, 30, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		edit   func(*tenant.Tenant)
		caller AuthorizerContext
		body   string
		status int
		want   string
	}{
		"in an overlap": {func(t *tenant.Tenant) { t.SIPPreviousUntil = &until }, asOwner, ``, 409, problemBody(fault.RotationOverlap, "The last rotation is not over", 409,
			`"detail":"the password before the present one is valid until 2126-11-22T01:30:00.000Z; send force to end that now",`+end+`,"valid_until":"2126-11-22T01:30:00.000Z"`)},
		"too long":     {nil, asOwner, `{"overlap_seconds":86401,"force":1}`, 422, problemBody(fault.Invalid, "The request breaks rules", 422, `"detail":"the request breaks a rule; errors lists each",`+end+`,"errors":[{"pointer":"#/force","detail":"must be true or false"},{"pointer":"#/overlap_seconds","detail":"must be from 0 to 86400"}]`)},
		"no SIP":       {func(t *tenant.Tenant) { t.SIPEnabled = false }, asOwner, ``, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"tenant \"`+acmeID+`\" has no SIP credentials",`+end)},
		"another's":    {nil, asStranger, ``, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+end)},
		"another role": {nil, asAgent, ``, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, agent, may not do this",`+end)},
		"inactive":     {func(t *tenant.Tenant) { t.Status = tenant.Inactive }, asOwner, ``, 403, problemBody(fault.TenantInactive, "The tenant is paused", 403, `"detail":"the tenant is inactive; send {\"status\":\"active\"} to take it back into service",`+end)},
		"provisioning": {func(t *tenant.Tenant) { t.Status = tenant.Provisioning }, asOwner, ``, 409, problemBody(fault.OperationRunning, "An operation is running", 409, `"detail":"the tenant is still being provisioned; try again when it is active",`+end+`,"operation_id":"operation-1"`)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTelephony(test.edit)
			p.send(t, "rotate", sent{caller: test.caller, body: test.body}).check(t, test.status, test.want)
			if p.Version != 7 || p.secrets.SIP.Current != "Circle of Life" {
				t.Errorf("the tenant changed all the same: %+v", p.Tenant)
			}
		})
	}
}

func TestGetSIPDigest(t *testing.T) {
	const (
		end    = `"instance":"/tenants/` + acmeID + `/sip-credentials/digest","request_id":"R1"`
		start  = `{"sip_domain":"sip.example.com","sip_username":"acme","credentials":[{"valid_until":null,"ha1":{"MD5":"8292db255b24a3292fddc5c276aea7ff","SHA-256":"af6c61da77c36142426fc72f1641351e1b72363c89bb9d9a35ebf7f61da5d07d"}}`
		former = `,{"valid_until":"2126-11-22T01:30:00.000Z","ha1":{"MD5":"96f8b8aba0fd013506dbb6a30dbc9abe","SHA-256":"a55769fad44cac778be408a68fe83e2f5fa4d45abec28dd03225c94d82af5198"}}`
	)
	elsewhere := asEdge
	elsewhere.TenantIDs = []identity.TenantID{otherID}
	here := asEdge
	here.TenantIDs = []identity.TenantID{otherID, acmeID}
	other := asEdge
	other.Scopes = []identity.Scope{identity.UsageWrite}
	for name, test := range map[string]struct {
		edit   func(*tenant.Tenant)
		caller AuthorizerContext
		status int
		want   string
	}{
		"of all tenants":   {nil, asEdge, 200, start + former + `]}`},
		"bound to it":      {nil, here, 200, start + former + `]}`},
		"bound to other":   {nil, elsewhere, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+end)},
		"no SIP":           {func(t *tenant.Tenant) { t.SIPEnabled = false }, asEdge, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"tenant \"`+acmeID+`\" has no SIP credentials",`+end)},
		"another scope":    {nil, other, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your key lacks the scope sip:read",`+end)},
		"an owner":         {nil, asOwner, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, owner, may not do this",`+end)},
		"a platform admin": {nil, asAdmin, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, platform_admin, may not do this",`+end)},
		"suspended":        {func(t *tenant.Tenant) { t.Status = tenant.Suspended }, asEdge, 403, problemBody(fault.TenantSuspended, "The tenant is suspended", 403, `"detail":"the tenant is suspended; only a platform admin can lift that",`+end)},
		"deleting":         {func(t *tenant.Tenant) { t.Status = tenant.Deleting }, asEdge, 403, problemBody(fault.TenantDeleting, "The tenant is being deleted", 403, `"detail":"the tenant is being deleted; a platform admin can restore it while its status is deleting",`+end)},
		"provisioning":     {func(t *tenant.Tenant) { t.Status = tenant.Provisioning }, asEdge, 409, problemBody(fault.OperationRunning, "An operation is running", 409, `"detail":"the tenant is still being provisioned; try again when it is active",`+end+`,"operation_id":"operation-1"`)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTelephony(test.edit)
			p.secrets.SIP.Previous = []tenant.FormerPassword{
				{Value: "Hakuna Matata", ValidUntil: time.Date(2126, 11, 22, 1, 30, 0, 0, time.UTC)},
				{Value: "It is over", ValidUntil: time.Date(2016, 11, 22, 1, 30, 0, 0, time.UTC)},
			}
			got := p.send(t, "digest", sent{caller: test.caller})
			got.check(t, test.status, test.want)
			if got.Headers["cache-control"] != "no-store" {
				t.Errorf("a copy may be kept: %v", got.Headers)
			}
		})
	}
}
