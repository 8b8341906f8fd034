package set

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func TestBadInput(t *testing.T) {
	admin := newClient(t, common).admin()
	before := len(admin.do("GET", "/tenants?q=bad-input", nil).must(200).List)
	for name, test := range map[string]struct {
		body   string
		status int
		kind   string
		want   []string // pointers of the faults, in any order
	}{
		"not JSON":           {`{"name":`, 400, "malformed", nil},
		"two values":         {`{"name":"Bad-input"}{}`, 400, "malformed", nil},
		"array":              {`[]`, 422, "invalid", []string{"#"}},
		"unknown members":    {`{"name":"Bad-input","owner":"x","colour":1}`, 400, "malformed", []string{"#/colour", "#/owner"}},
		"wrong case":         {`{"Name":"Bad-input"}`, 400, "malformed", []string{"#/Name"}},
		"duplicate member":   {`{"name":"Bad-input","name":"Bad-input"}`, 400, "malformed", []string{"#/name"}},
		"invalid UTF-8":      {"{\"name\":\"Bad-input \xff\"}", 400, "malformed", nil},
		"unpaired surrogate": {`{"name":"Bad-input \ud800"}`, 400, "malformed", nil},
		"line break":         {`{"name":"Bad-input\nmore"}`, 400, "malformed", []string{"#/name"}},
		"NUL":                {`{"name":"Bad-input \u0000"}`, 400, "malformed", []string{"#/name"}},
		"nesting":            {`{"name":"Bad-input","meta_data":` + strings.Repeat(`{"a":`, 20) + `1` + strings.Repeat(`}`, 21), 400, "malformed", nil},
		"read-only":          {`{"name":"Bad-input","status":"active","owner_id":"x","created_at":"now"}`, 422, "invalid", []string{"#/created_at", "#/owner_id", "#/status"}},
		"all rules at once": {
			`{"name":" ","slug":"-","country":"XX","billing_plan":"gold","max_concurrent_calls":0,"monthly_call_limit":-1,"limits":{"max_agents":-1,"max_contacts":"many"},
			"sip_enabled":true,"sip_password":"short","recording_format":"avi","retention_days":0,"webhook_url":"http://localhost/","webhook_timeout_seconds":61,
			"isolation":"none","admin_email":"nobody","admin_password":"short"}`,
			422, "invalid",
			[]string{
				"#/admin_email", "#/admin_password", "#/billing_plan", "#/country", "#/isolation", "#/limits/max_agents", "#/limits/max_contacts",
				"#/max_concurrent_calls", "#/monthly_call_limit", "#/name", "#/recording_format", "#/retention_days", "#/sip_domain", "#/sip_password",
				"#/sip_username", "#/slug", "#/webhook_timeout_seconds", "#/webhook_url",
			},
		},
		"too large": {`{"name":"` + strings.Repeat("x", 66_000) + `"}`, 413, "too-large", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := *admin
			c.t = t
			a := c.do("POST", "/tenants", test.body).problem(test.status, test.kind)
			if diff := cmp.Diff(test.want, pointers(a)); diff != "" {
				t.Errorf("faults: %s\n%s", diff, a.Raw)
			}
		})
	}
	if after := len(admin.do("GET", "/tenants?q=bad-input", nil).must(200).List); after != before {
		t.Errorf("bad input made %d tenants", after-before)
	}
	admin.with("Content-Type", "text/plain").do("POST", "/tenants", `{"name":"Bad-input"}`).problem(415, "unsupported-media-type")
	admin.do("GET", "/tenants?limit=1001&offset=-1&status_filter=none", nil).problem(422, "invalid")
	admin.do("GET", "/tenants?sort=name", nil).problem(400, "malformed")
	admin.do("GET", "/nowhere", nil).problem(404, "not-found")
	admin.do("DELETE", "/health", nil).problem(405, "method-not-allowed")
}

