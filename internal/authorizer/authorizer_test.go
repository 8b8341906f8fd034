package authorizer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/authorizer"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/token"
	"github.com/tenantry/tenantry/internal/user"
)

var signedIn = time.Unix(1_800_000_000, 0)

// verifyFunc is an authorizer.TokenVerifier.
type verifyFunc func(string) (token.Claims, error)

func (f verifyFunc) Verify(_ context.Context, text string) (token.Claims, error) { return f(text) }

// verify takes the name of a user for their token.
func verify(text string) (token.Claims, error) {
	switch text {
	case "":
		return token.Claims{}, fault.New(fault.TokenInvalid, "there is no token")
	case "bad":
		return token.Claims{}, fault.New(fault.TokenInvalid, "the token is not good")
	case "old":
		return token.Claims{}, fault.New(fault.TokenExpired, "the token has expired")
	case "no-keys":
		return token.Claims{}, errors.New("read the keys")
	}
	return token.Claims{Subject: identity.UserID(text), AuthTime: signedIn, Expires: time.Unix(2_000_000_000, 0)}, nil
}

// getFunc is an authorizer.Users.
type getFunc func(identity.UserID) (user.User, error)

func (f getFunc) Get(_ context.Context, id identity.UserID) (user.User, error) { return f(id) }

func get(id identity.UserID) (user.User, error) {
	u := user.User{ID: id, Role: identity.Owner, TenantID: "t"}
	switch id {
	case "new":
		return user.User{}, fault.New(fault.NotFound, "there is no user %q", id)
	case "no-store":
		return user.User{}, errors.New("get the user")
	case "admin":
		u.Role, u.TenantID = identity.PlatformAdmin, ""
	case "disabled":
		u.Disabled = true
	case "out-before":
		u.SessionsEndedAt = signedIn.Add(-time.Millisecond)
	case "out-then":
		u.SessionsEndedAt = signedIn.Add(999 * time.Millisecond)
	case "out-after":
		u.SessionsEndedAt = signedIn.Add(time.Hour)
	}
	return u, nil
}

func TestAuthorizer(t *testing.T) {
	invalid, expired := `{"isAuthorized":true,"context":{"problem":"token-invalid"}}`, `{"isAuthorized":true,"context":{"problem":"token-expired"}}`
	for name, test := range map[string]struct {
		event string
		want  string // "" for a failure
	}{
		"member":                          {`{"identitySource":["Bearer dewi"]}`, `{"isAuthorized":true,"context":{"subject":"dewi","tenant_id":"t","role":"owner","expires_at":2000000000}}`},
		"scheme in lower case":            {`{"identitySource":["bearer dewi"],"routeKey":"GET /auth/me"}`, `{"isAuthorized":true,"context":{"subject":"dewi","tenant_id":"t","role":"owner","expires_at":2000000000}}`},
		"platform admin":                  {`{"identitySource":["Bearer admin"]}`, `{"isAuthorized":true,"context":{"subject":"admin","role":"platform_admin","expires_at":2000000000}}`},
		"no user yet":                     {`{"identitySource":["Bearer new"]}`, `{"isAuthorized":true,"context":{"subject":"new","role":"applicant","expires_at":2000000000}}`},
		"bad token":                       {`{"identitySource":["Bearer bad"]}`, invalid},
		"expired token":                   {`{"identitySource":["Bearer old"]}`, expired},
		"no token":                        {`{"identitySource":["Bearer"]}`, invalid},
		"another scheme":                  {`{"identitySource":["Basic dewi"]}`, invalid},
		"no scheme":                       {`{"identitySource":["dewi"]}`, invalid},
		"no header":                       {`{"identitySource":[]}`, invalid},
		"disabled":                        {`{"identitySource":["Bearer disabled"]}`, invalid},
		"signed in after the logout":      {`{"identitySource":["Bearer out-before"]}`, `{"isAuthorized":true,"context":{"subject":"out-before","tenant_id":"t","role":"owner","expires_at":2000000000}}`},
		"signed in that very second":      {`{"identitySource":["Bearer out-then"]}`, invalid},
		"signed in before the logout":     {`{"identitySource":["Bearer out-after"]}`, invalid},
		"the keys cannot be read":         {`{"identitySource":["Bearer no-keys"]}`, ""},
		"whether it is a user is unknown": {`{"identitySource":["Bearer no-store"]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var r authorizer.Request
			if err := json.Unmarshal([]byte(test.event), &r); err != nil {
				t.Fatal(err)
			}
			answer, err := authorizer.New(verifyFunc(verify), getFunc(get))(t.Context(), r)
			if failed := err != nil; failed != (test.want == "") {
				t.Fatalf("got the error %v", err)
			}
			if err != nil {
				return
			}
			got, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
