package api

import (
	"context"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/impersonation"
	"github.com/tenantry/tenantry/internal/page"
)

type beginFunc func(identity.Caller, impersonation.Draft) (impersonation.Session, string)

func (f beginFunc) Begin(_ context.Context, c identity.Caller, d impersonation.Draft, _ impersonation.Receipt) (impersonation.Session, string, error) {
	session, token := f(c, d)
	return session, token, nil
}

func TestCreateImpersonation(t *testing.T) {
	const dewi = "3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e"
	begin := func(c identity.Caller, d impersonation.Draft) (impersonation.Session, string) {
		if c.Subject != "A1" || d.UserID != dewi {
			t.Errorf("got %+v %+v", c, d)
		}
		ends := time.Unix(1_800_000_000, 0).Add(time.Duration(d.TTLSeconds.Or(900)) * time.Second)
		return impersonation.Session{ID: "I1", Subject: d.UserID, TenantID: "T1", Mode: d.Mode.Or(identity.ReadOnly), ExpiresAt: ends}, "tni_secret"
	}
	for name, test := range map[string]struct {
		caller AuthorizerContext
		body   string
		status int
		want   string
	}{
		"to look": {
			rootCaller, `{"user_id":"` + dewi + `","reason":"ticket 4711"}`, 201,
			`{"id":"I1","token":"tni_secret","user_id":"` + dewi + `","tenant_id":"T1","mode":"read_only","expires_at":"2027-01-15T08:15:00.000Z"}`,
		},
		"to mend": {
			rootCaller, `{"user_id":"` + dewi + `","reason":"ticket 4711","mode":"full","ttl_seconds":60}`, 201,
			`{"id":"I1","token":"tni_secret","user_id":"` + dewi + `","tenant_id":"T1","mode":"full","expires_at":"2027-01-15T08:01:00.000Z"}`,
		},
		"not valid": {
			rootCaller, `{"user_id":"dewi","reason":" because  ","mode":"all","ttl_seconds":3601}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/impersonations","request_id":"R1",` +
				`"errors":[{"pointer":"#/user_id","detail":"must be the id of a user"},{"pointer":"#/reason","detail":"must be 10 to 500 characters after trimming"},` +
				`{"pointer":"#/mode","detail":"must be read_only or full"},{"pointer":"#/ttl_seconds","detail":"must be from 60 to 3600"}]}`,
		},
		"by a member": {
			ownerCaller, `{"user_id":"` + dewi + `","reason":"ticket 4711"}`, 403,
			`{"type":"/docs/problems/forbidden","title":"The caller may not do this","status":403,"detail":"your role, owner, may not do this","instance":"/impersonations","request_id":"R1"}`,
		},
		"in an impersonation": {
			AuthorizerContext{Subject: "A2", Role: identity.PlatformAdmin, ImpersonationID: "I0", Actor: "A1", Mode: identity.Full},
			`{"user_id":"` + dewi + `","reason":"ticket 4711"}`, 403,
			`{"type":"/docs/problems/impersonation-denied","title":"The impersonation does not allow it","status":403,"detail":"the operation is not for an impersonation","instance":"/impersonations","request_id":"R1"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, CreateImpersonation(beginFunc(begin), nil, nil), sent{path: "/impersonations", caller: test.caller, body: test.body})
			got.check(t, test.status, test.want)
		})
	}
}

type listSessionsFunc func(page.Window) (page.Page[impersonation.Session], error)

func (f listSessionsFunc) List(_ context.Context, w page.Window) (page.Page[impersonation.Session], error) {
	return f(w)
}

func TestListImpersonations(t *testing.T) {
	list := func(page.Window) (page.Page[impersonation.Session], error) {
		at := time.Unix(1_800_000_000, 0)
		s := impersonation.Session{
			ID: "I1", Actor: "A1", Subject: "U1", TenantID: "T1", Reason: "ticket 4711", Mode: identity.Full,
			CreatedAt: at, ExpiresAt: at.Add(time.Minute), EndedAt: new(at.Add(time.Second)), Hash: "h",
		}
		return page.Page[impersonation.Session]{Entries: []page.Entry[impersonation.Session]{{Value: s}}}, nil
	}
	serve(t, ListImpersonations(listSessionsFunc(list), nil), sent{method: "GET", path: "/impersonations", caller: rootCaller}).check(t, 200,
		`[{"id":"I1","actor_id":"A1","user_id":"U1","tenant_id":"T1","reason":"ticket 4711","mode":"full","created_at":"2027-01-15T08:00:00.000Z","expires_at":"2027-01-15T08:01:00.000Z","ended_at":"2027-01-15T08:00:01.000Z"}]`)
}

type endFunc func(impersonation.ID) error

func (f endFunc) End(_ context.Context, _ identity.Caller, id impersonation.ID) error { return f(id) }

func TestDeleteImpersonation(t *testing.T) {
	end := func(id impersonation.ID) error {
		if id == "I1" {
			return nil
		}
		return impersonation.NotFound(id)
	}
	for id, want := range map[string]fault.Kind{"I1": "", "I2": fault.NotFound} {
		got := serve(t, DeleteImpersonation(endFunc(end)), sent{method: "DELETE", path: "/impersonations/" + id, params: map[string]string{"id": id}, caller: rootCaller})
		if kind := kindOf(t, got); kind != want || want == "" && got.StatusCode != 204 {
			t.Errorf("%s: got %d %q, want %q", id, got.StatusCode, kind, want)
		}
	}
}
