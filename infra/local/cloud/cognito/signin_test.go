package cognito_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"testing"

	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

// keys returns a pool's public keys by their ids, as a verifier reads them.
func (f *fixture) keys(t *testing.T) map[string]*rsa.PublicKey {
	t.Helper()
	resp, err := http.Get(f.url + "/" + f.pool + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var set struct {
		Keys []struct{ Kid, Kty, Alg, Use, N, E string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	keys := map[string]*rsa.PublicKey{}
	for _, k := range set.Keys {
		n, errN := base64.RawURLEncoding.DecodeString(k.N)
		e, errE := base64.RawURLEncoding.DecodeString(k.E)
		if errN != nil || errE != nil || k.Kty != "RSA" || k.Alg != "RS256" || k.Use != "sig" {
			t.Fatalf("got key %+v", k)
		}
		keys[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	return keys
}

// verify checks a token's signature and returns its claims.
func verify(keys map[string]*rsa.PublicKey, token string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key, ok := keys[kid]; ok {
			return key, nil
		}
		return nil, fmt.Errorf("no key %q", kid)
	}, jwt.WithValidMethods([]string{"RS256"}))
	return claims, err
}

func TestSignInGivesTokens(t *testing.T) {
	f, other := newFixture(t), newFixture(t)
	f.member(t, "alice")
	must(f.CreateGroup(t.Context(), &cip.CreateGroupInput{UserPoolId: &f.pool, GroupName: new("admins")}))(t)
	must(f.AdminAddUserToGroup(t.Context(), &cip.AdminAddUserToGroupInput{UserPoolId: &f.pool, GroupName: new("admins"), Username: new("ALICE")}))(t)
	result := must(f.signIn(t, "Alice", password))(t).AuthenticationResult
	claims, err := verify(f.keys(t), *result.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	iat, _ := claims["iat"].(float64)
	want := jwt.MapClaims{
		"sub": f.attribute(t, "alice", "sub"), "username": "alice", "client_id": f.client, "token_use": "access",
		"cognito:groups": []any{"admins"}, "iss": "https://cognito-idp.us-east-1.amazonaws.com/" + f.pool,
		"auth_time": iat, "exp": iat + 15*60, "scope": "aws.cognito.signin.user.admin",
	}
	for _, random := range []string{"iat", "jti", "origin_jti", "event_id"} {
		if claims[random] == nil {
			t.Errorf("the access token has no %s", random)
		}
		delete(claims, random)
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("access token (-want +got):\n%s", diff)
	}
	if result.ExpiresIn != 15*60 || *result.TokenType != "Bearer" || len(*result.RefreshToken) < 1000 {
		t.Errorf("got %d s, %s and a refresh token of %d bytes", result.ExpiresIn, *result.TokenType, len(*result.RefreshToken))
	}
	if _, err := verify(f.keys(t), *result.IdToken); err != nil {
		t.Errorf("id token: %v", err)
	}
	if _, err := verify(other.keys(t), *result.AccessToken); err == nil {
		t.Error("another pool's keys verify the token")
	}
}

func TestRefresh(t *testing.T) {
	f := newFixture(t)
	f.member(t, "alice")
	first := must(f.signIn(t, "Alice", password))(t).AuthenticationResult
	second := must(f.refresh(t, "alice", *first.RefreshToken))(t).AuthenticationResult
	if second.RefreshToken != nil {
		t.Error("got a new refresh token, want none")
	}
	keys := f.keys(t)
	before, after := must(verify(keys, *first.AccessToken))(t), must(verify(keys, *second.AccessToken))(t)
	for _, same := range []string{"auth_time", "origin_jti", "sub"} {
		if before[same] != after[same] {
			t.Errorf("got %s %v, want %v", same, after[same], before[same])
		}
	}
	if before["jti"] == after["jti"] {
		t.Error("got the same jti, want a new one")
	}
	if _, err := f.refresh(t, "someone", *first.RefreshToken); failure(err) != "NotAuthorizedException: Unable to verify secret hash for client "+f.client {
		t.Errorf("another user's hash: got %v", err)
	}
	if _, err := f.refresh(t, "alice", "nonsense"); failure(err) != "NotAuthorizedException: Invalid Refresh Token" {
		t.Errorf("nonsense: got %v", err)
	}
}

// TestSessionsEndWith asks that neither refresh nor access tokens are good
// after what ends the sessions of a user.
func TestSessionsEndWith(t *testing.T) {
	const revoked = "NotAuthorizedException: Refresh Token has been revoked"
	for name, end := range map[string]func(t *testing.T, f *fixture, s *types.AuthenticationResultType) error{
		"GlobalSignOut": func(t *testing.T, f *fixture, s *types.AuthenticationResultType) error {
			_, err := f.GlobalSignOut(t.Context(), &cip.GlobalSignOutInput{AccessToken: s.AccessToken})
			return err
		},
		"AdminUserGlobalSignOut": func(t *testing.T, f *fixture, _ *types.AuthenticationResultType) error {
			_, err := f.AdminUserGlobalSignOut(t.Context(), &cip.AdminUserGlobalSignOutInput{UserPoolId: &f.pool, Username: new("Alice")})
			return err
		},
		"RevokeToken": func(t *testing.T, f *fixture, s *types.AuthenticationResultType) error {
			_, err := f.RevokeToken(t.Context(), &cip.RevokeTokenInput{ClientId: &f.client, ClientSecret: &f.secret, Token: s.RefreshToken})
			return err
		},
		"AdminDisableUser": func(t *testing.T, f *fixture, _ *types.AuthenticationResultType) error {
			_, err := f.AdminDisableUser(t.Context(), &cip.AdminDisableUserInput{UserPoolId: &f.pool, Username: new("Alice")})
			return err
		},
		"AdminDeleteUser": func(t *testing.T, f *fixture, _ *types.AuthenticationResultType) error {
			_, err := f.AdminDeleteUser(t.Context(), &cip.AdminDeleteUserInput{UserPoolId: &f.pool, Username: new("Alice")})
			return err
		},
		"DeleteUser": func(t *testing.T, f *fixture, s *types.AuthenticationResultType) error {
			_, err := f.DeleteUser(t.Context(), &cip.DeleteUserInput{AccessToken: s.AccessToken})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.member(t, "alice")
			s := must(f.signIn(t, "alice", password))(t).AuthenticationResult
			if got := *must(f.GetUser(t.Context(), &cip.GetUserInput{AccessToken: s.AccessToken}))(t).Username; got != "alice" {
				t.Errorf("got user %s, want alice", got)
			}
			if err := end(t, f, s); err != nil {
				t.Fatal(err)
			}
			if _, err := f.refresh(t, "alice", *s.RefreshToken); failure(err) != revoked {
				t.Errorf("refresh: got %v, want %s", err, revoked)
			}
			if _, err := f.GetUser(t.Context(), &cip.GetUserInput{AccessToken: s.AccessToken}); failure(err) != "NotAuthorizedException: Access Token has been revoked" {
				t.Errorf("GetUser: got %v", err)
			}
		})
	}
}

func TestSignInRefuses(t *testing.T) {
	f, strangers := newFixture(t), newFixture(t)
	f.member(t, "alice")
	f.member(t, "disabled")
	must(f.AdminDisableUser(t.Context(), &cip.AdminDisableUserInput{UserPoolId: &f.pool, Username: new("disabled")}))(t)
	f.member(t, "resetting")
	must(f.AdminResetUserPassword(t.Context(), &cip.AdminResetUserPasswordInput{UserPoolId: &f.pool, Username: new("Resetting")}))(t)
	f.signUp(t, "new")
	for name, test := range map[string]struct {
		username, password string
		change             func(*cip.AdminInitiateAuthInput)
		want               string
	}{
		"wrong password":       {"alice", "wrong", nil, "NotAuthorizedException: Incorrect username or password."},
		"nobody":               {"nobody", password, nil, "NotAuthorizedException: Incorrect username or password."},
		"disabled":             {"disabled", password, nil, "NotAuthorizedException: User is disabled."},
		"unconfirmed":          {"new", password, nil, "UserNotConfirmedException: User is not confirmed."},
		"unconfirmed, guessed": {"new", "wrong", nil, "NotAuthorizedException: Incorrect username or password."},
		"to be reset":          {"resetting", password, nil, "PasswordResetRequiredException: Password reset required for the user"},
		"no secret": {
			"alice", password, func(in *cip.AdminInitiateAuthInput) { delete(in.AuthParameters, "SECRET_HASH") },
			"NotAuthorizedException: Client " + f.client + " is configured with secret but SECRET_HASH was not received",
		},
		"no password": {
			"alice", password, func(in *cip.AdminInitiateAuthInput) { delete(in.AuthParameters, "PASSWORD") },
			"InvalidParameterException: Missing required parameter PASSWORD",
		},
		"a flow that is off": {
			"alice", password, func(in *cip.AdminInitiateAuthInput) { in.AuthFlow = "CUSTOM_AUTH" },
			"InvalidParameterException: Auth flow not enabled for this client",
		},
		"another pool": {
			"alice", password, func(in *cip.AdminInitiateAuthInput) { in.UserPoolId = &strangers.pool },
			"ResourceNotFoundException: User pool client " + f.client + " does not exist.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := &cip.AdminInitiateAuthInput{
				UserPoolId: &f.pool, ClientId: &f.client, AuthFlow: "ADMIN_USER_PASSWORD_AUTH",
				AuthParameters: map[string]string{"USERNAME": test.username, "PASSWORD": test.password, "SECRET_HASH": *f.hash(test.username)},
			}
			if test.change != nil {
				test.change(in)
			}
			_, err := f.AdminInitiateAuth(t.Context(), in)
			if got := failure(err); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	_, err := f.InitiateAuth(t.Context(), &cip.InitiateAuthInput{
		ClientId: &f.client, AuthFlow: "USER_PASSWORD_AUTH",
		AuthParameters: map[string]string{"USERNAME": "alice", "PASSWORD": password, "SECRET_HASH": *f.hash("alice")},
	})
	if got, want := failure(err), "InvalidParameterException: USER_PASSWORD_AUTH flow not enabled for this client"; got != want {
		t.Errorf("around the administrator: got %s, want %s", got, want)
	}
}

// TestClientThatHidesNothing is the other half of what a client may be: one
// without a secret, that tells whether there is a user.
func TestClientThatHidesNothing(t *testing.T) {
	f := newFixture(t, func(_ *cip.CreateUserPoolInput, c *cip.CreateUserPoolClientInput) {
		c.GenerateSecret = false
		c.PreventUserExistenceErrors = "LEGACY"
		c.ExplicitAuthFlows = []types.ExplicitAuthFlowsType{"ALLOW_USER_PASSWORD_AUTH"}
	})
	f.member(t, "alice")
	signIn := func(username string) error {
		_, err := f.InitiateAuth(t.Context(), &cip.InitiateAuthInput{
			ClientId: &f.client, AuthFlow: "USER_PASSWORD_AUTH",
			AuthParameters: map[string]string{"USERNAME": username, "PASSWORD": password},
		})
		return err
	}
	if err := signIn("alice"); err != nil {
		t.Errorf("alice: got %v", err)
	}
	const missing = "UserNotFoundException: User does not exist."
	if err := signIn("nobody"); failure(err) != missing {
		t.Errorf("nobody: got %v, want %s", err, missing)
	}
	if err := f.confirm(t, "nobody", "123456"); failure(err) != missing {
		t.Errorf("confirm nobody: got %v, want %s", err, missing)
	}
	if _, err := f.ForgotPassword(t.Context(), &cip.ForgotPasswordInput{ClientId: &f.client, Username: new("nobody")}); failure(err) != missing {
		t.Errorf("forgot nobody: got %v, want %s", err, missing)
	}
	if _, err := f.signIn(t, "alice", password); failure(err) != "InvalidParameterException: Auth flow not enabled for this client" {
		t.Errorf("by the administrator: got %v", err)
	}
}
