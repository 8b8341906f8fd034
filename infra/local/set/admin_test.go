package set

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool builds a program of ours and returns what runs it, with environment
// variables besides.
func tool(t *testing.T, name string) func(env ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./infra/"+name) //nolint:gosec // our own arguments
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return func(env ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), file)
		cmd.Env = append(os.Environ(), append([]string{"DATA=" + dataOf(common)}, env...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

func TestMakeAdmin(t *testing.T) {
	c, admin := newClient(t, common), tool(t, "admin")
	email := unique("operator") + "@example.com"
	made := func(env ...string) string {
		t.Helper()
		out, err := admin(env...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	for range 2 { // the invitation is mailed again, and the first password is none any more
		out := made("EMAIL=" + email)
		if !strings.Contains(out, email+" is a platform admin of tenantry-local") || !strings.Contains(out, common.Info().APIURL+"/auth/token") {
			t.Errorf("it says\n%s", out)
		}
		for _, mail := range common.Endpoint().Mails(email) {
			if strings.Contains(out, mail.Code) {
				t.Errorf("it shows the temporary password:\n%s", out)
			}
		}
	}
	mails := common.Endpoint().Mails(email)
	if len(mails) != 2 {
		t.Fatalf("got %d mails, want 2", len(mails))
	}
	login := map[string]any{"username": email, "password": mails[0].Code, "new_password": "battery staple"}
	c.do("POST", "/auth/token", login).problem(401, "invalid-credentials")
	login["password"] = mails[1].Code
	c.do("POST", "/auth/token", login).must(200)
	root := c.signIn(email, "battery staple")
	me := root.do("GET", "/auth/me", nil).must(200)
	if me.text("role") != "platform_admin" || me.text("email") != email {
		t.Errorf("they are %s", me.Raw)
	}
	root.do("GET", "/tenants?limit=1", nil).must(200)

	if out := made("EMAIL=" + strings.ToUpper(email)); !strings.Contains(out, "sign in as before") || len(common.Endpoint().Mails(email)) != 2 {
		t.Errorf("for somebody who is one already it says\n%s", out)
	}
	c.signIn(email, "battery staple")

	eventually(t, "the audit told of it", func() bool {
		for _, record := range root.do("GET", "/audit-events?action=user.created&actor=admin&limit=1000", nil).must(200).List {
			if record["target"].(map[string]any)["id"] == me.text("user_id") {
				return true
			}
		}
		return false
	})
}

func TestMakeAdminOfAnAccount(t *testing.T) {
	c, admin := newClient(t, common), tool(t, "admin")
	username := unique("developer")
	email := username + "@example.com"
	c.do("POST", "/auth/signup", map[string]any{"username": username, "email": email, "password": "correct horse", "role": "developer"}).must(201)
	if out, err := admin("EMAIL=" + email); err == nil || !strings.Contains(out, "user name "+username+", role developer") || !strings.Contains(out, "PROMOTE=true") {
		t.Errorf("it says %v\n%s", err, out)
	}
	if role := c.signIn(username, "correct horse").do("GET", "/auth/me", nil).must(200).text("role"); role != "developer" {
		t.Errorf("without a word they are %s", role)
	}
	for range 2 {
		if out, err := admin("EMAIL="+email, "PROMOTE=true"); err != nil || !strings.Contains(out, "sign in as before") {
			t.Errorf("it says %v\n%s", err, out)
		}
	}
	if role := c.signIn(email, "correct horse").do("GET", "/auth/me", nil).must(200).text("role"); role != "platform_admin" {
		t.Errorf("then they are %s", role)
	}

	_, _, owner, _ := c.signUp()
	for env, want := range map[string]string{
		"EMAIL=" + owner:       "is owner of the tenant",
		"EMAIL=nobody":         "is no e-mail address",
		"EMAIL=":               "say who",
		"DATA=/nowhere":        "make local does not run",
		"STACK=a EMAIL=a@b.de": "give one",
	} {
		more := []string{"EMAIL=x@example.com", "PROMOTE=true"}
		if strings.HasPrefix(env, "STACK=") {
			more = append(more, "STAGE=dev")
		}
		if out, err := admin(append(more, strings.Fields(env)...)...); err == nil || !strings.Contains(out, want) {
			t.Errorf("with %s it says %v\n%s", env, err, out)
		}
	}
	if len(common.Endpoint().Mails(owner)) != 0 {
		t.Error("an owner got a mail")
	}
}
