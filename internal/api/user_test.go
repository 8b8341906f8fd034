package api

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

const budiID = "9b2f8e6d-3c47-4d15-8f0a-7e5c1b9d2a46"

func newBudi() user.User {
	return user.User{
		ID: budiID, Username: "budi", Email: "budi@example.com", FullName: "Budi", Role: identity.Agent, TenantID: acmeID,
		CreatedAt: time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC), Version: 3,
	}
}

const budiView = `{"id":"` + budiID + `","email":"budi@example.com","full_name":"Budi","role":"agent","is_online":false,"last_seen_at":null,"created_at":"2026-11-22T01:30:00.000Z","disabled":false}`

func testHashKey(context.Context) ([]byte, error) { return []byte("key"), nil }

// problemAt returns a problem document about a path. Rest is its detail and, after
// a |, its errors.
func problemAt(path string, kind fault.Kind, title string, status int, rest string) string {
	end := `"instance":"` + path + `","request_id":"R1"`
	if detail, errors, ok := strings.Cut(rest, "|"); ok {
		return problemBody(kind, title, status, `"detail":"`+detail+`",`+end+`,"errors":[`+errors+`]`)
	}
	if rest == "" {
		return problemBody(kind, title, status, end)
	}
	return problemBody(kind, title, status, `"detail":"`+rest+`",`+end)
}

func TestGetUser(t *testing.T) {
	getUser := func(id identity.UserID) (user.User, error) {
		u := newBudi()
		switch id {
		case "admin":
			u.Role, u.TenantID = identity.PlatformAdmin, ""
		case "broken":
			return u, errBroken
		case budiID:
		default:
			return u, user.NotFound(id)
		}
		return u, nil
	}
	for name, test := range map[string]struct {
		caller AuthorizerContext
		id     string
		status int
		want   string
	}{
		"own":                               {asOwner, budiID, 200, budiView},
		"as platform admin":                 {asAdmin, budiID, 200, budiView},
		"another tenant's":                  {asStranger, budiID, 404, problemAt("/users/x", fault.NotFound, "There is no such thing", 404, `there is no user \"`+budiID+`\"`)},
		"nobody":                            {asOwner, "x", 404, problemAt("/users/x", fault.NotFound, "There is no such thing", 404, `there is no user \"x\"`)},
		"a platform admin":                  {asOwner, "admin", 404, problemAt("/users/x", fault.NotFound, "There is no such thing", 404, `there is no user \"admin\"`)},
		"a platform admin, as one":          {asAdmin, "admin", 200, strings.Replace(budiView, `"role":"agent"`, `"role":"platform_admin"`, 1)},
		"as an agent":                       {asAgent, budiID, 403, problemAt("/users/x", fault.Forbidden, "The caller may not do this", 403, "your role, agent, may not do this")},
		"broken":                            {asAdmin, "broken", 500, problemAt("/users/x", "internal", "Something failed that is ours to mend", 500, "")},
		"as somebody who was deleted since": {AuthorizerContext{Subject: "U9", Role: identity.Applicant}, budiID, 403, problemAt("/users/x", fault.Forbidden, "The caller may not do this", 403, "your role, applicant, may not do this")},
	} {
		t.Run(name, func(t *testing.T) {
			op := GetUser(getUserFunc(getUser), &oneTenant{newAcme(nil)})
			got := serve(t, op, sent{method: "GET", path: "/users/x", params: map[string]string{"user_id": test.id}, caller: test.caller})
			got.check(t, test.status, test.want)
			if etag := got.Headers["etag"]; (etag == `"3"`) != (test.status == 200) {
				t.Errorf("got the ETag %s", etag)
			}
		})
	}
	again := sent{method: "GET", path: "/users/x", params: map[string]string{"user_id": budiID}, caller: asOwner, headers: map[string]string{"if-none-match": `"3"`}}
	serve(t, GetUser(getUserFunc(getUser), &oneTenant{newAcme(nil)}), again).check(t, 304, "")
}

