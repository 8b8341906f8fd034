package template

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A Parameter is a declared parameter of a template.
type Parameter struct {
	Name, Type, Description string
	Default                 *string // nil if it must be given
	constraint              string  // what is said when a value breaks a rule
	allowed                 []string
	pattern                 *regexp.Regexp
	limits                  map[string]float64 // MinLength, MaxLength, MinValue, MaxValue
}

func (t *Template) readParameters(n *yaml.Node) error {
	all, err := entries(n)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range all {
		p, err := readParameter(e)
		if err != nil {
			errs = append(errs, fmt.Errorf("parameter %s: %w", e.key, err))
			continue
		}
		t.params = append(t.params, p)
	}
	return errors.Join(errs...)
}

func readParameter(e entry) (Parameter, error) {
	p := Parameter{Name: e.key, limits: map[string]float64{}}
	members, err := entries(e.value)
	if err != nil {
		return p, err
	}
	for _, m := range members {
		if err := p.read(m); err != nil {
			return p, err
		}
	}
	switch p.Type {
	case "String", "Number", "CommaDelimitedList", "List<Number>":
	default:
		return p, at(e.node, "the type %q is not understood", p.Type)
	}
	if p.Default != nil {
		if _, err := p.value(*p.Default); err != nil {
			return p, fmt.Errorf("its default: %w", err)
		}
	}
	return p, nil
}

// read reads one member of the declaration of p.
func (p *Parameter) read(m entry) (err error) {
	switch m.key {
	case "Type":
		p.Type = m.value.Value
	case "Description":
		p.Description = m.value.Value
	case "ConstraintDescription":
		p.constraint = m.value.Value
	case "Default":
		p.Default = &m.value.Value
	case "NoEcho":
	case "AllowedValues":
		p.allowed = names(m.value)
	case "AllowedPattern":
		// The pattern must match the whole value.
		p.pattern, err = regexp.Compile("^(?:" + m.value.Value + ")$")
	case "MinLength", "MaxLength", "MinValue", "MaxValue":
		p.limits[m.key], err = strconv.ParseFloat(m.value.Value, 64)
	default:
		return at(m.node, "%q is not understood", m.key)
	}
	if err != nil {
		return at(m.value, "%s: %v", m.key, err)
	}
	return nil
}

// value checks text against the rules of p and gives it the type of p.
func (p *Parameter) value(text string) (any, error) {
	if p.Type == "String" || p.Type == "Number" {
		return text, p.check(text)
	}
	var errs []error
	list := []any{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		errs = append(errs, p.check(part))
		list = append(list, part)
	}
	return list, errors.Join(errs...)
}

// check checks one value, or one member of a list.
func (p *Parameter) check(v string) error {
	if p.allowed != nil && !slices.Contains(p.allowed, v) {
		return p.broken(v, "must be one of "+strings.Join(p.allowed, ", "))
	}
	if p.pattern != nil && !p.pattern.MatchString(v) {
		return p.broken(v, "must match "+strings.TrimSuffix(strings.TrimPrefix(p.pattern.String(), "^(?:"), ")$"))
	}
	size := float64(len([]rune(v)))
	low, high := "MinLength", "MaxLength"
	if strings.Contains(p.Type, "Number") {
		number, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return p.broken(v, "must be a number")
		}
		size, low, high = number, "MinValue", "MaxValue"
	}
	if least, ok := p.limits[low]; ok && size < least {
		return p.broken(v, fmt.Sprintf("%s is %v", low, least))
	}
	if most, ok := p.limits[high]; ok && size > most {
		return p.broken(v, fmt.Sprintf("%s is %v", high, most))
	}
	return nil
}

func (p *Parameter) broken(v, rule string) error {
	if p.constraint != "" {
		rule = p.constraint
	}
	return fmt.Errorf("parameter %s is %q: %s", p.Name, v, rule)
}

// parameterValues gives each declared parameter its value: the given one or its
// default. It reports every fault at once.
func (t *Template) parameterValues(given map[string]string) (map[string]any, error) {
	values := map[string]any{}
	var errs []error
	for k := range t.params {
		p := &t.params[k]
		text, ok := given[p.Name]
		if !ok && p.Default == nil {
			errs = append(errs, fmt.Errorf("parameter %s is not given and has no default", p.Name))
			continue
		}
		if !ok {
			text = *p.Default
		}
		v, err := p.value(text)
		errs = append(errs, err)
		values[p.Name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if t.parameter(name) == nil {
			errs = append(errs, fmt.Errorf("there is no parameter %s; there are: %s", name, strings.Join(t.parameterNames(), ", ")))
		}
	}
	return values, errors.Join(errs...)
}

func (t *Template) parameter(name string) *Parameter {
	for k := range t.params {
		if t.params[k].Name == name {
			return &t.params[k]
		}
	}
	return nil
}

func (t *Template) parameterNames() []string {
	var all []string
	for _, p := range t.params {
		all = append(all, p.Name)
	}
	return all
}
