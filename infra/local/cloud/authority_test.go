package cloud_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/cloud"
	"github.com/tenantry/tenantry/infra/local/cloud/iam"
)

const (
	items   = "arn:aws:dynamodb:us-east-1:123456789012:table/t"
	lambdas = "arn:aws:lambda:us-east-1:123456789012:function:"
)

// allowing is a role with one statement.
func allowing(id, action, resource string, keys ...string) []iam.Statement {
	s := iam.Statement{ID: id, Actions: []string{action}, Resources: []string{resource}}
	if keys != nil {
		s.Conditions = []iam.Condition{{Operator: "StringLike", Key: iam.LeadingKeys, Values: keys}}
	}
	return []iam.Statement{s}
}

// A guarded is an endpoint before services that answer all they are asked.
type guarded struct {
	*cloud.Endpoint
	usage   iam.Usage
	refused []cloud.Refusal
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{}
	served := func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "served") }
	g.Endpoint = cloud.New(cloud.Options{
		Moto:     &url.URL{Scheme: "http", Host: "127.0.0.1:1"},
		DynamoDB: http.HandlerFunc(served),
		Lambda:   http.HandlerFunc(served),
		Refused:  func(r cloud.Refusal) { g.refused = append(g.refused, r) },
		Usage:    &g.usage,
	})
	if status, body := g.call("anybody", "dynamodb", "CreateTable", `{"TableName":"t","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}`); status != 200 {
		t.Fatalf("the administrator gets %d %s", status, body)
	}
	return g
}

// call asks a service for an operation, with a key, and returns the answer. An
// operation of Lambda's is the function that is invoked.
func (g *guarded) call(key, service, operation, body string) (int, string) {
	path := "/"
	if service == "lambda" {
		path = "/2015-03-31/functions/" + operation + "/invocations"
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if service == "dynamodb" {
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+key+"/20260101/us-east-1/"+service+"/aws4_request, Signature=0")
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func item(key string) string { return `{"TableName":"t","Key":{"pk":{"S":"` + key + `"}}}` }

func TestFunctionsMayDoWhatTheirPoliciesSay(t *testing.T) {
	g := newGuarded(t)
	reader := g.GrantFunction("app-Reader", allowing("Reader/1", "dynamodb:GetItem", items, "A#*")).AccessKeyID
	caller := g.GrantFunction("app-Caller", allowing("Caller/1", "lambda:InvokeFunction", lambdas+"callee")).AccessKeyID
	if reader == caller {
		t.Fatal("two functions have one key")
	}
	refused := func(role, action, resource string) string {
		return "User: arn:aws:sts::123456789012:assumed-role/" + role + "Role/" + role + " is not authorized to perform: " + action +
			" on resource: " + resource + " because no identity-based policy allows the " + action + " action"
	}
	for name, test := range map[string]struct {
		key, service, operation, body string
		status                        int
		want                          string // of the body
	}{
		"what it may":      {reader, "dynamodb", "GetItem", item("A#1"), 200, "served"},
		"another key":      {reader, "dynamodb", "GetItem", item("B#1"), 400, `{"__type":"com.amazon.coral.service#AccessDeniedException","message":"` + refused("app-Reader", "dynamodb:GetItem", items) + `"}`},
		"another action":   {reader, "dynamodb", "DeleteItem", item("A#1"), 400, refused("app-Reader", "dynamodb:DeleteItem", items)},
		"part of a whole":  {reader, "dynamodb", "TransactWriteItems", `{"TransactItems":[{"Delete":` + item("A#1") + `}]}`, 400, refused("app-Reader", "dynamodb:DeleteItem", items)},
		"another service":  {reader, "lambda", "callee", "{}", 403, refused("app-Reader", "lambda:InvokeFunction", lambdas+"callee")},
		"a function":       {caller, "lambda", lambdas + "callee", "{}", 200, "served"},
		"another function": {caller, "lambda", "other", "{}", 403, `{"__type":"AccessDeniedException","message":"` + refused("app-Caller", "lambda:InvokeFunction", lambdas+"other") + `"}`},
		"any other key":    {"local", "dynamodb", "DeleteItem", item("B#1"), 200, "served"},
		"moto's, no roles": {"ak", "lambda", "other", "{}", 200, "served"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := g.call(test.key, test.service, test.operation, test.body)
			if status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("got %d %s\nwant %d %s", status, body, test.status, test.want)
			}
		})
	}
	if got, want := len(g.usage.Refusals()), 5; got != want || len(g.refused) != want {
		t.Errorf("got %d refusals, and heard of %d, want %d: %v", got, len(g.refused), want, g.usage.Refusals())
	}
	for _, r := range g.refused {
		if r.Action == "dynamodb:GetItem" && !slices.Equal(r.Kinds, []string{"B#"}) {
			t.Errorf("heard of a refusal of items %q, want B#", r.Kinds)
		}
		if r.Action == "dynamodb:GetItem" && (r.Caller != "app-Reader" || r.Resource != items || r.Reason != refused("app-Reader", r.Action, items)) {
			t.Errorf("got refusal %+v", r)
		}
	}
}

func TestTasksHaveTheRoleOfTheirStateMachine(t *testing.T) {
	g := newGuarded(t)
	grant := func(name, resource string, functions ...string) error {
		return g.GrantStateMachine(name, allowing(name+"/1", "lambda:InvokeFunction", resource), functions)
	}
	if err := grant("app-First", lambdas+"a", lambdas+"a", lambdas+"b"); err != nil {
		t.Fatal(err)
	}
	if err := grant("app-Second", lambdas+"*", lambdas+"c"); err != nil {
		t.Fatal(err)
	}
	if err := grant("app-Third", lambdas+"*", lambdas+"c"); err == nil || !strings.Contains(err.Error(), "app-Second and app-Third both call "+lambdas+"c") {
		t.Errorf("of two state machines that call one function, got %v", err)
	}
	for name, test := range map[string]struct {
		function string
		status   int
		want     string
	}{
		"what it may":            {"a", 200, "served"},
		"what it may not":        {"b", 403, "assumed-role/app-FirstRole/app-First"},
		"what another may":       {"c", 200, "served"},
		"what no definition has": {"d", 403, "assumed-role/unknownRole/unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := g.call("ak", "lambda", lambdas+test.function, "{}"); status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("got %d %s, want %d %s", status, body, test.status, test.want)
			}
		})
	}
}

// TestAskWithout asks again for what a statement alone allowed.
func TestAskWithout(t *testing.T) {
	g := newGuarded(t)
	key := g.GrantFunction("app-F", append(
		allowing("F/1", "dynamodb:GetItem", items),
		allowing("F/2", "dynamodb:*Item", "arn:aws:dynamodb:*:table/t", "A#*")...)).AccessKeyID
	for _, call := range []struct{ operation, body string }{
		{"GetItem", item("A#1")}, // by either
		{"GetItem", item("B#1")}, // by the first
		{"DeleteItem", item("A#1")},
	} {
		if status, body := g.call(key, "dynamodb", call.operation, call.body); status != 200 {
			t.Fatalf("got %d %s", status, body)
		}
	}
	var alone []int
	for _, s := range g.usage.Statements() {
		alone = append(alone, s.Alone)
		if err := s.Ask(); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]int{1, 1}, alone); diff != "" {
		t.Errorf("how often each was needed (-want +got):\n%s", diff)
	}
	if n := len(g.usage.Refusals()) + len(g.refused); n > 0 {
		t.Errorf("%d refusals are counted that were only tried", n)
	}
}
