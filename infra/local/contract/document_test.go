package contract

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	apidoc "github.com/tenantry/tenantry/infra/api"
)

var everyRole = []string{"platform_admin", "owner", "admin", "supervisor", "agent", "developer", "applicant"}

var everyScope = []string{"usage:write", "calls:write", "sip:read", "health:read"}

// TestDocumentIsOpenAPI reads the document as others will.
func TestDocumentIsOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(apidoc.YAML)
	if err != nil {
		t.Fatal(err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("the version is %s", doc.OpenAPI)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOperationsAreDescribed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(apidoc.YAML)
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^([A-Z][a-z]+|API)+$`)
	seen := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			if !name.MatchString(op.OperationID) || seen[op.OperationID] {
				t.Errorf("%s: operationId %q is not in Pascal case, or there twice", where, op.OperationID)
			}
			seen[op.OperationID] = true
			if op.Summary == "" || op.Description == "" {
				t.Errorf("%s: summary or description is missing", where)
			}
			if len(op.Tags) != 1 || doc.Tags.Get(op.Tags[0]) == nil {
				t.Errorf("%s: tags %v are not one that the document describes", where, op.Tags)
			}
			public := op.Security != nil && len(*op.Security) == 0
			checkCallers(t, where, op.Extensions["x-roles"], op.Extensions["x-scope"], public)
		}
	}
}

// checkCallers holds what the document says of who may call an operation to what
// there is: roles, or one word in their place, and a scope that lets services in.
// An operation that is for services alone has no roles.
func checkCallers(t *testing.T, where string, roles, scope any, public bool) {
	t.Helper()
	if name, _ := scope.(string); scope != nil && (public || !slices.Contains(everyScope, name)) {
		t.Errorf("%s: x-scope is %v, and security says that it is public: %v", where, scope, public)
	}
	switch roles := roles.(type) {
	case string:
		if public != (roles == "public") || roles != "public" && roles != "any" {
			t.Errorf("%s: x-roles is %q, and security says that it is public: %v", where, roles, public)
		}
	case []any:
		if len(roles) == 0 && scope == nil || public {
			t.Errorf("%s: x-roles is %v, and security says that it is public: %v", where, roles, public)
		}
		for _, role := range roles {
			if name, _ := role.(string); !slices.Contains(everyRole, name) {
				t.Errorf("%s: x-roles names %v, which is no role", where, role)
			}
		}
	default:
		t.Errorf("%s: x-roles is %v", where, roles)
	}
}

// TestRoutesTellOfRequests sees to it that a route says what its requests hold:
// in schemas, their parts and their items, behind references.
func TestRoutesTellOfRequests(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	routes := map[string]Route{}
	for _, r := range c.Routes() {
		routes[r.OperationID] = r
	}
	if diff := cmp.Diff([]Parameter{{"path", "tenant_id"}, {"query", "limit"}, {"query", "cursor"}}, routes["ListOperations"].Parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	for id, want := range map[string][]string{
		"GetTenant":    nil,
		"RefreshToken": {"refresh_token"},
		"CreateTenant": {"admin_email", "limits", "max_agents", "meta_data", "name", "slug", "webhook_secret"},
		"PutTenant":    {"id", "max_agents", "name", "sip_password", "status"},
	} {
		for _, name := range want {
			if !slices.Contains(routes[id].Members, name) {
				t.Errorf("%s: the body has the members %v, want %s among them", id, routes[id].Members, name)
			}
		}
		if hasBody := routes[id].Body != nil; hasBody != (want != nil) {
			t.Errorf("%s: the example of the body is %v", id, routes[id].Body)
		}
	}
}

// TestExamplesFit holds every request and answer to having examples, and the
// examples to the schemas beside them.
func TestExamplesFit(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range c.operations {
		checkExamples(t, op.OperationID+" request", op.body)
		for status, answer := range op.answers {
			where := op.OperationID + " " + status
			checkExamples(t, where, answer.content)
			for kind, value := range answer.content[problemType].examples {
				problem := node{value: value}
				if child(problem, "type").text() != problemPath+kind {
					t.Errorf("%s: the example %q has the type %v", where, kind, child(problem, "type").value)
				}
				if code := status; !strings.HasPrefix(code, toText(child(problem, "status").value)) {
					t.Errorf("%s: the example %q has the status %v", where, kind, child(problem, "status").value)
				}
			}
		}
	}
}

func checkExamples(t *testing.T, where string, all map[string]content) {
	t.Helper()
	for mediaType, c := range all {
		if len(c.examples) == 0 {
			t.Errorf("%s has no example as %s", where, mediaType)
		}
		for name, value := range c.examples {
			if value == nil {
				t.Errorf("%s: the example %q has no value", where, name)
			} else if err := c.schema.Validate(value); err != nil {
				t.Errorf("%s: the example %q: %v", where, name, err)
			}
		}
	}
}

func toText(value any) string {
	if number, ok := value.(interface{ Int64() (int64, error) }); ok {
		if n, err := number.Int64(); err == nil {
			return strconv.FormatInt(n, 10)
		}
	}
	return ""
}

// TestComponentsAreUsed finds what a change of the document left behind.
// Examples of problems also stand on their pages.
func TestComponentsAreUsed(t *testing.T) {
	r, err := newReader()
	if err != nil {
		t.Fatal(err)
	}
	text, err := apidoc.JSON()
	if err != nil {
		t.Fatal(err)
	}
	components, err := r.get(node{value: r.root}, "components")
	if err != nil {
		t.Fatal(err)
	}
	for section, members := range components.object() {
		if section == "securitySchemes" {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(node{value: members}.object())) {
			ref := `"#/components/` + section + "/" + name + `"`
			isProblem := strings.ToLower(name) == name
			if !isProblem && !strings.Contains(string(text), ref) {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}
}
