package set

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	apidoc "github.com/tenantry/tenantry/infra/api"
	"github.com/tenantry/tenantry/infra/local/stack"
)

// A mine is where canaries are let go: secrets that nobody may find again, but
// where secrets are kept.
type mine struct {
	*client
	t        *testing.T
	canaries map[string]string // what each is, by its text
	members  map[string]bool   // of operations that took or gave one: "SignUp.password"
	refusals []string          // the errors that were answered
}

// canary returns a new secret for a member of an operation.
func (m *mine) canary(member string) string {
	m.members[member] = true
	secret := "canary-" + uuid.NewString()
	m.canaries[secret] = member
	return secret
}

// found notes a secret that an operation made.
func (m *mine) found(member, secret string) string {
	m.t.Helper()
	if secret == "" {
		m.t.Fatalf("%s gave no secret", member)
	}
	m.members[member] = true
	m.canaries[secret] = member
	return secret
}

// ask sends a request, with a key where it may have one, and keeps what is
// refused.
func (m *mine) ask(by *client, method, path string, body any) *answer {
	m.t.Helper()
	if method == "POST" && !strings.HasPrefix(path, "/auth/") {
		by = by.with("Idempotency-Key", uuid.NewString())
	}
	a := by.do(method, path, body)
	if method == "POST" && a.Status < 300 {
		by.do(method, path, body) // which is answered from what was kept of the first
	}
	if a.Status >= 400 {
		m.refusals = append(m.refusals, a.Raw)
	}
	return a
}

// refuse sends a request with a canary that is to be refused.
func (m *mine) refuse(by *client, method, path string, body map[string]any) {
	m.t.Helper()
	if a := m.ask(by, method, path, body); a.Status < 400 {
		m.t.Fatalf("%s %s was not refused: %d %s", method, path, a.Status, a.Raw)
	}
}

// mailed returns the code, or the password, in the newest mail of a kind to an
// address. A code is too short to be searched for.
func (m *mine) mailed(member, address, kind string) string {
	m.t.Helper()
	var text string
	eventually(m.t, "a mail came to "+address, func() bool {
		for _, mail := range m.stack.Endpoint().Mails(address) {
			if mail.Kind == kind {
				text = mail.Code
			}
		}
		return text != ""
	})
	m.members[member] = true
	return text
}

// TestCanaries lets secrets go through every route that takes or makes one, and
// looks for them wherever none may be.
func TestCanaries(t *testing.T) {
	s := startOwn(t, map[string]string{"AutoConfirm": "false"})
	c := newClient(t, s)
	m := &mine{client: c, t: t, canaries: map[string]string{}, members: map[string]bool{}}
	admin := m.signsIn(s.Info().Admin.Username, s.Info().Admin.Password)
	m.accounts()
	tenantID := m.tenants(admin)
	m.retries(admin)
	m.sip(admin, tenantID)
	m.people(admin, tenantID)
	m.trust(admin, tenantID)
	m.search(s)
	m.complete()
}

// signsIn signs somebody in, and takes the tokens for secrets.
func (m *mine) signsIn(username, password string) *client {
	m.t.Helper()
	a := m.do("POST", "/auth/token", map[string]any{"username": username, "password": password}).must(200)
	m.found("CreateToken.refresh_token", a.text("refresh_token"))
	return m.as(m.found("CreateToken.access_token", a.text("access_token")))
}

