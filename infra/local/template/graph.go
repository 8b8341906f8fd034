package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// check merges the globals into the resources and finds, without parameters,
// what cannot be evaluated whatever they are.
func (t *Template) check() error {
	var errs []error
	for _, r := range t.resources {
		if strings.HasPrefix(r.Type, "AWS::Serverless::") && !t.sam {
			errs = append(errs, fmt.Errorf("line %d: %s: the type %s needs the SAM transform", r.Line, r.ID, r.Type))
		}
		if global := t.globals[r.Type]; global != nil {
			r.props = merge(global, r.props)
		}
	}
	for _, r := range t.resources {
		if err := t.checkResource(r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.ID, err))
		}
	}
	for _, o := range t.outputs {
		errs = append(errs, t.checkValue(o.value), t.checkCondition(o.value, o.condition))
	}
	for name, n := range t.conds {
		if err := t.checkConditions(n, []string{name}); err != nil {
			errs = append(errs, fmt.Errorf("condition %s: %w", name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if _, err := t.Routes(); err != nil {
		return err
	}
	_, err := t.order()
	return err
}

func (t *Template) checkResource(r *Resource) error {
	errs := []error{t.checkValue(r.props), t.checkCondition(r.props, r.condition), t.checkEvents(r)}
	for _, id := range r.dependsOn {
		if t.byID[id] == nil {
			errs = append(errs, fmt.Errorf("line %d: it depends on %s, which there is not", r.Line, id))
		}
	}
	return errors.Join(errs...)
}

func (t *Template) checkCondition(n *yaml.Node, name string) error {
	_, ok := t.conds[name]
	return unless(ok || name == "", n, "there is no condition %q", name)
}

// checkConditions checks the condition function n, reached by way of the named
// conditions.
func (t *Template) checkConditions(n *yaml.Node, path []string) error {
	if c, ok := conditionOf(n); ok && c.name == "Condition" {
		name := c.arg.Value
		if slices.Contains(path, name) {
			return at(n, "it depends on itself: %s", strings.Join(append(path, name), " → "))
		}
		if err := t.checkCondition(n, name); err != nil {
			return err
		}
		return t.checkConditions(t.conds[name], append(path, name))
	}
	var errs []error
	for _, c := range n.Content {
		errs = append(errs, t.checkConditions(c, path))
	}
	return errors.Join(errs...)
}

// checkValue checks the functions in n, and what they refer to.
func (t *Template) checkValue(n *yaml.Node) error {
	c, ok := callOf(n)
	if !ok {
		var errs []error
		for _, child := range n.Content {
			errs = append(errs, t.checkValue(child))
		}
		return errors.Join(append(errs, unless(n.Kind != yaml.AliasNode, n, "anchors and aliases are not understood"))...)
	}
	switch c.name {
	case "Ref":
		return t.checkRef(n, c.arg.Value)
	case "GetAtt":
		return t.checkGetAtt(n, strings.Join(names(c.arg), "."))
	case "Sub":
		return t.checkSub(n, c.arg)
	case "If":
		if len(c.arg.Content) != 3 {
			return at(n, "If takes a list of a condition and two values")
		}
		return errors.Join(t.checkCondition(n, c.arg.Content[0].Value), t.checkValue(c.arg.Content[1]), t.checkValue(c.arg.Content[2]))
	case "Join", "Select", "Split", "FindInMap":
		return t.checkValue(c.arg)
	default:
		return at(n, "the function %q is not understood", c.name)
	}
}

func (t *Template) checkRef(n *yaml.Node, name string) error {
	_, pseudo := new(Instance).pseudo(name)
	id := strings.TrimSuffix(name, ".Stage") // SAM's name for what it makes with an API
	return unless(pseudo || t.parameter(name) != nil || t.byID[id] != nil, n, "there is no %q to refer to", name)
}

func (t *Template) checkGetAtt(n *yaml.Node, path string) error {
	id, attribute, _ := strings.Cut(path, ".")
	if attribute == "" {
		return at(n, "%q names no attribute", path)
	}
	return unless(t.byID[id] != nil, n, "there is no resource %q", id)
}

func (t *Template) checkSub(n, arg *yaml.Node) error {
	text, local := subParts(arg)
	if text == nil {
		return at(n, "Sub takes a string, or a list of a string and a mapping")
	}
	var errs []error
	for _, name := range subNames(text.Value, local) {
		if strings.Contains(name, ".") {
			errs = append(errs, t.checkGetAtt(n, name))
		} else {
			errs = append(errs, t.checkRef(n, name))
		}
	}
	if local != nil {
		errs = append(errs, t.checkValue(local))
	}
	return errors.Join(errs...)
}

// subNames returns what the text of a Sub refers to, its own variables aside.
func subNames(text string, local *yaml.Node) []string {
	var all []string
	for _, m := range substitution.FindAllStringSubmatch(text, -1) {
		name := strings.TrimSpace(m[1])
		if !strings.HasPrefix(name, "!") && value(local, name) == nil {
			all = append(all, name)
		}
	}
	return all
}

// references returns the names that n refers to, resources or not, in either
// branch of an If.
func references(n *yaml.Node) []string {
	var all []string
	c, ok := callOf(n)
	if !ok {
		for _, child := range n.Content {
			all = append(all, references(child)...)
		}
		return all
	}
	switch c.name {
	case "Ref":
		id, _, _ := strings.Cut(c.arg.Value, ".")
		return []string{id}
	case "GetAtt":
		id, _, _ := strings.Cut(strings.Join(names(c.arg), "."), ".")
		return []string{id}
	case "Sub":
		text, local := subParts(c.arg)
		for _, name := range subNames(text.Value, local) {
			id, _, _ := strings.Cut(name, ".")
			all = append(all, id)
		}
		if local != nil {
			all = append(all, references(local)...)
		}
		return all
	default:
		return references(c.arg)
	}
}

// dependencies returns the IDs of the resources that must exist before r can be
// made. A nested stack is one resource: whatever refers to an output of it
// waits for all of it, and all of it waits for its parameters.
func (t *Template) dependencies(r *Resource) []string {
	var all []string
	for _, name := range slices.Concat(r.dependsOn, references(without(r.props, "Events")), t.impliedDependencies(r)) {
		if t.byID[name] != nil && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// impliedDependencies returns those that SAM adds. Its API holds the
// integrations of every function with an event on it, so it is made after
// them; a function's events are otherwise resources of their own (permissions,
// schedules) that nothing waits for.
func (t *Template) impliedDependencies(r *Resource) []string {
	if r.Type != HTTPAPIType {
		return nil
	}
	var all []string
	for _, f := range t.resources {
		if slices.ContainsFunc(f.events(), func(e event) bool { return apiOf(e) == r.ID }) {
			all = append(all, f.ID)
		}
	}
	return all
}

// order returns the resources so that each comes after those that it depends
// on, and otherwise in the order of the file.
func (t *Template) order() ([]*Resource, error) {
	var order []*Resource
	done := map[string]bool{}
	var visit func(r *Resource, path []string) error
	visit = func(r *Resource, path []string) error {
		if i := slices.Index(path, r.ID); i >= 0 {
			return fmt.Errorf("resources depend on each other: %s", strings.Join(append(path[i:], r.ID), " → "))
		}
		if done[r.ID] {
			return nil
		}
		for _, id := range t.dependencies(r) {
			if err := visit(t.byID[id], append(path, r.ID)); err != nil {
				return err
			}
		}
		done[r.ID] = true
		order = append(order, r)
		return nil
	}
	for _, r := range t.resources {
		if err := visit(r, nil); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// without returns the mapping n less the member key.
func without(n *yaml.Node, key string) *yaml.Node {
	rest := *n
	rest.Content = nil
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value != key {
			rest.Content = append(rest.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &rest
}
