package contract

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	apidoc "github.com/tenantry/tenantry/infra/api"
)

// location is what the document is called where a schema's address is given.
const location = "https://tenantry.example/openapi.json"

// An operation is one method of one path, as the document describes it.
type operation struct {
	Route
	segments     []string
	parameters   []parameter
	body         map[string]content // by media type
	bodyRequired bool
	answers      map[string]answer // by status, or a range such as 4XX
}

// A parameter is one of the path, the query or the request's headers, or a
// header of an answer.
type parameter struct {
	in, name string
	required bool
	schema   *jsonschema.Schema
	typed    bool // its text is read as JSON: a number or a truth value
}

type answer struct {
	headers []parameter
	content map[string]content // by media type
}

// A content is a body of one media type.
type content struct {
	schema   *jsonschema.Schema
	examples map[string]any
}

// A reader turns the document into operations.
type reader struct {
	root     any
	compiler *jsonschema.Compiler
}

// A node is a place in the document. The zero node is a place that is not there.
type node struct {
	pointer string
	value   any
}

func newReader() (*reader, error) {
	text, err := apidoc.JSON()
	if err != nil {
		return nil, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource(location, root); err != nil {
		return nil, fmt.Errorf("add the OpenAPI document: %w", err)
	}
	return &reader{root, compiler}, nil
}

// get returns the member of n at path, and follows references on its way there.
func (r *reader) get(n node, path ...string) (node, error) {
	n, err := r.resolve(n)
	for _, name := range path {
		if err != nil {
			return node{}, err
		}
		n, err = r.resolve(child(n, name))
	}
	return n, err
}

func child(n node, name string) node {
	var value any
	switch parent := n.value.(type) {
	case map[string]any:
		value = parent[name]
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(parent) {
			value = parent[i]
		}
	}
	if value == nil {
		return node{}
	}
	return node{n.pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name), value}
}

// resolve follows the reference that n is, if it is one.
func (r *reader) resolve(n node) (node, error) {
	for {
		ref, ok := n.object()["$ref"].(string)
		if !ok {
			return n, nil
		}
		target := node{value: r.root}
		for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			target = child(target, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
		}
		if target.value == nil {
			return node{}, fmt.Errorf("%s refers to %s, which is not there", n.pointer, ref)
		}
		n = target
	}
}

func (n node) object() map[string]any {
	object, _ := n.value.(map[string]any)
	return object
}

func (n node) list() []any {
	list, _ := n.value.([]any)
	return list
}

func (n node) text() string {
	text, _ := n.value.(string)
	return text
}

func (n node) isTrue() bool { return n.value == true }

// members returns the members of n in the order of their names.
func (r *reader) members(n node) (names []string, values []node, err error) {
	for _, name := range slices.Sorted(maps.Keys(n.object())) {
		value, err := r.get(n, name)
		if err != nil {
			return nil, nil, err
		}
		names, values = append(names, name), append(values, value)
	}
	return names, values, nil
}

// operations reads all that the document describes.
func (r *reader) operations() ([]*operation, error) {
	paths, err := r.get(node{value: r.root}, "paths")
	if err != nil {
		return nil, err
	}
	names, items, err := r.members(paths)
	if err != nil {
		return nil, err
	}
	var all []*operation
	for i, path := range names {
		for _, method := range []string{"get", "put", "post", "delete", "patch"} {
			described := child(items[i], method)
			if described.value == nil {
				continue
			}
			op, err := r.operation(strings.ToUpper(method), path, items[i], described)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", strings.ToUpper(method), path, err)
			}
			all = append(all, op)
		}
	}
	return all, nil
}

func (r *reader) operation(method, path string, item, n node) (*operation, error) {
	op := &operation{
		Route: Route{
			Method: method, Path: path, OperationID: child(n, "operationId").text(),
			Roles: roles(child(n, "x-roles")), Scope: child(n, "x-scope").text(),
		},
		segments: strings.Split(path, "/"),
		answers:  map[string]answer{},
	}
	var err error
	for _, owner := range []node{item, n} {
		if op.parameters, err = r.parameters(owner, op.parameters); err != nil {
			return nil, err
		}
	}
	for _, p := range op.parameters {
		if p.in == "path" || p.in == "query" {
			op.Parameters = append(op.Parameters, Parameter{p.in, p.name})
		}
	}
	body, err := r.get(n, "requestBody")
	if err != nil {
		return nil, err
	}
	if err := r.describeBody(&op.Route, body); err != nil {
		return nil, err
	}
	op.bodyRequired = child(body, "required").isTrue()
	if op.body, err = r.contents(body); err != nil {
		return nil, err
	}
	responses, err := r.get(n, "responses")
	if err != nil {
		return nil, err
	}
	statuses, described, err := r.members(responses)
	if err != nil {
		return nil, err
	}
	for i, status := range statuses {
		if op.answers[status], err = r.answer(described[i]); err != nil {
			return nil, fmt.Errorf("answer %s: %w", status, err)
		}
	}
	return op, nil
}

