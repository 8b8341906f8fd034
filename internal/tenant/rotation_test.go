package tenant_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

var edge = identity.Caller{Subject: "K", Role: identity.Service, Scopes: []identity.Scope{identity.SIPRead}}

// newSIP returns a memory of one active tenant with SIP.
func newSIP(edit func(*tenant.Tenant)) *memory {
	t := newTenant(func(t *tenant.Tenant) {
		t.SIPEnabled, t.SIPDomain, t.SIPUsername = true, new("http-auth@example.org"), new("Mufasa")
		t.Secret, t.SIPRotatedAt = &tenant.SecretRef{Name: "name", Version: "0"}, new(t.CreatedAt)
	})
	if edit != nil {
		edit(&t)
	}
	m := newMemory(t)
	m.secrets[tenant.SecretRef{Name: "name", Version: "0"}] = tenant.Secrets{SIP: tenant.SIPPasswords{Current: "Circle of Life"}, Webhook: "webhook-secret"}
	return m
}

// rotate rotates the password of the only tenant of m.
func rotate(t *testing.T, m *memory, c identity.Caller, r tenant.Rotation) (tenant.Updated, error) {
	t.Helper()
	none := func(tenant.Updated) (*idempotency.Record, error) { return nil, nil }
	return tenant.NewRotator(m, m).Rotate(t.Context(), c, tenantID, r, none)
}

// overlapping is a rotation with an overlap.
func overlapping(d time.Duration) tenant.Rotation {
	return tenant.Rotation{OverlapSeconds: patch.Of(int(d.Seconds()))}
}

// passwords returns the passwords that the tenant of m names.
func (m *memory) passwords() tenant.SIPPasswords { return m.secrets[*m.tenants[tenantID].Secret].SIP }

// valid returns how many passwords are valid at the moment.
func valid(t *testing.T, m *memory) int {
	t.Helper()
	c, err := tenant.NewService(m, m).SIPCredentials(t.Context(), edge, tenantID)
	if err != nil {
		t.Fatal(err)
	}
	return len(c.Digests)
}

func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSIP(nil)
		got, err := rotate(t, m, owner, tenant.Rotation{})
		if err != nil {
			t.Fatal(err)
		}
		now, until := time.Now().UTC(), time.Now().UTC().Add(time.Hour)
		want := newTenant(func(t *tenant.Tenant) {
			t.SIPEnabled, t.SIPDomain, t.SIPUsername = true, new("http-auth@example.org"), new("Mufasa")
			t.Secret, t.SIPRotatedAt, t.SIPPreviousUntil = &tenant.SecretRef{Name: "name", Version: "1"}, &now, &until
			t.UpdatedAt, t.Version = t.UpdatedAt.Add(time.Millisecond), 2 // it was made by a clock that is ahead
		})
		if diff := cmp.Diff(tenant.Updated{Tenant: want, SIPPassword: got.SIPPassword}, got); diff != "" || got.SIPPassword == "" {
			t.Errorf("got the password %q (-want +got):\n%s", got.SIPPassword, diff)
		}
		checkSecrets(t, m, &tenant.Secrets{
			SIP:     tenant.SIPPasswords{Current: got.SIPPassword, Previous: []tenant.FormerPassword{{Value: "Circle of Life", ValidUntil: until}}},
			Webhook: "webhook-secret",
		})
		told := m.records[0]
		if told.Action != audit.SIPRotated || told.Target != audit.Of("sip_credentials", tenantID) || told.Actor.ID != "O" {
			t.Errorf("the audit has %+v", told)
		}
		if diff := cmp.Diff([]audit.Change{{Field: "sip_previous_valid_until", To: until}, {Field: "secrets", Redacted: true}}, told.Changes); diff != "" {
			t.Errorf("the audit (-want +got):\n%s", diff)
		}
	})
}

