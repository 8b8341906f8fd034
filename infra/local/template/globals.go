package template

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

// globalTypes are the sections of Globals that are understood, and the types
// that they apply to.
var globalTypes = map[string]string{
	"Function":     FunctionType,
	"HttpApi":      HTTPAPIType,
	"StateMachine": StateMachineType,
}

// readGlobals reads SAM's Globals.
func (t *Template) readGlobals(n *yaml.Node) error {
	if !t.sam {
		return at(n, "Globals need the SAM transform")
	}
	all, err := entries(n)
	if err != nil {
		return err
	}
	for _, e := range all {
		kind, ok := globalTypes[e.key]
		if !ok {
			return at(e.node, "Globals: %q is not understood", e.key)
		}
		t.globals[kind] = e.value
	}
	return nil
}

// merge gives what SAM makes of a global and a local value: mappings are merged
// member by member, lists are joined with the global's elements first, and of
// anything else, intrinsic functions included, the local value wins.
func merge(global, local *yaml.Node) *yaml.Node {
	_, globalCall := callOf(global)
	_, localCall := callOf(local)
	if global.Kind != local.Kind || globalCall || localCall || local.Kind == yaml.ScalarNode {
		return local
	}
	if local.Kind == yaml.MappingNode {
		return mergeMaps(global, local)
	}
	merged := *local
	merged.Content = slices.Concat(global.Content, local.Content)
	return &merged
}

func mergeMaps(global, local *yaml.Node) *yaml.Node {
	merged := *local
	merged.Content = slices.Clone(local.Content)
	for i := 0; i < len(global.Content); i += 2 {
		key := global.Content[i]
		at := slices.IndexFunc(merged.Content, func(n *yaml.Node) bool { return n == value(local, key.Value) })
		if value(local, key.Value) == nil {
			merged.Content = append(merged.Content, key, global.Content[i+1])
			continue
		}
		merged.Content[at] = merge(global.Content[i+1], merged.Content[at])
	}
	return &merged
}
