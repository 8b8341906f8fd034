package template

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"
)

// A Statement is a statement of the policies of a function or a state machine.
type Statement struct {
	ID    string // the logical ID of the resource, and which of its statements it is, by its number or its Sid: TenantCreate/2
	Line  int
	Value map[string]any // evaluated; nil where there is no instance
}

// A guarded is a node that is there while conditions hold.
type guarded struct {
	node *yaml.Node
	when []branch
}

// A branch is one of the two sides of an If.
type branch struct {
	condition string
	holds     bool
}

// Statements returns all statements of r, whether or not their conditions hold,
// in the order of the file.
func (t *Template) Statements(r *Resource) ([]Statement, error) {
	nodes, err := policyStatements(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", t.Path, r.ID, err)
	}
	var all []Statement
	for k, n := range nodes {
		all = append(all, Statement{ID: statementID(r, k, n.node), Line: n.node.Line})
	}
	return all, nil
}

// Statements evaluates those statements of r whose conditions hold. The others
// keep their numbers.
func (i *Instance) Statements(r *Resource) ([]Statement, error) {
	nodes, err := policyStatements(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", i.template.Path, r.ID, err)
	}
	var all []Statement
	for k, n := range nodes {
		there, err := i.all(n.when)
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		v, err := i.eval(n.node)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", i.template.Path, r.ID, err)
		}
		statement, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: %s: %w", i.template.Path, r.ID, at(n.node, "a statement must be a mapping"))
		}
		all = append(all, Statement{ID: statementID(r, k, n.node), Line: n.node.Line, Value: statement})
	}
	return all, nil
}

func statementID(r *Resource, k int, n *yaml.Node) string {
	if sid := value(n, "Sid"); sid != nil {
		return r.ID + "/" + sid.Value
	}
	return fmt.Sprintf("%s/%d", r.ID, k+1)
}

func (i *Instance) all(branches []branch) (bool, error) {
	for _, b := range branches {
		holds, err := i.holds(b.condition)
		if err != nil || holds != b.holds {
			return false, err
		}
	}
	return true, nil
}

// policyStatements returns the statements of the policies of r. Policies that are
// named, and SAM's templates of them, are not understood, nor are parts of a
// statement that are there under a condition: who looks for what is unused would
// not find them where it does not hold.
func policyStatements(r *Resource) ([]guarded, error) {
	declared := value(r.props, "Policies")
	if declared == nil {
		return nil, nil
	}
	var all []guarded
	for _, policy := range unfold(guarded{node: declared}) {
		members, err := entries(policy.node)
		if err != nil {
			return nil, fmt.Errorf("the policies: %w", err)
		}
		for _, m := range members {
			switch m.key {
			case "Version":
			case "Statement":
				statements := unfold(guarded{m.value, policy.when})
				for _, s := range statements {
					if n := conditional(s.node); n != nil {
						return nil, at(n, "an If in a statement is not understood: it must hold a whole one")
					}
				}
				all = append(all, statements...)
			default:
				return nil, at(m.node, "the policy %q is not understood: it must be written out", m.key)
			}
		}
	}
	return all, nil
}

// unfold returns the elements of the lists in n, in either branch of an If, or n
// if it is no list.
func unfold(n guarded) []guarded {
	c, isCall := callOf(n.node)
	switch {
	case isCall && c.name == "If" && len(c.arg.Content) == 3:
		condition := c.arg.Content[0].Value
		var all []guarded
		for k, side := range c.arg.Content[1:] {
			when := slices.Concat(n.when, []branch{{condition, k == 0}})
			all = append(all, unfold(guarded{side, when})...)
		}
		return all
	case isCall && c.name == "Ref" && c.arg.Value == "AWS::NoValue":
		return nil
	case n.node.Kind == yaml.SequenceNode:
		var all []guarded
		for _, element := range n.node.Content {
			all = append(all, unfold(guarded{element, n.when})...)
		}
		return all
	default:
		return []guarded{n}
	}
}

// conditional returns an If in n, or nil if there is none.
func conditional(n *yaml.Node) *yaml.Node {
	if c, ok := callOf(n); ok && c.name == "If" {
		return n
	}
	for _, child := range n.Content {
		if found := conditional(child); found != nil {
			return found
		}
	}
	return nil
}
