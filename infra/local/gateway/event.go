package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A call is a request on its way through the Gateway.
type call struct {
	r       *http.Request
	id      string
	at      time.Time
	route   *route
	params  map[string]string
	body    []byte
	context jsontext.Value // the authorizer's, nil on a public route
}

// A request is what the events of a function and of an authorizer have in common.
type request struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	QueryParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext  requestContext    `json:"requestContext"`
	PathParameters  map[string]string `json:"pathParameters,omitempty"`
}

type requestContext struct {
	AccountID    string             `json:"accountId"`
	APIID        string             `json:"apiId"`
	Authorizer   *authorizerContext `json:"authorizer,omitzero"`
	DomainName   string             `json:"domainName"`
	DomainPrefix string             `json:"domainPrefix"`
	HTTP         httpContext        `json:"http"`
	RequestID    string             `json:"requestId"`
	RouteKey     string             `json:"routeKey"`
	Stage        string             `json:"stage"`
	Time         string             `json:"time"`
	TimeEpoch    int64              `json:"timeEpoch"`
}

type authorizerContext struct {
	Lambda jsontext.Value `json:"lambda"`
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// An integrationEvent is what a route's function gets.
type integrationEvent struct {
	request
	Body            string `json:"body,omitzero"`
	IsBase64Encoded bool   `json:"isBase64Encoded"`
}

// An authorizerEvent is what the authorizer gets.
type authorizerEvent struct {
	Type           string   `json:"type"`
	RouteARN       string   `json:"routeArn"`
	IdentitySource []string `json:"identitySource"`
	request
}

// event returns the event for the function of c.
func (g *Gateway) event(c *call) integrationEvent {
	e := integrationEvent{request: g.request(c)}
	if c.context != nil {
		e.RequestContext.Authorizer = &authorizerContext{c.context}
	}
	if len(c.body) == 0 {
		return e
	}
	if isText(c.r.Header.Get("Content-Type"), c.body) {
		e.Body = string(c.body)
	} else {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(c.body), true
	}
	return e
}

// authorizerEvent returns the event for the authorizer of c.
func (g *Gateway) authorizerEvent(c *call, identity []string) authorizerEvent {
	e := authorizerEvent{Type: "REQUEST", IdentitySource: identity, request: g.request(c)}
	e.RouteARN = fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/$default/%s%s", g.o.Region, g.o.AccountID, g.o.APIID, c.r.Method, c.r.URL.Path)
	return e
}

// request describes c. As on AWS, rawPath is decoded in spite of its name, and
// rawQueryString is not: https://github.com/middleapi/standard-server/pull/93.
func (g *Gateway) request(c *call) request {
	prefix, _, _ := strings.Cut(c.r.Host, ".")
	return request{
		Version:         "2.0",
		RouteKey:        c.route.key,
		RawPath:         c.r.URL.Path,
		RawQueryString:  c.r.URL.RawQuery,
		Cookies:         cookies(c.r.Header),
		Headers:         headers(c),
		QueryParameters: queryParameters(c.r.URL.RawQuery),
		PathParameters:  c.params,
		RequestContext: requestContext{
			AccountID:    g.o.AccountID,
			APIID:        g.o.APIID,
			DomainName:   c.r.Host,
			DomainPrefix: prefix,
			HTTP: httpContext{
				Method:    c.r.Method,
				Path:      c.r.URL.Path,
				Protocol:  c.r.Proto,
				SourceIP:  sourceIP(c.r),
				UserAgent: c.r.UserAgent(),
			},
			RequestID: c.id,
			RouteKey:  c.route.key,
			Stage:     "$default",
			Time:      c.at.UTC().Format("02/Jan/2006:15:04:05 -0700"),
			TimeEpoch: c.at.UnixMilli(),
		},
	}
}

// encode returns the JSON of an event. Bytes that are not UTF-8, which a header
// may hold, become U+FFFD.
func encode(event any) []byte {
	payload, err := json.Marshal(event, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(err) // structs of strings and numbers, and JSON that has been read
	}
	return payload
}

// dropped are the headers that concern the connection, or that go elsewhere.
var dropped = map[string]bool{
	"connection": true, "cookie": true, "expect": true, "keep-alive": true, "proxy-connection": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
}

// headers returns the headers of c, in lower case, as a function sees them.
func headers(c *call) map[string]string {
	all := map[string]string{}
	for name, values := range c.r.Header {
		if name = strings.ToLower(name); !dropped[name] {
			all[name] = strings.Join(values, ",")
		}
	}
	all["host"] = c.r.Host
	all["content-length"] = strconv.Itoa(len(c.body))
	if all["x-amzn-trace-id"] == "" {
		all["x-amzn-trace-id"] = newTraceID(c.at)
	}
	if by := all["x-forwarded-for"]; by != "" {
		all["x-forwarded-for"] = by + ", " + sourceIP(c.r)
	} else {
		all["x-forwarded-for"] = sourceIP(c.r)
	}
	all["x-forwarded-proto"] = "http"
	_, port, err := net.SplitHostPort(c.r.Host)
	if err != nil {
		port = "80"
	}
	all["x-forwarded-port"] = port
	return all
}

// cookies returns each cookie of the request, as name=value.
func cookies(h http.Header) []string {
	var all []string
	for _, line := range h.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				all = append(all, cookie)
			}
		}
	}
	return all
}

// queryParameters decodes a query. The values of a name that is there more than
// once are joined by commas; what cannot be decoded stays as it is.
func queryParameters(raw string) map[string]string {
	joined := map[string]string{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		if before, ok := joined[name]; ok {
			value = before + "," + value
		}
		joined[name] = value
	}
	return joined
}

func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// isText says whether a body goes into an event as it is. AWS does not document
// its list; this one was observed there: https://github.com/ministackorg/ministack/pull/766.
// A text payload is a UTF-8 string by AWS's definition, so others are not text.
func isText(contentType string, body []byte) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil && media == "" {
		return false
	}
	switch media {
	case "application/json", "application/javascript", "application/xml":
	default:
		if !strings.HasPrefix(media, "text/") {
			return false
		}
	}
	return utf8.Valid(body)
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// newRequestID returns an ID that looks like API Gateway's: 16 characters.
func newRequestID() string {
	var b [11]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.URLEncoding.EncodeToString(b[:])
}

func newTraceID(at time.Time) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // it never fails
	return fmt.Sprintf("Root=1-%08x-%s", at.Unix(), hex.EncodeToString(b[:]))
}
