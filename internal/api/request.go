package api

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// event is what the operations read of an event of API Gateway's HTTP API,
// payload format 2.0.
type event struct {
	RawPath        string            `json:"rawPath"`
	RawQueryString string            `json:"rawQueryString"`
	Headers        map[string]string `json:"headers"`
	PathParameters map[string]string `json:"pathParameters"`
	RequestContext struct {
		RequestID  string `json:"requestId"`
		Authorizer struct {
			Lambda AuthorizerContext `json:"lambda"`
		} `json:"authorizer"`
		HTTP struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
	} `json:"requestContext"`
	Body            string `json:"body"`
	IsBase64Encoded bool   `json:"isBase64Encoded"`
}

// An AuthorizerContext is what the authorizer hands to the operations. A
// problem instead of a subject says what is wrong with the caller's token.
type AuthorizerContext struct {
	Subject  identity.UserID   `json:"subject,omitempty"`
	TenantID identity.TenantID `json:"tenant_id,omitempty"`
	Role     identity.Role     `json:"role,omitempty"`
	Problem  fault.Kind        `json:"problem,omitempty"`
	// Scopes and TenantIDs are those of a service's key.
	Scopes    []identity.Scope    `json:"scopes,omitempty"`
	TenantIDs []identity.TenantID `json:"tenant_ids,omitempty"`
	// ImpersonationID, Actor and Mode are set where a platform admin, the actor,
	// acts as the subject.
	ImpersonationID string          `json:"impersonation_id,omitempty"`
	Actor           identity.UserID `json:"actor,omitempty"`
	Mode            identity.Mode   `json:"mode,omitempty"`
	// ExpiresAt is when the token expires, in Unix seconds. API Gateway keeps
	// what the authorizer said for longer.
	ExpiresAt int64 `json:"expires_at,omitzero"`
}

// caller returns who sent the request with the id given.
func (a AuthorizerContext) caller(requestID string) identity.Caller {
	c := identity.Caller{
		Subject: a.Subject, TenantID: a.TenantID, Role: a.Role,
		Scopes: a.Scopes, TenantIDs: a.TenantIDs, RequestID: requestID,
	}
	if a.ImpersonationID != "" {
		c.Impersonation = &identity.Impersonation{ID: a.ImpersonationID, Actor: a.Actor, Mode: a.Mode}
	}
	return c
}

// A Request is one call, already routed by API Gateway, and its caller known.
type Request struct {
	ID     string
	Method string
	URI    string // the path, decoded, without the query
	Path   map[string]string
	Query  url.Values
	Body   []byte
	Caller identity.Caller

	address    string // the IP address that it comes from
	headers    map[string]string
	credential fault.Kind // what is wrong with the caller's token, if anything
	expiresAt  int64      // when it expires, in Unix seconds
	once       *onceOnly  // set while an idempotency key is being honoured
}

// newRequest always returns a request, so that a malformed one can be answered.
func newRequest(e *event) (*Request, error) {
	a := e.RequestContext.Authorizer.Lambda
	r := &Request{
		ID:         e.RequestContext.RequestID,
		Method:     e.RequestContext.HTTP.Method,
		URI:        e.RawPath,
		Path:       e.PathParameters,
		Body:       []byte(e.Body),
		Caller:     a.caller(e.RequestContext.RequestID),
		address:    e.RequestContext.HTTP.SourceIP,
		headers:    lowerNames(e.Headers),
		credential: a.Problem,
		expiresAt:  a.ExpiresAt,
	}
	var err error
	if e.IsBase64Encoded {
		if r.Body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return r, fault.Wrap(err, fault.Malformed, "the body cannot be read")
		}
	}
	if r.Query, err = url.ParseQuery(e.RawQueryString); err != nil {
		return r, fault.Wrap(err, fault.Malformed, "the query string cannot be read")
	}
	return r, nil
}

// lowerNames returns headers under their names in lower case, as API Gateway sends
// them. The SAM CLI sends the names as clients write them.
func lowerNames(headers map[string]string) map[string]string {
	lower := make(map[string]string, len(headers))
	for name, value := range headers {
		lower[strings.ToLower(name)] = value
	}
	return lower
}

// expired reports whether the caller's token expired after the authorizer saw it.
func (r *Request) expired(now time.Time) bool { return r.expiresAt != 0 && now.Unix() >= r.expiresAt }

// Header returns the value of a header, whose name is given in lower case.
func (r *Request) Header(name string) string { return r.headers[name] }

// Bearer returns the token that an Authorization header holds (RFC 6750, section
// 2.1), or "" if it holds none.
func Bearer(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// TenantID returns the tenant that the path names. What is not an id names no
// tenant, so it needs no check of its own.
func (r *Request) TenantID() identity.TenantID { return identity.TenantID(r.Path["tenant_id"]) }

// checkQuery refuses parameters that the operation does not take, or that come
// more than once.
func (r *Request) checkQuery(known []string) error {
	var faults fault.Fields
	for _, name := range sortedKeys(r.Query) {
		if !isText(name) || !isText(r.Query[name]...) {
			return fault.New(fault.Malformed, "the query string holds control characters, or what is not UTF-8")
		}
		switch {
		case !slices.Contains(known, name):
			faults.AddParameter(name, "is not a parameter of this operation")
		case len(r.Query[name]) > 1:
			faults.AddParameter(name, "must be given once")
		}
	}
	return malformed("the query string is not one that this operation takes", faults)
}

// isText reports whether texts can be stored and sent on without surprises.
func isText(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) })
}

// path returns the path of the request as it is in a URL. API Gateway decodes it.
func (r *Request) path() string { return (&url.URL{Path: r.URI}).EscapedPath() }

// checkTags fails unless each entity tag in a header is quoted, as it is in the
// ETag that it comes from (RFC 9110, section 8.8.3).
func (r *Request) checkTags(header string) error {
	value, sent := r.headers[header]
	if !sent || strings.TrimSpace(value) == "*" {
		return nil
	}
	for tag := range strings.SplitSeq(value, ",") {
		opaque := strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if len(opaque) < 2 || opaque[0] != '"' || opaque[len(opaque)-1] != '"' {
			return fault.New(fault.Malformed, `the header %s must hold entity tags as they stand in ETag, with their quotes: "7"`, http.CanonicalHeaderKey(header))
		}
	}
	return nil
}

// IfMatch returns the versions that the client says it changes one of, or nil if
// it does not say. A weak tag matches none (RFC 9110, section 13.1.1).
func (r *Request) IfMatch() []int64 {
	header := strings.TrimSpace(r.Header("if-match"))
	if header == "" || header == "*" {
		return nil
	}
	versions := []int64{}
	for tag := range strings.SplitSeq(header, ",") {
		if version, ok := parseETag(tag); ok && !isWeak(tag) {
			versions = append(versions, version)
		}
	}
	return versions
}

func first(values []string) (string, bool) {
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}