// noOperation runs on a tenant.
var noOperation = runningFunc(func() (operation.ID, error) { return "", fault.New(fault.NotFound, "no operation runs") })

// What a tenant's operation refuses names the operation, unless that has ended
// since.
func TestUsersOfBusyTenant(t *testing.T) {
	busy := newAcme(func(t *tenant.Tenant) { t.Status = tenant.Provisioning }).AdmitWriter(identity.Caller{Role: identity.PlatformAdmin})
	running := runningFunc(func() (operation.ID, error) { return "operation-1", nil })
	for method, op := range map[string]func(RunningFinder) Operation{
		"POST": func(o RunningFinder) Operation {
			return CreateUser(inviteFunc(func(string, user.Draft) (user.User, error) { return user.User{}, busy }), o, recorder{}, testHashKey)
		},
		"PATCH": func(o RunningFinder) Operation {
			return UpdateUser(updateUserFunc(func([]int64, user.Patch, fault.Fields) (user.User, error) { return user.User{}, busy }), o)
		},
		"DELETE": func(o RunningFinder) Operation {
			return DeleteUser(removeUserFunc(func(identity.Caller, identity.UserID, []int64) error { return busy }), o)
		},
		"reset": func(o RunningFinder) Operation {
			return ResetUserPassword(resetUserFunc(func(identity.UserID) (bool, error) { return false, busy }), o, recorder{}, testHashKey)
		},
	} {
		t.Run(method, func(t *testing.T) {
			s := sent{path: "/users/x", params: map[string]string{"user_id": budiID}, caller: asOwner}
			switch method {
			case "POST":
				s.path, s.params, s.body = "/users", nil, `{"email":"budi@example.com","full_name":"Budi","role":"agent"}`
			case "PATCH":
				s.method, s.body = method, `{}`
			case "DELETE":
				s.method = method
			}
			const detail = `"detail":"the tenant is still being provisioned; try again when it is active",`
			end := `"instance":"` + s.path + `","request_id":"R1"`
			serve(t, op(running), s).check(t, 409, problemBody(fault.OperationRunning, "An operation is running", 409, detail+end+`,"operation_id":"operation-1"`))
			serve(t, op(noOperation), s).check(t, 409, problemBody(fault.OperationRunning, "An operation is running", 409, detail+end))
		})
	}
}

// Who was seen is online for two minutes, unless they are disabled. With that the
// ETag changes, and still names the version.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newBudi()
		u.LastSeenAt = time.Now()
		seen := `"last_seen_at":"` + u.LastSeenAt.UTC().Format("2006-01-02T15:04:05.000Z") + `"`
		get := func(u user.User, tag string) envelope {
			return serve(t, GetUser(getUserFunc(func(identity.UserID) (user.User, error) { return u, nil }), &oneTenant{newAcme(nil)}),
				sent{method: "GET", path: "/users/x", params: map[string]string{"user_id": budiID}, caller: asOwner, headers: map[string]string{"if-none-match": tag}})
		}
		tag := `"3"`
		shows := func(u user.User, online string) {
			t.Helper()
			got := get(u, tag)
			if !strings.Contains(got.Body, `"is_online":`+online+`,`+seen) {
				t.Errorf("got %s, want online %s and %s", got.Body, online, seen)
			}
			tag = got.Headers["etag"]
			if version, ok := parseETag(tag); version != 3 || !ok {
				t.Errorf("the ETag is %s, want one of version 3", tag)
			}
			get(u, tag).check(t, 304, "")
		}
		time.Sleep(2*time.Minute - time.Millisecond)
		shows(u, "true")
		disabled := u
		disabled.Disabled = true
		shows(disabled, "false")
		shows(u, "true")
		time.Sleep(time.Millisecond)
		shows(u, "false")
		u.LastSeenAt = time.Now()
		if got := get(u, tag); got.StatusCode != 200 {
			t.Errorf("after a heartbeat got %d", got.StatusCode)
		}
	})
}

