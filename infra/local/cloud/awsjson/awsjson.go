// Package awsjson speaks the AWS JSON protocol, on both sides: it calls a
// service that an engine stands in for, and answers as AWS does.
package awsjson

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// ContentType is that of every request and answer of the protocol that this
// package writes.
const ContentType = "application/x-amz-json-1.1"

// An Error is a failure that AWS reports: a code such as
// UserNotFoundException, and a message for the caller.
type Error struct {
	Status  int
	Code    string
	Message string
}

// Errorf returns an Error that the caller has caused, with status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// HasCode says whether err is an Error with the given code.
func HasCode(err error, code string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}

// Write answers with v as JSON. A v that is nil makes an empty answer.
func Write(w http.ResponseWriter, v any) {
	var body []byte
	if v != nil {
		var err error
		if body, err = json.Marshal(v); err != nil {
			WriteError(w, fmt.Errorf("encode the answer: %w", err))
			return
		}
	}
	WriteBody(w, http.StatusOK, body)
}

// WriteError answers with err. Anything but an Error becomes a 500 with the
// code InternalFailure.
func WriteError(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: err.Error()}
	}
	body, _ := json.Marshal(map[string]string{"__type": e.Code, "message": e.Message}) // two strings always encode
	w.Header().Set("X-Amzn-Errortype", e.Code)
	WriteBody(w, e.Status, body)
}

// WriteBody answers with an encoded body, and the headers by which SDKs know
// the request and check the answer.
func WriteBody(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amzn-Requestid", uuid.NewString())
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that went away does not read its answer
}

// A Client calls an engine as the account's own user.
type Client struct {
	URL  *url.URL
	HTTP *http.Client
}

// Do sends one request and returns the answer's status and body. Target is
// what X-Amz-Target takes: Service_Version.Operation. Service is the one of
// the credential's scope, by which an engine knows what is asked.
func (c *Client) Do(ctx context.Context, region, service, target string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("make a request for %s: %w", target, err)
	}
	req.Header.Set("Content-Type", ContentType)
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Authorization", Authorization(region, service))
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("call %s: %w", target, err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return 0, nil, fmt.Errorf("read the answer of %s: %w", target, err)
	}
	return resp.StatusCode, answer, nil
}

// Call sends in and decodes the answer into out, unless that is nil. A refusal
// is an Error.
func (c *Client) Call(ctx context.Context, region, service, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request of %s: %w", target, err)
	}
	status, answer, err := c.Do(ctx, region, service, target, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return DecodeError(status, answer)
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", target, err)
	}
	return nil
}

// DecodeError reads the Error in an answer.
func DecodeError(status int, body []byte) *Error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Type == "" {
		return &Error{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: fmt.Sprintf("the engine answered %d: %.200s", status, body)}
	}
	code := e.Type[strings.LastIndexByte(e.Type, '#')+1:]
	return &Error{Status: status, Code: code, Message: e.Message}
}

// Authorization returns a header that names region and service. Its signature
// is none: engines do not check it.
func Authorization(region, service string) string {
	return "AWS4-HMAC-SHA256 Credential=local/20260101/" + region + "/" + service + "/aws4_request, SignedHeaders=host, Signature=none"
}

// Scope returns region and service of the credential that signed a request, or
// empty strings where it is not signed.
func Scope(h http.Header) (region, service string) {
	parts := credential(h)
	if len(parts) < 5 {
		return "", ""
	}
	return parts[len(parts)-3], parts[len(parts)-2]
}

// KeyID returns the access key that signed a request, or an empty string where it
// is not signed.
func KeyID(h http.Header) string {
	parts := credential(h)
	if len(parts) < 5 {
		return ""
	}
	return strings.Join(parts[:len(parts)-4], "/")
}

// credential returns the parts of the credential that signed a request.
func credential(h http.Header) []string {
	_, rest, ok := strings.Cut(h.Get("Authorization"), "Credential=")
	if !ok {
		return nil
	}
	credential, _, _ := strings.Cut(rest, ",")
	return strings.Split(strings.TrimSpace(credential), "/")
}
