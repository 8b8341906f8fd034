package set

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

// maxLogged is how many bytes a request may log, of which CloudWatch takes money.
const maxLogged = 600

// TestRequestsLogLittle counts what requests log that succeed, are refused, change
// much and change nothing: one line each, of the function or of the authorizer.
func TestRequestsLogLittle(t *testing.T) {
	c := newClient(t, common).admin()
	id := c.do("POST", "/tenants", map[string]any{"name": unique("Logged"), "isolation": "pooled"}).must(202).text("id")
	c.active(id)
	agent := map[string]any{"tenant_id": id, "name": "Sales", "system_prompt": strings.Repeat("be brief ", 400)}
	for name, request := range map[string]func(c *client) *answer{
		"read": func(c *client) *answer { return c.do("GET", "/tenants/"+id, nil).must(200) },
		"page": func(c *client) *answer { return c.do("GET", "/tenants?limit=100", nil).must(200) },
		"create": func(c *client) *answer {
			return c.with("Idempotency-Key", uuid.NewString()).do("POST", "/agents", agent).must(201)
		},
		"provision": func(c *client) *answer {
			return c.do("POST", "/tenants", map[string]any{"name": unique("Logged"), "isolation": "pooled"}).must(202)
		},
		"many faults": func(c *client) *answer {
			return c.do("POST", "/agents", map[string]any{"tenant_id": 1, "name": 2, "voice": 3, "language": 4}).must(422)
		},
		"long parameter": func(c *client) *answer {
			return c.do("GET", "/tenants?limit=1"+strings.Repeat("0", 1000), nil).must(400)
		},
		"many unknown": func(c *client) *answer {
			return c.do("GET", "/tenants?a="+strings.Repeat("&unknown-parameter-"+uuid.NewString()+"=1", 40), nil).must(400)
		},
		"not found": func(c *client) *answer { return c.do("GET", "/tenants/"+strings.Repeat("x", 500), nil).must(404) },
		"no route":  func(c *client) *answer { return c.do("GET", "/"+strings.Repeat("x", 500), nil).must(404) },
		"bad token": func(c *client) *answer {
			return c.as(strings.Repeat("x", 2000)).do("GET", "/tenants/"+id, nil).must(401)
		},
		"bad body": func(c *client) *answer { return c.do("POST", "/agents", strings.Repeat("x", 5000)).must(400) },
	} {
		t.Run(name, func(t *testing.T) {
			own := *c
			own.t = t
			a := request(&own)
			var got string
			eventually(t, "it was logged", func() bool {
				got = logged(common, a.Header.Get("X-Request-Id"))
				return got != ""
			})
			if len(got) > maxLogged || strings.Count(got, "\n") != 1 {
				t.Errorf("it logs %d bytes, want one line of %d at most:\n%s", len(got), maxLogged, got)
			}
		})
	}
}