type updateUserFunc func(versions []int64, p user.Patch, faults fault.Fields) (user.User, error)

func (f updateUserFunc) Update(_ context.Context, _ identity.Caller, _ identity.UserID, versions []int64, p user.Patch, faults fault.Fields) (user.User, error) {
	return f(versions, p, faults)
}

func TestUpdateUser(t *testing.T) {
	update := func(versions []int64, p user.Patch, faults fault.Fields) (user.User, error) {
		u := newBudi()
		if len(versions) == 1 && versions[0] != 3 {
			return u, fault.New(fault.Stale, "the user has changed since")
		}
		if err := faults.Err(); err != nil {
			return u, err
		}
		if p.Role == patch.Of(identity.Owner) {
			return u, fault.New(fault.LastOwner, "the user is the last owner")
		}
		u.FullName, u.Role, u.Disabled = p.FullName.Or(u.FullName), p.Role.Or(u.Role), p.Disabled.Or(u.Disabled)
		u.Version++
		return u, nil
	}
	for name, test := range map[string]struct {
		caller        AuthorizerContext
		ifMatch, body string
		status        int
		want          string
	}{
		"all":          {asOwner, `"3"`, `{"full_name":"Budi S","role":"admin","disabled":true}`, 200, strings.NewReplacer(`"full_name":"Budi"`, `"full_name":"Budi S"`, `"role":"agent"`, `"role":"admin"`, `"disabled":false`, `"disabled":true`).Replace(budiView)},
		"nothing":      {asAdmin, ``, `{}`, 200, budiView},
		"stale":        {asOwner, `"2"`, `{}`, 412, problemAt("/users/x", fault.Stale, "The version is not the present one", 412, "the user has changed since")},
		"last owner":   {asOwner, ``, `{"role":"owner"}`, 409, problemAt("/users/x", fault.LastOwner, "A tenant keeps an owner", 409, "the user is the last owner")},
		"wrong types":  {asOwner, ``, `{"role":null,"disabled":"yes"}`, 422, problemAt("/users/x", fault.Invalid, "The request breaks rules", 422, `the request breaks a rule; errors lists each|{"pointer":"#/disabled","detail":"must be true or false"},{"pointer":"#/role","detail":"must not be null"}`)},
		"the address":  {asOwner, ``, `{"email":"new@example.com"}`, 400, problemAt("/users/x", fault.Malformed, "The request cannot be read", 400, `the body holds what this operation does not take|{"pointer":"#/email","detail":"is not a member of this resource"}`)},
		"a supervisor": {AuthorizerContext{Subject: "S", TenantID: acmeID, Role: identity.Supervisor}, ``, `{}`, 403, problemAt("/users/x", fault.Forbidden, "The caller may not do this", 403, "your role, supervisor, may not do this")},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, UpdateUser(updateUserFunc(update), noOperation), sent{
				method: "PATCH", path: "/users/x", params: map[string]string{"user_id": budiID}, caller: test.caller, body: test.body,
				headers: map[string]string{"if-match": test.ifMatch},
			})
			got.check(t, test.status, test.want)
			if etag := got.Headers["etag"]; (etag == `"4"`) != (test.status == 200) {
				t.Errorf("got the ETag %s", etag)
			}
		})
	}
}

type removeUserFunc func(c identity.Caller, id identity.UserID, versions []int64) error

func (f removeUserFunc) Remove(_ context.Context, c identity.Caller, id identity.UserID, versions []int64) error {
	return f(c, id, versions)
}

