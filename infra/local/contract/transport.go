package contract

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// Transport returns a transport that sends requests by base and fails the test
// for every exchange that does not keep the contract. The exchange itself goes
// on as it was.
func Transport(tb testing.TB, base http.RoundTripper) http.RoundTripper {
	tb.Helper()
	c, err := Load()
	if err != nil {
		tb.Fatal(err)
	}
	return &transport{tb, c, base}
}

type transport struct {
	tb       testing.TB
	contract *Contract
	base     http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var sent []byte
	if req.Body != nil {
		var err error
		if sent, err = drain(req.Body); err != nil {
			return nil, fmt.Errorf("read the request's body: %w", err)
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	got, err := drain(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer's body: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	if err := t.contract.Check(req, sent, resp, got); err != nil {
		t.tb.Errorf("%s %s: %v\nanswer: %s", req.Method, req.URL, err, got)
	}
	return resp, nil
}

func drain(body io.ReadCloser) ([]byte, error) {
	data, err := io.ReadAll(body)
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	return data, err
}
