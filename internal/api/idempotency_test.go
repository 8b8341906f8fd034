package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
)

// A recorder keeps records as a store does: the first with a scope stays.
type recorder map[idempotency.Scope]idempotency.Record

func (r recorder) Find(_ context.Context, scope idempotency.Scope) (idempotency.Record, error) {
	record, ok := r[scope]
	if !ok {
		return record, fault.New(fault.NotFound, "the idempotency key is new")
	}
	return record, nil
}

// keep writes the record of an answer in the transaction that takes effect.
func (r recorder) keep(record *idempotency.Record) error {
	if record == nil {
		return nil
	}
	if _, taken := r[record.Scope]; taken {
		return idempotency.ErrRecorded
	}
	r[record.Scope] = *record
	return nil
}

// counting is an operation that takes effect once for each answer that is not
// repeated.
func counting(records recorder, effects *int) Operation {
	return Operation{
		Name:  "Count",
		Allow: identity.Anyone(),
		Idempotency: &Idempotency{
			Records:   records,
			Key:       func(context.Context) ([]byte, error) { return []byte("key"), nil },
			WriteOnly: []string{"password"},
		},
		Handle: func(_ context.Context, r *Request) (*Response, error) {
			resp := Accepted("/effects", map[string]int{"effect": *effects + 1})
			record, err := r.Receipt(resp)
			if err != nil {
				return nil, err
			}
			if strings.Contains(string(r.Body), "refused") {
				return nil, fault.New(fault.Conflict, "refused")
			}
			if err := records.keep(record); err != nil {
				return nil, err
			}
			*effects++
			return resp, nil
		},
	}
}

func TestIdempotency(t *testing.T) {
	const first = `{"effect":1}`
	caller := AuthorizerContext{Subject: "U", Role: identity.PlatformAdmin}
	for name, test := range map[string]struct {
		caller       AuthorizerContext
		path, key    string
		body         string
		status       int
		want         string // the problem's detail where it is one
		wantReplayed bool
	}{
		"the same":                {caller, "/count", "key", `{"name":"Acme","password":"a"}`, 202, first, true},
		"in another form":         {caller, "/count", "key", ` {"password":"a", "n\u0061me" : "Acme"}`, 202, first, true},
		"another password":        {caller, "/count", "key", `{"name":"Acme","password":"b"}`, 202, first, true},
		"without a password":      {caller, "/count", "key", `{"name":"Acme"}`, 202, first, true},
		"another body":            {caller, "/count", "key", `{"name":"Other","password":"a"}`, 422, "this Idempotency-Key came before with another body; use a new key for a new request", false},
		"no JSON":                 {caller, "/count", "key", `{"name":"Acme"`, 422, "this Idempotency-Key came before with another body; use a new key for a new request", false},
		"another key":             {caller, "/count", "key2", `{"name":"Acme"}`, 202, `{"effect":2}`, false},
		"another caller":          {AuthorizerContext{Subject: "V", Role: identity.PlatformAdmin}, "/count", "key", `{"name":"Acme"}`, 202, `{"effect":2}`, false},
		"another path":            {caller, "/other", "key", `{"name":"Acme"}`, 202, `{"effect":2}`, false},
		"an empty key":            {caller, "/count", "", `{}`, 400, "the Idempotency-Key must be 1 to 255 visible ASCII characters", false},
		"a key with a space":      {caller, "/count", "a key", `{}`, 400, "the Idempotency-Key must be 1 to 255 visible ASCII characters", false},
		"a key of 256":            {caller, "/count", strings.Repeat("k", 256), `{}`, 400, "the Idempotency-Key must be 1 to 255 visible ASCII characters", false},
		"a key that is not ASCII": {caller, "/count", "ü", `{}`, 400, "the Idempotency-Key must be 1 to 255 visible ASCII characters", false},
	} {
		t.Run(name, func(t *testing.T) {
			effects := 0
			op := counting(recorder{}, &effects)
			original := sent{path: "/count", body: `{"name":"Acme","password":"a"}`, headers: map[string]string{"idempotency-key": "key"}, caller: caller}
			serve(t, op, original).check(t, 202, first)
			got := serve(t, op, sent{path: test.path, body: test.body, headers: map[string]string{"idempotency-key": test.key}, caller: test.caller})
			if replayed := got.Headers["idempotent-replayed"] == "true"; got.StatusCode != test.status || replayed != test.wantReplayed {
				t.Errorf("got %d %s, replayed %t", got.StatusCode, got.Body, replayed)
			}
			if test.status == 202 && (got.Body != test.want || got.Headers["location"] != "/effects") || !strings.Contains(got.Body, test.want) {
				t.Errorf("got %s and %v, want %s", got.Body, got.Headers, test.want)
			}
		})
	}
}