func (m *mine) accounts() {
	m.t.Helper()
	name := unique("mine")
	address := name + "@example.com"
	password := m.canary("SignUp.password")
	m.refuse(m.client, "POST", "/auth/signup", map[string]any{"username": "x", "email": "nobody", "password": password})
	m.ask(m.client, "POST", "/auth/signup", map[string]any{"username": name, "email": address, "password": password}).must(201)
	code := m.mailed("ConfirmSignUp.code", address, "sign_up")
	m.refuse(m.client, "POST", "/auth/token", map[string]any{"username": name, "password": m.canary("CreateToken.password")})
	m.refuse(m.client, "POST", "/auth/confirm", map[string]any{"username": name, "code": m.canary("ConfirmSignUp.code")})
	m.do("POST", "/auth/confirm", map[string]any{"username": name, "code": code}).must(200)
	signedIn := m.do("POST", "/auth/token", map[string]any{"username": name, "password": password}).must(200)
	refresh := m.found("RefreshToken.refresh_token", signedIn.text("refresh_token"))
	refreshed := m.do("POST", "/auth/refresh", map[string]any{"refresh_token": refresh}).must(200)
	m.found("RefreshToken.access_token", refreshed.text("access_token"))
	m.refuse(m.client, "POST", "/auth/refresh", map[string]any{"refresh_token": m.canary("RefreshToken.refresh_token")})
	owner := m.as(refreshed.text("access_token"))
	owner.active(owner.do("GET", "/auth/me", nil).must(200).text("tenant_id"))

	changed := m.canary("ChangePassword.new_password")
	m.refuse(owner, "POST", "/auth/password/change", map[string]any{"old_password": m.canary("ChangePassword.old_password"), "new_password": changed})
	m.do("POST", "/auth/token", map[string]any{"username": name, "password": password}).must(200)
	owner.do("POST", "/auth/password/change", map[string]any{"old_password": password, "new_password": changed}).must(204)
	m.signsIn(name, changed)

	reset := m.canary("ResetPassword.new_password")
	m.do("POST", "/auth/password/forgot", map[string]any{"username": name}).must(202)
	code = m.mailed("ResetPassword.code", address, "reset")
	m.refuse(m.client, "POST", "/auth/password/reset", map[string]any{"username": name, "code": m.canary("ResetPassword.code"), "new_password": reset})
	m.do("POST", "/auth/password/reset", map[string]any{"username": name, "code": code, "new_password": reset})
	m.signsIn(name, reset)
}

func (m *mine) tenants(admin *client) string {
	m.t.Helper()
	slug := unique("mine-")
	draft := func() map[string]any {
		return map[string]any{
			"name": "Mine", "slug": slug, "admin_email": slug + "@example.com", "admin_password": m.canary("CreateTenant.admin_password"),
			"sip_enabled": true, "sip_domain": slug + ".example.com", "sip_username": "u",
			"sip_password": m.canary("CreateTenant.sip_password"), "webhook_secret": m.canary("CreateTenant.webhook_secret"),
		}
	}
	id := m.ask(admin, "POST", "/tenants", draft()).must(202).text("id")
	m.refuse(admin, "POST", "/tenants", draft()) // the slug is taken
	admin.active(id)
	for method, operation := range map[string]string{"PATCH": "UpdateTenant", "PUT": "PutTenant"} {
		m.ask(admin, method, "/tenants/"+id, map[string]any{"sip_password": m.canary(operation + ".sip_password"), "webhook_secret": m.canary(operation + ".webhook_secret")}).must(200)
		m.refuse(admin, method, "/tenants/"+id, map[string]any{"sip_password": m.canary(operation + ".sip_password"), "name": ""})
	}
	other := unique("mine-")
	made := admin.do("POST", "/tenants", map[string]any{"name": "Made", "slug": other, "isolation": "pooled", "sip_enabled": true, "sip_domain": other + ".example.com", "sip_username": "u"}).must(202)
	m.found("CreateTenant.sip_password", made.text("sip_password"))
	plain := admin.do("POST", "/tenants", map[string]any{"name": "Plain", "isolation": "pooled"}).must(202).text("id")
	admin.active(plain)
	turnedOn := m.ask(admin, "PATCH", "/tenants/"+plain, map[string]any{"sip_enabled": true, "sip_domain": unique("sip") + ".example.com", "sip_username": "u"}).must(200)
	m.found("UpdateTenant.sip_password", turnedOn.text("sip_password"))
	return id
}