// While the password before the present one is valid, another rotation needs
// force, which ends that one, and not the present one.
func TestRotateAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSIP(nil)
		first, err := rotate(t, m, owner, overlapping(10*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		until := time.Now().UTC().Add(10 * time.Minute)
		time.Sleep(10*time.Minute - time.Millisecond)
		_, err = rotate(t, m, owner, tenant.Rotation{})
		end := until.Format("2006-01-02T15:04:05.000Z")
		want := &fault.Error{
			Kind: fault.RotationOverlap, Detail: "the password before the present one is valid until " + end + "; send force to end that now",
			Members: map[string]any{"valid_until": end},
		}
		if diff := cmp.Diff(want, err); diff != "" || m.updates != 1 || valid(t, m) != 2 {
			t.Fatalf("%d updates and %d valid (-want +got):\n%s", m.updates, valid(t, m), diff)
		}
		forced, err := rotate(t, m, owner, tenant.Rotation{OverlapSeconds: patch.Of(60), Force: true})
		if err != nil {
			t.Fatal(err)
		}
		overlap := time.Now().UTC().Add(time.Minute)
		if diff := cmp.Diff(tenant.SIPPasswords{Current: forced.SIPPassword, Previous: []tenant.FormerPassword{{Value: first.SIPPassword, ValidUntil: overlap}}}, m.passwords()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		if n := valid(t, m); n != 1 {
			t.Errorf("%d passwords are valid after the overlap", n)
		}
		if _, err := rotate(t, m, owner, tenant.Rotation{}); err != nil {
			t.Errorf("after the overlap: %v", err)
		}
	})
}

