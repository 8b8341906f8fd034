// Package contract checks recorded HTTP exchanges against the OpenAPI document,
// so that tests notice when the API and its description part.
//
// Schemas are compiled once for the whole document, as JSON Schema 2020-12, which
// is what OpenAPI 3.1 means by them; formats are asserted.
package contract

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	problemType = "application/problem+json"
	problemPath = "/docs/problems/"
)

// A Contract is what the OpenAPI document promises. It may be used by many
// goroutines at once.
type Contract struct {
	operations []*operation
	problem    *jsonschema.Schema
}

// A Route is one operation of the API.
type Route struct {
	Method      string
	Path        string // a template, such as /tenants/{tenant_id}; {path} stands for API Gateway's {path+}
	OperationID string
	Roles       []string // who may call it; the one word public or any stands for all
	Scope       string   // that lets services in, if any does
	Parameters  []Parameter
	Members     []string // of the body, at any depth, by their names
	Body        any      // the first example of a body; nil where the operation takes none
}

// A Parameter is one of the path or the query.
type Parameter struct{ In, Name string }

// Load reads the OpenAPI document and compiles all of its schemas.
func Load() (*Contract, error) {
	r, err := newReader()
	if err != nil {
		return nil, err
	}
	operations, err := r.operations()
	if err != nil {
		return nil, err
	}
	problem, err := r.get(node{value: r.root}, "components", "schemas", "Problem")
	if err != nil {
		return nil, err
	}
	c := &Contract{operations: operations}
	c.problem, err = r.schema(problem)
	return c, err
}

// Routes returns the operations that the document describes, in the order of
// their paths.
func (c *Contract) Routes() []Route {
	var all []Route
	for _, op := range c.operations {
		all = append(all, op.Route)
	}
	return all
}

// Check says everything that the document did not lead a client to expect of an
// exchange: of the answer, and where that is a success, of the request too. A
// preflight request (OPTIONS) is between the browser and the gateway, and always
// fits.
func (c *Contract) Check(req *http.Request, reqBody []byte, resp *http.Response, respBody []byte) error {
	if req.Method == http.MethodOptions {
		return nil
	}
	op, values := c.find(req)
	if op == nil {
		return c.checkUnrouted(req, resp, respBody)
	}
	if err := op.checkAnswer(resp, respBody); err != nil {
		return fmt.Errorf("answer %d of %s: %w", resp.StatusCode, op.OperationID, err)
	}
	if resp.StatusCode >= 300 {
		return nil
	}
	if err := op.checkRequest(req, values, reqBody); err != nil {
		return fmt.Errorf("request to %s, which was taken: %w", op.OperationID, err)
	}
	return nil
}

// find returns the operation that req calls, and the values in its path. Of two
// paths that fit, the one that is fixed for longer is meant.
func (c *Contract) find(req *http.Request) (*operation, map[string]string) {
	var best *operation
	var values map[string]string
	for _, op := range c.operations {
		if op.Method != req.Method {
			continue
		}
		if v, ok := op.match(req.URL.Path); ok && (best == nil || len(v) < len(values)) {
			best, values = op, v
		}
	}
	return best, values
}

// match returns the values in path if the operation's template fits it. The
// parameter path takes the rest, as API Gateway's {path+} does.
func (op *operation) match(path string) (map[string]string, bool) {
	given := strings.Split(path, "/")
	values := map[string]string{}
	for i, want := range op.segments {
		name, variable := strings.CutPrefix(want, "{")
		name = strings.TrimSuffix(name, "}")
		switch {
		case i >= len(given):
			return nil, false
		case variable && name == "path":
			values[name] = strings.Join(given[i:], "/")
			return values, values[name] != ""
		case variable && given[i] != "":
			values[name] = given[i]
		case want != given[i]:
			return nil, false
		}
	}
	return values, len(given) == len(op.segments)
}

// checkUnrouted checks the answer to what is no operation: the problem that the
// path or the method is not there. One to HEAD has no body.
func (c *Contract) checkUnrouted(req *http.Request, resp *http.Response, body []byte) error {
	if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
		return fmt.Errorf("answer %d: the document knows no %s %s", resp.StatusCode, req.Method, req.URL.Path)
	}
	if req.Method == http.MethodHead {
		return nil
	}
	problem := content{schema: c.problem, examples: map[string]any{"not-found": nil, "method-not-allowed": nil}}
	if err := checkContent(map[string]content{problemType: problem}, resp, body); err != nil {
		return fmt.Errorf("answer %d of no operation: %w", resp.StatusCode, err)
	}
	return nil
}