func TestDeleteUser(t *testing.T) {
	remove := func(c identity.Caller, id identity.UserID, versions []int64) error {
		switch {
		case id == c.Subject:
			return fault.New(fault.Forbidden, "nobody deletes themselves")
		case id == "broken":
			return errBroken
		case len(versions) != 1 || versions[0] != 3:
			return fault.New(fault.Stale, "the user has changed since")
		}
		return nil
	}
	for name, test := range map[string]struct {
		caller      AuthorizerContext
		id, ifMatch string
		status      int
		want        string
	}{
		"good":       {asOwner, budiID, `"3"`, 204, ""},
		"stale":      {asOwner, budiID, `"2"`, 412, problemAt("/users/x", fault.Stale, "The version is not the present one", 412, "the user has changed since")},
		"themselves": {asOwner, string(asOwner.Subject), ``, 403, problemAt("/users/x", fault.Forbidden, "The caller may not do this", 403, "nobody deletes themselves")},
		"an agent":   {asAgent, budiID, ``, 403, problemAt("/users/x", fault.Forbidden, "The caller may not do this", 403, "your role, agent, may not do this")},
		"broken":     {asOwner, "broken", ``, 500, problemAt("/users/x", "internal", "Something failed that is ours to mend", 500, "")},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, DeleteUser(removeUserFunc(remove), noOperation), sent{
				method: "DELETE", path: "/users/x", params: map[string]string{"user_id": test.id}, caller: test.caller, headers: map[string]string{"if-match": test.ifMatch},
			}).check(t, test.status, test.want)
		})
	}
}

type listUsersFunc func(id identity.TenantID, search string, w page.Window) (page.Page[user.User], error)

func (f listUsersFunc) List(_ context.Context, id identity.TenantID, search string, w page.Window) (page.Page[user.User], error) {
	return f(id, search, w)
}

func TestListUsers(t *testing.T) {
	list := func(caller AuthorizerContext, edit func(*tenant.Tenant), query string) envelope {
		t.Helper()
		users := func(id identity.TenantID, search string, w page.Window) (page.Page[user.User], error) {
			p := page.Page[user.User]{}
			if id == acmeID && search != "nobody" {
				p.Entries = []page.Entry[user.User]{{Value: newBudi(), After: "7"}}
			}
			if w.Limit == 1 && w.From == "" {
				p.Next = "7"
			}
			return p, nil
		}
		return serve(t, ListUsers(listUsersFunc(users), &oneTenant{newAcme(edit)}, testCursors()), sent{method: "GET", path: "/users", query: query, caller: caller})
	}
	list(asAgent, nil, "").check(t, 200, "["+budiView+"]")
	list(asAgent, nil, "search=bud&tenant_id="+acmeID).check(t, 200, "["+budiView+"]")
	list(asAdmin, nil, "search=nobody&tenant_id="+acmeID).check(t, 200, "[]")
	list(asAgent, func(t *tenant.Tenant) { t.Status = tenant.Suspended }, "").check(t, 200, "["+budiView+"]")
	list(asAgent, func(t *tenant.Tenant) { t.Status = tenant.Deleting }, "").check(t, 403,
		problemAt("/users", fault.TenantDeleting, "The tenant is being deleted", 403, "the tenant is being deleted; a platform admin can restore it while its status is deleting"))
	for _, caller := range []AuthorizerContext{asAgent, asAdmin} {
		list(caller, nil, "tenant_id="+otherID).check(t, 404, problemAt("/users", fault.NotFound, "There is no such thing", 404, `there is no tenant \"`+otherID+`\"`))
	}
	list(asAdmin, nil, "search=%20&limit=0").check(t, 422, problemAt("/users", fault.Invalid, "The request breaks rules", 422,
		`the request breaks a rule; errors lists each|{"parameter":"limit","detail":"must be from 1 to 1000"},`+
			`{"parameter":"tenant_id","detail":"is required of a platform admin"},{"parameter":"search","detail":"must be 1 to 255 characters, and not only white space"}`))
	list(asAgent, nil, "search="+strings.Repeat("a", 256)).check(t, 422, problemAt("/users", fault.Invalid, "The request breaks rules", 422,
		`the request breaks a rule; errors lists each|{"parameter":"search","detail":"must be 1 to 255 characters, and not only white space"}`))

	first := list(asAgent, nil, "limit=1")
	query, _, ok := strings.Cut(strings.TrimPrefix(first.Headers["link"], "</users?"), `>; rel="next"`)
	if !ok {
		t.Fatalf("got the link %s", first.Headers["link"])
	}
	if second := list(asAgent, nil, query); second.StatusCode != 200 || second.Headers["link"] != "" {
		t.Errorf("the second page is %+v", second)
	}
	if got := list(asAgent, nil, query+"&search=bud"); got.StatusCode != 400 {
		t.Errorf("the cursor of another search gave %d", got.StatusCode)
	}
	if got := list(asAdmin, nil, query+"&tenant_id="+acmeID); got.StatusCode != 400 {
		t.Errorf("the cursor of another caller gave %d", got.StatusCode)
	}
}