// Somebody who acts for a user does not get what the user was answered, nor the
// user what they were.
func TestIdempotencyOfImpersonations(t *testing.T) {
	effects := 0
	op := counting(recorder{}, &effects).Guarded(guardFunc(func(identity.Caller) error { return nil }))
	op.Allow = op.Allow.ByProxy()
	user := AuthorizerContext{Subject: "U", TenantID: "T", Role: identity.Owner}
	first, second := user, user
	first.ImpersonationID, first.Actor, first.Mode = "I1", "A", identity.Full
	second.ImpersonationID, second.Actor, second.Mode = "I2", "A", identity.Full
	for i, caller := range []AuthorizerContext{user, first, second} {
		want := fmt.Sprintf(`{"effect":%d}`, i+1)
		for range 2 {
			serve(t, op, sent{body: `{"name":"Acme"}`, headers: map[string]string{"idempotency-key": "key"}, caller: caller}).check(t, 202, want)
		}
	}
}

// An answer that took no effect is not remembered.
func TestIdempotencyForgetsRefusals(t *testing.T) {
	effects, records := 0, recorder{}
	op := counting(records, &effects)
	s := sent{body: `{"name":"refused"}`, headers: map[string]string{"idempotency-key": "key"}, caller: AuthorizerContext{Subject: "U", Role: identity.Owner}}
	if got := serve(t, op, s); got.StatusCode != 409 {
		t.Fatalf("got %d %s", got.StatusCode, got.Body)
	}
	s.body = `{"name":"Acme"}`
	serve(t, op, s).check(t, 202, `{"effect":1}`)
}

// Of two at once, the second finds the record of the first when it writes its
// own.
func TestIdempotencyMeetsAnother(t *testing.T) {
	effects, records := 0, recorder{}
	op := counting(records, &effects)
	s := sent{body: `{}`, headers: map[string]string{"idempotency-key": "key"}, caller: AuthorizerContext{Subject: "U", Role: identity.Owner}}
	handle := op.Handle
	var between envelope
	op.Handle = func(ctx context.Context, r *Request) (*Response, error) {
		op.Handle = handle
		between = serve(t, op, s)
		return handle(ctx, r)
	}
	got := serve(t, op, s)
	got.check(t, 202, `{"effect":1}`)
	between.check(t, 202, `{"effect":1}`)
	if effects != 1 || got.Headers["idempotent-replayed"] != "true" || between.Headers["idempotent-replayed"] != "" {
		t.Errorf("got %d effects, %v and %v", effects, got.Headers, between.Headers)
	}
}

func TestIdempotencyNeedsItsKey(t *testing.T) {
	effects := 0
	op := counting(recorder{}, &effects)
	op.Idempotency.Key = func(context.Context) ([]byte, error) { return nil, errors.New("no key") }
	got := serve(t, op, sent{body: `{}`, headers: map[string]string{"idempotency-key": "key"}, caller: AuthorizerContext{Subject: "U", Role: identity.Owner}})
	if got.StatusCode != 500 || effects != 0 {
		t.Errorf("got %d %s and %d effects", got.StatusCode, got.Body, effects)
	}
}

// A record holds no password, not even hashed without a key.
func TestReceipt(t *testing.T) {
	effects, records := 0, recorder{}
	s := sent{path: "/count", body: `{"name":"Acme","password":"secret"}`, headers: map[string]string{"idempotency-key": "key"}, caller: AuthorizerContext{Subject: "U", Role: identity.Owner}}
	serve(t, counting(records, &effects), s)
	var hashes []string
	for scope, record := range records {
		if left := time.Until(record.ExpiresAt); left < 23*time.Hour || left > 24*time.Hour {
			t.Errorf("it expires in %s", left)
		}
		hashes = append(hashes, record.BodyHash)
		record.BodyHash, record.ExpiresAt = "", time.Time{}
		want := idempotency.Record{
			Scope: scope, Status: 202, Body: []byte(`{"effect":1}`),
			Header: map[string]string{"content-type": "application/json", "location": "/effects"},
		}
		if diff := cmp.Diff(want, record); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	other := counting(recorder{}, &effects)
	other.Idempotency.Key = func(context.Context) ([]byte, error) { return []byte("another key"), nil }
	otherRecords, _ := other.Idempotency.Records.(recorder)
	serve(t, other, s)
	for _, record := range otherRecords {
		hashes = append(hashes, record.BodyHash)
	}
	if len(hashes) != 2 || hashes[0] == hashes[1] || hashes[0] == "" {
		t.Errorf("got the hashes %q, want two", hashes)
	}
}
