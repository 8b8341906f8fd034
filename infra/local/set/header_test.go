package set

import (
	"net/http"
	"strings"
	"testing"
)

// TestHeaders looks at the headers that docs/security.md tells of, behind the gateway.
func TestHeaders(t *testing.T) {
	c := newClient(t, common)
	for path, status := range map[string]int{"/health": 200, "/docs": 200, "/openapi.json": 200, "/nowhere": 404} {
		got := c.do("GET", path, nil).must(status).Header
		checkHeaders(t, path, got)
		if cached := got.Get("Cache-Control") == "public, max-age=300"; cached != (path == "/docs" || path == "/openapi.json") {
			t.Errorf("Cache-Control of %s is %q", path, got.Get("Cache-Control"))
		}
	}
	checkHeaders(t, "a problem", c.do("POST", "/auth/token", map[string]any{}).must(422).Header)
	checkHeaders(t, "what admins get", c.admin().do("GET", "/auth/me", nil).must(200).Header)
}

func checkHeaders(t *testing.T, what string, got http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=63072000; includeSubDomains", "X-Content-Type-Options": "nosniff",
	} {
		if got.Get(name) != want {
			t.Errorf("%s of %s is %q, want %q", name, what, got.Get(name), want)
		}
	}
	if policy := got.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy of %s is %q", what, policy)
	}
}