type inviteFunc func(id string, d user.Draft) (user.User, error)

func (f inviteFunc) Invite(_ context.Context, _ identity.Caller, id string, d user.Draft, receipt func(user.User) (*idempotency.Record, error)) (user.User, error) {
	u, err := f(id, d)
	if err != nil {
		return u, err
	}
	_, err = receipt(u)
	return u, err
}

func TestCreateUser(t *testing.T) {
	ids := map[string]int{}
	invite := func(id string, d user.Draft) (user.User, error) {
		ids[id]++
		switch {
		case d.Email == "taken@example.com":
			return user.User{}, fault.New(fault.EmailTaken, "the e-mail address belongs to another account")
		case d.Email == "running@example.com":
			return user.User{}, fault.New(fault.InProgress, "try again in a moment")
		case d != (user.Draft{Email: "budi@example.com", FullName: "Budi", Role: identity.Agent, TenantID: d.TenantID}):
			return user.User{}, errBroken
		}
		return newBudi(), nil
	}
	post := func(caller AuthorizerContext, key, body string) envelope {
		t.Helper()
		s := sent{path: "/users", caller: caller, body: body}
		if key != "" {
			s.headers = map[string]string{"idempotency-key": key}
		}
		return serve(t, CreateUser(inviteFunc(invite), noOperation, recorder{}, testHashKey), s)
	}
	good := `{"email":"budi@example.com","full_name":"Budi","role":"agent"}`
	created := post(asOwner, "", good)
	created.check(t, 201, budiView)
	if created.Headers["location"] != "/users/"+budiID || created.Headers["etag"] != `"3"` {
		t.Errorf("got the headers %v", created.Headers)
	}
	post(asAdmin, "", strings.Replace(good, "{", `{"tenant_id":"`+acmeID+`",`, 1)).check(t, 201, budiView)
	post(asAdmin, "", good).check(t, 422, problemAt("/users", fault.Invalid, "The request breaks rules", 422,
		`the request breaks a rule; errors lists each|{"pointer":"#/tenant_id","detail":"is required of a platform admin"}`))
	post(asOwner, "", `{"email":7,"role":"platform_admin"}`).check(t, 422, problemAt("/users", fault.Invalid, "The request breaks rules", 422,
		`the request breaks a rule; errors lists each|{"pointer":"#/email","detail":"must be a string"},`+
			`{"pointer":"#/full_name","detail":"must be 1 to 255 characters after trimming"},{"pointer":"#/role","detail":"must be one of owner, admin, supervisor, agent"}`))
	post(asOwner, "", strings.Replace(good, "budi@", "taken@", 1)).check(t, 409, problemAt("/users", fault.EmailTaken, "The e-mail address is taken", 409, "the e-mail address belongs to another account"))
	post(asOwner, "k", strings.Replace(good, "budi@", "running@", 1)).check(t, 409, problemAt("/users", fault.InProgress, "The first request still runs", 409, "try again in a moment"))
	post(asAgent, "", good).check(t, 403, problemAt("/users", fault.Forbidden, "The caller may not do this", 403, "your role, agent, may not do this"))

	// One invitation for one key, caller and body; else another.
	clear(ids)
	for _, key := range []string{"a", "a", "b", "", ""} {
		post(asOwner, key, good)
	}
	post(asAdmin, "a", strings.Replace(good, "{", `{"tenant_id":"`+acmeID+`",`, 1))
	post(asOwner, "a", strings.Replace(good, "budi@", "taken@", 1))
	if len(ids) != 6 {
		t.Errorf("got the invitations %v, want 6", ids)
	}
}

