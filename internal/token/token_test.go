package token_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/token"
)

var audience = token.Audience{Issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc", ClientID: "client"}

// publish serves keys as a pool does, and returns where.
func publish(t *testing.T, keys ...string) *token.Keys {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[%s]}`, strings.Join(keys, ",")) // a client that left has failed its test
	}))
	t.Cleanup(server.Close)
	return token.NewKeys(server.Client(), server.URL)
}

func newKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// jwk is a public key as Cognito publishes it.
func jwk(id string, key *rsa.PrivateKey) string {
	return fmt.Sprintf(`{"kid":%q,"kty":"RSA","use":"sig","alg":"RS256","n":%q,"e":%q}`, id,
		base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
}

// claims are those of an access token, changed by the maps given. A nil value
// takes a claim away.
func claims(changes ...jwt.MapClaims) jwt.MapClaims {
	now := time.Now()
	c := jwt.MapClaims{
		"sub": "3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e", "iss": audience.Issuer, "client_id": audience.ClientID,
		"token_use": "access", "username": "dewi", "scope": "aws.cognito.signin.user.admin",
		"auth_time": now.Add(-time.Minute).Unix(), "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func sign(t *testing.T, method jwt.SigningMethod, kid string, key any, c jwt.MapClaims) string {
	t.Helper()
	unsigned := jwt.NewWithClaims(method, c)
	unsigned.Header["kid"] = kid
	text, err := unsigned.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestVerify(t *testing.T) {
	key, other := newKey(t, 2048), newKey(t, 2048)
	keys := publish(t, jwk("one", key))
	rs256 := func(c jwt.MapClaims) string { return sign(t, jwt.SigningMethodRS256, "one", key, c) }
	public := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&key.PublicKey)})
	good := rs256(claims())
	parts := strings.Split(good, ".")
	expired := jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()}
	for name, test := range map[string]struct {
		token string
		want  fault.Kind
	}{
		"good":                      {good, ""},
		"nothing":                   {"", fault.TokenInvalid},
		"nonsense":                  {"a.b.c", fault.TokenInvalid},
		"tampered claims":           {parts[0] + "." + strings.Split(rs256(claims(jwt.MapClaims{"sub": "another"})), ".")[1] + "." + parts[2], fault.TokenInvalid},
		"tampered signature":        {parts[0] + "." + parts[1] + "." + strings.Split(rs256(claims(jwt.MapClaims{"sub": "another"})), ".")[2], fault.TokenInvalid},
		"no signature":              {parts[0] + "." + parts[1] + ".", fault.TokenInvalid},
		"alg none":                  {sign(t, jwt.SigningMethodNone, "one", jwt.UnsafeAllowNoneSignatureType, claims()), fault.TokenInvalid},
		"HS256 with the public key": {sign(t, jwt.SigningMethodHS256, "one", public, claims()), fault.TokenInvalid},
		"RS512":                     {sign(t, jwt.SigningMethodRS512, "one", key, claims()), fault.TokenInvalid},
		"key of another":            {sign(t, jwt.SigningMethodRS256, "one", other, claims()), fault.TokenInvalid},
		"unknown key":               {sign(t, jwt.SigningMethodRS256, "two", other, claims()), fault.TokenInvalid},
		"no key":                    {sign(t, jwt.SigningMethodRS256, "", key, claims()), fault.TokenInvalid},
		"another pool":              {rs256(claims(jwt.MapClaims{"iss": audience.Issuer + "d"})), fault.TokenInvalid},
		"another client":            {rs256(claims(jwt.MapClaims{"client_id": "another"})), fault.TokenInvalid},
		"ID token":                  {rs256(claims(jwt.MapClaims{"token_use": "id", "aud": "client", "client_id": nil})), fault.TokenInvalid},
		"ID token with a client":    {rs256(claims(jwt.MapClaims{"token_use": "id"})), fault.TokenInvalid},
		"no subject":                {rs256(claims(jwt.MapClaims{"sub": nil})), fault.TokenInvalid},
		"no time of sign-in":        {rs256(claims(jwt.MapClaims{"auth_time": nil})), fault.TokenInvalid},
		"no expiry":                 {rs256(claims(jwt.MapClaims{"exp": nil})), fault.TokenInvalid},
		"expired":                   {rs256(claims(expired)), fault.TokenExpired},
		"expired, another client":   {rs256(claims(expired, jwt.MapClaims{"client_id": "another"})), fault.TokenInvalid},
		"expired, key of another":   {sign(t, jwt.SigningMethodRS256, "one", other, claims(expired)), fault.TokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := token.NewVerifier(audience, keys).Verify(t.Context(), test.token)
			if test.want != "" {
				if !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != "3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e" || time.Since(got.AuthTime) < time.Minute {
				t.Errorf("got %+v, want subject and time of the sign-in", got)
			}
		})
	}
}

// Keys that RS256 is not verified with are as good as none.
func TestVerifyPassesOverKeys(t *testing.T) {
	key, short := newKey(t, 2048), newKey(t, 1024)
	good := jwk("one", key)
	for name, published := range map[string]string{
		"for encryption":       strings.Replace(good, `"sig"`, `"enc"`, 1),
		"of another algorithm": strings.Replace(good, "RS256", "RS512", 1),
		"of another type":      strings.Replace(good, "RSA", "EC", 1),
		"not to be read":       strings.Replace(good, `"n":"`, `"n":"***`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			v := token.NewVerifier(audience, publish(t, published))
			if _, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, "one", key, claims())); !errors.Is(err, fault.TokenInvalid) {
				t.Errorf("got %v, want %v", err, fault.TokenInvalid)
			}
		})
	}
	t.Run("too short", func(t *testing.T) {
		v := token.NewVerifier(audience, publish(t, jwk("one", short)))
		if _, err := v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, "one", short, claims())); !errors.Is(err, fault.TokenInvalid) {
			t.Errorf("got %v, want %v", err, fault.TokenInvalid)
		}
	})
}
