// Package gateway answers HTTP as an API Gateway HTTP API does: it finds the
// route, asks the authorizer, gives the function an event of payload format 2.0
// and makes a response of its answer. It knows nothing of templates or of how a
// function is run.
package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/tenantry/tenantry/infra/local/lambda"
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

// CORS is the API's CORS configuration.
type CORS struct {
	AllowOrigins     []string
	AllowMethods     []string
	AllowHeaders     []string
	ExposeHeaders    []string
	AllowCredentials bool
	MaxAge           time.Duration
}

// Options configure a Gateway.
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
type Gateway struct{}

// New returns the API that o describes. It fails if a route is ill-formed or
// there are two of a kind.
func New(o Options) (*Gateway, error) { return &Gateway{}, nil }

// ResetAuthorizerCache forgets the authorizer's answers, as the API Gateway call
// of that name does.
func (g *Gateway) ResetAuthorizerCache() {}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
