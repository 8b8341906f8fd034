package work_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
)

func TestRequestFaults(t *testing.T) {
	t.Parallel()
	named := tenant.Draft{Settings: tenant.Settings{Name: patch.Of("Acme")}}
	for name, test := range map[string]struct {
		request provisioning.Request
		want    fault.Fields
	}{
		"nothing": {
			provisioning.Request{Draft: named},
			nil,
		},
		"an address": {
			provisioning.Request{Draft: named, AdminEmail: patch.Of("owner")},
			fault.Fields{{Pointer: "#/admin_email", Detail: "must be an e-mail address"}},
		},
		"a password for nobody": {
			provisioning.Request{Draft: named, AdminPassword: patch.Of("short")},
			fault.Fields{
				{Pointer: "#/admin_password", Detail: "must be 8 to 72 characters"},
				{Pointer: "#/admin_password", Detail: "needs an admin_email beside it"},
			},
		},
		"secrets": {
			provisioning.Request{Draft: named, SIPPassword: patch.Of("short"), WebhookSecret: patch.Of("short")},
			fault.Fields{
				{Pointer: "#/sip_password", Detail: "must be 12 to 128 characters"},
				{Pointer: "#/sip_password", Detail: "needs sip_enabled to be true"},
				{Pointer: "#/webhook_secret", Detail: "must be 12 to 128 characters"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.request.Faults()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRequestSteps asks for tenants that need different steps.
func TestRequestSteps(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	for name, test := range map[string]struct {
		edit func(*provisioning.Request)
		want []string
	}{
		"everything": {
			func(*provisioning.Request) {},
			[]string{"database", "mongodb", "identity", "sip", "activate"},
		},
		"pooled, for nobody": {
			func(r *provisioning.Request) {
				*r = provisioning.Request{Draft: tenant.Draft{
					Settings: tenant.Settings{Name: patch.Of("Acme")}, ID: r.Draft.ID, Slug: r.Draft.Slug, Isolation: patch.Of(tenant.Pooled),
				}}
			},
			[]string{"activate"},
		},
		"a webhook": {
			func(r *provisioning.Request) {
				r.Draft.SIPEnabled, r.SIPPassword, r.AdminEmail, r.AdminPassword = patch.Field[bool]{}, patch.Field[string]{}, patch.Field[string]{}, patch.Field[string]{}
			},
			[]string{"database", "mongodb", "sip", "activate"},
		},
		"an invitation": {
			func(r *provisioning.Request) {
				r.AdminPassword = patch.Field[string]{}
			},
			[]string{"database", "mongodb", "identity", "sip", "activate"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			r := w.everything()
			test.edit(&r)
			result, err := w.request(r)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range result.Operation.Steps {
				got = append(got, step.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if result.SIPPassword != "" {
				t.Error("a password was made that nobody asked for")
			}
			if got := w.execute(); got != succeeded {
				t.Errorf("the execution ended as %s", got)
			}
			if got := w.tenant().Status; got != tenant.Active {
				t.Errorf("the tenant is %s", got)
			}
			if len(w.vault.secrets) != 0 {
				t.Error("the passwords of the request are left")
			}
		})
	}
}

// TestRequestGeneratesPassword turns SIP on without a password.
func TestRequestGeneratesPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	r := w.everything()
	r.SIPPassword = patch.Field[string]{}
	result, err := w.request(r)
	if err != nil {
		t.Fatal(err)
	}
	w.execute()
	for _, s := range w.credentials.secrets {
		if len(s.SIP.Current) < 12 || s.SIP.Current != result.SIPPassword {
			t.Errorf("the tenant has the SIP password %q, and %q was shown", s.SIP.Current, result.SIPPassword)
		}
	}
}

// TestRequestRefused asks for what is taken, or cannot be recorded. Nothing is
// left of the requests.
func TestRequestRefused(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	first := newWorld(t, tableName)
	if _, err := first.request(first.everything()); err != nil {
		t.Fatal(err)
	}
	noRecord := errors.New("no record")
	for name, test := range map[string]struct {
		edit    func(*provisioning.Request)
		caller  identity.Caller
		receipt provisioning.Receipt
		want    error
	}{
		"invalid":    {edit: func(r *provisioning.Request) { r.Draft.Name = patch.Of("") }, want: fault.Invalid},
		"ceiling":    {edit: func(r *provisioning.Request) { r.Draft.BillingPlan = patch.Of(tenant.Enterprise) }, caller: identity.Caller{Subject: "u", Role: identity.Applicant}, want: fault.PlanCeiling},
		"tenant":     {edit: func(r *provisioning.Request) { r.Draft.ID = patch.Of(first.tenantID) }, want: fault.Conflict},
		"slug":       {edit: func(r *provisioning.Request) { r.Draft.Slug = patch.Of(first.slug) }, want: fault.SlugTaken},
		"e-mail":     {edit: func(r *provisioning.Request) { r.AdminEmail = patch.Of(strings.ToUpper(first.email())) }, want: fault.EmailTaken},
		"SIP domain": {edit: func(r *provisioning.Request) { r.Draft.SIPDomain = patch.Of(new(first.slug + ".example.com")) }, want: fault.SIPDomainTaken},
		"receipt": {
			edit:    func(*provisioning.Request) {},
			receipt: func(provisioning.Result) (*idempotency.Record, error) { return nil, noRecord },
			want:    noRecord,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			r := w.everything()
			test.edit(&r)
			caller := platformAdmin
			if test.caller.Subject != "" {
				caller = test.caller
			}
			_, err := w.service.Request(t.Context(), caller, r, test.receipt)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if _, err := dynamo.NewTenants(w.table.table()).Get(t.Context(), w.tenantID); !errors.Is(err, fault.NotFound) {
				t.Errorf("the tenant: got %v, want %v", err, fault.NotFound)
			}
			if len(w.vault.secrets) != 0 && !errors.Is(test.want, noRecord) {
				t.Error("passwords are left")
			}
			if len(w.machine.running) != 0 {
				t.Error("a workflow was started")
			}
		})
	}
}

// TestRequestUncertain loses the answer of the transaction, so that the request
// fails and takes effect: its passwords stay.
func TestRequestUncertain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.decide = always("TransactWriteItems", lost)
	if _, err := w.request(w.everything()); err == nil || fault.KindOf(err) != "" {
		t.Errorf("got %v, want an error of no kind", err)
	}
	w.decide = nil
	w.sweepSecrets()
	w.mustSweep()
	w.execute()
	w.checkActive()
}

// TestRequestTogether asks with one key many times at once.
func TestRequestTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	receipt := func(r provisioning.Result) (*idempotency.Record, error) {
		return &idempotency.Record{
			Scope: idempotency.Scope{Caller: "admin", Route: "route", Key: "key"},
			Body:  []byte(r.Tenant.ID), ExpiresAt: r.Tenant.CreatedAt.Add(idempotency.Lifetime),
		}, nil
	}
	made := make(chan operation.ID, 8)
	for _, err := range together(8, func() error {
		result, err := w.service.Request(context.WithoutCancel(t.Context()), platformAdmin, w.everything(), receipt)
		if err == nil {
			made <- result.Operation.ID
		}
		return err
	}) {
		if err != nil && !errors.Is(err, idempotency.ErrRecorded) {
			t.Errorf("one that was late got %v", err)
		}
	}
	if len(made) != 1 {
		t.Fatalf("%d tenants were made, want 1", len(made))
	}
	w.operationID = <-made
	if n := len(w.vault.secrets); n != 1 {
		t.Errorf("%d secrets are there, want that of the operation", n)
	}
	w.execute()
	w.checkActive()
}
