// Package template reads an AWS SAM template and the CloudFormation templates
// nested in it, and evaluates them as CloudFormation does: parameters, rules,
// conditions, intrinsic functions and SAM's globals. It knows nothing of what
// becomes of a resource: whoever creates one tells the [Instance] what Ref and
// GetAtt of it give.
//
// What it does not understand is an error, never passed over.
package template

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v4"
)

// A Template is one template file, and the templates nested in it.
type Template struct {
	Path      string // of the file
	resources []*Resource
	byID      map[string]*Resource
	params    []Parameter
	outputs   []Output
	rules     []entry
	mappings  *yaml.Node
	conds     map[string]*yaml.Node
	sam       bool
	globals   map[string]*yaml.Node
}

// A Resource is one resource of a template.
type Resource struct {
	ID        string // its logical ID
	Type      string
	Line      int       // of the file, for messages
	Nested    *Template // of a nested stack
	condition string
	dependsOn []string
	props     *yaml.Node // a mapping, with SAM's globals merged into it
}

// An Output is a declared output of a template.
type Output struct {
	Name, Description string
	condition         string
	value             *yaml.Node
}

// Load reads the template at path and, relative to it, those nested in it. It
// checks all that can be checked without parameters: sections, references,
// functions, and that nothing depends on itself.
func Load(path string) (*Template, error) {
	return load(path, nil)
}

func load(path string, parents []string) (*Template, error) {
	if slices.Contains(parents, path) {
		return nil, fmt.Errorf("%s: the template nests itself", path)
	}
	data, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t := &Template{
		Path:    path,
		byID:    map[string]*Resource{},
		conds:   map[string]*yaml.Node{},
		globals: map[string]*yaml.Node{},
	}
	if len(doc.Content) != 1 {
		return nil, fmt.Errorf("%s: the template is empty", path)
	}
	if err := t.read(doc.Content[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, t.loadNested(append(parents, path))
}

// loadNested reads the templates of the nested stacks of t.
func (t *Template) loadNested(parents []string) error {
	for _, r := range t.resources {
		if r.Type != StackType {
			continue
		}
		url := value(r.props, "TemplateURL")
		if url == nil || url.Kind != yaml.ScalarNode || url.Tag != "!!str" {
			return fmt.Errorf("%s:%d: %s: TemplateURL must be the path of a file", t.Path, r.Line, r.ID)
		}
		nested, err := load(filepath.Join(filepath.Dir(t.Path), url.Value), parents)
		if err != nil {
			return fmt.Errorf("%s, nested in %s: %w", r.ID, t.Path, err)
		}
		r.Nested = nested
	}
	return nil
}

// Parameters returns the declared parameters, in the order of the file.
func (t *Template) Parameters() []Parameter { return t.params }

// Outputs returns the declared outputs, in the order of the file.
func (t *Template) Outputs() []Output { return t.outputs }

// Resources returns the resources, in the order of the file.
func (t *Template) Resources() []*Resource { return t.resources }

// All calls f for t and each template nested in it, at any depth.
func (t *Template) All(f func(*Template)) {
	f(t)
	for _, r := range t.resources {
		if r.Nested != nil {
			r.Nested.All(f)
		}
	}
}

// read reads the sections of the template's document.
func (t *Template) read(doc *yaml.Node) error {
	sections, err := entries(doc)
	if err != nil {
		return err
	}
	// What SAM adds decides how the rest is read, so it is read first.
	for _, s := range sections {
		if s.key == "Transform" {
			if s.value.Value != "AWS::Serverless-2016-10-31" {
				return at(s.value, "the transform %q is not understood", s.value.Value)
			}
			t.sam = true
		}
	}
	readers := map[string]func(*yaml.Node) error{
		"AWSTemplateFormatVersion": ignore,
		"Description":              ignore,
		"Metadata":                 ignore,
		"Transform":                ignore,
		"Globals":                  t.readGlobals,
		"Parameters":               t.readParameters,
		"Rules":                    t.readRules,
		"Mappings":                 t.readMappings,
		"Conditions":               t.readConditions,
		"Resources":                t.readResources,
		"Outputs":                  t.readOutputs,
	}
	var errs []error
	for _, s := range sections {
		reader, ok := readers[s.key]
		if !ok {
			errs = append(errs, at(s.node, "the section %q is not understood", s.key))
			continue
		}
		errs = append(errs, reader(s.value))
	}
	if len(t.resources) == 0 && errors.Join(errs...) == nil {
		return errors.New("the template has no resources")
	}
	return errors.Join(errs...)
}

func ignore(*yaml.Node) error { return nil }

func (t *Template) readRules(n *yaml.Node) (err error) {
	t.rules, err = entries(n)
	return err
}

func (t *Template) readMappings(n *yaml.Node) error {
	t.mappings = n
	_, err := entries(n)
	return err
}

func (t *Template) readConditions(n *yaml.Node) error {
	all, err := entries(n)
	for _, c := range all {
		t.conds[c.key] = c.value
	}
	return err
}

func (t *Template) readResources(n *yaml.Node) error {
	all, err := entries(n)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range all {
		r, err := t.readResource(e)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.key, err))
			continue
		}
		t.resources = append(t.resources, r)
		t.byID[r.ID] = r
	}
	return errors.Join(errs...)
}

func (t *Template) readResource(e entry) (*Resource, error) {
	r := &Resource{ID: e.key, Line: e.node.Line, props: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: e.node.Line}}
	attributes, err := entries(e.value)
	if err != nil {
		return nil, err
	}
	for _, a := range attributes {
		switch a.key {
		case "Type":
			r.Type = a.value.Value
		case "Condition":
			r.condition = a.value.Value
		case "DependsOn":
			r.dependsOn = names(a.value)
		case "Properties":
			if a.value.Kind != yaml.MappingNode {
				return nil, at(a.value, "Properties must be a mapping")
			}
			r.props = a.value
		case "Metadata", "DeletionPolicy", "UpdateReplacePolicy":
		default:
			return nil, at(a.node, "the resource attribute %q is not understood", a.key)
		}
	}
	if r.Type == "" {
		return nil, at(e.node, "the resource has no Type")
	}
	return r, nil
}

func (t *Template) readOutputs(n *yaml.Node) error {
	all, err := entries(n)
	if err != nil {
		return err
	}
	for _, e := range all {
		o := Output{Name: e.key}
		members, err := entries(e.value)
		if err != nil {
			return err
		}
		for _, m := range members {
			switch m.key {
			case "Description":
				o.Description = m.value.Value
			case "Condition":
				o.condition = m.value.Value
			case "Value":
				o.value = m.value
			default:
				return at(m.node, "output %s: %q is not understood", e.key, m.key)
			}
		}
		if o.value == nil {
			return at(e.node, "output %s has no Value", e.key)
		}
		t.outputs = append(t.outputs, o)
	}
	return nil
}

// names reads a scalar or a list of scalars.
func names(n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var all []string
	for _, c := range n.Content {
		all = append(all, c.Value)
	}
	return all
}
