package task_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/task"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// A step fails as it is told, and notes which way it went.
type step struct {
	err  error
	went []string
}

func (*step) Name() string { return "database" }

func (s *step) Apply(context.Context, operation.Operation, tenant.Tenant) error {
	s.went = append(s.went, "apply")
	return s.err
}

func (s *step) Undo(context.Context, operation.Operation, tenant.Tenant) error {
	s.went = append(s.went, "undo")
	return s.err
}

// A store holds one operation and its tenant.
type store struct {
	o operation.Operation
	t tenant.Tenant
}

func newStore() *store {
	return &store{
		operation.Operation{ID: "o", Kind: operation.Provision, Attempt: 1, Steps: []operation.Step{{Name: "database", State: operation.Pending}, {Name: "activate", State: operation.Pending}}},
		tenant.Tenant{Status: tenant.Provisioning},
	}
}

func (s *store) Get(_ context.Context, id operation.ID) (operation.Operation, error) {
	if id != s.o.ID {
		return operation.Operation{}, operation.NotFound(id)
	}
	return s.o, nil
}

func (s *store) Save(_ context.Context, _, after operation.Operation) error {
	s.o = after
	return nil
}

func (s *store) SaveWithTenant(_ context.Context, _, after operation.Operation, _, tAfter tenant.Tenant, _ audit.Record, _ *idempotency.Record) error {
	s.o, s.t = after, tAfter
	return nil
}

type tenants struct{ *store }

func (s tenants) Get(context.Context, identity.TenantID) (tenant.Tenant, error) { return s.t, nil }

func (s tenants) Update(_ context.Context, _, after tenant.Tenant, _ audit.Record) error {
	s.t = after
	return nil
}

// input returns what the state machine sends, as Lambda hands it on.
func input(t *testing.T, text string) task.Input {
	t.Helper()
	var in task.Input
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	return in
}

// logged sends the log to a buffer while the test runs.
func logged(t *testing.T) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &b
}

// TestStepErrors gives errors the names that the state machine matches, and tells
// no more than may be told.
func TestStepErrors(t *testing.T) {
	for name, test := range map[string]struct {
		err           error
		wantType      string
		wantMessage   string
		level, logged string
	}{
		"done": {},
		"a fault": {
			fmt.Errorf("create table: %w", fault.New(fault.Conflict, "there is a table already")),
			"conflict", "there is a table already", "ERROR", "create table",
		},
		"a fault of several members": {
			fault.Fields{{Pointer: "#/admin_email", Detail: "is no address"}, {Pointer: "#/admin_password", Detail: "is short"}}.Err(),
			"invalid", "admin_email is no address; admin_password is short", "ERROR", "is short",
		},
		"a fault with a cause": {
			fault.Wrap(errors.New("arn:aws:secret"), fault.Invalid, "the passwords are gone"),
			"invalid", "the passwords are gone", "ERROR", "arn:aws:secret",
		},
		"not ready": {
			fmt.Errorf("create table: %w", operation.ErrNotReady),
			"not-ready", "what the step makes or removes was not ready in time", "INFO", "create table",
		},
		"anything else": {
			errors.New("dial tcp 10.0.0.1: refused"),
			"internal", "internal error; the log of the step's function has the cause", "ERROR", "10.0.0.1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := logged(t)
			s := newStore()
			_, err := task.Step(work.NewRunner(s, tenants{s}), &step{err: test.err})(t.Context(), input(t, `{"operation_id":"o","attempt":1,"action":"apply"}`))
			got, _ := errors.AsType[messages.InvokeResponse_Error](err)
			if diff := cmp.Diff(messages.InvokeResponse_Error{Type: test.wantType, Message: test.wantMessage}, got); diff != "" || (err == nil) != (test.err == nil) {
				t.Errorf("got %v (-want +got):\n%s", err, diff)
			}
			if !strings.Contains(log.String(), test.logged) || !strings.Contains(log.String(), test.level) {
				t.Errorf("got the log %q, want %s %s", log, test.level, test.logged)
			}
		})
	}
}