// retries fails a provisioning, and retries it with other passwords.
func (m *mine) retries(admin *client) {
	m.t.Helper()
	w := live(admin, true)
	admin.operation(w.operationID)
	m.refuse(admin, "POST", "/operations/"+w.operationID+"/retry", map[string]any{"admin_password": m.canary("RetryOperation.admin_password"), "sip_password": "short"})
	w.unblock()
	m.ask(admin, "POST", "/operations/"+w.operationID+"/retry", map[string]any{
		"admin_password": m.canary("RetryOperation.admin_password"), "sip_password": m.canary("RetryOperation.sip_password"),
	}).must(202)
	admin.operation(w.operationID)
}

func (m *mine) sip(admin *client, id string) {
	m.t.Helper()
	path := "/tenants/" + id + "/sip-credentials"
	domain := unique("sip") + ".example.com"
	m.ask(admin, "PUT", path, map[string]any{"sip_domain": domain, "sip_username": "u", "sip_password": m.canary("PutSipCredentials.sip_password")}).must(200)
	m.refuse(admin, "PUT", path, map[string]any{"sip_domain": "-", "sip_username": "u", "sip_password": m.canary("PutSipCredentials.sip_password")})
	rotated := m.ask(admin, "POST", path+"/rotate", map[string]any{"overlap_seconds": 60}).must(200)
	m.found("RotateSipCredentials.sip_password", rotated.text("sip_password"))
	plain := admin.do("POST", "/tenants", map[string]any{"name": "Plain", "isolation": "pooled"}).must(202).text("id")
	admin.active(plain)
	made := admin.do("PUT", "/tenants/"+plain+"/sip-credentials", map[string]any{"sip_domain": unique("sip") + ".example.com", "sip_username": "u"}).must(200)
	m.found("PutSipCredentials.sip_password", made.text("sip_password"))
}

// people invites somebody, who chooses a password.
func (m *mine) people(admin *client, tenantID string) {
	m.t.Helper()
	address := unique("invited") + "@example.com"
	m.ask(admin, "POST", "/users", map[string]any{"tenant_id": tenantID, "email": address, "full_name": "Invited", "role": "agent"}).must(201)
	first := m.found("CreateToken.password", m.mailed("CreateToken.password", address, "invitation"))
	chosen := m.canary("CreateToken.new_password")
	m.refuse(m.client, "POST", "/auth/token", map[string]any{"username": address, "password": first})
	m.do("POST", "/auth/token", map[string]any{"username": address, "password": first, "new_password": chosen}).must(200)
	m.signsIn(address, chosen)
}

func (m *mine) trust(admin *client, tenantID string) {
	m.t.Helper()
	key := m.ask(admin, "POST", "/api-keys", map[string]any{"name": "Mine", "scopes": []string{"sip:read"}}).must(201)
	m.found("CreateAPIKey.key", key.text("key"))
	digest := m.as(key.text("key")).do("GET", "/tenants/"+tenantID+"/sip-credentials/digest", nil).must(200)
	for _, found := range regexp.MustCompile(`"([0-9a-f]{32}|[0-9a-f]{64})"`).FindAllStringSubmatch(digest.Raw, -1) {
		m.found("GetSipDigest.ha1", found[1])
	}
	owner := admin.do("GET", "/tenants/"+tenantID, nil).must(200).text("owner_id")
	session := m.ask(admin, "POST", "/impersonations", map[string]any{"user_id": owner, "reason": "to look for canaries"}).must(201)
	token := m.found("CreateImpersonation.token", session.text("token"))
	m.as(token).do("GET", "/auth/me", nil).must(200)
}

