package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A call is the use of an intrinsic function.
type call struct {
	name string // without "Fn::"
	arg  *yaml.Node
}

// callOf reads n as the use of an intrinsic function, in its short or its long
// form.
func callOf(n *yaml.Node) (call, bool) {
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		arg := *n
		arg.Tag = ""
		arg.Tag = arg.ShortTag()
		return call{n.Tag[1:], &arg}, true
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return call{}, false
	}
	key := n.Content[0].Value
	name, long := strings.CutPrefix(key, "Fn::")
	return call{name, n.Content[1]}, long || key == "Ref"
}

// noValue is what AWS::NoValue gives: the member or element that it is the
// value of is left out.
type noValue struct{}

// eval gives the value of n: a string, bool, int64, float64, []any,
// map[string]any or noValue.
func (i *Instance) eval(n *yaml.Node) (any, error) {
	if c, ok := callOf(n); ok {
		v, err := i.call(n, c)
		if err != nil {
			return nil, err
		}
		return v, nil
	}
	switch n.Kind { //nolint:exhaustive // the other kinds are refused
	case yaml.ScalarNode:
		return scalar(n)
	case yaml.SequenceNode:
		return i.evalList(n)
	case yaml.MappingNode:
		return i.evalMap(n)
	default:
		return nil, at(n, "anchors and aliases are not understood")
	}
}

// scalar gives the value of a scalar, which has the type that YAML sees in it.
func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!bool":
		return strconv.ParseBool(strings.ToLower(n.Value))
	case "!!int":
		if v, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return v, nil
		}
	case "!!float":
		if v, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return v, nil
		}
	case "!!null":
		return nil, at(n, "null is not a value in a template")
	}
	return n.Value, nil
}

func (i *Instance) evalList(n *yaml.Node) (any, error) {
	list := []any{}
	for _, c := range n.Content {
		v, err := i.eval(c)
		if err != nil {
			return nil, err
		}
		if v != (noValue{}) {
			list = append(list, v)
		}
	}
	return list, nil
}

func (i *Instance) evalMap(n *yaml.Node) (any, error) {
	members, err := entries(n)
	if err != nil {
		return nil, err
	}
	m := map[string]any{}
	for _, e := range members {
		v, err := i.eval(e.value)
		if err != nil {
			return nil, err
		}
		if v != (noValue{}) {
			m[e.key] = v
		}
	}
	return m, nil
}

// call evaluates the intrinsic function c, which stands at n.
func (i *Instance) call(n *yaml.Node, c call) (any, error) {
	switch c.name {
	case "Ref":
		return i.ref(n, c.arg.Value)
	case "GetAtt":
		return i.getAtt(n, strings.Join(names(c.arg), "."))
	case "Sub":
		return i.sub(n, c.arg)
	case "Join":
		return i.join(c.arg)
	case "If":
		return i.choose(c.arg)
	case "Select":
		return i.pick(c.arg)
	case "Split":
		return i.split(c.arg)
	case "FindInMap":
		return i.findInMap(c.arg)
	default:
		return nil, at(n, "the function %q is not understood", c.name)
	}
}

// ref gives the value of a parameter, a pseudo parameter, what Ref gives of a
// resource, or of one that SAM makes with it, as in Api.Stage.
func (i *Instance) ref(n *yaml.Node, name string) (any, error) {
	if v, ok := i.pseudo(name); ok {
		return v, nil
	}
	if v, ok := i.params[name]; ok {
		return v, nil
	}
	if strings.Contains(name, ".") {
		return i.getAtt(n, name)
	}
	a, err := i.attributes(n, name)
	if err != nil {
		return nil, err
	}
	return a.Ref, nil
}

// getAtt gives the attribute that path, "Resource.Attribute", names.
func (i *Instance) getAtt(n *yaml.Node, path string) (any, error) {
	id, name, _ := strings.Cut(path, ".")
	a, err := i.attributes(n, id)
	if err != nil {
		return nil, err
	}
	v, ok := a.Values[name]
	if !ok {
		return nil, at(n, "%s, a %s, has no attribute %q here", id, i.template.byID[id].Type, name)
	}
	return v, nil
}

