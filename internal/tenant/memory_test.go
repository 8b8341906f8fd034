package tenant_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	tenantID = identity.TenantID("5c9e4b0a-7d24-4f7b-b1f5-2f6a0c8d1e93")
	otherID  = identity.TenantID("3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e")
)

var (
	platformAdmin = identity.Caller{Subject: "A", Role: identity.PlatformAdmin}
	owner         = identity.Caller{Subject: "O", Role: identity.Owner, TenantID: tenantID}
	stranger      = identity.Caller{Subject: "S", Role: identity.Owner, TenantID: otherID}
)

// A memory is a tenant.Store and a tenant.Vault.
type memory struct {
	tenants  map[identity.TenantID]tenant.Tenant
	secrets  map[tenant.SecretRef]tenant.Secrets
	versions int
	updates  int
	cards    int // agents that hold card numbers
	records  []audit.Record
	receipt  *idempotency.Record
	// outcome, where it is set, decides over an update before it is made.
	outcome func(before, after tenant.Tenant) error
}

func newMemory(tenants ...tenant.Tenant) *memory {
	m := &memory{tenants: map[identity.TenantID]tenant.Tenant{}, secrets: map[tenant.SecretRef]tenant.Secrets{}}
	for _, t := range tenants {
		m.tenants[t.ID] = t
	}
	return m
}

func (m *memory) Get(_ context.Context, id identity.TenantID) (tenant.Tenant, error) {
	t, ok := m.tenants[id]
	if !ok {
		return t, tenant.NotFound(id)
	}
	return t, nil
}

func (m *memory) Update(_ context.Context, before, after tenant.Tenant, r audit.Record) error {
	m.updates++
	if m.outcome != nil {
		if err := m.outcome(before, after); err != nil {
			return err
		}
	}
	if m.tenants[after.ID].Version != before.Version {
		return fault.New(fault.Conflict, "changed meanwhile")
	}
	m.tenants[after.ID] = after
	m.records = append(m.records, r)
	return nil
}

func (m *memory) AgentsWithCards(context.Context, identity.TenantID) (int, error) {
	return m.cards, nil
}

func (m *memory) UpdateOnce(ctx context.Context, before, after tenant.Tenant, r audit.Record, receipt *idempotency.Record) error {
	if receipt != nil && m.receipt != nil {
		return idempotency.ErrRecorded
	}
	if err := m.Update(ctx, before, after, r); err != nil {
		return err
	}
	m.receipt = receipt
	return nil
}

func (m *memory) Read(_ context.Context, ref tenant.SecretRef) (tenant.Secrets, error) {
	s, ok := m.secrets[ref]
	if !ok {
		return s, fmt.Errorf("no secret %v", ref)
	}
	return s, nil
}

func (m *memory) Write(_ context.Context, id identity.TenantID, before *tenant.SecretRef, s tenant.Secrets) (tenant.SecretRef, error) {
	m.versions++
	ref := tenant.SecretRef{Name: string(id), Version: fmt.Sprint(m.versions)}
	if before != nil {
		ref.Name = before.Name
	}
	m.secrets[ref] = s
	return ref, nil
}

func (m *memory) Settle(_ context.Context, before *tenant.SecretRef, _ tenant.SecretRef) {
	if before != nil {
		delete(m.secrets, *before)
	}
}

func (m *memory) Discard(_ context.Context, _ *tenant.SecretRef, written tenant.SecretRef) {
	delete(m.secrets, written)
}

// newTenant returns an active tenant with a name.
func newTenant(edit func(*tenant.Tenant)) tenant.Tenant {
	t := tenant.Draft{
		Settings: tenant.Settings{Name: patch.Of("Acme")},
		ID:       patch.Of(tenantID),
		Slug:     patch.Of("acme"),
	}.Tenant(time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC))
	t.Status = tenant.Active
	if edit != nil {
		edit(&t)
	}
	return t
}

// update changes the only tenant of m.
func update(t *testing.T, m *memory, c identity.Caller, p tenant.Patch) (tenant.Updated, error) {
	t.Helper()
	return tenant.NewService(m, m).Update(t.Context(), c, tenantID, nil, func(tenant.Tenant) (tenant.Patch, fault.Fields) { return p, nil })
}

// lines returns the fields of a fault, one a line.
func lines(err error) []string {
	var lines []string
	f, ok := err.(*fault.Error) //nolint:errorlint // faults are compared as they are returned
	if !ok {
		return lines
	}
	for _, field := range f.Fields {
		lines = append(lines, field.Pointer+" "+field.Detail)
	}
	return lines
}

// behind is a memory whose first reader sees the tenant as it was.
type behind struct {
	*memory
	first *tenant.Tenant
}

func (b *behind) Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error) {
	if t := b.first; t != nil {
		b.first = nil
		return *t, nil
	}
	return b.memory.Get(ctx, id)
}
