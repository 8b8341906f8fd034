package set

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/user"
)

// invite invites somebody and returns their id.
func (c *client) invite(email, name, role string) string {
	c.t.Helper()
	a := c.do("POST", "/users", map[string]any{"email": email, "full_name": name, "role": role}).must(201)
	if got, want := a.Header.Get("Location"), "/users/"+a.text("id"); got != want {
		c.t.Errorf("got Location %q, want %q", got, want)
	}
	return a.text("id")
}

// accept signs an invited user in for the first time, with a password of their
// own.
func (c *client) accept(email, password string) *client {
	c.t.Helper()
	a := c.do("POST", "/auth/token", map[string]any{"username": email, "password": c.lastCode(email), "new_password": password}).must(200)
	return c.as(a.text("access_token"))
}

// owner signs a new tenant up and returns its owner, and its id, which is the
// owner's too.
func (c *client) owner() (*client, string) {
	c.t.Helper()
	id, username, _, password := c.signUp()
	owner := c.signIn(username, password)
	owner.active(id)
	return owner, id
}

func TestPeople(t *testing.T) {
	c := newClient(t, common)
	owner, ownerID := c.owner()
	word := unique("people")
	adminEmail, agentEmail := word+".admin@example.com", word+".agent@example.com"
	keyed := owner.with("Idempotency-Key", word)
	draft := map[string]any{"email": adminEmail, "full_name": " Łukasz Żółw ", "role": "admin"}
	first := keyed.do("POST", "/users", draft).must(201)
	again := keyed.do("POST", "/users", draft).must(201)
	if first.Raw != again.Raw || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("one key gave %s and %s", first.Raw, again.Raw)
	}
	keyed.do("POST", "/users", map[string]any{"email": adminEmail, "full_name": "Another", "role": "admin"}).problem(422, "idempotency-key-reused")
	owner.do("POST", "/users", draft).problem(409, "email-taken")
	if got := len(common.Endpoint().Mails(adminEmail)); got != 1 {
		t.Errorf("%d invitations were mailed, want 1", got)
	}
	adminID, agentID := first.text("id"), owner.invite(agentEmail, "Nguyễn Văn An", "agent")
	admin, agent := c.accept(adminEmail, "a password of mine"), c.accept(agentEmail, "a password of mine")

	list := func(query string) []string {
		t.Helper()
		return idsOf(agent.do("GET", "/users?"+query, nil).must(200))
	}
	all := []string{agentID, adminID, ownerID}
	for query, want := range map[string][]string{
		"": all, "search=EXAMPLE.com": all, "search=" + url.QueryEscape("łukasz  żÓŁW"): {adminID},
		"search=" + url.QueryEscape("NGUYỄN"): {agentID}, "search=agent%40": {agentID}, "search=nobody": {}, "limit=2": all[:2],
		"tenant_id=" + ownerID: all,
	} {
		if diff := cmp.Diff(want, list(query)); diff != "" {
			t.Errorf("GET /users?%s: %s", query, diff)
		}
	}
	second := agent.do("GET", nextPage(t, agent.do("GET", "/users?limit=2&search=e", nil)), nil).must(200)
	if diff := cmp.Diff(all[2:], idsOf(second)); diff != "" || second.Header.Get("Link") != "" {
		t.Errorf("the second page, which links to %q: %s", second.Header.Get("Link"), diff)
	}

	before := admin.do("GET", "/users/"+agentID, nil).must(200)
	agent.do("POST", "/users/me/heartbeat", nil).must(204)
	there := admin.do("GET", "/users/"+agentID, nil).must(200)
	if before.Body["is_online"] != false || before.Body["last_seen_at"] != nil || there.Body["is_online"] != true || there.Body["last_seen_at"] == nil {
		t.Errorf("before a heartbeat there is %s, and then %s", before.Raw, there.Raw)
	}
	admin.with("If-None-Match", before.Header.Get("ETag")).do("GET", "/users/"+agentID, nil).must(200)
	admin.with("If-None-Match", there.Header.Get("ETag")).do("GET", "/users/"+agentID, nil).must(304)
	renamed := admin.with("If-Match", before.Header.Get("ETag")).do("PATCH", "/users/"+agentID, `{"full_name":" An ","role":"supervisor"}`).must(200)
	if renamed.Body["full_name"] != "An" || renamed.Body["role"] != "supervisor" || renamed.Body["is_online"] != true {
		t.Errorf("the update gave %s", renamed.Raw)
	}
	admin.with("If-Match", there.Header.Get("ETag")).do("PATCH", "/users/"+agentID, `{"full_name":"Late"}`).problem(412, "stale")
	admin.with("If-Match", there.Header.Get("ETag")).do("DELETE", "/users/"+agentID, nil).problem(412, "stale")
	if diff := cmp.Diff([]string{}, list("search="+url.QueryEscape("nguyễn"))); diff != "" {
		t.Errorf("who was renamed is found still: %s", diff)
	}

	admin.do("POST", "/users", map[string]any{"email": "x@example.com", "full_name": "X", "role": "owner"}).problem(403, "forbidden")
	admin.do("PATCH", "/users/"+ownerID, `{"role":"agent"}`).problem(403, "forbidden")
	admin.do("PATCH", "/users/"+agentID, `{"role":"owner"}`).problem(403, "forbidden")
	admin.do("DELETE", "/users/"+ownerID, nil).problem(403, "forbidden")
	admin.do("DELETE", "/users/"+adminID, nil).problem(403, "forbidden")
	admin.do("PATCH", "/users/"+adminID, `{"disabled":true}`).problem(403, "forbidden")
	agent.do("PATCH", "/users/"+agentID, `{"role":"admin"}`).problem(403, "forbidden")
	owner.do("PATCH", "/users/"+ownerID, `{"role":"admin"}`).problem(409, "last-owner")
	owner.do("PATCH", "/users/"+agentID, `{"role":"platform_admin","full_name":" "}`).problem(422, "invalid")

	stranger, strangerID := c.owner()
	for _, path := range []string{"/users/" + agentID, "/users/" + strangerID + "x"} {
		stranger.do("GET", path, nil).problem(404, "not-found")
		stranger.do("PATCH", path, `{"role":"agent"}`).problem(404, "not-found")
		stranger.do("DELETE", path, nil).problem(404, "not-found")
		stranger.do("POST", path+"/reset-password", nil).problem(404, "not-found")
	}
	stranger.do("GET", "/users?tenant_id="+ownerID, nil).problem(404, "not-found")
	stranger.do("POST", "/users", map[string]any{"tenant_id": ownerID, "email": "y@example.com", "full_name": "Y", "role": "agent"}).problem(404, "not-found")
}

