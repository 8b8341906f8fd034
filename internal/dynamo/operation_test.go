package dynamo_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// ended returns an operation as it is when it has ended.
func ended(o operation.Operation, state operation.State) operation.Operation {
	now := o.CreatedAt.Add(time.Second)
	o.State, o.EndedAt = state, &now
	o.Steps = []operation.Step{{Name: "activate", State: state, Attempts: 2, StartedAt: &o.CreatedAt, EndedAt: &now, Error: "why"}}
	o.Failure = &operation.Failure{Step: "activate", Code: "code", Detail: "detail", Hint: "hint"}
	o.Version++
	return o
}

func TestOperations(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	tenants, operations := dynamo.NewTenants(table), dynamo.NewOperations(table)
	c := newCreation("Acme", "acme")
	acme, o := create(t, tenants, c)[0], c.Operation
	get := func() operation.Operation {
		t.Helper()
		got, err := operations.Get(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff(o, get()); diff != "" {
		t.Errorf("after Create (-want +got):\n%s", diff)
	}
	if got, err := operations.Running(t.Context(), acme.ID); err != nil || got != o.ID {
		t.Errorf("Running: got %q, %v, want %q", got, err, o.ID)
	}

	running := o
	running.State, running.Version = operation.Running, 2
	if err := operations.Save(t.Context(), o, running); err != nil {
		t.Fatal(err)
	}
	if err := operations.Save(t.Context(), o, running); !errors.Is(err, fault.Conflict) {
		t.Errorf("Save of an old version: got %v, want fault.Conflict", err)
	}

	failed := ended(running, operation.Failed)
	failedTenant := acme
	failedTenant.Status, failedTenant.Version = tenant.Failed, 2
	if err := operations.SaveWithTenant(t.Context(), running, failed, acme, failedTenant, told(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(failed, get(), cmp.FilterPath(isDueAt, cmp.Ignore())); diff != "" {
		t.Errorf("after SaveWithTenant (-want +got):\n%s", diff)
	}
	if _, err := operations.Running(t.Context(), acme.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("Running after the end: got %v, want fault.NotFound", err)
	}
	if got, err := tenants.Get(t.Context(), acme.ID); err != nil || got.Status != tenant.Failed {
		t.Errorf("the tenant is %s, %v, want failed", got.Status, err)
	}

	again, againTenant := failed, failedTenant
	again.State, again.EndedAt, again.Version = operation.Pending, nil, 4
	againTenant.Status, againTenant.Version = tenant.Provisioning, 3
	if err := operations.SaveWithTenant(t.Context(), failed, again, failedTenant, againTenant, told(), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := operations.Running(t.Context(), acme.ID); err != nil || got != o.ID {
		t.Errorf("Running after a retry: got %q, %v, want %q", got, err, o.ID)
	}
}

// isDueAt reports whether p is when an operation is looked at, which is not kept
// of one that has ended.
func isDueAt(p cmp.Path) bool { return p.Last().String() == ".DueAt" }

func TestOperationNotFound(t *testing.T) {
	t.Parallel()
	operations := dynamo.NewOperations(newTable(t))
	if _, err := operations.Get(t.Context(), operation.ID(uuid.NewString())); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want fault.NotFound", err)
	}
	if p, err := operations.List(t.Context(), "nobody", page.Window{Limit: 1}); err != nil || p.Entries != nil || p.Next != "" {
		t.Errorf("got %+v, %v, want an empty list", p, err)
	}
}

func TestListOperations(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	tenants, operations := dynamo.NewTenants(table), dynamo.NewOperations(table)
	create(t, tenants, newCreation("Other", "other"))
	// Operations come about with tenants, so these are of tenants that are one
	// as far as the index goes.
	owner := newCreation("Acme", "acme").Tenant.ID
	var want []operation.ID
	for i, slug := range []string{"acme-1", "acme-2", "acme-3"} {
		c := newCreation(slug, slug)
		c.Operation.TenantID = owner
		c.Operation.CreatedAt = c.Operation.CreatedAt.Add(time.Duration(i) * time.Second)
		create(t, tenants, c)
		want = append([]operation.ID{c.Operation.ID}, want...)
	}
	list := func(limit int) []operation.ID {
		var ids []operation.ID
		for w := (page.Window{Limit: limit}); ; {
			p, err := operations.List(t.Context(), owner, w)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range p.Entries {
				ids = append(ids, entry.Value.ID)
			}
			if w.From = p.Next; w.From == "" {
				return ids
			}
		}
	}
	eventually(t, "the index holds all operations", func() bool { return len(list(10)) == len(want) })
	for _, limit := range []int{1, 2, 3, 10} {
		if diff := cmp.Diff(want, list(limit)); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
}
