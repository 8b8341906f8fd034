package api

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/deprovisioning"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

type deleteFunc func(versions []int64) (operation.Operation, error)

func (f deleteFunc) Delete(_ context.Context, _ identity.Caller, _ identity.TenantID, versions []int64) (operation.Operation, error) {
	return f(versions)
}

func TestDeleteTenant(t *testing.T) {
	deprovision := newOperation(func(o *operation.Operation) { o.Kind, o.NotBefore = operation.Deprovision, time.Now() })
	accepted := `{"id":"` + operationID + `","kind":"deprovision","tenant_id":"` + acmeID + `","state":"pending","attempt":1,` +
		`"steps":[{"name":"activate","state":"pending","attempts":0,"started_at":null,"ended_at":null,"error":null}],` +
		`"error":null,"created_at":"2026-11-22T01:30:00.000Z","ended_at":null}`
	blockers := map[string]any{"blockers": []map[string]any{{"kind": "live_calls", "count": 2}}}
	for name, test := range map[string]struct {
		err    error
		caller AuthorizerContext
		status int
		want   string
	}{
		"deleted":      {nil, asAdmin, 202, accepted},
		"another role": {nil, asOwner, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, owner, may not do this",`+acmeEnd)},
		"unknown":      {tenant.NotFound(acmeID), asAdmin, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+acmeEnd)},
		"in use": {
			&fault.Error{Kind: fault.DeleteBlocked, Detail: "the tenant has 2 live calls", Members: blockers}, asAdmin, 409,
			problemBody(fault.DeleteBlocked, "The tenant is in use", 409, `"detail":"the tenant has 2 live calls",`+acmeEnd+`,"blockers":[{"count":2,"kind":"live_calls"}]`),
		},
		"an operation runs": {
			fault.New(fault.OperationRunning, "an operation runs on the tenant"), asAdmin, 409,
			problemBody(fault.OperationRunning, "An operation is running", 409, `"detail":"an operation runs on the tenant",`+acmeEnd+`,"operation_id":"operation-1"`),
		},
		"illegal": {
			tenant.Deleted.CanBecome(tenant.Deleting), asAdmin, 409,
			problemBody(fault.IllegalTransition, "The status cannot become that", 409, `"detail":"a tenant that is deleted cannot become deleting; it can become nothing else",`+acmeEnd+
				`,"allowed":[],"status_from":"deleted","status_to":"deleting"`),
		},
		"stale":  {fault.New(fault.Stale, "the tenant has changed"), asAdmin, 412, problemBody(fault.Stale, "The version is not the present one", 412, `"detail":"the tenant has changed",`+acmeEnd)},
		"broken": {errBroken, asAdmin, 500, problemBody("internal", "Something failed that is ours to mend", 500, acmeEnd)},
	} {
		t.Run(name, func(t *testing.T) {
			var versions []int64
			op := DeleteTenant(deleteFunc(func(v []int64) (operation.Operation, error) {
				versions = v
				return deprovision, test.err
			}), runningFunc(func() (operation.ID, error) { return "operation-1", nil }))
			got := serve(t, op, sent{
				method: "DELETE", path: "/tenants/" + acmeID, params: map[string]string{"tenant_id": acmeID}, caller: test.caller,
				headers: map[string]string{"if-match": `"7"`},
			})
			got.check(t, test.status, test.want)
			if test.status == 202 && got.Headers["location"] != "/operations/"+operationID {
				t.Errorf("got the location %s", got.Headers["location"])
			}
			if test.status != 403 && !cmp.Equal([]int64{7}, versions) {
				t.Errorf("the versions are %v, want 7", versions)
			}
		})
	}
}

type restoreFunc func(deprovisioning.Receipt) (tenant.Tenant, error)

func (f restoreFunc) Restore(_ context.Context, _ identity.Caller, _ identity.TenantID, receipt deprovisioning.Receipt) (tenant.Tenant, error) {
	return f(receipt)
}