// describeBody says of a route what the body of its requests may hold.
func (r *reader) describeBody(route *Route, body node) error {
	content, err := r.get(body, "content")
	if err != nil {
		return err
	}
	_, media, err := r.members(content)
	if err != nil || len(media) == 0 {
		return err
	}
	if route.Members, err = r.memberNames(child(media[0], "schema")); err != nil {
		return err
	}
	_, examples, err := r.members(child(media[0], "examples"))
	if err == nil && len(examples) > 0 {
		route.Body = child(examples[0], "value").value
	}
	return err
}

// memberNames returns the names of the members that a schema knows, at any depth,
// each once and in the order of the names.
func (r *reader) memberNames(schema node) ([]string, error) {
	schema, err := r.resolve(schema)
	if err != nil {
		return nil, err
	}
	names, parts, err := r.members(child(schema, "properties"))
	if err != nil {
		return nil, err
	}
	if items := child(schema, "items"); items.value != nil {
		parts = append(parts, items)
	}
	for _, word := range []string{"allOf", "oneOf", "anyOf"} {
		list := child(schema, word)
		for i := range list.list() {
			parts = append(parts, child(list, strconv.Itoa(i)))
		}
	}
	for _, part := range parts {
		more, err := r.memberNames(part)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// roles returns who may call an operation: the roles listed, or the one word
// that stands in their place.
func roles(n node) []string {
	if word := n.text(); word != "" {
		return []string{word}
	}
	var all []string
	for _, role := range n.list() {
		all = append(all, fmt.Sprint(role))
	}
	return all
}

func (r *reader) parameters(owner node, known []parameter) ([]parameter, error) {
	list := child(owner, "parameters")
	for i := range list.list() {
		n, err := r.get(list, strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		p, err := r.parameter(child(n, "in").text(), child(n, "name").text(), n)
		if err != nil {
			return nil, err
		}
		known = append(known, p)
	}
	return known, nil
}

func (r *reader) parameter(in, name string, n node) (parameter, error) {
	p := parameter{in: in, name: name, required: child(n, "required").isTrue()}
	schema, err := r.get(n, "schema")
	if err != nil {
		return p, err
	}
	kind := child(schema, "type").text()
	p.typed = kind == "integer" || kind == "number" || kind == "boolean"
	if p.schema, err = r.schema(schema); err != nil {
		return p, fmt.Errorf("parameter %s: %w", name, err)
	}
	return p, nil
}

func (r *reader) answer(n node) (answer, error) {
	var a answer
	headers, err := r.get(n, "headers")
	if err != nil {
		return a, err
	}
	names, described, err := r.members(headers)
	if err != nil {
		return a, err
	}
	for i, name := range names {
		header, err := r.parameter("header", name, described[i])
		if err != nil {
			return a, err
		}
		a.headers = append(a.headers, header)
	}
	a.content, err = r.contents(n)
	return a, err
}

func (r *reader) contents(owner node) (map[string]content, error) {
	n, err := r.get(owner, "content")
	if err != nil {
		return nil, err
	}
	types, described, err := r.members(n)
	if err != nil {
		return nil, err
	}
	all := map[string]content{}
	for i, mediaType := range types {
		c := content{examples: map[string]any{}}
		if c.schema, err = r.schema(child(described[i], "schema")); err != nil {
			return nil, fmt.Errorf("%s: %w", mediaType, err)
		}
		names, examples, err := r.members(child(described[i], "examples"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", mediaType, err)
		}
		for j, name := range names {
			c.examples[name] = examples[j].object()["value"]
		}
		all[mediaType] = c
	}
	return all, nil
}

// schema compiles the schema at n. Where there is none, anything fits.
func (r *reader) schema(n node) (*jsonschema.Schema, error) {
	if n.value == nil {
		return nil, nil
	}
	schema, err := r.compiler.Compile(location + "#" + n.pointer)
	if err != nil {
		return nil, fmt.Errorf("compile the schema: %w", err)
	}
	return schema, nil
}
