// Package iam decides what a role may do, as AWS does for the policies that a
// template gives to functions and state machines: statements that allow or deny
// actions on resources, under conditions. It keeps count of which parts of the
// statements were needed.
//
// What it does not understand of a policy is an error when the policy is read.
package iam

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// LeadingKeys is the condition key that holds the partition keys of the items
// that a request to DynamoDB is about. It is the only one that is understood.
const LeadingKeys = "dynamodb:LeadingKeys"

// A Statement is a statement of a role's policies.
type Statement struct {
	ID         string // tells it from all others, as in TenantCreate/2
	Deny       bool
	Actions    []string
	Resources  []string
	Conditions []Condition
}

// A Condition compares the values that a request has of a key with those of the
// statement. It holds if all of them, or any, are as the operator says; all of
// none are.
type Condition struct {
	Any      bool
	Operator string // a key of operators
	Key      string
	Values   []string
}

// An operator says whether the value of a request is like one of a statement.
// The negated ones hold if it is like none of them.
type operator struct {
	like    func(pattern, text string) bool
	negated bool
}

var operators = map[string]operator{
	"StringEquals":    {equal, false},
	"StringNotEquals": {equal, true},
	"StringLike":      {glob, false},
	"StringNotLike":   {glob, true},
}

func equal(pattern, text string) bool { return pattern == text }

// Parse reads a statement, as it is once a template's functions have been
// evaluated: strings, lists and mappings.
func Parse(id string, statement map[string]any) (Statement, error) {
	s := Statement{ID: id}
	var errs []error
	for _, member := range slices.Sorted(maps.Keys(statement)) {
		v := statement[member]
		var err error
		switch member {
		case "Sid":
		case "Effect":
			s.Deny = v == "Deny"
			if v != "Allow" && v != "Deny" {
				err = fmt.Errorf("the Effect %v is not understood", v)
			}
		case "Action":
			s.Actions, err = texts(member, v)
		case "Resource":
			s.Resources, err = texts(member, v)
		case "Condition":
			s.Conditions, err = parseConditions(v)
		default:
			err = fmt.Errorf("%s is not understood", member)
		}
		errs = append(errs, err)
	}
	if statement["Effect"] == nil || statement["Action"] == nil || statement["Resource"] == nil {
		errs = append(errs, errors.New("a statement needs Effect, Action and Resource"))
	}
	for _, action := range s.Actions {
		if service, name, ok := strings.Cut(action, ":"); action != "*" && (!ok || service == "" || name == "") {
			errs = append(errs, fmt.Errorf("the Action %q is not of the form service:Name", action))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Statement{}, fmt.Errorf("statement %s: %w", id, err)
	}
	return s, nil
}

// texts reads a string, or a list of them.
func texts(member string, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	all := make([]string, 0, len(list))
	for _, e := range list {
		text, ok := e.(string)
		switch {
		case !ok || text == "":
			return nil, fmt.Errorf("%s holds %v, which is no text", member, e)
		case strings.Contains(text, "${"):
			return nil, fmt.Errorf("%s holds %q: variables are not understood", member, text)
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s is empty", member)
	}
	return all, nil
}

// parseConditions reads a mapping from operators to mappings from keys to values.
func parseConditions(v any) ([]Condition, error) {
	byOperator, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("Condition must be a mapping")
	}
	var all []Condition
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(byOperator)) {
		byKey, ok := byOperator[name].(map[string]any)
		if !ok {
			errs = append(errs, fmt.Errorf("%s must be a mapping", name))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(byKey)) {
			c, err := parseCondition(name, key, byKey[key])
			all = append(all, c)
			errs = append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

func parseCondition(name, key string, v any) (Condition, error) {
	if key != LeadingKeys {
		return Condition{}, fmt.Errorf("the condition key %q is not understood", key)
	}
	quantifier, operator, _ := strings.Cut(name, ":")
	if quantifier != "ForAllValues" && quantifier != "ForAnyValue" {
		return Condition{}, fmt.Errorf("%s: a request has several values of %s, so it needs ForAllValues or ForAnyValue", name, key)
	}
	if _, ok := operators[operator]; !ok {
		return Condition{}, fmt.Errorf("the condition operator %q is not understood", name)
	}
	values, err := texts(key, v)
	return Condition{Any: quantifier == "ForAnyValue", Operator: operator, Key: key, Values: values}, err
}

// holds says whether the condition holds for the values that a request has of
// its key.
func (c Condition) holds(values []string) bool {
	op := operators[c.Operator]
	for _, v := range values {
		found := slices.ContainsFunc(c.Values, func(pattern string) bool { return op.like(pattern, v) })
		if good := found != op.negated; good == c.Any {
			return c.Any
		}
	}
	return !c.Any
}

// glob says whether text is like pattern, in which * stands for any text and ?
// for any character.
func glob(pattern, text string) bool {
	star, mark := -1, 0 // where the last * is, and what it stood for ends
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
