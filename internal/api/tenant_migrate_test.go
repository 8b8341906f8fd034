package api

import (
	"context"
	"testing"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

type migrateFunc func(work.Receipt) (operation.Operation, error)

func (f migrateFunc) Migrate(_ context.Context, _ identity.Caller, _ identity.TenantID, receipt work.Receipt) (operation.Operation, error) {
	return f(receipt)
}

const (
	migratePath     = "/tenants/" + acmeID + "/migrate"
	acceptedMigrate = `{"id":"` + operationID + `","kind":"migrate","tenant_id":"` + acmeID + `","state":"pending","attempt":1,` +
		`"steps":[{"name":"activate","state":"pending","attempts":0,"started_at":null,"ended_at":null,"error":null}],` +
		`"error":null,"created_at":"2026-11-22T01:30:00.000Z","ended_at":null}`
)

var runs = runningFunc(func() (operation.ID, error) { return "operation-1", nil })

func TestMigrateTenant(t *testing.T) {
	const end = `"instance":"` + migratePath + `","request_id":"R1"`
	migration := newOperation(func(o *operation.Operation) { o.Kind = operation.Migrate })
	for name, test := range map[string]struct {
		err    error
		caller AuthorizerContext
		body   string
		status int
		want   string
	}{
		"migrated":         {nil, asAdmin, "", 202, acceptedMigrate},
		"an empty object":  {nil, asAdmin, "{}", 202, acceptedMigrate},
		"something to say": {nil, asAdmin, `{"schema_version":3}`, 400, problemBody(fault.Malformed, "The request cannot be read", 400, `"detail":"the body holds what this operation does not take",`+end+`,"errors":[{"pointer":"#/schema_version","detail":"is not a member of this resource"}]`)},
		"another role":     {nil, asOwner, "", 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, owner, may not do this",`+end)},
		"unknown":          {tenant.NotFound(acmeID), asAdmin, "", 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+end)},
		"an operation runs": {
			fault.New(fault.OperationRunning, "another operation runs on the tenant"), asAdmin, "", 409,
			problemBody(fault.OperationRunning, "An operation is running", 409, `"detail":"another operation runs on the tenant",`+end+`,"operation_id":"operation-1"`),
		},
		"illegal": {
			tenant.Tenant{Status: tenant.Purging}.AdmitMigration(), asAdmin, "", 409,
			problemBody(fault.IllegalTransition, "The status cannot become that", 409,
				`"detail":"the databases of a tenant that is purging cannot be migrated; only those of one that is active, inactive, suspended can",`+end+`,"allowed":["deleted"],"status_from":"purging"`),
		},
		"broken": {errBroken, asAdmin, "", 500, problemBody("internal", "Something failed that is ours to mend", 500, end)},
	} {
		t.Run(name, func(t *testing.T) {
			op := MigrateTenant(migrateFunc(func(work.Receipt) (operation.Operation, error) { return migration, test.err }), runs, recorder{}, testKey)
			got := serve(t, op, sent{path: migratePath, params: map[string]string{"tenant_id": acmeID}, caller: test.caller, body: test.body})
			got.check(t, test.status, test.want)
			if at := got.Headers["location"]; (at == "/operations/"+operationID) != (test.status == 202) {
				t.Errorf("got the location %s", at)
			}
		})
	}
}

// TestMigrateTenantOnce asks twice with one key.
func TestMigrateTenantOnce(t *testing.T) {
	records, times := recorder{}, 0
	op := MigrateTenant(migrateFunc(func(receipt work.Receipt) (operation.Operation, error) {
		times++
		o := newOperation(func(o *operation.Operation) { o.Kind = operation.Migrate })
		record, err := receipt(o)
		if err == nil {
			err = records.keep(record)
		}
		return o, err
	}), runs, records, testKey)
	for i := range 2 {
		got := serve(t, op, sent{
			path: migratePath, params: map[string]string{"tenant_id": acmeID}, caller: asAdmin,
			headers: map[string]string{"idempotency-key": "k"},
		})
		got.check(t, 202, acceptedMigrate)
		if replayed := got.Headers["idempotent-replayed"]; (replayed == "true") != (i == 1) || got.Headers["location"] != "/operations/"+operationID {
			t.Errorf("answer %d has the headers %v", i, got.Headers)
		}
	}
	if times != 1 {
		t.Errorf("the tenant was migrated %d times", times)
	}
}