// pointers returns what the faults of a problem point at, sorted.
func pointers(a *answer) []string {
	var out []string
	list, _ := a.Body["errors"].([]any)
	for _, e := range list {
		field, _ := e.(map[string]any)
		if p, ok := field["pointer"].(string); ok {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

func TestAnothersTenant(t *testing.T) {
	c := newClient(t, common)
	id, username, _, password := c.signUp()
	c.signIn(username, password).active(id)
	_, other, _, otherPassword := c.signUp()
	stranger := c.signIn(other, otherPassword)
	theirs := stranger.do("GET", "/tenants/"+id, nil).problem(404, "not-found")
	none := stranger.do("GET", "/tenants/00000000-0000-4000-8000-000000000000", nil).problem(404, "not-found")
	if got, want := strings.ReplaceAll(theirs.text("detail"), id, "X"), strings.ReplaceAll(none.text("detail"), "00000000-0000-4000-8000-000000000000", "X"); got != want {
		t.Errorf("another's tenant answers %q, and none %q", got, want)
	}
	stranger.do("PATCH", "/tenants/"+id, `{"name":"Mine"}`).problem(404, "not-found")
	stranger.do("GET", "/tenants/"+id+"/operations", nil).problem(404, "not-found")
	stranger.do("GET", "/tenants", nil).problem(403, "forbidden")
	stranger.do("POST", "/tenants", `{"name":"More"}`).problem(403, "forbidden")
	owner := c.signIn(username, password)
	var operations *answer
	eventually(t, "the operation was listed", func() bool {
		operations = owner.do("GET", "/tenants/"+id+"/operations", nil).must(200)
		return len(operations.List) == 1
	})
	operation, _ := operations.List[0]["id"].(string)
	owner.do("GET", "/operations/"+operation, nil).must(200)
	stranger.do("GET", "/operations/"+operation, nil).problem(404, "not-found")
	owner.do("PATCH", "/tenants/"+id, `{"billing_plan":"enterprise"}`).problem(403, "plan-ceiling")
}

func TestTokens(t *testing.T) {
	c := newClient(t, common)
	_, username, _, password := c.signUp()
	signedIn := c.do("POST", "/auth/token", map[string]any{"username": username, "password": password}).must(200)
	good := signedIn.text("access_token")
	c.as(good).do("GET", "/auth/me", nil).must(200)

	header, claims := parts(t, good)
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	with := func(name string, value any) map[string]any {
		changed := map[string]any{name: value}
		for k, v := range claims {
			if k != name {
				changed[k] = v
			}
		}
		return changed
	}
	sections := strings.Split(good, ".")
	for name, token := range map[string]string{
		"nonsense":         "nonsense",
		"tampered":         sections[0] + "." + encode(t, with("sub", "00000000-0000-4000-8000-000000000000")) + "." + sections[2],
		"alg none":         encode(t, map[string]any{"alg": "none", "kid": header["kid"]}) + "." + sections[1] + ".",
		"alg HS256":        hs256(t, header, claims),
		"foreign key":      sign(t, foreign, header, claims),
		"expired, foreign": sign(t, foreign, header, with("exp", time.Now().Add(-time.Hour).Unix())),
		"another pool":     sign(t, foreign, header, with("iss", "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_other")),
		"refresh token":    signedIn.text("refresh_token"),
		"service key":      "tnk_" + strings.Repeat("a", 43),
	} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			c.as(token).do("GET", "/auth/me", nil).problem(401, "token-invalid")
		})
	}
	if got := c.do("GET", "/auth/me", nil); got.Status != 401 || got.Raw != `{"message":"Unauthorized"}` {
		t.Errorf("without a token: got %d %s, want the gateway's 401", got.Status, got.Raw)
	}
}

func TestLogout(t *testing.T) {
	c := newClient(t, common)
	_, username, _, password := c.signUp()
	signedIn := c.do("POST", "/auth/token", map[string]any{"username": username, "password": password}).must(200)
	refreshed := c.do("POST", "/auth/refresh", map[string]any{"refresh_token": signedIn.text("refresh_token")}).must(200)
	unused := refreshed.text("access_token")
	c.as(signedIn.text("access_token")).do("POST", "/auth/logout", nil).must(204)
	// A token that the gateway has not seen is not in its cache, so it is refused
	// at once.
	c.as(unused).do("GET", "/auth/me", nil).problem(401, "token-invalid")
	c.do("POST", "/auth/refresh", map[string]any{"refresh_token": signedIn.text("refresh_token")}).must(401)
	c.signIn(username, password).do("GET", "/auth/me", nil).must(200)
}

func parts(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	sections := strings.Split(token, ".")
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(sections[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func encode(t *testing.T, v map[string]any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func hs256(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	signed := encode(t, map[string]any{"alg": "HS256", "kid": header["kid"]}) + "." + encode(t, claims)
	mac := hmac.New(sha256.New, []byte("a key of mine"))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func sign(t *testing.T, key *rsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(claims))
	token.Header["kid"] = header["kid"]
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