func TestDisabledUser(t *testing.T) {
	c := newClient(t, common)
	owner, _ := c.owner()
	email := unique("disabled") + "@example.com"
	id := owner.invite(email, "Budi", "agent")
	c.accept(email, "a password of mine")
	signIn := map[string]any{"username": email, "password": "a password of mine"}
	session := c.do("POST", "/auth/token", signIn).must(200)
	owner.do("PATCH", "/users/"+id, `{"disabled":true}`).must(200)
	c.as(session.text("access_token")).do("GET", "/auth/me", nil).problem(401, "token-invalid")
	c.do("POST", "/auth/refresh", map[string]any{"refresh_token": session.text("refresh_token")}).problem(401, "token-invalid")
	c.do("POST", "/auth/token", signIn).problem(403, "user-disabled")
	owner.do("PATCH", "/users/"+id, `{"disabled":false}`).must(200)
	c.do("POST", "/auth/refresh", map[string]any{"refresh_token": session.text("refresh_token")}).problem(401, "token-invalid")
	c.signIn(email, "a password of mine").do("GET", "/auth/me", nil).must(200)
}

func TestDeletedUser(t *testing.T) {
	c := newClient(t, common)
	owner, _ := c.owner()
	email := unique("deleted") + "@example.com"
	id := owner.invite(email, "Budi", "admin")
	budi := c.accept(email, "a password of mine")
	owner.do("DELETE", "/users/"+id, nil).must(204)
	owner.do("DELETE", "/users/"+id, nil).problem(404, "not-found")
	budi.do("POST", "/tenants", map[string]any{"name": "Budi"}).problem(401, "token-invalid")
	budi.do("GET", "/users", nil).problem(403, "forbidden")
	budi.do("GET", "/auth/me", nil).problem(401, "token-invalid")
	c.do("POST", "/auth/token", map[string]any{"username": email, "password": "a password of mine"}).problem(401, "invalid-credentials")
	if again := owner.invite(email, "Budi", "agent"); again == id {
		t.Error("who was deleted is invited as the same user")
	}
	c.accept(email, "another password")
}

