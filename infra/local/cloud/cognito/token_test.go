package cognito

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

// newTestClient returns a client whose access tokens live five minutes.
func newTestClient() *client {
	c := &client{
		ClientID:   "client",
		UserPoolID: "us-east-1_Pool", AccessTokenValidity: 5, RefreshTokenValidity: 1,
		pool: &pool{ID: "us-east-1_Pool", region: "us-east-1", signer: newSigner()},
	}
	c.TokenValidityUnits.AccessToken = "minutes"
	return c
}

var bob = &user{
	Username:       "bob",
	UserAttributes: attributes{{"sub", "0b"}, {"email", "bob@b.test"}, {"email_verified", "true"}, {"custom:role", "business"}},
}

func TestRefreshKeepsTheTimeOfTheSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newTestClient(), newSessions()
		signedIn := time.Now()
		session := s.begin(c, bob)
		time.Sleep(time.Hour)
		result, err := issueTokens(c, session, bob, []string{"platform-admins"})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"sub": "0b", "username": "bob", "client_id": "client", "token_use": "access",
			"scope":          "aws.cognito.signin.user.admin",
			"iss":            "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Pool",
			"cognito:groups": []any{"platform-admins"},
			"auth_time":      float64(signedIn.Unix()),
			"iat":            float64(time.Now().Unix()),
			"exp":            float64(time.Now().Add(5 * time.Minute).Unix()),
			"origin_jti":     session.origin,
		}
		if diff := cmp.Diff(want, claimsOf(t, result.AccessToken, "jti", "event_id")); diff != "" {
			t.Errorf("access token (-want +got):\n%s", diff)
		}
		if result.ExpiresIn != 300 {
			t.Errorf("got ExpiresIn %d, want 300", result.ExpiresIn)
		}
		want = map[string]any{
			"sub": "0b", "cognito:username": "bob", "aud": "client", "token_use": "id",
			"iss":            "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Pool",
			"cognito:groups": []any{"platform-admins"},
			"email":          "bob@b.test", "email_verified": true, "custom:role": "business",
			"auth_time":  float64(signedIn.Unix()),
			"iat":        float64(time.Now().Unix()),
			"exp":        float64(time.Now().Add(time.Hour).Unix()),
			"origin_jti": session.origin,
		}
		if diff := cmp.Diff(want, claimsOf(t, result.IDToken, "jti", "event_id")); diff != "" {
			t.Errorf("id token (-want +got):\n%s", diff)
		}
	})
}

// claimsOf returns a token's claims but for some that are random, which must
// be there.
func claimsOf(t *testing.T, token string, random ...string) map[string]any {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
		t.Fatal(err)
	}
	for _, name := range random {
		if claims[name] == nil {
			t.Errorf("the token has no %s", name)
		}
		delete(claims, name)
	}
	return claims
}

func TestSessionEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*sessions, *session)
		want string
	}{
		"by time":           {func(*sessions, *session) { time.Sleep(24 * time.Hour) }, "NotAuthorizedException: Refresh Token has expired"},
		"by its token":      {func(s *sessions, n *session) { s.revoke(n.refresh) }, "NotAuthorizedException: Refresh Token has been revoked"},
		"with all others":   {func(s *sessions, n *session) { s.revokeAll(n.user) }, "NotAuthorizedException: Refresh Token has been revoked"},
		"not just before":   {func(*sessions, *session) { time.Sleep(24*time.Hour - time.Second) }, ""},
		"not by a stranger": {func(s *sessions, _ *session) { s.revokeAll(alice) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newTestClient(), newSessions()
				n := s.begin(c, bob)
				test.end(s, n)
				_, err := s.refreshed(c, n.refresh)
				if got := errorText(err); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestRefreshTokenIsForItsClient(t *testing.T) {
	c, s := newTestClient(), newSessions()
	n := s.begin(c, bob)
	other := newTestClient()
	other.ClientID = "other"
	const want = "NotAuthorizedException: Invalid Refresh Token"
	for name, try := range map[string]func() (session, error){
		"other client": func() (session, error) { return s.refreshed(other, n.refresh) },
		"no token":     func() (session, error) { return s.refreshed(c, "") },
	} {
		if _, err := try(); errorText(err) != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestChallengeIsForItsUserOnceAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s challenges
		id := s.issue("client", alice)
		check := func(id, clientID string, u userKey, want string) {
			t.Helper()
			if got := errorText(s.check(id, clientID, u)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		const stranger = "NotAuthorizedException: Invalid session for the user."
		check(id, "client", userKey{alice.pool, "bob"}, stranger)
		check(id, "other", alice, stranger)
		check(id, "client", alice, "")
		time.Sleep(challengeLifetime + time.Second)
		check(id, "client", alice, "NotAuthorizedException: Invalid session for the user, session is expired.")
		s.drop(id)
		check(id, "client", alice, "NotAuthorizedException: Invalid session for the user, session can only be used once.")
	})
}
