package set

import (
	"strings"
	"testing"
)

// TestInvitation provisions a tenant for somebody who has no password yet: a
// mail invites them, and their first sign-in chooses one.
func TestInvitation(t *testing.T) {
	c := newClient(t, common)
	admin := c.admin()
	email := unique("invited") + "@example.com"
	created := admin.do("POST", "/tenants", map[string]any{"name": "Invited", "isolation": "pooled", "admin_email": email}).must(202)
	admin.active(created.text("id"))
	mails := common.Endpoint().Mails(email)
	if len(mails) != 1 || !strings.Contains(mails[0].Body, "Sign in with this e-mail address") {
		t.Fatalf("got the mails %+v, want one invitation", mails)
	}
	signIn := map[string]any{"username": email, "password": mails[0].Code}
	c.do("POST", "/auth/token", signIn).problem(403, "new-password-required")
	signIn["new_password"] = "short"
	c.do("POST", "/auth/token", signIn).problem(422, "invalid")
	signIn["new_password"] = "one of my own"
	c.do("POST", "/auth/token", signIn).must(200)
	me := c.signIn(email, "one of my own").do("GET", "/auth/me", nil).must(200)
	if me.Body["tenant_id"] != created.text("id") || me.Body["role"] != "owner" || me.Body["email"] != email {
		t.Errorf("the invited owner is %s", me.Raw)
	}
}
