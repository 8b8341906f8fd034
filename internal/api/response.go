package api

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const jsonType = "application/json"

// A Response is what a Handler answers. Body is encoded as JSON, or sent as it
// is if it is a string.
type Response struct {
	Status int
	Header map[string]string
	Body   any
}

// OK returns a 200 response.
func OK(body any) *Response {
	return &Response{Status: http.StatusOK, Header: map[string]string{"content-type": jsonType}, Body: body}
}

// Created returns a 201 response for a new resource at location.
func Created(location string, body any) *Response {
	resp := OK(body)
	resp.Status = http.StatusCreated
	resp.Header["location"] = location
	return resp
}

// Accepted returns a 202 response for what goes on at location.
func Accepted(location string, body any) *Response {
	resp := Created(location, body)
	resp.Status = http.StatusAccepted
	return resp
}

// NoContent returns a 204 response.
func NoContent() *Response {
	return &Response{Status: http.StatusNoContent, Header: map[string]string{}}
}

// WithVersion returns the response with the ETag of version. Passing is what the
// body tells that changes without the version: it makes another ETag of the same
// version. Where it is all empty, there is nothing of that.
func (r *Response) WithVersion(version int64, passing ...string) *Response {
	tag := strconv.FormatInt(version, 10)
	if text := strings.Join(passing, passingMark); strings.Trim(text, passingMark) != "" {
		tag += passingMark + text
	}
	r.Header["etag"] = `"` + tag + `"`
	return r
}

// passingMark stands in an ETag between the version and what passes without it.
const passingMark = "-"

// ifChanged returns 304 in place of a response whose version the client has
// already (RFC 9110, section 13.1.2).
func (r *Response) ifChanged(req *Request) *Response {
	present, ok := r.Header["etag"]
	if !ok || req.Method != http.MethodGet {
		return r
	}
	header := req.Header("if-none-match")
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(present, "W/") || tag == "*" {
			kept := maps.Clone(r.Header)
			delete(kept, "content-type")
			return &Response{Status: http.StatusNotModified, Header: kept}
		}
	}
	return r
}

// setHeader sets a header that the operation did not set itself.
func (r *Response) setHeader(name, value string) {
	if _, ok := r.Header[name]; !ok {
		r.Header[name] = value
	}
}

// A timestamp is a time as clients see it (RFC 3339): in UTC and always to the
// millisecond, so that texts sort as times do.
type timestamp time.Time

// MarshalText implements encoding.TextMarshaler.
func (t timestamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

// mark names the time in an ETag. Of nil it is empty.
func (t *timestamp) mark() string {
	if t == nil {
		return ""
	}
	return strconv.FormatInt(time.Time(*t).UnixMilli(), 36)
}

// An envelope is a response as API Gateway takes it, payload format 2.0.
type envelope struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body,omitzero"`
}

func (r *Response) encode() ([]byte, error) {
	out := envelope{StatusCode: r.Status, Headers: r.Header}
	switch body := r.Body.(type) {
	case nil:
	case string:
		out.Body = body
	default:
		text, err := json.Marshal(body, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("encode the response: %w", err)
		}
		out.Body = string(text)
	}
	return json.Marshal(out)
}

func isWeak(tag string) bool { return strings.HasPrefix(strings.TrimSpace(tag), "W/") }

// parseETag returns the version that a tag names. A weak tag names one too: its
// content is compared, not its bytes.
func parseETag(tag string) (int64, bool) {
	text := strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	text, quoted := strings.CutPrefix(text, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	text, _, _ = strings.Cut(text, passingMark)
	version, err := strconv.ParseInt(text, 10, 64)
	return version, quoted && closed && err == nil && version > 0
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
