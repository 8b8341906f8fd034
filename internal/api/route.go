package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// RouteNotFound serves what no route matches. It answers 405 where the path has
// other methods, as methods tells, and else 404. A browser's question before a
// request from another origin is answered by the gateway's CORS settings, which
// add to a 204.
func RouteNotFound(methods func(path string) ([]string, error)) Operation {
	return Operation{
		Name:     "RouteNotFound",
		Allow:    identity.Public(),
		AnyQuery: true,
		Handle: func(_ context.Context, r *Request) (*Response, error) {
			allowed, err := methods(r.URI)
			if err != nil {
				return nil, err
			}
			if len(allowed) == 0 {
				return nil, fault.New(fault.NotFound, "there is no route %s; see /docs", r.URI)
			}
			allow := strings.Join(allowed, ", ")
			if r.Method == http.MethodOptions {
				resp := NoContent()
				resp.Header["allow"] = allow
				return resp, nil
			}
			return nil, &fault.Error{
				Kind:    fault.MethodNotAllowed,
				Detail:  r.URI + " takes " + allow,
				Members: map[string]any{"allow": allow},
			}
		},
	}
}