func TestRotateWithoutOverlap(t *testing.T) {
	m := newSIP(nil)
	for range 2 {
		got, err := rotate(t, m, owner, overlapping(0))
		if err != nil || got.Tenant.SIPPreviousUntil != nil {
			t.Fatalf("got %+v, %v", got, err)
		}
		if diff := cmp.Diff(tenant.SIPPasswords{Current: got.SIPPassword}, m.passwords()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestRotationFaults(t *testing.T) {
	for seconds, want := range map[int][]string{-1: {"#/overlap_seconds must be from 0 to 86400"}, 0: nil, 86_400: nil, 86_401: {"#/overlap_seconds must be from 0 to 86400"}} {
		r := tenant.Rotation{OverlapSeconds: patch.Of(seconds)}
		if diff := cmp.Diff(want, lines(r.Faults().Err())); diff != "" {
			t.Errorf("%d (-want +got):\n%s", seconds, diff)
		}
	}
	if f := (tenant.Rotation{}).Faults(); f != nil {
		t.Errorf("got %v", f)
	}
}

// A password that is set takes the place of all others, and nothing else does.
func TestUpdateEndsOverlap(t *testing.T) {
	password := tenant.SecretSettings{SIPPassword: patch.Of("given-password")}
	for name, test := range map[string]struct {
		patch tenant.Patch
		ends  bool
	}{
		"a password": {tenant.Patch{Secrets: password}, true},
		"a domain":   {tenant.Patch{Settings: tenant.Settings{SIPDomain: patch.Of(new("sip.example.com")), SIPUsername: patch.Of(new("Simba"))}}, false},
		"a webhook":  {tenant.Patch{Secrets: tenant.SecretSettings{WebhookSecret: patch.Of("another-secret")}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newSIP(func(t *tenant.Tenant) { t.SIPDomain = new("sip.example.org") })
				before, err := rotate(t, m, owner, tenant.Rotation{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				got, err := update(t, m, owner, test.patch)
				if err != nil {
					t.Fatal(err)
				}
				if test.ends != (got.Tenant.SIPPreviousUntil == nil) || test.ends == got.Tenant.SIPRotatedAt.Equal(*before.Tenant.SIPRotatedAt) || test.ends != (valid(t, m) == 1) {
					t.Errorf("%d are valid, rotated at %s, the previous until %v", valid(t, m), got.Tenant.SIPRotatedAt, got.Tenant.SIPPreviousUntil)
				}
			})
		})
	}
}

func TestRotateRefused(t *testing.T) {
	for name, test := range map[string]struct {
		edit   func(*tenant.Tenant)
		caller identity.Caller
		want   fault.Kind
	}{
		"another's":         {nil, stranger, fault.NotFound},
		"no SIP":            {func(t *tenant.Tenant) { t.SIPEnabled = false }, owner, fault.NotFound},
		"no password":       {func(t *tenant.Tenant) { t.Secret, t.SIPRotatedAt = nil, nil }, owner, fault.NotFound},
		"suspended":         {func(t *tenant.Tenant) { t.Status = tenant.Suspended }, owner, fault.TenantSuspended},
		"suspended, by all": {func(t *tenant.Tenant) { t.Status = tenant.Suspended }, platformAdmin, ""},
		"inactive":          {func(t *tenant.Tenant) { t.Status = tenant.Inactive }, owner, fault.TenantInactive},
		"deleting":          {func(t *tenant.Tenant) { t.Status = tenant.Deleting }, platformAdmin, fault.TenantDeleting},
		"provisioning":      {func(t *tenant.Tenant) { t.Status = tenant.Provisioning }, owner, fault.OperationRunning},
		"failed":            {func(t *tenant.Tenant) { t.Status, t.Secret, t.SIPRotatedAt = tenant.Failed, nil, nil }, owner, fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSIP(test.edit)
			got, err := rotate(t, m, test.caller, tenant.Rotation{})
			if fault.KindOf(err) != test.want || (test.want == "") != (got.SIPPassword != "") || len(m.secrets) != 1 {
				t.Errorf("got %v and %d versions, want %q", err, len(m.secrets), test.want)
			}
		})
	}
}

// Of two rotations at once one wins, and what the other wrote is gone; a change of
// something else is no rotation.
func TestRotateMeetsAnother(t *testing.T) {
	for name, test := range map[string]struct {
		rotation tenant.Rotation
		other    func(t *testing.T, m *memory) error
		want     fault.Kind
	}{
		"a rotation": {tenant.Rotation{}, func(t *testing.T, m *memory) error {
			_, err := rotate(t, m, owner, tenant.Rotation{})
			return err
		}, fault.RotationOverlap},
		"a rotation, by force": {tenant.Rotation{Force: true}, func(t *testing.T, m *memory) error {
			_, err := rotate(t, m, owner, tenant.Rotation{Force: true})
			return err
		}, fault.Conflict},
		"a rotation without overlap": {overlapping(0), func(t *testing.T, m *memory) error {
			_, err := rotate(t, m, owner, overlapping(0))
			return err
		}, fault.Conflict},
		"a password": {tenant.Rotation{}, func(t *testing.T, m *memory) error {
			_, err := update(t, m, owner, tenant.Patch{Secrets: tenant.SecretSettings{SIPPassword: patch.Of("given-password")}})
			return err
		}, fault.Conflict},
		"a webhook": {tenant.Rotation{}, func(t *testing.T, m *memory) error {
			_, err := update(t, m, owner, tenant.Patch{Secrets: tenant.SecretSettings{WebhookSecret: patch.Of("another-secret")}})
			return err
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSIP(func(t *tenant.Tenant) { t.SIPDomain = new("sip.example.org") })
			m.outcome = func(_, _ tenant.Tenant) error {
				m.outcome = nil
				return test.other(t, m)
			}
			got, err := rotate(t, m, owner, test.rotation)
			if fault.KindOf(err) != test.want || (test.want == "") != (got.SIPPassword != "") {
				t.Errorf("got %q, %v, want %q", got.SIPPassword, err, test.want)
			}
			if _, named := m.secrets[*m.tenants[tenantID].Secret]; !named || len(m.secrets) != 1 {
				t.Errorf("got %v, want the version that the row names", m.secrets)
			}
			if test.want == "" && m.secrets[*m.tenants[tenantID].Secret].Webhook != "another-secret" {
				t.Errorf("the other change is lost")
			}
		})
	}
}

// One that died between secret and row, or that cannot tell, leaves the old
// password valid.
func TestRotateFails(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		left int
	}{
		"uncertain":             {errors.New("connection reset"), 2},
		"recorded by a twin":    {idempotency.ErrRecorded, 1},
		"refused by the domain": {fault.New(fault.SIPDomainTaken, "taken"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSIP(nil)
			m.outcome = func(_, _ tenant.Tenant) error { return test.err }
			got, err := rotate(t, m, owner, tenant.Rotation{})
			if !errors.Is(err, test.err) || got.SIPPassword != "" || len(m.secrets) != test.left || m.passwords().Current != "Circle of Life" {
				t.Errorf("got %+v, %v and %v", got, err, m.secrets)
			}
		})
	}
}

// The example of RFC 7616, section 3.9.1.
func TestSIPCredentials(t *testing.T) {
	m := newSIP(nil)
	got, err := tenant.NewService(m, m).SIPCredentials(t.Context(), edge, tenantID)
	if err != nil {
		t.Fatal(err)
	}
	want := tenant.SIPCredentials{Domain: "http-auth@example.org", Username: "Mufasa", Digests: []tenant.SIPDigest{{
		MD5: "3d78807defe7de2157e2b0b6573a855f", SHA256: "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232",
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSIPCredentialsOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSIP(nil)
		rotated, err := rotate(t, m, owner, overlapping(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		got, err := tenant.NewService(m, m).SIPCredentials(t.Context(), edge, tenantID)
		if err != nil || len(got.Digests) != 2 {
			t.Fatalf("got %+v, %v, want two", got, err)
		}
		until := got.Digests[1].ValidUntil
		if got.Digests[0].ValidUntil != nil || until == nil || !until.Equal(*rotated.Tenant.SIPPreviousUntil) || got.Digests[1].MD5 != "3d78807defe7de2157e2b0b6573a855f" {
			t.Errorf("got %+v", got)
		}
		time.Sleep(time.Minute - time.Millisecond)
		if n := valid(t, m); n != 2 {
			t.Errorf("%d are valid at the end of the overlap", n)
		}
		time.Sleep(time.Millisecond)
		if n := valid(t, m); n != 1 {
			t.Errorf("%d are valid after the overlap", n)
		}
	})
}

func TestSIPCredentialsRefused(t *testing.T) {
	bound := edge
	bound.TenantIDs = []identity.TenantID{otherID}
	status := func(s tenant.Status) func(*tenant.Tenant) { return func(t *tenant.Tenant) { t.Status = s } }
	for name, test := range map[string]struct {
		edit   func(*tenant.Tenant)
		caller identity.Caller
		want   fault.Kind
	}{
		"bound to others": {nil, bound, fault.NotFound},
		"no SIP":          {func(t *tenant.Tenant) { t.SIPEnabled = false }, edge, fault.NotFound},
		"no secrets":      {func(t *tenant.Tenant) { t.Secret, t.SIPRotatedAt = nil, nil }, edge, fault.NotFound},
		"suspended":       {status(tenant.Suspended), edge, fault.TenantSuspended},
		"inactive":        {status(tenant.Inactive), edge, fault.TenantInactive},
		"deleting":        {status(tenant.Deleting), edge, fault.TenantDeleting},
		"purging":         {status(tenant.Purging), edge, fault.TenantDeleting},
		"deleted":         {status(tenant.Deleted), edge, fault.TenantDeleting},
		"provisioning":    {status(tenant.Provisioning), edge, fault.OperationRunning},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSIP(test.edit)
			got, err := tenant.NewService(m, m).SIPCredentials(t.Context(), test.caller, tenantID)
			if fault.KindOf(err) != test.want || got.Digests != nil {
				t.Errorf("got %+v, %v, want %q", got, err, test.want)
			}
		})
	}
}

// A reader whose version of the secrets is gone, since the row names another by
// now, reads that.
func TestSIPCredentialsMeetRotation(t *testing.T) {
	m := newSIP(nil)
	stale := m.tenants[tenantID]
	rotated, err := rotate(t, m, owner, overlapping(0))
	if err != nil {
		t.Fatal(err)
	}
	behind := &behind{memory: m, first: &stale}
	got, err := tenant.NewService(behind, behind).SIPCredentials(t.Context(), edge, tenantID)
	if err != nil || len(got.Digests) != 1 || got.Digests[0].MD5 == "3d78807defe7de2157e2b0b6573a855f" || behind.first != nil {
		t.Errorf("got %+v, %v, want the digest of %s", got, err, rotated.SIPPassword)
	}
	delete(m.secrets, *m.tenants[tenantID].Secret)
	if _, err := tenant.NewService(m, m).SIPCredentials(t.Context(), edge, tenantID); err == nil || fault.KindOf(err) != "" {
		t.Errorf("got %v for secrets that are lost, want an error of ours", err)
	}
}
