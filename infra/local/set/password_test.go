package set

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lastCode returns the code of the last mail to an address.
func (c *client) lastCode(email string) string {
	c.t.Helper()
	mails := c.stack.Endpoint().Mails(email)
	if len(mails) == 0 {
		c.t.Fatalf("there is no mail to %s", email)
	}
	return mails[len(mails)-1].Code
}

func TestForgottenPassword(t *testing.T) {
	c := newClient(t, common)
	id, username, email, password := c.signUp()
	owner := c.signIn(username, password)
	owner.active(id)
	refresh := c.do("POST", "/auth/token", map[string]any{"username": email, "password": password}).must(200).text("refresh_token")

	known := c.do("POST", "/auth/password/forgot", map[string]any{"username": email}).must(202)
	unknown := c.do("POST", "/auth/password/forgot", map[string]any{"username": "nobody-" + email}).must(202)
	if diff := cmp.Diff(known.Body, unknown.Body); diff != "" {
		t.Errorf("what is said of an account (-) and of none (+): %s", diff)
	}
	reset := func(username, code string) *answer {
		return c.do("POST", "/auth/password/reset", map[string]any{"username": username, "code": code, "new_password": "another " + password})
	}
	wrong, nobody := reset(email, "000000x").problem(422, "invalid"), reset("nobody-"+email, "000000x").problem(422, "invalid")
	if diff := cmp.Diff(wrong.Body["errors"], nobody.Body["errors"]); diff != "" {
		t.Errorf("what is said of an account (-) and of none (+): %s", diff)
	}
	code := c.lastCode(email)
	reset(username, code).must(200)
	reset(username, code).problem(422, "invalid")
	c.do("POST", "/auth/refresh", map[string]any{"refresh_token": refresh}).problem(401, "token-invalid")
	c.do("POST", "/auth/token", map[string]any{"username": username, "password": password}).problem(401, "invalid-credentials")
	c.signIn(username, "another "+password).active(id)
}

// The trigger that is to end the sessions fails: the function that took the code
// makes up for it.
func TestForgottenPasswordAndFailingTrigger(t *testing.T) {
	c := newClient(t, common)
	id, username, email, password := c.signUp()
	refresh := c.do("POST", "/auth/token", map[string]any{"username": username, "password": password}).must(200).text("refresh_token")
	c.do("POST", "/auth/password/forgot", map[string]any{"username": username}).must(202)
	faults(t, refusing("TransactWriteItems", "CognitoPostConfirmation"))
	c.do("POST", "/auth/password/reset", map[string]any{"username": username, "code": c.lastCode(email), "new_password": "another " + password}).must(200)
	c.do("POST", "/auth/refresh", map[string]any{"refresh_token": refresh}).problem(401, "token-invalid")
	c.signIn(username, "another "+password).active(id)
}

// An account gets so many codes and no more, which nobody is told.
func TestForgottenPasswordAgainAndAgain(t *testing.T) {
	c := newClient(t, common)
	_, username, email, _ := c.signUp()
	answers := make([]*answer, 24)
	together(len(answers), func(i int) {
		start := time.Now()
		answers[i] = c.do("POST", "/auth/password/forgot", map[string]any{"username": username})
		if took := time.Since(start); took < 1500*time.Millisecond {
			t.Errorf("the answer came after %v", took)
		}
	})
	for _, a := range answers {
		a.must(202)
	}
	if sent := len(common.Endpoint().Mails(email)); sent == 0 || sent == len(answers) {
		t.Errorf("%d codes were sent for %d requests; the directory is to have had enough", sent, len(answers))
	}
}

func TestChangePassword(t *testing.T) {
	c := newClient(t, common)
	id, username, _, password := c.signUp()
	session := c.do("POST", "/auth/token", map[string]any{"username": username, "password": password}).must(200)
	owner := c.as(session.text("access_token"))
	owner.do("POST", "/auth/password/change", map[string]any{"old_password": "wrong", "new_password": "battery staple"}).problem(422, "invalid")
	owner.do("POST", "/auth/password/change", map[string]any{"old_password": password, "new_password": "battery staple"}).must(204)
	c.do("POST", "/auth/refresh", map[string]any{"refresh_token": session.text("refresh_token")}).problem(401, "token-invalid")
	c.signIn(username, "battery staple").active(id)
}
