package docs

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	apidoc "github.com/tenantry/tenantry/infra/api"
)

// A document is what the pages show of the OpenAPI document.
type document struct {
	Info struct {
		Title       string
		Version     string
		Summary     string
		Description string
	}
	Tags       []tag
	Paths      ordered[pathItem]
	Components struct {
		Parameters    map[string]parameter
		Headers       map[string]parameter
		RequestBodies map[string]body `yaml:"requestBodies"`
		Responses     map[string]response
		Schemas       map[string]*schema
		Examples      ordered[example]
	}
}

type tag struct {
	Name        string
	Description string
}

type pathItem struct {
	Parameters []parameter
	Operations []operation
}

type operation struct {
	Method      string `yaml:"-"`
	Path        string `yaml:"-"`
	ID          string `yaml:"operationId"`
	Tags        []string
	Summary     string
	Description string
	Roles       words  `yaml:"x-roles"`
	Scope       string `yaml:"x-scope"`
	Parameters  []parameter
	Body        body `yaml:"requestBody"`
	Responses   ordered[response]
}

// A parameter is also a header of an answer, whose name stands beside it.
type parameter struct {
	Ref         string `yaml:"$ref"`
	Name        string
	In          string
	Required    bool
	Description string
	Schema      *schema
	Example     string
}

type body struct {
	Ref      string `yaml:"$ref"`
	Required bool
	Content  ordered[media]
}

type response struct {
	Ref         string `yaml:"$ref"`
	Description string
	Headers     ordered[parameter]
	Content     ordered[media]
}

type media struct {
	Schema   *schema
	Examples ordered[example]
}

type example struct {
	Ref         string `yaml:"$ref"`
	Summary     string
	Description string
	Value       yaml.Node
}

type schema struct {
	Ref         string `yaml:"$ref"`
	Type        words
	Format      string
	Description string
	Enum        []string
	Const       string
	Default     yaml.Node
	Pattern     string
	Minimum     *int
	Maximum     *int
	MinLength   *int `yaml:"minLength"`
	MaxLength   *int `yaml:"maxLength"`
	ReadOnly    bool `yaml:"readOnly"`
	WriteOnly   bool `yaml:"writeOnly"`
	Required    []string
	Properties  ordered[*schema]
	Items       *schema
	AllOf       []*schema `yaml:"allOf"`
	OneOf       []*schema `yaml:"oneOf"`
}

// An ordered mapping keeps its members in the order in which they are written.
type ordered[T any] []member[T]

type member[T any] struct {
	name  string
	value T
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (o *ordered[T]) UnmarshalYAML(n *yaml.Node) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		m := member[T]{name: n.Content[i].Value}
		if err := n.Content[i+1].Decode(&m.value); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		*o = append(*o, m)
	}
	return nil
}

// get returns the member with the given name, or the zero value.
func (o ordered[T]) get(name string) T {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	var none T
	return none
}

// Words are one word, or a list of them.
type words []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = words{n.Value}
		return nil
	}
	return n.Decode((*[]string)(w))
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *pathItem) UnmarshalYAML(n *yaml.Node) error {
	var all ordered[yaml.Node]
	if err := n.Decode(&all); err != nil {
		return err
	}
	for _, m := range all {
		if m.name == "parameters" {
			if err := m.value.Decode(&p.Parameters); err != nil {
				return err
			}
			continue
		}
		op := operation{Method: strings.ToUpper(m.name)}
		if err := m.value.Decode(&op); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		p.Operations = append(p.Operations, op)
	}
	return nil
}

// readDocument reads the OpenAPI document and follows its references, those of
// schemas aside: they are followed where they are shown.
func readDocument() (*document, error) {
	doc := new(document)
	if err := yaml.Unmarshal(apidoc.YAML, doc); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	for i, path := range doc.Paths {
		for j := range path.value.Operations {
			op := &doc.Paths[i].value.Operations[j]
			op.Path = path.name
			op.Parameters = append(append([]parameter{}, path.value.Parameters...), op.Parameters...)
			doc.resolve(op)
		}
	}
	return doc, nil
}

// resolve puts what op refers to in the place of the references.
func (doc *document) resolve(op *operation) {
	for i, p := range op.Parameters {
		if p.Ref != "" {
			op.Parameters[i] = doc.Components.Parameters[refName(p.Ref)]
		}
	}
	if op.Body.Ref != "" {
		op.Body = doc.Components.RequestBodies[refName(op.Body.Ref)]
	}
	doc.resolveContent(op.Body.Content)
	for i, answer := range op.Responses {
		if answer.value.Ref != "" {
			op.Responses[i].value = doc.Components.Responses[refName(answer.value.Ref)]
		}
		for j, header := range op.Responses[i].value.Headers {
			if header.value.Ref != "" {
				op.Responses[i].value.Headers[j].value = doc.Components.Headers[refName(header.value.Ref)]
			}
		}
		doc.resolveContent(op.Responses[i].value.Content)
	}
}

func (doc *document) resolveContent(content ordered[media]) {
	for _, c := range content {
		for i, e := range c.value.Examples {
			if e.value.Ref != "" {
				c.value.Examples[i].value = doc.Components.Examples.get(refName(e.value.Ref))
			}
		}
	}
}

func refName(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// operations returns all operations with the given tag, in the order in which
// they are written.
func (doc *document) operations(tagName string) []operation {
	var all []operation
	for _, path := range doc.Paths {
		for _, op := range path.value.Operations {
			if len(op.Tags) > 0 && op.Tags[0] == tagName {
				all = append(all, op)
			}
		}
	}
	return all
}
