package set

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAPIKeys makes keys, and revokes them. What they may be used for is held to
// the document by the tests of isolation.
func TestAPIKeys(t *testing.T) {
	admin := newClient(t, common).admin()
	name := unique("key of ")
	draft := map[string]any{"name": name, "scopes": []string{"sip:read"}}
	once := admin.with("Idempotency-Key", unique("key-"))
	made := once.do("POST", "/api-keys", draft).must(201)
	key := made.text("key")
	if !strings.HasPrefix(key, "tnk_") || len(key) != 47 {
		t.Errorf("the key is %s", key)
	}
	again := once.do("POST", "/api-keys", draft).must(201)
	if again.Body["id"] != made.Body["id"] || again.Body["key"] != nil || again.Body["secret_shown"] != true {
		t.Errorf("the same request again gave %s", again.Raw)
	}
	if text := tableText(t, common, common.Info().Table); strings.Contains(text, key) {
		t.Error("the key is in the table")
	}
	eventually(t, "the key was listed", func() bool {
		for _, item := range admin.do("GET", "/api-keys", nil).must(200).List {
			if item["id"] == made.Body["id"] && item["name"] == name && item["key"] == nil {
				return true
			}
		}
		return false
	})
	// A service is somebody, but has no role.
	service := admin.as(key)
	service.do("GET", "/auth/me", nil).problem(403, "forbidden")
	service.do("GET", "/tenants", nil).problem(403, "forbidden")
	other := admin.do("POST", "/api-keys", draft).must(201)
	admin.hasPages("/api-keys")
	admin.do("DELETE", "/api-keys/"+other.text("id"), nil).must(204)
	admin.do("DELETE", "/api-keys/"+other.text("id"), nil).problem(404, "not-found")
	admin.as(other.text("key")).do("GET", "/auth/me", nil).problem(401, "token-invalid") // the gateway has not seen it before
	admin.do("POST", "/api-keys", `{"name":"","scopes":[]}`).problem(422, "invalid")
}

// TestImpersonation acts as the owner of a tenant, and looks at what that may be
// used for.
func TestImpersonation(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	id, username, _, password := c.signUp()
	owner := c.signIn(username, password)
	owner.active(id)
	begin := func(mode string) (*answer, *client) {
		t.Helper()
		session := admin.do("POST", "/impersonations", map[string]any{"user_id": id, "reason": "to see what they see", "mode": mode}).must(201)
		return session, c.as(session.text("token"))
	}

	session, reader := begin("read_only")
	me := reader.do("GET", "/auth/me", nil).must(200)
	adminID := admin.do("GET", "/auth/me", nil).must(200).text("user_id")
	want := map[string]any{"id": session.Body["id"], "actor_id": adminID, "mode": "read_only", "expires_at": strings.Split(session.text("expires_at"), ".")[0] + ".000Z"}
	if diff := cmp.Diff(want, me.Body["impersonation"]); diff != "" || me.Body["user_id"] != id || me.Body["role"] != "owner" {
		t.Errorf("who is calling: %s (-want +got):\n%s", me.Raw, diff)
	}
	reader.do("GET", "/tenants/"+id, nil).must(200)
	reader.do("GET", "/tenants", nil).problem(403, "forbidden")
	reader.do("PATCH", "/tenants/"+id, `{"name":"Mine"}`).problem(403, "impersonation-denied")
	reader.do("POST", "/impersonations", map[string]any{"user_id": id, "reason": "to see what they see"}).problem(403, "forbidden")
	reader.do("POST", "/auth/logout", nil).problem(403, "impersonation-denied")

	full, writer := begin("full")
	changed := writer.do("PATCH", "/tenants/"+id, `{"name":"Mended"}`).must(200)
	if changed.Body["name"] != "Mended" {
		t.Errorf("the change gave %s", changed.Raw)
	}
	denied := writer.do("PATCH", "/tenants/"+id, `{"name":"Mine","billing_plan":"business","status":"inactive","hipaa_enabled":false,"sip_password":"a long sip password"}`)
	denied.problem(403, "impersonation-denied")
	if diff := cmp.Diff([]string{"#/billing_plan", "#/limits", "#/max_concurrent_calls", "#/monthly_call_limit", "#/sip_password", "#/status"}, pointers(denied)); diff != "" {
		t.Errorf("what is denied (-want +got):\n%s", diff)
	}
	writer.do("POST", "/auth/logout", nil).problem(403, "impersonation-denied")

	// The tenant sees who did it.
	trail := tableText(t, common, common.Info().Table)
	found := false
	for line := range strings.Lines(trail) {
		if strings.Contains(line, "AUDIT#"+id) && strings.Contains(line, "tenant.updated") {
			found = strings.Contains(line, "actor_id="+adminID) && strings.Contains(line, "on_behalf_of="+id)
		}
	}
	if !found {
		t.Error("the audit does not name both")
	}
	for _, secret := range []string{session.text("token"), full.text("token")} {
		if strings.Contains(trail, secret) {
			t.Error("the token is in the table")
		}
	}

	// Ending a session stops the very next request, though the gateway knows the token.
	for _, s := range []struct {
		session *answer
		by      *client
	}{{session, reader}, {full, writer}} {
		s.by.do("GET", "/tenants/"+id, nil).must(200)
		admin.do("DELETE", "/impersonations/"+s.session.text("id"), nil).must(204)
		s.by.do("GET", "/tenants/"+id, nil).problem(401, "token-invalid")
	}
	admin.do("DELETE", "/impersonations/"+session.text("id"), nil).must(204)
	admin.do("DELETE", "/impersonations/"+id, nil).problem(404, "not-found")
	eventually(t, "both ended impersonations were listed", func() bool {
		ended := 0
		for _, item := range admin.do("GET", "/impersonations?limit=1000", nil).must(200).List {
			if item["tenant_id"] == id && item["ended_at"] != nil {
				ended++
			}
		}
		return ended == 2
	})
	admin.hasPages("/impersonations")
}

