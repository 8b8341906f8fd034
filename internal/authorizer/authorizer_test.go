package authorizer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/apikey"
	"github.com/tenantry/tenantry/internal/authorizer"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/impersonation"
	"github.com/tenantry/tenantry/internal/opaque"
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
	case "disabled-admin":
		u.Role, u.TenantID, u.Disabled = identity.PlatformAdmin, "", true
	case "moved":
		u.TenantID = "another"
	case "out-before":
		u.SessionsEndedAt = signedIn.Add(-time.Millisecond)
	case "out-then":
		u.SessionsEndedAt = signedIn.Add(999 * time.Millisecond)
	case "out-after":
		u.SessionsEndedAt = signedIn.Add(time.Hour)
	}
	return u, nil
}

// byHash finds what has a token with a hash by trying the tokens that tests use.
func byHash(hash opaque.Hash, prefix string, names ...string) string {
	for _, name := range names {
		if opaque.HashOf(prefix+name) == hash {
			return name
		}
	}
	return ""
}

// keys is an authorizer.Keys.
type keys struct{}

func (keys) ByHash(_ context.Context, hash opaque.Hash) (apikey.Key, error) {
	switch byHash(hash, opaque.ServiceKey, "good", "forever", "old", "no-store") {
	case "good":
		return apikey.Key{ID: "K1", Scopes: []identity.Scope{identity.SIPRead}, TenantIDs: []identity.TenantID{"t"}, ExpiresAt: new(time.Unix(2_000_000_000, 0))}, nil
	case "forever":
		return apikey.Key{ID: "K2", Scopes: []identity.Scope{identity.CallsWrite}}, nil
	case "old":
		return apikey.Key{ID: "K3", Scopes: []identity.Scope{identity.SIPRead}, ExpiresAt: new(time.Now())}, nil
	case "no-store":
		return apikey.Key{}, errors.New("get the key")
	}
	return apikey.Key{}, apikey.NotFound("")
}

// impersonations is an authorizer.Impersonations.
type impersonations struct{}

func (impersonations) ByHash(_ context.Context, hash opaque.Hash) (impersonation.Session, error) {
	s := impersonation.Session{ID: "I1", Actor: "admin", Subject: "dewi", TenantID: "t", Mode: identity.Full, ExpiresAt: time.Unix(2_000_000_000, 0)}
	name := byHash(hash, opaque.Impersonation, "dewi", "ended", "over", "by-new", "by-dewi", "by-disabled-admin", "disabled", "moved", "new", "no-store")
	switch by, other := strings.CutPrefix(name, "by-"); {
	case name == "":
		return s, impersonation.NotFound("")
	case name == "no-store":
		return s, errors.New("get the session")
	case name == "ended":
		s.EndedAt = new(time.Now())
	case name == "over":
		s.ExpiresAt = time.Now()
	case other:
		s.Actor = identity.UserID(by)
	default:
		s.Subject = identity.UserID(name)
	}
	return s, nil
}

var stores = authorizer.Stores{Tokens: verifyFunc(verify), Users: getFunc(get), Keys: keys{}, Impersonations: impersonations{}}

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

		"service":                          {`{"identitySource":["Bearer tnk_good"]}`, `{"isAuthorized":true,"context":{"subject":"K1","role":"service","scopes":["sip:read"],"tenant_ids":["t"],"expires_at":2000000000}}`},
		"service, for good":                {`{"identitySource":["bearer tnk_forever"]}`, `{"isAuthorized":true,"context":{"subject":"K2","role":"service","scopes":["calls:write"]}}`},
		"expired key":                      {`{"identitySource":["Bearer tnk_old"]}`, expired},
		"unknown key":                      {`{"identitySource":["Bearer tnk_unknown"]}`, invalid},
		"whether it is a key is unknown":   {`{"identitySource":["Bearer tnk_no-store"]}`, ""},
		"impersonation":                    {`{"identitySource":["Bearer tni_dewi"]}`, `{"isAuthorized":true,"context":{"subject":"dewi","tenant_id":"t","role":"owner","impersonation_id":"I1","actor":"admin","mode":"full","expires_at":2000000000}}`},
		"ended impersonation":              {`{"identitySource":["Bearer tni_ended"]}`, invalid},
		"impersonation that is over":       {`{"identitySource":["Bearer tni_over"]}`, expired},
		"unknown impersonation":            {`{"identitySource":["Bearer tni_unknown"]}`, invalid},
		"impersonation by one who is gone": {`{"identitySource":["Bearer tni_by-new"]}`, invalid},
		"impersonation by no admin":        {`{"identitySource":["Bearer tni_by-dewi"]}`, invalid},
		"impersonation by the disabled":    {`{"identitySource":["Bearer tni_by-disabled-admin"]}`, invalid},
		"impersonation of the disabled":    {`{"identitySource":["Bearer tni_disabled"]}`, invalid},
		"impersonation of one who moved":   {`{"identitySource":["Bearer tni_moved"]}`, invalid},
		"impersonation of nobody":          {`{"identitySource":["Bearer tni_new"]}`, invalid},
		"whether it goes on is unknown":    {`{"identitySource":["Bearer tni_no-store"]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var r authorizer.Request
			if err := json.Unmarshal([]byte(test.event), &r); err != nil {
				t.Fatal(err)
			}
			answer, err := authorizer.New(stores)(t.Context(), r)
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