func TestRestoreTenant(t *testing.T) {
	const path = "/tenants/" + acmeID + "/restore"
	const end = `"instance":"` + path + `","request_id":"R1"`
	purging := newAcme(func(t *tenant.Tenant) { t.Status = tenant.Purging })
	_, late := purging.Restore(time.Now())
	for name, test := range map[string]struct {
		err    error
		caller AuthorizerContext
		body   string
		status int
		want   string
	}{
		"restored":         {nil, asAdmin, "", 200, acmeView + `,"meta_data":{}}`},
		"an empty object":  {nil, asAdmin, "{}", 200, acmeView + `,"meta_data":{}}`},
		"something to say": {nil, asAdmin, `{"status":"active"}`, 400, problemBody(fault.Malformed, "The request cannot be read", 400, `"detail":"the body holds what this operation does not take",`+end+`,"errors":[{"pointer":"#/status","detail":"is not a member of this resource"}]`)},
		"another role":     {nil, asOwner, "", 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, owner, may not do this",`+end)},
		"unknown":          {tenant.NotFound(acmeID), asAdmin, "", 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+end)},
		"too late": {late, asAdmin, "", 409, problemBody(fault.IllegalTransition, "The status cannot become that", 409,
			`"detail":"a tenant that is purging cannot be restored; only one that is deleting can",`+end+`,"allowed":["deleted"],"status_from":"purging"`)},
		"broken": {errBroken, asAdmin, "", 500, problemBody("internal", "Something failed that is ours to mend", 500, end)},
	} {
		t.Run(name, func(t *testing.T) {
			op := RestoreTenant(restoreFunc(func(deprovisioning.Receipt) (tenant.Tenant, error) { return newAcme(nil), test.err }), noUse{}, recorder{}, testKey)
			got := serve(t, op, sent{path: path, params: map[string]string{"tenant_id": acmeID}, caller: test.caller, body: test.body})
			got.check(t, test.status, test.want)
			if etag := got.Headers["etag"]; (etag == `"7"`) != (test.status == 200) {
				t.Errorf("got the ETag %s", etag)
			}
		})
	}
}

func testKey(context.Context) ([]byte, error) { return []byte("key"), nil }

// TestRestoreTenantOnce asks twice with one key.
func TestRestoreTenantOnce(t *testing.T) {
	records, times := recorder{}, 0
	op := RestoreTenant(restoreFunc(func(receipt deprovisioning.Receipt) (tenant.Tenant, error) {
		times++
		record, err := receipt(newAcme(nil))
		if err == nil {
			err = records.keep(record)
		}
		return newAcme(nil), err
	}), noUse{}, records, testKey)
	for i := range 2 {
		got := serve(t, op, sent{
			path: "/tenants/" + acmeID + "/restore", params: map[string]string{"tenant_id": acmeID}, caller: asAdmin,
			headers: map[string]string{"idempotency-key": "k"},
		})
		got.check(t, 200, acmeView+`,"meta_data":{}}`)
		if replayed := got.Headers["idempotent-replayed"]; (replayed == "true") != (i == 1) || got.Headers["etag"] != `"7"` {
			t.Errorf("answer %d has the headers %v", i, got.Headers)
		}
	}
	if times != 1 {
		t.Errorf("the tenant was restored %d times", times)
	}
}

type retryFunc func(work.NewPasswords) (operation.Operation, error)

func (f retryFunc) Retry(_ context.Context, _ identity.Caller, _ operation.ID, newer work.NewPasswords, _ work.Receipt) (operation.Operation, error) {
	return f(newer)
}

// TestRetryOperation asks the retrier of the operation's kind.
func TestRetryOperation(t *testing.T) {
	const end = `"instance":"/operations/x/retry","request_id":"R1"`
	internal := problemBody("internal", "Something failed that is ours to mend", 500, end)
	refused := fault.New(fault.OperationNotFailed, "the operation is pending")
	for name, test := range map[string]struct {
		kind   operation.Kind
		id     string
		err    error
		status int
		want   string
	}{
		"a provision":    {operation.Provision, operationID, nil, 202, pendingOperation},
		"a deprovision":  {operation.Deprovision, operationID, refused, 409, problemBody(fault.OperationNotFailed, "The operation has not failed", 409, `"detail":"the operation is pending",`+end)},
		"a migration":    {operation.Migrate, operationID, refused, 409, problemBody(fault.OperationNotFailed, "The operation has not failed", 409, `"detail":"the operation is pending",`+end)},
		"of no kind":     {"other", operationID, nil, 500, internal},
		"unknown":        {operation.Provision, "x", nil, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no operation \"x\"",`+end)},
		"a broken store": {operation.Provision, "broken", nil, 500, internal},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(map[operation.Kind]int)
			retrier := func(kind operation.Kind) OperationRetrier {
				return retryFunc(func(work.NewPasswords) (operation.Operation, error) {
					asked[kind]++
					return newOperation(nil), test.err
				})
			}
			retriers := map[operation.Kind]OperationRetrier{
				operation.Provision:   retrier(operation.Provision),
				operation.Deprovision: retrier(operation.Deprovision),
				operation.Migrate:     retrier(operation.Migrate),
			}
			store := oneOperation{newOperation(func(o *operation.Operation) { o.Kind = test.kind })}
			op := RetryOperation(store, retriers, recorder{}, testKey)
			got := serve(t, op, sent{path: "/operations/x/retry", params: map[string]string{"operation_id": test.id}, caller: asAdmin})
			got.check(t, test.status, test.want)
			want := make(map[operation.Kind]int)
			if test.status == 202 || test.status == 409 {
				want[test.kind] = 1
			}
			if diff := cmp.Diff(want, asked); diff != "" {
				t.Errorf("who was asked (-want +got):\n%s", diff)
			}
		})
	}
}
