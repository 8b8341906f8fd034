package work_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// fail provisions a tenant whose admin's password is too weak.
func (w *world) fail() {
	w.Helper()
	r := w.everything()
	r.AdminPassword = patch.Of(weakPassword)
	if _, err := w.request(r); err != nil {
		w.Fatal(err)
	}
	w.execute()
	w.checkFailed()
}

// TestRetryTogether retries an operation many times at once, each with another
// password: the account gets that of the one that succeeds.
func TestRetryTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	w.fail()
	const crowd = 8
	passwords := make(chan string, crowd)
	for i := range crowd {
		passwords <- fmt.Sprint(adminPassword, i)
	}
	won := make(chan string, crowd)
	for _, err := range together(crowd, func() error {
		mine := <-passwords
		_, err := w.retrier.Retry(t.Context(), platformAdmin, w.operationID, work.NewPasswords{AdminPassword: patch.Of(mine)}, noReceipt)
		if err == nil {
			won <- mine
		}
		return err
	}) {
		if err != nil && !errors.Is(err, fault.OperationNotFailed) {
			t.Errorf("a retry that was late got %v", err)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d retries were made, want 1", len(won))
	}
	if n := len(w.vault.secrets); n != 1 {
		t.Errorf("%d secrets are there, want that of the operation", n)
	}
	if got := w.execute(); got != succeeded {
		t.Fatalf("the execution ended as %s", got)
	}
	want := <-won
	for _, a := range w.directory.accounts {
		if a.password != want {
			t.Errorf("the account has the password %q, want %q", a.password, want)
		}
		a.password = adminPassword
	}
	w.checkActive()
}

func TestRetryRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if err := w.retry(work.NewPasswords{}); !errors.Is(err, fault.NotFound) {
		t.Errorf("no operation: got %v", err)
	}
	pooled := provisioning.Request{Draft: tenant.Draft{Settings: tenant.Settings{Name: patch.Of("Plain")}, ID: patch.Of(w.tenantID)}}
	if _, err := w.request(pooled); err != nil {
		t.Fatal(err)
	}
	if err := w.retry(work.NewPasswords{}); !errors.Is(err, fault.OperationNotFailed) {
		t.Errorf("an operation that runs: got %v", err)
	}
	w.decide = always("CreateTable", refused)
	w.execute()
	w.decide = nil
	for name, test := range map[string]struct {
		newer work.NewPasswords
		want  fault.Fields
	}{
		"of no use": {
			work.NewPasswords{AdminPassword: patch.Of(adminPassword), SIPPassword: patch.Of(sipPassword)},
			fault.Fields{
				{Pointer: "#/admin_password", Detail: "is of no use: the operation makes no account"},
				{Pointer: "#/sip_password", Detail: "is of no use: the tenant has no SIP"},
			},
		},
		"too long": {
			work.NewPasswords{SIPPassword: patch.Of(strings.Repeat("x", 129))},
			fault.Fields{
				{Pointer: "#/sip_password", Detail: "must be 12 to 128 characters"},
				{Pointer: "#/sip_password", Detail: "is of no use: the tenant has no SIP"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.retry(test.newer)
			f, ok := errors.AsType[*fault.Error](err)
			if !ok {
				t.Fatalf("got %v, want a fault", err)
			}
			if diff := cmp.Diff(test.want, fault.Fields(f.Fields)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if n := len(w.vault.secrets); n != 1 {
		t.Errorf("%d secrets are there after retries that were refused, want that of the operation", n)
	}
	recordErr := errors.New("no record")
	_, err := w.retrier.Retry(t.Context(), platformAdmin, w.operationID, work.NewPasswords{}, func(operation.Operation) (*idempotency.Record, error) { return nil, recordErr })
	if !errors.Is(err, recordErr) || w.operation().State != operation.Failed {
		t.Errorf("got %v, want %v and a failed operation", err, recordErr)
	}
}

// TestRetryAfterPasswordsAreGone retries when the passwords were not kept any
// longer, or went for no reason.
func TestRetryAfterPasswordsAreGone(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	for name, lose := range map[string]func(*world){
		"kept for long": func(w *world) {
			w.save(func(o *operation.Operation) { o.DueAt = o.CreatedAt })
			w.mustSweep()
			if o := w.operation(); o.Secret != "" || len(w.vault.secrets) != 0 {
				w.Errorf("the operation names %q, and there are %d secrets", o.Secret, len(w.vault.secrets))
			}
			w.mustSweep()
		},
		"lost": func(w *world) { clear(w.vault.secrets) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			w.fail()
			lose(w)
			if err := w.retry(work.NewPasswords{AdminPassword: patch.Of(adminPassword)}); !errors.Is(err, fault.Invalid) {
				t.Errorf("without a SIP password: got %v, want %v", err, fault.Invalid)
			}
			if err := w.retry(work.NewPasswords{AdminPassword: patch.Of(adminPassword), SIPPassword: patch.Of(sipPassword)}); err != nil {
				t.Fatal(err)
			}
			w.execute()
			w.checkActive()
		})
	}
}

// TestPasswordsGoneMeanwhile loses the passwords of an operation that runs.
func TestPasswordsGoneMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enginetest.Table(t))
	if _, err := w.request(w.everything()); err != nil {
		t.Fatal(err)
	}
	clear(w.vault.secrets)
	w.execute()
	want := operation.Failure{
		Step: "mongodb", Code: "invalid", Detail: "the passwords of the request are gone",
		Hint: "POST /operations/{id}/retry, which makes another password",
	}
	if diff := cmp.Diff(&want, w.operation().Failure); diff != "" {
		t.Errorf("the failure (-want +got):\n%s", diff)
	}
	if len(w.directory.accounts) != 0 {
		t.Error("somebody was invited who was to have a password")
	}
}

// TestCrashOfRetry fails each call of a retry in turn. The operation runs again
// with the new passwords or stays as it was, and no others are kept.
func TestCrashOfRetry(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	newer := work.NewPasswords{AdminPassword: patch.Of(adminPassword)}
	plain := newWorld(t, tableName)
	plain.fail()
	first := len(plain.calls)
	if err := plain.retry(newer); err != nil {
		t.Fatal(err)
	}
	for i, name := range plain.calls[first:] {
		for _, end := range fates(name) {
			t.Run(fmt.Sprintf("%d %s/%s", i+1, name, end), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, tableName)
				w.fail()
				w.decide = once(len(w.calls)+i+1, end)
				err := w.retry(newer)
				w.decide = nil
				w.sweepSecrets()
				if w.operation().State == operation.Failed {
					if err == nil {
						t.Error("the retry was answered, and not made")
					}
					w.checkFailed()
					if err := w.retry(newer); err != nil {
						t.Fatal(err)
					}
				}
				if w.execute() == "" {
					w.mustSweep()
					w.execute()
				}
				w.checkActive()
			})
		}
	}
}