// search looks for canaries wherever none may be.
func (m *mine) search(s *stack.Stack) {
	m.t.Helper()
	places := map[string]string{"an error": strings.Join(m.refusals, "\n")}
	db := dynamodb.NewFromConfig(awsConfig(s))
	tables, err := db.ListTables(m.t.Context(), &dynamodb.ListTablesInput{})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, name := range tables.TableNames {
		places["table "+name] = tableText(m.t, s, name)
	}
	files, _ := filepath.Glob(filepath.Join(dataOf(s), "logs", "*.log"))
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // of the test's own folder
		if err != nil {
			m.t.Fatal(err)
		}
		places["log "+filepath.Base(name)] = string(text)
	}
	places["a workflow"] = histories(m.t, s)
	// Where the search finds what is there, it would find what must not be.
	for place, word := range map[string]string{"table " + s.Info().Table: "IDEMPOTENCY#", "log auth-signup.log": "SignUp", "a workflow": "operation_id", "an error": "/docs/problems/"} {
		if !strings.Contains(places[place], word) {
			m.t.Errorf("%s does not hold %s: the search looks at the wrong place", place, word)
		}
	}
	for place, text := range places {
		for canary, what := range m.canaries {
			if strings.Contains(text, canary) {
				m.t.Errorf("%s holds what %s took or gave", place, what)
			}
		}
	}
}

// histories returns the inputs, outputs and everything between of all executions
// of a stack's workflows.
func histories(t *testing.T, s *stack.Stack) string {
	t.Helper()
	client := sfn.NewFromConfig(awsConfig(s))
	var b strings.Builder
	for _, workflow := range []string{"provision", "deprovision"} {
		arn := fmt.Sprintf("arn:aws:states:%s:123456789012:stateMachine:%s-%s", s.Info().Region, s.Info().StackName, workflow)
		pages := sfn.NewListExecutionsPaginator(client, &sfn.ListExecutionsInput{StateMachineArn: &arn})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Executions {
				out, err := client.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: e.ExecutionArn, IncludeExecutionData: aws.Bool(true)})
				if err != nil {
					t.Fatal(err)
				}
				text, err := json.Marshal(out.Events)
				if err != nil {
					t.Fatal(err)
				}
				b.Write(text)
			}
		}
	}
	return b.String()
}

// given is the members of answers that are secrets.
var given = []string{"sip_password", "key", "token", "access_token", "refresh_token", "ha1"}

// complete fails the test if there is an operation that takes or gives a secret
// which was no canary.
func (m *mine) complete() {
	m.t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(apidoc.YAML)
	if err != nil {
		m.t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for member := range secretMembers(op) {
				if !m.members[op.OperationID+"."+member] {
					m.t.Errorf("%s %s: no canary went through %s of %s", method, path, member, op.OperationID)
				}
			}
		}
	}
}

func secretMembers(op *openapi3.Operation) map[string]bool {
	secrets := map[string]bool{}
	if op.RequestBody != nil {
		for _, media := range op.RequestBody.Value.Content {
			walk(media.Schema, func(name string, s *openapi3.Schema) {
				if s.WriteOnly || s.Format == "password" || name == "refresh_token" || name == "code" {
					secrets[name] = true
				}
			})
		}
	}
	for status, response := range op.Responses.Map() {
		if !strings.HasPrefix(status, "2") || response.Value == nil {
			continue
		}
		for _, media := range response.Value.Content {
			walk(media.Schema, func(name string, _ *openapi3.Schema) {
				if slices.Contains(given, name) {
					secrets[name] = true
				}
			})
		}
	}
	return secrets
}

// walk calls see with the members of a schema, at any depth.
func walk(ref *openapi3.SchemaRef, see func(name string, s *openapi3.Schema)) {
	if ref == nil || ref.Value == nil {
		return
	}
	for _, part := range slices.Concat(ref.Value.AllOf, ref.Value.OneOf, ref.Value.AnyOf) {
		walk(part, see)
	}
	walk(ref.Value.Items, see)
	for name, member := range ref.Value.Properties {
		see(name, member.Value)
		walk(member, see)
	}
}