func TestStepActions(t *testing.T) {
	logged(t)
	for name, test := range map[string]struct {
		action string
		want   []string
		fails  bool
	}{
		"apply": {"apply", []string{"apply"}, false},
		"undo":  {"undo", []string{"undo"}, false},
		"other": {"remove", nil, true},
		"none":  {"", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, did := newStore(), &step{}
			if test.action == "undo" {
				s.o.Steps[0].State = operation.Succeeded
			}
			_, err := task.Step(work.NewRunner(s, tenants{s}), did)(t.Context(), input(t, `{"operation_id":"o","attempt":1,"action":"`+test.action+`"}`))
			if diff := cmp.Diff(test.want, did.went); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if named, _ := errors.AsType[messages.InvokeResponse_Error](err); test.fails != (named.Type == "internal") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestUnknownOperation(t *testing.T) {
	logged(t)
	s := newStore()
	_, err := task.Step(work.NewRunner(s, tenants{s}), &step{})(t.Context(), input(t, `{"operation_id":"other","attempt":1,"action":"apply"}`))
	if named, _ := errors.AsType[messages.InvokeResponse_Error](err); named.Type != "not-found" {
		t.Errorf("got %v", err)
	}
}

// TestFail reads the error outputs of states.
func TestFail(t *testing.T) {
	for name, test := range map[string]struct {
		failure      string
		code, detail string
	}{
		"a kind": {
			`{"Error":"conflict","Cause":"{\"errorMessage\":\"there is a table already\",\"errorType\":\"conflict\"}"}`,
			"conflict", "there is a table already",
		},
		"not ready": {
			`{"Error":"not-ready","Cause":"{\"errorMessage\":\"not ready yet\",\"errorType\":\"not-ready\"}"}`,
			"not-ready", "what the step makes or removes was not ready in time",
		},
		"internal": {
			`{"Error":"internal","Cause":"{\"errorMessage\":\"see the log\",\"errorType\":\"internal\"}"}`,
			"internal", "internal error; the log of the step's function has the cause",
		},
		"a Go type": {
			`{"Error":"*errors.errorString","Cause":"{\"errorMessage\":\"dial tcp\",\"errorType\":\"errorString\"}"}`,
			"internal", "internal error; the log of the step's function has the cause",
		},
		"a crash": {
			`{"Error":"Runtime.ExitError","Cause":"{\"errorMessage\":\"exit status 2\",\"errorType\":\"Runtime.ExitError\"}"}`,
			"internal", "internal error; the log of the step's function has the cause",
		},
		"a timeout": {
			`{"Error":"States.Timeout"}`,
			"internal", "internal error; the log of the step's function has the cause",
		},
		"a kind without a document": {
			`{"Error":"conflict","Cause":"arn:aws:secret"}`,
			"internal", "internal error; the log of the step's function has the cause",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			in := input(t, `{"operation_id":"o","attempt":1,"failure":`+test.failure+`}`)
			for range 2 {
				if _, err := task.Fail(provisioning.NewRunner(s, tenants{s}).Fail)(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			}
			if s.o.State != operation.Failed || s.t.Status != tenant.Failed || s.o.Failure.Code != test.code || s.o.Failure.Detail != test.detail {
				t.Errorf("the operation is %+v with %+v, and the tenant %s", s.o, s.o.Failure, s.t.Status)
			}
		})
	}
}

// A vault counts what is dropped.
type vault struct{ dropped []string }

func (*vault) Keep(context.Context, operation.ID, provisioning.Passwords) (string, error) {
	return "", errors.New("nothing is to be kept")
}

func (*vault) Open(context.Context, string) (provisioning.Passwords, error) {
	return provisioning.Passwords{}, provisioning.ErrNoPasswords
}

func (v *vault) Drop(_ context.Context, secret string) error {
	v.dropped = append(v.dropped, secret)
	return nil
}

func TestActivate(t *testing.T) {
	s, v := newStore(), &vault{}
	activate := func(ctx context.Context, t work.Task) error {
		return provisioning.NewRunner(s, tenants{s}).Activate(ctx, v, t)
	}
	s.o.Secret = "secret"
	s.o.Steps[0].State, s.o.Steps[0].EndedAt = operation.Succeeded, new(time.Now())
	for range 2 {
		if _, err := task.Do(activate)(t.Context(), input(t, `{"operation_id":"o","attempt":1,"action":"apply"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if s.o.State != operation.Succeeded || s.t.Status != tenant.Active || s.o.Secret != "" {
		t.Errorf("the operation is %+v, and the tenant %s", s.o, s.t.Status)
	}
	if diff := cmp.Diff([]string{"secret"}, v.dropped); diff != "" {
		t.Errorf("secrets dropped (-want +got):\n%s", diff)
	}
}