// attributes gives those of the resource id.
func (i *Instance) attributes(n *yaml.Node, id string) (Attributes, error) {
	a, ok := i.created[id]
	if !ok {
		return Attributes{}, at(n, "%s does not exist: its condition does not hold, or it is not created yet", id)
	}
	return a, nil
}

// substitution is one ${…} of a Sub.
var substitution = regexp.MustCompile(`\$\{([^}]*)\}`)

func (i *Instance) sub(n, arg *yaml.Node) (any, error) {
	text, local := subParts(arg)
	if text == nil {
		return nil, at(n, "Sub takes a string, or a list of a string and a mapping")
	}
	var errs []error
	s := substitution.ReplaceAllStringFunc(text.Value, func(match string) string {
		name := match[2 : len(match)-1]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		v, err := i.subValue(n, strings.TrimSpace(name), local)
		if err != nil {
			errs = append(errs, err)
			return ""
		}
		s, err := plain(n, v)
		errs = append(errs, err)
		return s
	})
	return s, errors.Join(errs...)
}

// subParts reads the argument of a Sub. Its text is nil if it is not one.
func subParts(arg *yaml.Node) (text, local *yaml.Node) {
	switch {
	case arg.Kind == yaml.ScalarNode:
		return arg, nil
	case arg.Kind == yaml.SequenceNode && len(arg.Content) == 2 &&
		arg.Content[0].Kind == yaml.ScalarNode && arg.Content[1].Kind == yaml.MappingNode:
		return arg.Content[0], arg.Content[1]
	default:
		return nil, nil
	}
}

// subValue gives the value of ${name} in a Sub with the variables local.
func (i *Instance) subValue(n *yaml.Node, name string, local *yaml.Node) (any, error) {
	if v := value(local, name); v != nil {
		return i.eval(v)
	}
	if strings.Contains(name, ".") {
		return i.getAtt(n, name)
	}
	return i.ref(n, name)
}

// list evaluates the argument of a function that takes a list of count values.
func (i *Instance) list(arg *yaml.Node, count int) ([]any, error) {
	if arg.Kind != yaml.SequenceNode || len(arg.Content) != count {
		return nil, at(arg, "the function takes a list of %d values", count)
	}
	all := make([]any, count)
	for k, c := range arg.Content {
		v, err := i.eval(c)
		if err != nil {
			return nil, err
		}
		all[k] = v
	}
	return all, nil
}

