// Package arch holds the rule of which package may import which, as a test.
package arch

import (
	"go/parser"
	"go/token"
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

	// The domain, which knows neither edges nor adapters.
	"tenant":         {"audit", "conflict", "fault", "idempotency", "identity", "patch"},
	"agent":          {"audit", "conflict", "fault", "idempotency", "identity", "patch", "tenant"},
	"directory":      {"tenant"},
	"operation":      {"fault", "identity"},
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
	"api":        {"account", "agent", "apikey", "audit", "call", "deprovisioning", "fault", "health", "idempotency", "identity", "impersonation", "metric", "operation", "page", "patch", "provisioning", "stats", "tenant", "trail", "usage", "user", "work"},
	"authorizer": {"api", "apikey", "fault", "identity", "impersonation", "opaque", "token", "user"},
	"task":       {"fault", "operation", "work"},
	"trigger":    {"account", "fault", "identity", "provisioning"},
	"docs":       {"api", "fault", "identity"},

	// The adapters, which know no edge.
	"cognito":  {"account", "fault", "identity", "provisioning", "sweep"},
	"dynamo":   {"agent", "apikey", "audit", "call", "directory", "fault", "health", "idempotency", "identity", "impersonation", "opaque", "operation", "page", "provisioning", "stats", "sweep", "tenant", "usage", "user"},
	"signing":  {"audit"},
	"invoke":   {"health", "operation"},
	"mongo":    {"fault", "operation", "tenant"},
	"probe":    {"health"},
	"secret":   {"health", "operation", "provisioning", "tenant", "identity"},
	"token":    {"fault", "identity"},
	"workflow": {"operation"},

	"boot": {"api"},
}

// awsAllowed is who may import clients of AWS services, besides the functions.
var awsAllowed = []string{"cognito", "dynamo", "invoke", "secret", "signing", "workflow"}

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
