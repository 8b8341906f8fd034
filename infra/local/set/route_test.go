package set

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/contract"
	"github.com/tenantry/tenantry/infra/local/template"
)

// TestRoutesAreDescribed sees to it that the OpenAPI document and the template
// name the same routes, and agree on which are public.
func TestRoutesAreDescribed(t *testing.T) {
	tpl, err := template.Load(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	routes, err := tpl.Routes()
	if err != nil {
		t.Fatal(err)
	}
	var deployed, described []string
	for _, r := range routes {
		if r.Path != "$default" {
			deployed = append(deployed, line(r.Method, strings.ReplaceAll(r.Path, "+}", "}"), r.Public()))
		}
	}
	document, err := contract.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range document.Routes() {
		described = append(described, line(r.Method, r.Path, slices.Contains(r.Roles, "public")))
	}
	slices.Sort(deployed)
	slices.Sort(described)
	if diff := cmp.Diff(deployed, described); diff != "" {
		t.Errorf("deployed (-) and described (+): %s", diff)
	}
}

func line(method, path string, public bool) string {
	if public {
		return method + " " + path + " public"
	}
	return method + " " + path
}