func (i *Instance) join(arg *yaml.Node) (any, error) {
	args, err := i.list(arg, 2)
	if err != nil {
		return nil, err
	}
	delimiter, err := plain(arg, args[0])
	if err != nil {
		return nil, err
	}
	values, ok := args[1].([]any)
	if !ok {
		return nil, at(arg, "the second value of a Join must be a list")
	}
	var parts []string
	for _, v := range values {
		s, err := plain(arg, v)
		if err != nil {
			return nil, err
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, delimiter), nil
}

func (i *Instance) choose(arg *yaml.Node) (any, error) {
	if arg.Kind != yaml.SequenceNode || len(arg.Content) != 3 {
		return nil, at(arg, "If takes a list of a condition and two values")
	}
	holds, err := i.holds(arg.Content[0].Value)
	if err != nil {
		return nil, err
	}
	if holds {
		return i.eval(arg.Content[1])
	}
	return i.eval(arg.Content[2])
}

func (i *Instance) pick(arg *yaml.Node) (any, error) {
	args, err := i.list(arg, 2)
	if err != nil {
		return nil, err
	}
	values, ok := args[1].([]any)
	if !ok {
		return nil, at(arg, "the second value of a Select must be a list")
	}
	index, err := strconv.Atoi(fmt.Sprint(args[0]))
	if err != nil || index < 0 || index >= len(values) {
		return nil, at(arg, "Select: the list of %d has no element %v", len(values), args[0])
	}
	return values[index], nil
}

func (i *Instance) split(arg *yaml.Node) (any, error) {
	args, err := i.list(arg, 2)
	if err != nil {
		return nil, err
	}
	delimiter, err := plain(arg, args[0])
	if err != nil {
		return nil, err
	}
	text, err := plain(arg, args[1])
	if err != nil {
		return nil, err
	}
	list := []any{}
	for part := range strings.SplitSeq(text, delimiter) {
		list = append(list, part)
	}
	return list, nil
}

func (i *Instance) findInMap(arg *yaml.Node) (any, error) {
	args, err := i.list(arg, 3)
	if err != nil {
		return nil, err
	}
	found := i.template.mappings
	for _, a := range args {
		key, err := plain(arg, a)
		if err != nil {
			return nil, err
		}
		if found = value(found, key); found == nil {
			return nil, at(arg, "FindInMap: there is no %v", args)
		}
	}
	return i.eval(found)
}

// plain gives a scalar value as CloudFormation writes it into a string.
func plain(n *yaml.Node, v any) (string, error) {
	switch v.(type) {
	case string, bool, int64, float64:
		return fmt.Sprint(v), nil
	default:
		return "", at(n, "must be a string, a number or a boolean, not %T", v)
	}
}

// holds tells whether the named condition holds.
func (i *Instance) holds(condition string) (bool, error) {
	n, ok := i.template.conds[condition]
	if !ok {
		return false, fmt.Errorf("there is no condition %q", condition)
	}
	return i.truth(n)
}

// truth evaluates a condition function.
func (i *Instance) truth(n *yaml.Node) (bool, error) {
	c, ok := conditionOf(n)
	if !ok {
		return false, at(n, "must be a condition function")
	}
	switch c.name {
	case "Condition":
		return i.holds(c.arg.Value)
	case "Equals":
		args, err := i.list(c.arg, 2)
		if err != nil {
			return false, err
		}
		return fmt.Sprint(args[0]) == fmt.Sprint(args[1]), nil
	case "Contains":
		args, err := i.list(c.arg, 2)
		if err != nil {
			return false, err
		}
		members, ok := args[0].([]any)
		return slices.Contains(members, args[1]), unless(ok, n, "the first value of a Contains must be a list")
	case "EachMemberEquals":
		args, err := i.list(c.arg, 2)
		if err != nil {
			return false, err
		}
		members, ok := args[0].([]any)
		other := slices.ContainsFunc(members, func(m any) bool { return m != args[1] })
		return !other, unless(ok, n, "the first value of an EachMemberEquals must be a list")
	case "Not", "And", "Or":
		return i.combine(c)
	default:
		return false, at(n, "the condition function %q is not understood", c.name)
	}
}

// conditionOf is callOf where a mapping with the key "Condition" refers to one.
func conditionOf(n *yaml.Node) (call, bool) {
	if v := value(n, "Condition"); v != nil && len(n.Content) == 2 {
		return call{"Condition", v}, true
	}
	return callOf(n)
}

// combine evaluates And, Or and Not.
func (i *Instance) combine(c call) (bool, error) {
	least, most := 2, 10
	if c.name == "Not" {
		least, most = 1, 1
	}
	if count := len(c.arg.Content); c.arg.Kind != yaml.SequenceNode || count < least || count > most {
		return false, at(c.arg, "%s takes a list of %d to %d conditions", c.name, least, most)
	}
	all, some := true, false
	for _, n := range c.arg.Content {
		v, err := i.truth(n)
		if err != nil {
			return false, err
		}
		all, some = all && v, some || v
	}
	switch c.name {
	case "And":
		return all, nil
	case "Or":
		return some, nil
	default:
		return !all, nil
	}
}

// unless returns an error at n if ok is false.
func unless(ok bool, n *yaml.Node, format string, args ...any) error {
	if ok {
		return nil
	}
	return at(n, format, args...)
}
