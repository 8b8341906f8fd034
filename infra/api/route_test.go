package apidoc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMethods(t *testing.T) {
	for path, want := range map[string][]string{
		"/health":             {"GET"},
		"/tenants":            {"GET", "POST"},
		"/tenants/any":        {"DELETE", "GET", "PATCH", "PUT"},
		"/tenants/":           nil,
		"/tenants/a/b":        nil,
		"/operations/a/retry": {"POST"},
		"/nowhere":            nil,
	} {
		got, err := Methods(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}