// hasPages asks for a list by pages of one, and fails the test unless the second
// goes on after the first.
func (c *client) hasPages(path string) {
	c.t.Helper()
	var first *answer
	eventually(c.t, "there was a second page", func() bool {
		first = c.do("GET", path+"?limit=1", nil).must(200)
		return first.Header.Get("Link") != ""
	})
	second := c.do("GET", nextPage(c.t, first), nil).must(200)
	if len(first.List) != 1 || len(second.List) != 1 || first.List[0]["id"] == second.List[0]["id"] {
		c.t.Errorf("the first pages are %s and %s", first.Raw, second.Raw)
	}
}

// TestImpersonationOfOthers asks for impersonations that there are not.
func TestImpersonationOfOthers(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	adminID := admin.do("GET", "/auth/me", nil).must(200).text("user_id")
	name := unique("dev")
	developer := c.do("POST", "/auth/signup", map[string]any{"username": name, "email": name + "@example.com", "password": "correct horse", "role": "developer"}).must(201).text("user_id")
	for what, id := range map[string]string{
		"a platform admin": adminID, "a developer": developer, "nobody": "00000000-0000-4000-8000-000000000000", "no id": fmt.Sprint(7),
	} {
		a := admin.do("POST", "/impersonations", map[string]any{"user_id": id, "reason": "to see what they see"}).problem(422, "invalid")
		if diff := cmp.Diff([]string{"#/user_id"}, pointers(a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	w := want(admin)
	w.checkActive()
	admin.do("PATCH", "/tenants/"+w.id, `{"hipaa_enabled":true}`).must(200)
	owner := admin.do("GET", "/tenants/"+w.id, nil).must(200).text("owner_id")
	a := admin.do("POST", "/impersonations", map[string]any{"user_id": owner, "reason": "to see what they see", "mode": "full"}).problem(422, "invalid")
	if diff := cmp.Diff([]string{"#/mode"}, pointers(a)); diff != "" {
		t.Errorf("full under HIPAA (-want +got):\n%s", diff)
	}
	admin.do("POST", "/impersonations", map[string]any{"user_id": owner, "reason": "to see what they see"}).must(201)
}
