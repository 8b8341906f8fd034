package docs

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A field is one line of the table that describes a schema.
type field struct {
	name        string // from the outermost object on: limits.max_agents, steps[].name
	required    bool
	kind        string
	rules       []string
	description string
}

// fields returns the lines that describe the members of s and of the objects in
// it.
func (doc *document) fields(w *writer, s *schema, prefix string) []field {
	s = doc.follow(s)
	var all []field
	for _, m := range s.Properties {
		member := doc.follow(m.value)
		all = append(all, field{
			name:        prefix + m.name,
			required:    slices.Contains(s.Required, m.name),
			kind:        doc.kind(member),
			rules:       w.rules(member),
			description: member.Description,
		})
		all = append(all, doc.fields(w, member, prefix+m.name+".")...)
		if member.Items != nil {
			all = append(all, doc.fields(w, member.Items, prefix+m.name+"[].")...)
		}
	}
	return all
}

// follow returns s as one schema: what it refers to, with all of its parts, and
// with what stands beside the reference on top. Of a choice between a schema and
// null it returns the schema, which may then be null.
func (doc *document) follow(s *schema) *schema {
	if s == nil {
		return &schema{}
	}
	var whole schema
	if s.Ref != "" {
		whole = *doc.follow(doc.Components.Schemas[refName(s.Ref)])
	}
	for _, part := range s.AllOf {
		whole.add(doc.follow(part))
	}
	for _, choice := range s.OneOf {
		if slices.Equal(choice.Type, words{"null"}) {
			whole.Type = append(slices.Clone(whole.Type), "null")
		} else if choice.Required == nil {
			whole.add(doc.follow(choice))
		}
	}
	whole.add(s)
	return &whole
}

// add puts what other says on top of s.
func (s *schema) add(other *schema) {
	overlay(&s.Format, other.Format)
	overlay(&s.Description, other.Description)
	overlay(&s.Pattern, other.Pattern)
	overlay(&s.Const, other.Const)
	overlay(&s.Minimum, other.Minimum)
	overlay(&s.Maximum, other.Maximum)
	overlay(&s.MinLength, other.MinLength)
	overlay(&s.MaxLength, other.MaxLength)
	overlay(&s.Items, other.Items)
	s.ReadOnly = s.ReadOnly || other.ReadOnly
	s.WriteOnly = s.WriteOnly || other.WriteOnly
	if other.Type != nil {
		s.Type = other.Type
	}
	if other.Enum != nil {
		s.Enum = other.Enum
	}
	if !other.Default.IsZero() {
		s.Default = other.Default
	}
	s.Required = slices.Concat(s.Required, other.Required)
	s.addProperties(other.Properties)
}

// addProperties lays members that s has already over each other.
func (s *schema) addProperties(properties ordered[*schema]) {
	s.Properties = slices.Clone(s.Properties)
	for _, m := range properties {
		i := slices.IndexFunc(s.Properties, func(known member[*schema]) bool { return known.name == m.name })
		if i < 0 {
			s.Properties = append(s.Properties, m)
			continue
		}
		s.Properties[i].value = &schema{AllOf: []*schema{s.Properties[i].value, m.value}}
	}
}

func overlay[T comparable](into *T, value T) {
	var zero T
	if value != zero {
		*into = value
	}
}

// kind names the type of a schema that was followed.
func (doc *document) kind(s *schema) string {
	var names []string
	for _, name := range s.Type {
		switch {
		case name == "array" && s.Items != nil:
			name = "array of " + doc.kind(doc.follow(s.Items)) + "s"
		case s.Format != "" && name != "null":
			name += " (" + s.Format + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, " or ")
}

// rules says in words what a value must keep besides its type.
func (w *writer) rules(s *schema) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if s.Enum != nil {
		say("one of `%s`", strings.Join(s.Enum, "`, `"))
	}
	if s.Const != "" {
		say("always `%s`", s.Const)
	}
	if text := span(s.Minimum, s.Maximum); text != "" {
		say("%s", text)
	}
	switch text := span(s.MinLength, s.MaxLength); text {
	case "":
	case "at least 1":
		say("not empty")
	default:
		say("%s characters", text)
	}
	if s.Pattern != "" {
		say("matches `%s`", s.Pattern)
	}
	switch {
	case s.Default.Kind == yaml.ScalarNode:
		say("default `%s`", s.Default.Value)
	case !s.Default.IsZero():
		say("default `%s`", w.json(&s.Default))
	}
	if s.ReadOnly {
		say("read-only")
	}
	if s.WriteOnly {
		say("write-only")
	}
	return all
}

// span returns the range from least to most, either of which may be open.
func span(least, most *int) string {
	switch {
	case least == nil && most == nil:
		return ""
	case most == nil:
		return fmt.Sprintf("at least %d", *least)
	case least == nil:
		return fmt.Sprintf("at most %d", *most)
	}
	return fmt.Sprintf("%d to %d", *least, *most)
}
