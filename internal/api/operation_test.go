package api

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

const operationID = "e2b7d9c4-61a3-4a0f-9c1e-8b5d7f3a2c10"

// oneOperation is a store of one operation, which lists it twice.
type oneOperation struct{ operation.Operation }

func (s oneOperation) Get(_ context.Context, id operation.ID) (operation.Operation, error) {
	switch id {
	case s.ID:
		return s.Operation, nil
	case "broken":
		return operation.Operation{}, errBroken
	}
	return operation.Operation{}, operation.NotFound(id)
}

func (s oneOperation) List(_ context.Context, _ identity.TenantID, w page.Window) (page.Page[operation.Operation], error) {
	entry := page.Entry[operation.Operation]{Value: s.Operation, After: "second"}
	if w.From == "" && w.Limit == 1 {
		return page.Page[operation.Operation]{Entries: []page.Entry[operation.Operation]{entry}, Next: "second"}, nil
	}
	return page.Page[operation.Operation]{Entries: []page.Entry[operation.Operation]{entry, entry}[len(w.From)/6:]}, nil
}

func newOperation(edit func(*operation.Operation)) operation.Operation {
	o := operation.Operation{
		ID: operationID, Kind: operation.Provision, TenantID: acmeID, State: operation.Pending, Attempt: 1,
		Steps:     []operation.Step{{Name: "activate", State: operation.Pending}},
		CreatedAt: time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC), Version: 3,
		AdminEmail: "dewi@nusantara.example", Secret: "secret-name",
	}
	if edit != nil {
		edit(&o)
	}
	return o
}

const (
	pendingOperation = `{"id":"` + operationID + `","kind":"provision","tenant_id":"` + acmeID + `","state":"pending","attempt":1,` +
		`"steps":[{"name":"activate","state":"pending","attempts":0,"started_at":null,"ended_at":null,"error":null}],` +
		`"error":null,"created_at":"2026-11-22T01:30:00.000Z","ended_at":null}`
	failedOperation = `{"id":"` + operationID + `","kind":"provision","tenant_id":"` + acmeID + `","state":"failed","attempt":2,` +
		`"steps":[{"name":"activate","state":"failed","attempts":3,"started_at":"2026-11-22T01:30:00.000Z","ended_at":"2026-11-22T01:30:01.000Z","error":"why"}],` +
		`"error":{"step":"activate","code":"code","detail":"detail","hint":"hint"},"created_at":"2026-11-22T01:30:00.000Z","ended_at":"2026-11-22T01:30:01.000Z"}`
)

func failed(o *operation.Operation) {
	ended := o.CreatedAt.Add(time.Second)
	o.State, o.Attempt, o.EndedAt = operation.Failed, 2, &ended
	o.Steps[0] = operation.Step{Name: "activate", State: operation.Failed, Attempts: 3, StartedAt: &o.CreatedAt, EndedAt: &ended, Error: "why"}
	o.Failure = &operation.Failure{Step: "activate", Code: "code", Detail: "detail", Hint: "hint"}
}

func TestGetOperation(t *testing.T) {
	const end = `"instance":"/operations/x","request_id":"R1"`
	deleting := func(t *tenant.Tenant) { t.Status = tenant.Deleting }
	for name, test := range map[string]struct {
		edit   func(*operation.Operation)
		tenant func(*tenant.Tenant)
		caller AuthorizerContext
		id     string
		status int
		want   string
	}{
		"pending":          {nil, nil, asAgent, operationID, 200, pendingOperation},
		"failed":           {failed, nil, asAdmin, operationID, 200, failedOperation},
		"another tenant's": {nil, nil, asStranger, operationID, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no operation \"`+operationID+`\"",`+end)},
		"unknown":          {nil, nil, asAdmin, "x", 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no operation \"x\"",`+end)},
		"deleting": {nil, deleting, asOwner, operationID, 403, problemBody(fault.TenantDeleting, "The tenant is being deleted", 403,
			`"detail":"the tenant is being deleted; a platform admin can restore it while its status is deleting",`+end)},
		"deleting, for a platform admin": {nil, deleting, asAdmin, operationID, 200, pendingOperation},
		"an applicant":                   {nil, nil, AuthorizerContext{Subject: "P", Role: identity.Applicant}, operationID, 403, problemBody(fault.Forbidden, "The caller may not do this", 403, `"detail":"your role, applicant, may not do this",`+end)},
		"broken":                         {nil, nil, asAdmin, "broken", 500, problemBody("internal", "Something failed that is ours to mend", 500, end)},
	} {
		t.Run(name, func(t *testing.T) {
			op := GetOperation(oneOperation{newOperation(test.edit)}, &oneTenant{newAcme(test.tenant)})
			got := serve(t, op, sent{method: "GET", path: "/operations/x", params: map[string]string{"operation_id": test.id}, caller: test.caller})
			got.check(t, test.status, test.want)
			if etag := got.Headers["etag"]; (etag == `"3"`) != (test.status == 200) {
				t.Errorf("got the ETag %s", etag)
			}
		})
	}
}

func TestListOperations(t *testing.T) {
	const path = "/tenants/" + acmeID + "/operations"
	end := `"instance":"` + path + `","request_id":"R1"`
	list := func(id string, caller AuthorizerContext, query string) envelope {
		t.Helper()
		op := ListOperations(oneOperation{newOperation(nil)}, &oneTenant{newAcme(nil)}, testCursors())
		return serve(t, op, sent{method: "GET", path: path, query: query, params: map[string]string{"tenant_id": id}, caller: caller})
	}
	list(acmeID, asAgent, "").check(t, 200, `[`+pendingOperation+`,`+pendingOperation+`]`)
	list(acmeID, asStranger, "").check(t, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+acmeID+`\"",`+end))
	list(otherID, asAdmin, "").check(t, 404, problemBody(fault.NotFound, "There is no such thing", 404, `"detail":"there is no tenant \"`+otherID+`\"",`+end))
	list(acmeID, asAdmin, "limit=0").check(t, 422, problemBody(fault.Invalid, "The request breaks rules", 422,
		`"detail":"the request breaks a rule; errors lists each",`+end+`,"errors":[{"parameter":"limit","detail":"must be from 1 to 1000"}]`))
	list(acmeID, asAdmin, "offset=1").check(t, 400, problemBody(fault.Malformed, "The request cannot be read", 400,
		`"detail":"the query string is not one that this operation takes",`+end+`,"errors":[{"parameter":"offset","detail":"is not a parameter of this operation"}]`))

	first := list(acmeID, asAgent, "limit=1")
	first.check(t, 200, `[`+pendingOperation+`]`)
	query, _, ok := strings.Cut(strings.TrimPrefix(first.Headers["link"], "<"+path+"?"), `>; rel="next"`)
	if !ok {
		t.Fatalf("got the link %s", first.Headers["link"])
	}
	second := list(acmeID, asAgent, query)
	second.check(t, 200, `[`+pendingOperation+`]`)
	if second.Headers["link"] != "" {
		t.Errorf("got the link %s", second.Headers["link"])
	}
}
