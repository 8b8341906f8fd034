package template

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// An entry is a member of a mapping.
type entry struct {
	key   string
	node  *yaml.Node // the key's, for its place in the file
	value *yaml.Node
}

// entries returns the members of the mapping n, which must have no key twice.
func entries(n *yaml.Node) ([]entry, error) {
	if n.Kind != yaml.MappingNode {
		return nil, at(n, "must be a mapping")
	}
	seen := map[string]bool{}
	all := make([]entry, 0, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			return nil, at(k, "a key must be a plain name")
		}
		if seen[k.Value] {
			return nil, at(k, "%q is there twice", k.Value)
		}
		seen[k.Value] = true
		all = append(all, entry{k.Value, k, v})
	}
	return all, nil
}

// value returns the value of the mapping n under key, or nil.
func value(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// at returns an error that names the line of n.
func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...))
}