func TestResetUserPassword(t *testing.T) {
	c := newClient(t, common)
	owner, _ := c.owner()
	email := unique("forgetful") + "@example.com"
	id := owner.invite(email, "Budi", "agent")
	first := c.lastCode(email)
	owner.do("POST", "/users/"+id+"/reset-password", nil).must(202)
	if c.lastCode(email) == first || len(common.Endpoint().Mails(email)) != 2 {
		t.Errorf("got the mails %+v, want another invitation", common.Endpoint().Mails(email))
	}
	c.do("POST", "/auth/token", map[string]any{"username": email, "password": first, "new_password": "a password of mine"}).problem(401, "invalid-credentials")
	c.accept(email, "a password of mine")
	session := c.do("POST", "/auth/token", map[string]any{"username": email, "password": "a password of mine"}).must(200)
	keyed := owner.with("Idempotency-Key", unique("reset"))
	reset := keyed.do("POST", "/users/"+id+"/reset-password", nil).must(202)
	if again := keyed.do("POST", "/users/"+id+"/reset-password", nil).must(202); again.Raw != reset.Raw || len(common.Endpoint().Mails(email)) != 3 {
		t.Errorf("one key gave %s and %s, and the mails %+v", reset.Raw, again.Raw, common.Endpoint().Mails(email))
	}
	c.as(session.text("access_token")).do("GET", "/auth/me", nil).problem(401, "token-invalid")
	c.do("POST", "/auth/token", map[string]any{"username": email, "password": "a password of mine"}).problem(403, "forbidden")
	c.do("POST", "/auth/password/reset", map[string]any{"username": email, "code": c.lastCode(email), "new_password": "another password"}).must(200)
	c.signIn(email, "another password").do("GET", "/auth/me", nil).must(200)
}

// Of two owners who take the role from each other at once, one stays, and is the
// owner that the tenant names.
func TestLastOwner(t *testing.T) {
	c := newClient(t, common)
	first, firstID := c.owner()
	email := unique("second") + "@example.com"
	secondID := first.invite(email, "Second", "owner")
	second := c.accept(email, "a password of mine")
	for i := range 3 {
		answers := make([]*answer, 2)
		together(2, func(i int) {
			by, of := first, secondID
			if i == 1 {
				by, of = second, firstID
			}
			answers[i] = by.do("PATCH", "/users/"+of, `{"role":"admin"}`)
		})
		demoted := fmt.Sprint(answers[0].Status, answers[1].Status)
		stays, by, other := secondID, second, firstID
		if answers[0].Status == 200 {
			stays, by, other = firstID, first, secondID
		}
		if demoted != "200 409" && demoted != "409 200" {
			t.Fatalf("both took the role from each other: %s %s", answers[0].Raw, answers[1].Raw)
		}
		if got := by.do("GET", "/tenants/"+firstID, nil).must(200); got.Body["owner_id"] != stays {
			t.Errorf("round %d: the tenant's owner is %v, want %v", i, got.Body["owner_id"], stays)
		}
		by.do("PATCH", "/users/"+other, `{"role":"owner"}`).must(200)
	}
	// Whoever the tenant names as its owner is removed by the other.
	named, by, other := firstID, second, secondID
	if first.do("GET", "/tenants/"+firstID, nil).must(200).Body["owner_id"] == secondID {
		named, by, other = secondID, first, firstID
	}
	by.do("DELETE", "/users/"+named, nil).must(204)
	if got := by.do("GET", "/tenants/"+firstID, nil).must(200); got.Body["owner_id"] != other {
		t.Errorf("the tenant's owner is %v, want %v", got.Body["owner_id"], other)
	}
}

