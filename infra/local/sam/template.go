package sam

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// endpointVariable tells functions where AWS is.
const endpointVariable = "AWS_ENDPOINT_URL"

// undeclared are the variables that Lambda or make local sets, so that the template
// declares them nowhere. Containers get those that it declares.
var undeclared = []string{endpointVariable, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}

// declare writes the template of what sam build has made in dir once more, with the
// variables declared for every function, and returns its path.
func declare(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "template.yaml")) //nolint:gosec // the folder is the caller's choice
	if err != nil {
		return "", fmt.Errorf("read what sam build has made: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return "", fmt.Errorf("read what sam build has made: %w", err)
	}
	n := &document
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	for _, key := range []string{"Globals", "Function", "Environment", "Variables"} {
		n = member(n, key)
	}
	for _, name := range undeclared {
		declared := member(n, name)
		declared.Kind, declared.Tag = yaml.ScalarNode, "!!str"
	}
	if text, err = yaml.Marshal(&document); err != nil {
		return "", fmt.Errorf("write the template: %w", err)
	}
	path := filepath.Join(dir, "sam-local.yaml")
	return path, os.WriteFile(path, text, 0o600)
}

// member returns the member of a mapping, which is made if it is not there.
func member(mapping *yaml.Node, key string) *yaml.Node {
	if mapping.Kind == 0 {
		mapping.Kind = yaml.MappingNode
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	n := &yaml.Node{}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, n)
	return n
}

// writeEnvironments writes the variables of each function, by its logical ID, for
// --env-vars. Where a value tells of the AWS endpoint, it tells of it as containers
// see it.
func writeEnvironments(path string, environments map[string]map[string]string, endpoint, inside string) error {
	all := map[string]map[string]string{}
	for id, variables := range environments {
		all[id] = map[string]string{endpointVariable: inside}
		for name, v := range variables {
			all[id][name] = strings.ReplaceAll(v, endpoint, inside)
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.WriteFile(path, text, 0o600)
}
