package template

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// An Environment is where a stack is made. It gives the pseudo parameters.
type Environment struct {
	Region    string
	AccountID string
}

// Attributes are what Ref and GetAtt give of a resource that has been created.
type Attributes struct {
	Ref    string
	Values map[string]string
}

// An Instance is a template with the parameters of one stack. Its values depend
// on the resources that have been created so far.
type Instance struct {
	Name     string // of the stack
	template *Template
	env      Environment
	params   map[string]any
	created  map[string]Attributes
}

// Instantiate makes the stack called name of t. It checks the parameters and
// evaluates rules and conditions.
func (t *Template) Instantiate(name string, env Environment, parameters map[string]string) (*Instance, error) {
	params, err := t.parameterValues(parameters)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Path, err)
	}
	i := &Instance{Name: name, template: t, env: env, params: params, created: map[string]Attributes{}}
	for condition := range t.conds {
		if _, err := i.holds(condition); err != nil {
			return nil, fmt.Errorf("%s: condition %s: %w", t.Path, condition, err)
		}
	}
	if err := i.checkRules(); err != nil {
		return nil, fmt.Errorf("%s: %w", t.Path, err)
	}
	return i, nil
}

// Parameter returns the value of the parameter name, as text.
func (i *Instance) Parameter(name string) string { return fmt.Sprint(i.params[name]) }

// pseudo gives the value of a pseudo parameter.
func (i *Instance) pseudo(name string) (any, bool) {
	switch name {
	case "AWS::Region":
		return i.env.Region, true
	case "AWS::AccountId":
		return i.env.AccountID, true
	case "AWS::Partition":
		return "aws", true
	case "AWS::URLSuffix":
		return "amazonaws.com", true
	case "AWS::StackName":
		return i.Name, true
	case "AWS::StackId":
		return i.StackID(), true
	case "AWS::NotificationARNs":
		return []any{}, true
	case "AWS::NoValue":
		return noValue{}, true
	default:
		return nil, false
	}
}

// StackID returns the ARN of the stack.
func (i *Instance) StackID() string {
	return i.ARN("cloudformation", "stack/"+i.Name+"/00000000-0000-0000-0000-000000000000")
}

// ARN returns the ARN of a resource of the stack's account and region.
func (i *Instance) ARN(service, resource string) string {
	return strings.Join([]string{"arn:aws", service, i.env.Region, i.env.AccountID, resource}, ":")
}

// Resources returns the resources whose conditions hold, each after those that
// it depends on.
func (i *Instance) Resources() ([]*Resource, error) {
	order, err := i.template.order()
	if err != nil {
		return nil, err
	}
	var all []*Resource
	for _, r := range order {
		exists, err := i.exists(r.condition)
		if err != nil {
			return nil, err
		}
		if exists {
			all = append(all, r)
		}
	}
	return all, nil
}

// exists tells whether what has the given condition, if any, is there.
func (i *Instance) exists(condition string) (bool, error) {
	if condition == "" {
		return true, nil
	}
	return i.holds(condition)
}

// Created records that the resource r has been created.
func (i *Instance) Created(r *Resource, a Attributes) { i.created[r.ID] = a }

// Nest makes the stack that the resource r, a nested stack, declares.
func (i *Instance) Nest(r *Resource) (*Instance, error) {
	var p struct {
		TemplateURL string
		Parameters  map[string]string
		Tags        Unread
	}
	if err := i.Properties(r, &p); err != nil {
		return nil, err
	}
	return r.Nested.Instantiate(i.Name+"-"+r.ID, i.env, p.Parameters)
}

// Outputs gives the values of the outputs whose conditions hold.
func (i *Instance) Outputs() (map[string]string, error) {
	all := map[string]string{}
	var errs []error
	for _, o := range i.template.outputs {
		exists, err := i.exists(o.condition)
		if err != nil || !exists {
			errs = append(errs, err)
			continue
		}
		v, err := i.eval(o.value)
		if err == nil {
			all[o.Name], err = plain(o.value, v)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: output %s: %w", i.template.Path, o.Name, err))
		}
	}
	return all, errors.Join(errs...)
}

// checkRules evaluates the assertions of the rules that apply.
func (i *Instance) checkRules() error {
	var errs []error
	for _, rule := range i.template.rules {
		if err := i.checkRule(rule); err != nil {
			errs = append(errs, fmt.Errorf("rule %s: %w", rule.key, err))
		}
	}
	return errors.Join(errs...)
}

func (i *Instance) checkRule(rule entry) error {
	members, err := entries(rule.value)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.key != "RuleCondition" && m.key != "Assertions" {
			return at(m.node, "%q is not understood", m.key)
		}
	}
	if condition := value(rule.value, "RuleCondition"); condition != nil {
		applies, err := i.truth(condition)
		if err != nil || !applies {
			return err
		}
	}
	assertions := value(rule.value, "Assertions")
	if assertions == nil || assertions.Kind != yaml.SequenceNode {
		return at(rule.node, "Assertions must be a list")
	}
	var errs []error
	for _, a := range assertions.Content {
		errs = append(errs, i.assert(a))
	}
	return errors.Join(errs...)
}

func (i *Instance) assert(n *yaml.Node) error {
	assertion, description := value(n, "Assert"), value(n, "AssertDescription")
	if assertion == nil {
		return at(n, "an assertion needs an Assert")
	}
	holds, err := i.truth(assertion)
	if err != nil || holds {
		return err
	}
	if description == nil {
		return at(n, "the assertion does not hold")
	}
	return errors.New(description.Value)
}

// Ref gives what Ref of the created resource id gives.
func (i *Instance) Ref(id string) (string, error) {
	a, ok := i.created[id]
	if !ok {
		return "", fmt.Errorf("%s: %s does not exist", i.template.Path, id)
	}
	return a.Ref, nil
}
