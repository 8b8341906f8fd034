// Package arch holds the rule of which package may import which, as a test.
package arch

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tenantry/tenantry/"

// allowed says which packages of ours each package may import. One that is not
// listed may import none, so that a new package has to be placed here.
var allowed = map[string][]string{
	// What everything else is made of.
	"fault":       {},
	"identity":    {},
	"patch":       {},
	"idempotency": {},
	"page":        {},
	"audit":       {"fault", "identity"},
	"conflict":    {"fault"},
	"opaque":      {},
	"metric":      {},
	"endpoint":    {},

	// The domain, which knows neither edges nor adapters.
	"tenant":         {"audit", "conflict", "fault", "idempotency", "identity", "patch"},
	"agent":          {"audit", "conflict", "fault", "idempotency", "identity", "patch", "tenant"},
	"directory":      {"tenant"},
	"operation":      {"fault", "identity"},
	"attempt":        {"fault"},
	"user":           {"audit", "conflict", "fault", "idempotency", "identity", "patch", "tenant"},
	"work":           {"audit", "fault", "idempotency", "identity", "operation", "patch", "tenant"},
	"provisioning":   {"audit", "conflict", "fault", "idempotency", "identity", "operation", "patch", "tenant", "user", "work"},
	"trail":          {"audit", "identity"},
	"health":         {"fault", "metric", "tenant"},
	"call":           {"agent", "audit", "conflict", "fault", "identity", "patch", "tenant"},
	"usage":          {"audit", "conflict", "fault", "identity", "patch", "tenant"},
	"stats":          {"call", "identity", "tenant", "usage"},
	"sweep":          {"fault", "identity", "operation", "tenant", "user", "work"},
	"deprovisioning": {"audit", "conflict", "fault", "idempotency", "identity", "operation", "sweep", "tenant", "user", "work"},
	"account":        {"audit", "fault", "identity", "patch", "provisioning", "tenant", "user"},
	"apikey":         {"audit", "fault", "idempotency", "identity", "opaque"},
	"impersonation":  {"audit", "fault", "idempotency", "identity", "opaque", "patch", "tenant", "user"},

	// The edges.
	"api":        {"account", "agent", "apikey", "attempt", "audit", "call", "deprovisioning", "fault", "health", "idempotency", "identity", "impersonation", "operation", "page", "patch", "provisioning", "stats", "tenant", "trail", "usage", "user", "work"},
	"authorizer": {"api", "apikey", "fault", "identity", "impersonation", "opaque", "token", "user"},
	"task":       {"fault", "operation", "work"},
	"trigger":    {"account", "fault", "identity", "provisioning"},
	"docs":       {"api", "fault", "identity"},

	// The adapters, which know no edge.
	"cognito":  {"account", "fault", "identity", "provisioning", "sweep"},
	"dynamo":   {"agent", "apikey", "attempt", "audit", "call", "directory", "fault", "health", "idempotency", "identity", "impersonation", "opaque", "operation", "page", "provisioning", "stats", "sweep", "tenant", "usage", "user"},
	"signing":  {"audit"},
	"invoke":   {"endpoint", "health", "operation"},
	"mongo":    {"fault", "operation", "tenant"},
	"probe":    {"health"},
	"secret":   {"health", "operation", "provisioning", "tenant", "identity"},
	"token":    {"fault", "identity"},
	"workflow": {"operation"},

	"boot": {"api", "endpoint"},
}

// awsAllowed is who may import clients of AWS services, besides the functions.
var awsAllowed = []string{"cognito", "dynamo", "secret", "signing", "workflow"}