type resetUserFunc func(id identity.UserID) (bool, error)

func (f resetUserFunc) Reset(_ context.Context, _ identity.Caller, id identity.UserID, receipt func(bool) (*idempotency.Record, error)) (bool, error) {
	invited, err := f(id)
	if err != nil {
		return false, err
	}
	_, err = receipt(invited)
	return invited, err
}

func TestResetUserPassword(t *testing.T) {
	reset := func(id identity.UserID) (bool, error) {
		if id == "mailless" {
			return false, fault.New(fault.Conflict, "no mail can be sent to the account as it is")
		}
		return id == "invited", nil
	}
	for name, test := range map[string]struct {
		caller AuthorizerContext
		id     string
		status int
		want   string
	}{
		"a code":         {asOwner, budiID, 202, `{"message":"The user's sessions are ended, and a code is on its way to their e-mail address. They choose a new password with it: POST /auth/password/reset."}`},
		"the invitation": {asAdmin, "invited", 202, `{"message":"The invitation is on its way again, with another password for the first sign-in."}`},
		"no address":     {asOwner, "mailless", 409, problemAt("/users/x/reset-password", fault.Conflict, "Something else came first", 409, "no mail can be sent to the account as it is")},
		"an agent":       {asAgent, budiID, 403, problemAt("/users/x/reset-password", fault.Forbidden, "The caller may not do this", 403, "your role, agent, may not do this")},
	} {
		t.Run(name, func(t *testing.T) {
			op := ResetUserPassword(resetUserFunc(reset), noOperation, recorder{}, testHashKey)
			serve(t, op, sent{path: "/users/x/reset-password", params: map[string]string{"user_id": test.id}, caller: test.caller}).check(t, test.status, test.want)
		})
	}
}

type seenFunc func(id identity.UserID) error

func (f seenFunc) Seen(_ context.Context, id identity.UserID, _ time.Time) error { return f(id) }

func TestHeartbeat(t *testing.T) {
	const path = "/users/me/heartbeat"
	seen := func(id identity.UserID) error {
		if id == asStranger.Subject {
			return user.NotFound(id)
		}
		return nil
	}
	gone := asStranger
	gone.TenantID = acmeID
	for name, test := range map[string]struct {
		caller AuthorizerContext
		edit   func(*tenant.Tenant)
		status int
		want   string
	}{
		"agent":                   {asAgent, nil, 204, ""},
		"of a suspended tenant":   {asOwner, func(t *tenant.Tenant) { t.Status = tenant.Suspended }, 204, ""},
		"of a deleting tenant":    {asOwner, func(t *tenant.Tenant) { t.Status = tenant.Deleting }, 403, problemAt(path, fault.TenantDeleting, "The tenant is being deleted", 403, "the tenant is being deleted; a platform admin can restore it while its status is deleting")},
		"who is no more":          {gone, nil, 401, problemAt(path, fault.TokenInvalid, "The token is not good", 401, "the account has no place on the platform; sign in again")},
		"platform admin":          {asAdmin, nil, 403, problemAt(path, fault.Forbidden, "The caller may not do this", 403, "your role, platform_admin, may not do this")},
		"who acts for the member": {AuthorizerContext{Subject: "O", TenantID: acmeID, Role: identity.Owner, ImpersonationID: "I", Actor: "A", Mode: identity.Full}, nil, 403, problemAt(path, fault.ImpersonationDenied, "The impersonation does not allow it", 403, "the operation is not for an impersonation")},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, Heartbeat(seenFunc(seen), &oneTenant{newAcme(test.edit)}), sent{path: path, caller: test.caller}).check(t, test.status, test.want)
		})
	}
}
