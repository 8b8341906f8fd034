package set

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenantry/tenantry/infra/local/cloud"
)

const crowd = 50

// together calls f n times at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	wg.Wait()
}

func TestOneKeyManyRequests(t *testing.T) {
	admin := newClient(t, common).admin()
	slug := unique("once-")
	body := fmt.Sprintf(`{"name":"Once","slug":%q,"sip_enabled":true,"sip_domain":"%s.example.com","sip_username":"u","sip_password":"a fine sip password"}`, slug, slug)
	answers := make([]*answer, crowd)
	keyed := admin.with("Idempotency-Key", slug)
	together(crowd, func(i int) { answers[i] = keyed.do("POST", "/tenants", body) })
	for _, a := range answers {
		if a.Status != 202 || a.Raw != answers[0].Raw || a.Header.Get("Location") != answers[0].Header.Get("Location") {
			t.Fatalf("got %d %s, want 202 %s", a.Status, a.Raw, answers[0].Raw)
		}
	}
	replayed := keyed.do("POST", "/tenants", body).must(202)
	if got := replayed.Header.Get("Idempotent-Replayed"); got != "true" {
		t.Errorf("got Idempotent-Replayed %q, want true", got)
	}
	keyed.do("POST", "/tenants", strings.Replace(body, "Once", "Twice", 1)).problem(422, "idempotency-key-reused")
	admin.active(answers[0].text("id"))
	noSecretOf(t, "operation/", answers[0].text("operation_id"))
	list := admin.do("GET", "/tenants?q="+slug, nil).must(200)
	if len(list.List) != 1 {
		t.Errorf("one key made %d tenants: %s", len(list.List), list.Raw)
	}
}

func TestOneSlugManyRequests(t *testing.T) {
	admin := newClient(t, common).admin()
	slug := unique("taken-")
	answers := make([]*answer, crowd)
	together(crowd, func(i int) {
		answers[i] = admin.do("POST", "/tenants", map[string]any{
			"name": fmt.Sprint("Taken ", i), "slug": slug, "isolation": "pooled", "admin_email": fmt.Sprintf("%s-%d@example.com", slug, i), "admin_password": "a good password " + slug,
		})
	})
	won := 0
	for _, a := range answers {
		if a.Status == 202 {
			won++
			admin.active(a.text("id"))
			continue
		}
		a.problem(409, "slug-taken")
	}
	if won != 1 {
		t.Errorf("%d requests had the slug, want 1", won)
	}
	eventually(t, "no secret was left behind", func() bool { return !strings.Contains(secretValues(t, common), slug) })
}

// noSecretOf fails the test if a secret of that kind is named after the id.
func noSecretOf(t *testing.T, kind, id string) {
	t.Helper()
	eventually(t, "the secret of "+id+" was gone", func() bool {
		return !strings.Contains(secretValues(t, common), kind+id)
	})
}

// TestKilledAfterItsTransaction ends tenant-create before it can start the
// workflow: the sweeper does so in its place.
func TestKilledAfterItsTransaction(t *testing.T) {
	s := startOwn(t, nil)
	admin := newClient(t, s).admin()
	s.Endpoint().SetFault(func(c cloud.Call) cloud.Fault {
		if c.Service == "states" && c.Name == "StartExecution" {
			s.Runtime().Kill(s.Info().StackName + "-TenantCreate")
			return cloud.Fault{Effect: cloud.Refuse}
		}
		return cloud.Fault{}
	})
	slug := unique("killed-")
	plainly := *admin
	plainly.http = plainHTTP
	a := plainly.do("POST", "/tenants", map[string]any{"name": "Killed", "slug": slug})
	if a.Status != 500 {
		t.Fatalf("got %d %s, want the gateway's 500", a.Status, a.Raw)
	}
	s.Endpoint().SetFault(nil)
	var id string
	eventually(t, "the tenant was found", func() bool {
		found := idsOf(admin.do("GET", "/tenants?q="+slug, nil).must(200))
		if len(found) == 1 {
			id = found[0]
		}
		return id != ""
	})
	swept(t, s, func() bool {
		return admin.do("GET", "/tenants/"+id, nil).must(200).Body["status"] == "active"
	})
}

// TestFailingTrigger has cognito-post-confirmation hang each time that Cognito
// calls it: the sign-up makes up for it.
func TestFailingTrigger(t *testing.T) {
	s := startOwn(t, nil)
	c := newClient(t, s)
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	var hung atomic.Int64
	s.Endpoint().SetFault(func(call cloud.Call) cloud.Fault {
		if call.Service != "dynamodb" || call.Name != "TransactWriteItems" || hung.Add(1) > triggerCalls {
			return cloud.Fault{}
		}
		<-ended
		return cloud.Fault{Effect: cloud.Refuse}
	})
	id, username, _, password := c.signUp()
	if got := s.Runtime().Stats(s.Info().StackName + "-CognitoPostConfirmation").Invocations; got != triggerCalls {
		t.Errorf("the trigger was called %d times, want %d", got, triggerCalls)
	}
	c.signIn(username, password).active(id)
}

// TestNobodyMakesUp has the sign-up fail as well as the trigger. One account gets
// its tenant when it signs in, another asks for it by a token of Cognito's.
func TestNobodyMakesUp(t *testing.T) {
	c := newClient(t, common)
	accounts := make([]string, 2)
	faults(t, refusing("TransactWriteItems", "CognitoPostConfirmation", "AuthSignup"))
	const password = "correct horse battery"
	for i := range accounts {
		accounts[i] = unique("unmade")
		c.do("POST", "/auth/signup", map[string]any{"username": accounts[i], "email": accounts[i] + "@example.com", "password": password}).must(500)
	}
	common.Endpoint().SetFault(nil)
	owner := c.signIn(accounts[0], password)
	owner.active(owner.do("GET", "/auth/me", nil).must(200).text("tenant_id"))
	applicant := c.as(*ofCognito(t, accounts[1], password).AccessToken)
	id := applicant.do("POST", "/tenants", map[string]any{"name": "Asked for"}).must(202).text("id")
	if got := c.signIn(accounts[1], password).active(id); got.Body["name"] != "Asked for" || got.Body["owner_id"] != id {
		t.Errorf("the tenant is %s", got.Raw)
	}
}

// triggerCalls is how often Cognito calls a trigger that does not answer.
const triggerCalls = 3
