// Package gateway answers HTTP as an API Gateway HTTP API does: it finds the
// route, asks the authorizer, gives the function an event of payload format 2.0
// and makes a response of its answer. It knows nothing of templates or of how a
// function is run.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/tenantry/tenantry/infra/local/lambda"
)

// API Gateway's limits.
const (
	maxBody           = 10 << 20
	maxHeader         = 10240 // the request line and the values of the headers
	authorizerTimeout = 10 * time.Second
)

// An Invoker runs a function by its name.
type Invoker interface {
	Invoke(ctx context.Context, name string, payload []byte) (lambda.Result, error)
}

// A Route leads from a method and a path to a function.
type Route struct {
	Method   string // GET, …, or ANY; empty for $default
	Path     string // /tenants/{tenant_id}, /docs/{path+}, or $default
	Function string // the name to invoke
	Public   bool   // not subject to the authorizer
}

// An Authorizer is a Lambda authorizer of type REQUEST, format 2.0, with simple
// responses.
type Authorizer struct {
	Function string
	Headers  []string      // the identity sources; each must be in a request
	TTL      time.Duration // how long an answer holds for the same identity; 0 is not at all
}

// CORS is the API's CORS configuration. As on AWS, a preflight request that a
// route matches, $default and ANY included, goes to that route.
type CORS struct {
	AllowOrigins     []string
	AllowMethods     []string
	AllowHeaders     []string
	ExposeHeaders    []string
	AllowCredentials bool
	MaxAge           time.Duration
}

// Options configure a Gateway. What has a default may be left out.
type Options struct {
	Routes     []Route
	Authorizer *Authorizer // nil if every route is public
	CORS       *CORS       // nil if the API has none
	Invoker    Invoker

	Region             string        // us-east-1
	AccountID          string        // 123456789012
	APIID              string        // local
	IntegrationTimeout time.Duration // 30 s
	Log                *slog.Logger  // why it answered 5xx: slog.Default()
}

// A Gateway is an HTTP API.
type Gateway struct {
	o          Options
	routes     []*route
	authorizer *authorizer // nil if there is none
}

// New returns the API that o describes. It fails if a route is ill-formed, if
// there are two of a kind, or if one needs an authorizer and there is none.
func New(o Options) (*Gateway, error) {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.AccountID = cmp.Or(o.AccountID, "123456789012")
	o.APIID = cmp.Or(o.APIID, "local")
	o.IntegrationTimeout = cmp.Or(o.IntegrationTimeout, 30*time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	g := &Gateway{o: o}
	if o.Authorizer != nil {
		g.authorizer = &authorizer{Authorizer: *o.Authorizer, invoker: o.Invoker, verdicts: map[string]*verdict{}}
	}
	keys := map[string]bool{}
	for _, r := range o.Routes {
		compiled, err := newRoute(r)
		if err != nil {
			return nil, err
		}
		if keys[compiled.pattern()] {
			return nil, fmt.Errorf("there are two routes %s", compiled.key)
		}
		keys[compiled.pattern()] = true
		if !r.Public && g.authorizer == nil {
			return nil, fmt.Errorf("route %s needs an authorizer and there is none", compiled.key)
		}
		g.routes = append(g.routes, compiled)
	}
	return g, nil
}

// ResetAuthorizerCache forgets the authorizer's answers, as the API Gateway call
// of that name does.
func (g *Gateway) ResetAuthorizerCache() {
	if g.authorizer != nil {
		g.authorizer.reset()
	}
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{r: r, id: newRequestID(), at: time.Now()}
	w.Header().Set("Apigw-Requestid", c.id)
	if g.o.CORS != nil {
		g.o.CORS.annotate(w.Header(), r)
	}
	if headerSize(r) > maxHeader {
		refuse(w, http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
		return
	}
	c.route, c.params = find(g.routes, r.Method, r.URL)
	if c.route == nil {
		g.serveUnrouted(w, r)
		return
	}
	var err error
	c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "Bad Request")
		return
	}
	if !c.route.Public && !g.authorize(w, c) {
		return
	}
	g.integrate(w, c)
}

// serveUnrouted answers a request that no route matches.
func (g *Gateway) serveUnrouted(w http.ResponseWriter, r *http.Request) {
	if g.o.CORS != nil && preflight(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	refuse(w, http.StatusNotFound, "Not Found")
}

// authorize asks the authorizer about c, and says whether c may go on. If not,
// it has been answered.
func (g *Gateway) authorize(w http.ResponseWriter, c *call) bool {
	identity := g.authorizer.identity(c.r)
	if identity == nil {
		refuse(w, http.StatusUnauthorized, "Unauthorized")
		return false
	}
	v, err := g.authorizer.ask(c.r.Context(), identity, g.authorizerEvent(c, identity))
	switch {
	case c.r.Context().Err() != nil: // nobody waits for an answer
	case err != nil:
		g.o.Log.ErrorContext(c.r.Context(), "authorizer failed", "request_id", c.id, "function", g.authorizer.Function, "error", err)
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
	case !v.IsAuthorized:
		refuse(w, http.StatusForbidden, "Forbidden")
	default:
		c.context = v.Context
		return true
	}
	return false
}

// integrate invokes the function of c, and answers with what it says.
func (g *Gateway) integrate(w http.ResponseWriter, c *call) {
	ctx, cancel := context.WithTimeout(c.r.Context(), g.o.IntegrationTimeout)
	defer cancel()
	res, err := g.o.Invoker.Invoke(ctx, c.route.Function, encode(g.event(c)))
	switch {
	case err == nil && res.FunctionError != "":
		err = fmt.Errorf("function error: %s", res.Payload)
	case err == nil:
		err = respond(w, res.Payload, g.o.CORS != nil)
	}
	if err == nil || c.r.Context().Err() != nil {
		return
	}
	g.o.Log.ErrorContext(ctx, "integration failed", "request_id", c.id, "route", c.route.key, "function", c.route.Function, "error", err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
	case errors.Is(err, lambda.ErrTooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	default:
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

// headerSize returns what counts against maxHeader.
func headerSize(r *http.Request) int {
	size := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len("  ") + len(r.Host)
	for _, values := range r.Header {
		for _, value := range values {
			size += len(value)
		}
	}
	return size
}