// Who was demoted can give nobody a role, though the gateway still takes the token
// for that of an admin.
func TestDemotedAdmin(t *testing.T) {
	c := newClient(t, common)
	owner, id := c.owner()
	email := unique("admin") + "@example.com"
	adminID := owner.invite(email, "Admin", "admin")
	agentID := owner.invite(unique("agent")+"@example.com", "Agent", "agent")
	admin := c.accept(email, "a password of mine")
	admin.do("GET", "/users/"+agentID, nil).must(200)
	owner.do("PATCH", "/users/"+adminID, `{"role":"agent"}`).must(200)
	admin.do("PATCH", "/users/"+agentID, `{"role":"admin"}`).problem(403, "forbidden")
	late := unique("late") + "@example.com"
	admin.do("POST", "/users", map[string]any{"email": late, "full_name": "Late", "role": "admin"}).problem(403, "forbidden")
	admin.do("DELETE", "/users/"+agentID, nil).problem(403, "forbidden")
	if got := owner.do("GET", "/users/"+agentID, nil).must(200); got.Body["role"] != "agent" {
		t.Errorf("the agent of tenant %s is %s", id, got.Raw)
	}
	owner.invite(late, "Late", "agent") // as the address is free
}

func TestUsersAsPlatformAdmin(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	admin.do("GET", "/users", nil).problem(422, "invalid")
	admin.do("POST", "/users", map[string]any{"email": "z@example.com", "full_name": "Z", "role": "agent"}).problem(422, "invalid")
	admin.do("GET", "/users?tenant_id="+strings.Repeat("0", 8)+"-0000-4000-8000-000000000000", nil).problem(404, "not-found")
	me := admin.do("GET", "/auth/me", nil).must(200).text("user_id")
	admin.do("GET", "/users/"+me, nil).must(200)
	admin.do("PATCH", "/users/"+me, `{"role":"developer"}`).problem(403, "forbidden")

	id := admin.do("POST", "/tenants", map[string]any{"name": unique("Ownerless "), "isolation": "pooled"}).must(202).text("id")
	admin.active(id)
	email := unique("first") + "@example.com"
	draft := map[string]any{"tenant_id": id, "email": email, "full_name": "First", "role": "owner"}
	admin.do("PATCH", "/tenants/"+id, `{"status":"suspended","status_reason":"unpaid"}`).must(200)
	owner := admin.do("POST", "/users", draft).must(201).text("id")
	if got := admin.do("GET", "/tenants/"+id, nil).must(200); got.Body["owner_id"] != owner {
		t.Errorf("the tenant's owner is %v, want %s", got.Body["owner_id"], owner)
	}
	suspended := c.accept(email, "a password of mine")
	suspended.do("GET", "/users", nil).must(200)
	suspended.do("POST", "/users/me/heartbeat", nil).must(204)
	suspended.do("POST", "/users", map[string]any{"email": "z@example.com", "full_name": "Z", "role": "agent"}).problem(403, "tenant-suspended")
	suspended.do("PATCH", "/users/"+owner, `{"full_name":"Another"}`).problem(403, "tenant-suspended")
	if diff := cmp.Diff([]string{owner}, idsOf(admin.do("GET", "/users?tenant_id="+id, nil).must(200))); diff != "" {
		t.Error(diff)
	}
}

// An invitation whose request died is undone by the sweeper.
func TestDeadInvitation(t *testing.T) {
	c := newClient(t, common)
	owner, _ := c.owner()
	cfg := awsConfig(common)
	users := dynamo.NewUsers(dynamo.NewTable(dynamodb.NewFromConfig(cfg), common.Info().Table))
	directory := cognito.NewDirectory(cognitoidentityprovider.NewFromConfig(cfg), common.Info().UserPoolID)
	dead := user.Invitation{ID: uuid.NewString(), Email: unique("dead") + "@example.com", HeldUntil: time.Now(), DeadAt: time.Now()}
	if err := users.Hold(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	if _, err := directory.AdminCreate(t.Context(), dead.ID, dead.Email, ""); err != nil {
		t.Fatal(err)
	}
	owner.do("POST", "/users", map[string]any{"email": dead.Email, "full_name": "Budi", "role": "agent"}).problem(409, "email-taken")
	swept(t, common, func() bool {
		held, err := users.EmailHeld(t.Context(), dead.Email)
		if err != nil {
			t.Fatal(err)
		}
		return !held
	})
	if _, err := directory.Find(t.Context(), dead.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want %v", err, fault.NotFound)
	}
	owner.invite(dead.Email, "Budi", "agent")
}
