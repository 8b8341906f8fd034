package set

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/cloud"
	"github.com/tenantry/tenantry/infra/local/stack"
)

// A wanted is a tenant that a platform admin asks for, with everything.
type wanted struct {
	*client
	slug, email, id, operationID string
}

const ownersPassword = "a good password 0815"

func want(c *client) *wanted {
	c.t.Helper()
	slug := unique("whole-")
	w := &wanted{client: c, slug: slug, email: slug + "@example.com"}
	created := c.do("POST", "/tenants", map[string]any{ //nolint:gosec // secrets of a test
		"name": "Whole", "slug": slug, "admin_email": w.email, "admin_password": ownersPassword,
		"sip_enabled": true, "sip_domain": slug + ".example.com", "sip_username": "u", "webhook_secret": "a webhook's secret",
	}).must(202)
	w.id, w.operationID = created.text("id"), created.text("operation_id")
	return w
}

// left returns what is there of the tenant besides its row.
func (w *wanted) left() []string {
	w.t.Helper()
	var found []string
	tables, err := dynamodb.NewFromConfig(awsConfig(w.stack)).ListTables(w.t.Context(), &dynamodb.ListTablesInput{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range tables.TableNames {
		if strings.Contains(name, w.slug) {
			found = append(found, "table")
		}
	}
	users, err := cognitoidentityprovider.NewFromConfig(awsConfig(w.stack)).ListUsers(w.t.Context(), &cognitoidentityprovider.ListUsersInput{
		UserPoolId: new(w.stack.Info().UserPoolID), Filter: new(fmt.Sprintf("email = %q", w.email)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for range users.Users {
		found = append(found, "account")
	}
	for line := range strings.Lines(secretValues(w.t, w.stack)) {
		switch {
		case strings.Contains(line, "/tenant/"+w.id):
			found = append(found, "secret")
		case strings.Contains(line, "/operation/"+w.operationID):
			found = append(found, "passwords")
		}
	}
	return found
}

// checkFailed fails the test unless nothing is left but the passwords, which a
// retry needs.
func (w *wanted) checkFailed(op *answer, step, code string, left ...string) {
	w.t.Helper()
	failure, _ := op.Body["error"].(map[string]any)
	if op.Body["state"] != "failed" || failure["step"] != step || failure["code"] != code || failure["detail"] == "" || failure["hint"] == "" {
		w.t.Errorf("the operation ended as %s, want a failure of %s by %s", op.Raw, step, code)
	}
	if diff := cmp.Diff(left, w.left()); diff != "" {
		w.t.Errorf("what is left (-want +got):\n%s", diff)
	}
	got := w.do("GET", "/tenants/"+w.id, nil).must(200)
	if got.Body["database"] != nil || got.Body["owner_id"] != nil {
		w.t.Errorf("the tenant names what is gone: %s", got.Raw)
	}
}

// checkActive fails the test unless everything is there, once.
func (w *wanted) checkActive() {
	w.t.Helper()
	w.active(w.id)
	eventually(w.t, "the passwords of the request were gone", func() bool {
		return cmp.Equal([]string{"table", "account", "secret"}, w.left())
	})
	w.signIn(w.email, ownersPassword)
}

// faults lets decide say what becomes of calls until the test ends.
func faults(t *testing.T, decide func(cloud.Call) cloud.Fault) {
	t.Helper()
	common.Endpoint().SetFault(decide)
	t.Cleanup(func() { common.Endpoint().SetFault(nil) })
}

// refusing has an operation fail for functions, for good.
func refusing(operation string, functions ...string) func(cloud.Call) cloud.Fault {
	return func(c cloud.Call) cloud.Fault {
		if c.Name == operation && slices.ContainsFunc(functions, func(name string) bool { return strings.HasSuffix(c.Caller, "-"+name) }) {
			return cloud.Fault{Effect: cloud.Refuse, Status: http.StatusBadRequest, Code: "ValidationException"}
		}
		return cloud.Fault{}
	}
}

// update sets an attribute of an item of the common stack's table.
func update(t *testing.T, key, attribute, text string) {
	t.Helper()
	updateIn(t, common, key, attribute, text)
}

// updateIn sets an attribute of an item of a stack's table, whose sort key is the
// first word of its partition key.
func updateIn(t *testing.T, s *stack.Stack, key, attribute, text string) {
	t.Helper()
	word, _, _ := strings.Cut(key, "#")
	updateItem(t, s, key, word, attribute, text)
}

// updateItem is updateIn for an item with any sort key.
func updateItem(t *testing.T, s *stack.Stack, key, word, attribute, text string) {
	t.Helper()
	path := strings.Split(attribute, ".")
	names := map[string]string{"#a": path[0], "#b": path[len(path)-1]}
	expression := "SET #a.#b = :v"
	if len(path) == 1 {
		expression = "SET #b = :v"
		delete(names, "#a")
	}
	_, err := dynamodb.NewFromConfig(awsConfig(s)).UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: new(s.Info().Table),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: key}, "sk": &types.AttributeValueMemberS{Value: word},
		},
		UpdateExpression:          &expression,
		ExpressionAttributeNames:  names,
		ExpressionAttributeValues: map[string]types.AttributeValue{":v": &types.AttributeValueMemberS{Value: text}},
	})
	if err != nil {
		t.Error(err)
	}
}

// TestUndo has each step fail for good, and a retry succeed.
func TestUndo(t *testing.T) {
	admin := newClient(t, common).admin()
	refusal := func(code string) cloud.Fault {
		return cloud.Fault{Effect: cloud.Refuse, Status: http.StatusBadRequest, Code: code}
	}
	for name, test := range map[string]struct {
		service, call string
		fault         func(*wanted) cloud.Fault
		step, code    string
		left          []string
		retry         map[string]any // nil if the tenant cannot be retried
	}{
		"the pool does not take the address": {
			"cognito-idp", "AdminCreateUser", func(*wanted) cloud.Fault { return refusal("InvalidParameterException") },
			"identity", "invalid",
			[]string{"passwords"},
			map[string]any{},
		},
		"the pool does not take the password": {
			"cognito-idp", "AdminSetUserPassword", func(*wanted) cloud.Fault { return refusal("InvalidPasswordException") },
			"identity", "invalid",
			[]string{"passwords"},
			map[string]any{"admin_password": ownersPassword},
		},
		"the passwords are gone": {
			"cognito-idp", "AdminSetUserPassword",
			func(w *wanted) cloud.Fault {
				deleteSecretsOf(t, "/operation/"+w.operationID)
				return cloud.Fault{}
			},
			"sip", "invalid", nil,
			map[string]any{"sip_password": "another password", "admin_password": ownersPassword},
		},
		"the tenant went its own way": {
			"secretsmanager", "CreateSecret",
			func(w *wanted) cloud.Fault {
				update(t, "TENANT#"+w.id, "profile.status", "suspended")
				return cloud.Fault{}
			},
			"activate", "illegal-transition",
			[]string{"passwords"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w *wanted
			ready := make(chan struct{})
			var once sync.Once
			faults(t, func(c cloud.Call) (f cloud.Fault) {
				if c.Service != test.service || c.Name != test.call || c.Name == "CreateSecret" && !strings.Contains(string(c.Body), "/tenant/") {
					return f
				}
				once.Do(func() {
					<-ready
					f = test.fault(w)
				})
				return f
			})
			w = want(admin)
			close(ready)
			op := w.operation(w.operationID)
			w.checkFailed(op, test.step, test.code, test.left...)
			if test.retry == nil {
				return
			}
			w.do("POST", "/operations/"+w.operationID+"/retry", test.retry).must(202)
			if op := w.operation(w.operationID); op.Body["state"] != "succeeded" {
				t.Errorf("the retry ended as %s", op.Raw)
			}
			w.checkActive()
		})
	}
}

// deleteSecretsOf deletes the secrets whose names contain a text.
func deleteSecretsOf(t *testing.T, text string) {
	t.Helper()
	client := secretsmanager.NewFromConfig(awsConfig(common))
	pages := secretsmanager.NewListSecretsPaginator(client, &secretsmanager.ListSecretsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		for _, entry := range page.SecretList {
			if !strings.Contains(*entry.Name, text) {
				continue
			}
			if _, err := client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: entry.ARN, ForceDeleteWithoutRecovery: new(true)}); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestDeadExecution stops an execution while one of its functions runs, which
// goes on all the same. The sweeper rolls the operation back, and a retry
// succeeds.
func TestDeadExecution(t *testing.T) {
	admin := newClient(t, common).admin()
	var w *wanted
	ready := make(chan struct{})
	var once sync.Once
	faults(t, func(c cloud.Call) cloud.Fault {
		if c.Service == "cognito-idp" && c.Name == "AdminCreateUser" {
			once.Do(func() {
				<-ready
				stop(t, common, "provision", w.operationID+"-1")
			})
		}
		return cloud.Fault{}
	})
	w = want(admin)
	close(ready)
	eventually(t, "the function that ran was done", func() bool {
		return cmp.Equal([]string{"database succeeded", "identity succeeded", "sip pending", "activate pending"}, steps(w.do("GET", "/operations/"+w.operationID, nil).must(200)))
	})
	update(t, "OPERATION#"+w.operationID, "due_at", "2026-01-01T00:00:00.000Z")
	var op *answer
	swept(t, common, func() bool {
		op = w.do("GET", "/operations/"+w.operationID, nil).must(200)
		return op.Body["ended_at"] != nil
	})
	w.checkFailed(op, "sip", "workflow-dead", "passwords")
	if diff := cmp.Diff([]string{"database undone", "identity undone", "sip failed", "activate pending"}, steps(op)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	w.do("POST", "/auth/token", map[string]any{"username": w.email, "password": ownersPassword}).problem(401, "invalid-credentials")
	w.do("POST", "/operations/"+w.operationID+"/retry", nil).must(202)
	if op := w.operation(w.operationID); op.Body["state"] != "succeeded" {
		t.Errorf("the retry ended as %s", op.Raw)
	}
	w.checkActive()
}

// TestLostAnswers loses the answer to whoever makes an account. Asking again finds
// it.
func TestLostAnswers(t *testing.T) {
	admin := newClient(t, common).admin()
	var mu sync.Mutex
	lost := map[string]bool{}
	faults(t, func(c cloud.Call) cloud.Fault {
		mu.Lock()
		defer mu.Unlock()
		if c.Name != "AdminCreateUser" || lost[c.Caller] {
			return cloud.Fault{}
		}
		lost[c.Caller] = true
		return cloud.Fault{Effect: cloud.LoseAnswer}
	})
	w := want(admin)
	if op := w.operation(w.operationID); op.Body["state"] != "succeeded" {
		t.Errorf("the operation ended as %s", op.Raw)
	}
	w.checkActive()
	email := unique("lost") + "@example.com"
	w.signIn(w.email, ownersPassword).invite(email, "Budi", "agent")
	w.accept(email, "a password of mine").do("GET", "/auth/me", nil).must(200)
	if len(lost) != 2 {
		t.Errorf("answers were lost to %v", lost)
	}
}

// stop stops an execution of a workflow.
func stop(t *testing.T, s *stack.Stack, workflow, execution string) {
	t.Helper()
	arn := executionARN(s, workflow, execution)
	_, err := sfn.NewFromConfig(awsConfig(s)).StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn})
	if err != nil {
		t.Error(err)
	}
}

func executionARN(s *stack.Stack, workflow, execution string) string {
	return fmt.Sprintf("arn:aws:states:%s:123456789012:execution:%s-%s:%s", s.Info().Region, s.Info().StackName, workflow, execution)
}

// TestTwoAccountsOneAddress has two people sign up with one e-mail address at
// once, so that both accounts are there before either is confirmed.
func TestTwoAccountsOneAddress(t *testing.T) {
	c := newClient(t, common)
	name := unique("twin")
	email := name + "@example.com"
	both := make(chan struct{}, 2)
	var met sync.WaitGroup
	met.Add(2)
	faults(t, func(call cloud.Call) cloud.Fault {
		if call.Service == "dynamodb" && call.Name == "TransactWriteItems" && strings.Contains(string(call.Body), "EMAIL#"+email) {
			select {
			case both <- struct{}{}: // the first two wait for each other
				met.Done()
				met.Wait()
			default:
			}
		}
		return cloud.Fault{}
	})
	answers := make([]*answer, 2)
	account := func(i int) map[string]any {
		return map[string]any{"username": fmt.Sprint(name, "-", i), "password": "correct horse battery", "email": email}
	}
	together(2, func(i int) { answers[i] = c.do("POST", "/auth/signup", account(i)) })
	won, lost := 0, 1
	if answers[0].Status == 409 {
		won, lost = 1, 0
	}
	id := answers[won].must(201).text("user_id")
	answers[lost].problem(409, "email-taken")
	signIn := func(i int) *answer {
		in := account(i)
		delete(in, "email")
		return c.do("POST", "/auth/token", in)
	}
	signIn(lost).problem(409, "email-taken")
	c.as(signIn(won).must(200).text("access_token")).active(id)
	swept(t, common, func() bool { return signIn(lost).Status == 401 })
	signIn(lost).problem(401, "invalid-credentials")
	signIn(won).must(200)
	users, err := cognitoidentityprovider.NewFromConfig(awsConfig(common)).ListUsers(t.Context(), &cognitoidentityprovider.ListUsersInput{
		UserPoolId: new(common.Info().UserPoolID), Filter: new(fmt.Sprintf("email = %q", email)),
	})
	if err != nil || len(users.Users) != 1 {
		t.Errorf("%d accounts have the address, %v, want 1", len(users.Users), err)
	}
}

// TestOneKeyManyRetries retries an operation with one key many times at once.
func TestOneKeyManyRetries(t *testing.T) {
	admin := newClient(t, common).admin()
	faults(t, func(c cloud.Call) cloud.Fault {
		if c.Service == "cognito-idp" && c.Name == "AdminSetUserPassword" {
			return cloud.Fault{Effect: cloud.Refuse, Status: http.StatusBadRequest, Code: "InvalidPasswordException"}
		}
		return cloud.Fault{}
	})
	w := want(admin)
	w.checkFailed(w.operation(w.operationID), "identity", "invalid", "passwords")
	common.Endpoint().SetFault(nil)
	answers := make([]*answer, 20)
	keyed := w.with("Idempotency-Key", w.slug)
	together(len(answers), func(i int) {
		answers[i] = keyed.do("POST", "/operations/"+w.operationID+"/retry", map[string]any{"admin_password": ownersPassword})
	})
	for _, a := range answers {
		if a.Status != 202 || a.Raw != answers[0].Raw {
			t.Errorf("got %d %s, want 202 %s", a.Status, a.Raw, answers[0].Raw)
		}
	}
	w.operation(w.operationID)
	w.checkActive()
}