func (op *operation) checkAnswer(resp *http.Response, body []byte) error {
	a, ok := op.answers[fmt.Sprint(resp.StatusCode)]
	if !ok {
		a, ok = op.answers[fmt.Sprintf("%dXX", resp.StatusCode/100)]
	}
	if !ok {
		return errors.New("the document does not describe this status")
	}
	var faults []error
	for _, h := range a.headers {
		faults = append(faults, h.check(resp.Header.Values(h.name)))
	}
	return errors.Join(append(faults, checkContent(a.content, resp, body))...)
}

// checkContent checks an answer's body, and what a problem document repeats of
// the answer that carries it.
func checkContent(described map[string]content, resp *http.Response, body []byte) error {
	if len(described) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("the body is to be empty, and holds %d bytes", len(body))
		}
		return nil
	}
	mediaType, c, err := choose(described, resp.Header)
	if err != nil {
		return err
	}
	value, err := c.check(mediaType, body)
	if err != nil || mediaType != problemType {
		return err
	}
	problem := node{value: value}
	kind := strings.TrimPrefix(child(problem, "type").text(), problemPath)
	_, listed := c.examples[kind]
	id := resp.Header.Get("X-Request-Id")
	switch {
	case !listed:
		return fmt.Errorf("no example shows that the problem may be %q", kind)
	case fmt.Sprint(child(problem, "status").value) != fmt.Sprint(resp.StatusCode):
		return fmt.Errorf("the problem's status is %v", child(problem, "status").value)
	case id == "" || child(problem, "request_id").text() != id:
		return fmt.Errorf("the problem's request_id is %v, the header's %q", child(problem, "request_id").value, id)
	}
	return nil
}

// choose returns the content that is described for the media type in header.
func choose(described map[string]content, header http.Header) (string, content, error) {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return "", content{}, fmt.Errorf("content type %q: %w", header.Get("Content-Type"), err)
	}
	c, ok := described[mediaType]
	if !ok {
		return "", content{}, fmt.Errorf("the document does not describe the content type %s", mediaType)
	}
	return mediaType, c, nil
}

// check checks a body and, where it is JSON, returns its value.
func (c content) check(mediaType string, body []byte) (any, error) {
	if !strings.HasSuffix(mediaType, "json") {
		return nil, nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the body is not JSON: %w", err)
	}
	if c.schema == nil {
		return value, nil
	}
	return value, c.schema.Validate(value)
}

// checkRequest checks a request that was answered with a success.
func (op *operation) checkRequest(req *http.Request, path map[string]string, body []byte) error {
	var faults []error
	query := req.URL.Query()
	for _, p := range op.parameters {
		var given []string
		switch p.in {
		case "path":
			given = []string{path[p.name]}
		case "query":
			given = query[p.name]
			query.Del(p.name)
		case "header":
			given = req.Header.Values(p.name)
		}
		faults = append(faults, p.check(given))
	}
	for name := range query {
		faults = append(faults, fmt.Errorf("the document does not describe the parameter %q", name))
	}
	return errors.Join(append(faults, op.checkBody(req.Header, body))...)
}

func (op *operation) checkBody(header http.Header, body []byte) error {
	if len(body) == 0 {
		if op.bodyRequired {
			return errors.New("the body is required")
		}
		return nil
	}
	if len(op.body) == 0 {
		return errors.New("the document does not describe a body")
	}
	mediaType, c, err := choose(op.body, header)
	if err != nil {
		return err
	}
	_, err = c.check(mediaType, body)
	return err
}

// check checks the values that came for a parameter or a header.
func (p parameter) check(given []string) error {
	switch {
	case len(given) == 0 && p.required:
		return fmt.Errorf("%s %s is missing", p.in, p.name)
	case len(given) == 0 || p.schema == nil:
		return nil
	case len(given) > 1:
		return fmt.Errorf("%s %s comes %d times", p.in, p.name, len(given))
	}
	var value any = given[0]
	if p.typed {
		var err error
		if value, err = jsonschema.UnmarshalJSON(strings.NewReader(given[0])); err != nil {
			return fmt.Errorf("%s %s: %w", p.in, p.name, err)
		}
	}
	if err := p.schema.Validate(value); err != nil {
		return fmt.Errorf("%s %s: %w", p.in, p.name, err)
	}
	return nil
}