// TestImports reads the files itself, rather than ask go list, so that go test
// sees what it depends on and does not answer from its cache.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("../*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no files: %v", err)
	}
	for _, name := range files {
		pkg := filepath.Base(filepath.Dir(name))
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if _, placed := allowed[pkg]; !placed {
			t.Errorf("internal/%s has no place in the table of imports", pkg)
		}
		for _, path := range imports(t, name) {
			if dep, ours := strings.CutPrefix(path, module+"internal/"); ours && !slices.Contains(allowed[pkg], dep) {
				t.Errorf("%s imports %s, which internal/%s may not", name, dep, pkg)
			}
			if strings.HasPrefix(path, module+"infra/local") {
				t.Errorf("%s imports %s, which is for running locally", name, path)
			}
			if strings.Contains(path, "aws-sdk-go-v2/service/") && !slices.Contains(awsAllowed, pkg) {
				t.Errorf("%s imports %s, which internal/%s may not", name, path, pkg)
			}
		}
	}
}

// drivers is the modules that only these packages of ours may link: each is larger
// than most functions are without. linking is the functions that may link those.
var (
	drivers = map[string][]string{
		"github.com/jackc/pgx/":     {"probe"},
		"github.com/minio/":         {"probe"},
		"github.com/redis/":         {"probe"},
		"github.com/twmb/franz-go/": {"probe"},
		"go.mongodb.org/":           {"probe", "mongo"},
	}
	linking = map[string][]string{
		"probe": {"health-probe"},
		"mongo": {"provisioning-mongodb", "deprovisioning-mongodb"},
	}
)

// TestDrivers leaves tests alone but for the drivers themselves, and the module of
// the tests that need servers.
func TestDrivers(t *testing.T) {
	files, err := filepath.Glob("../../*/*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no files: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		dir := filepath.Base(filepath.Dir(name))
		if dir == "services" {
			continue
		}
		for _, path := range imports(t, name) {
			for driver, packages := range drivers {
				if strings.HasPrefix(path, driver) && !slices.Contains(packages, dir) {
					t.Errorf("%s imports %s, which only %v may link", name, path, packages)
				}
			}
			for pkg, functions := range linking {
				if path == module+"internal/"+pkg && dir != pkg && !slices.Contains(functions, dir) && !strings.HasSuffix(name, "_test.go") {
					t.Errorf("%s imports %s, which only %v may link", name, path, functions)
				}
			}
		}
	}
}

// TestFunctionsOnlyWire sees to it that a function is its main.go.
func TestFunctionsOnlyWire(t *testing.T) {
	files, err := filepath.Glob("../../functions/*/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no functions: %v", err)
	}
	for _, name := range files {
		if filepath.Base(name) != "main.go" {
			t.Errorf("%s: a function is its main.go, and nothing else", name)
		}
	}
}

// heavy is what no function may link: it makes all of them larger, and slower to
// start. net/rpc is left out by a tag, with which they are built; schemas by the
// versions of the clients (ADR 30).
var heavy = []string{
	"net/rpc", "text/template", "html/template",
	"github.com/aws/aws-sdk-go-v2/config",
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/schemas",
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/schemas",
	"github.com/aws/aws-sdk-go-v2/service/lambda",
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/schemas",
	"github.com/aws/aws-sdk-go-v2/service/sso",
}

// TestLinks asks go list, so it reads all that the answer depends on, for go test
// to see that too.
func TestLinks(t *testing.T) {
	readAll(t, "../../go.mod", "../../go.sum", "../../functions/*/*.go", "../*/*.go")
	cmd := exec.CommandContext(t.Context(), "go", "list", "-tags=lambda.norpc", "-f", "{{.ImportPath}} {{join .Deps \" \"}}", "./functions/...")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	functions := strings.Split(strings.TrimSpace(string(out)), "\n")
	if programs, _ := filepath.Glob("../../functions/*/main.go"); len(functions) != len(programs) {
		t.Fatalf("go list knows %d functions, want %d", len(functions), len(programs))
	}
	for _, line := range functions {
		linked := strings.Fields(line)
		for _, path := range heavy {
			if slices.Contains(linked, path) {
				t.Errorf("%s links %s", strings.TrimPrefix(linked[0], module), path)
			}
		}
	}
}

func readAll(t *testing.T, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("found no %s: %v", pattern, err)
		}
		for _, name := range files {
			if _, err := os.ReadFile(name); err != nil { //nolint:gosec // our own files
				t.Fatal(err)
			}
		}
	}
}

func imports(t *testing.T, name string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
