package apidoc

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

// methods is the members of a path item that are operations (OpenAPI 3.1.1,
// section 4.8.9).
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// paths is the operations of each path template.
var paths = sync.OnceValues(func() (map[string][]string, error) {
	var doc struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal(YAML, &doc); err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	found := map[string][]string{}
	for path, item := range doc.Paths {
		for _, method := range methods {
			if _, ok := item[method]; ok {
				found[path] = append(found[path], strings.ToUpper(method))
			}
		}
	}
	return found, nil
})

// Methods returns the methods that the document describes for the path of a
// request, sorted, or none if it describes no such path.
func Methods(path string) ([]string, error) {
	templates, err := paths()
	if err != nil {
		return nil, err
	}
	var allowed []string
	for template, methods := range templates {
		if matches(template, path) {
			allowed = append(allowed, methods...)
		}
	}
	slices.Sort(allowed)
	return slices.Compact(allowed), nil
}

// matches reports whether a path is one that the template stands for. A variable
// stands for one segment that is not empty.
func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, segment := range want {
		if variable := strings.HasPrefix(segment, "{"); variable && got[i] == "" || !variable && segment != got[i] {
			return false
		}
	}
	return true
}
