package api

import (
	"context"
	"encoding/base64"
	"maps"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// A sent request is what a client sends, as far as cases differ in it.
type sent struct {
	method  string // POST if it is empty
	path    string
	query   string
	params  map[string]string // of the path
	headers map[string]string // besides Content-Type, which is JSON where it is missing; a condition of "" is none
	body    string
	base64  bool // whether the gateway encodes the body
	caller  AuthorizerContext
	address string
}

// serve answers a request as the function of op does.
func serve(t *testing.T, op Operation, s sent) envelope {
	t.Helper()
	return serveIn(t.Context(), t, op, s)
}

// serveIn is serve, in a context.
func serveIn(ctx context.Context, t *testing.T, op Operation, s sent) envelope {
	t.Helper()
	e := event{RawPath: s.path, RawQueryString: s.query, PathParameters: s.params, Body: s.body}
	if s.base64 {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(s.body)), true
	}
	e.Headers = map[string]string{"content-type": jsonType}
	maps.Copy(e.Headers, s.headers)
	maps.DeleteFunc(e.Headers, func(name, value string) bool { return strings.HasPrefix(name, "if-") && value == "" })
	e.RequestContext.RequestID = "R1"
	e.RequestContext.HTTP.Method = s.method
	if s.method == "" {
		e.RequestContext.HTTP.Method = "POST"
	}
	e.RequestContext.HTTP.SourceIP = s.address
	e.RequestContext.Authorizer.Lambda = s.caller
	payload, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Serve(op).Invoke(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	var got envelope
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// check compares status and exact body.
func (e envelope) check(t *testing.T, status int, body string) {
	t.Helper()
	if e.StatusCode != status || e.Body != body {
		t.Errorf("got %d %s\nwant %d %s", e.StatusCode, e.Body, status, body)
	}
}
