package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// preflight says whether r asks what a script may do.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// annotate adds the CORS headers for r, if its origin is allowed.
func (c *CORS) annotate(h http.Header, r *http.Request) {
	origin := c.allowed(r.Header.Get("Origin"))
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if c.AllowCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if !preflight(r) {
		setList(h, "Access-Control-Expose-Headers", c.ExposeHeaders)
		return
	}
	setList(h, "Access-Control-Allow-Methods", c.AllowMethods)
	setList(h, "Access-Control-Allow-Headers", c.AllowHeaders)
	if c.MaxAge > 0 {
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge.Seconds())))
	}
}

// allowed returns what to tell a request from origin, or "" if there was none or
// it is not allowed. Apart from "*", "http://*" and "https://*" allow any host.
func (c *CORS) allowed(origin string) string {
	if origin == "" {
		return ""
	}
	if slices.Contains(c.AllowOrigins, "*") {
		return "*"
	}
	for _, allowed := range c.AllowOrigins {
		scheme, anyHost := strings.CutSuffix(allowed, "://*")
		if allowed == origin || anyHost && strings.HasPrefix(origin, scheme+"://") {
			return origin
		}
	}
	return ""
}

func setList(h http.Header, name string, values []string) {
	if len(values) > 0 {
		h.Set(name, strings.Join(values, ","))
	}
}
