// Package token reads the access tokens that a Cognito user pool issues, and
// trusts none that it has not verified.
package token

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// algorithm is the only one that Cognito signs with. A token does not choose how
// it is verified.
const algorithm = "RS256"

// Claims are what a token says of whoever holds it.
type Claims struct {
	Subject  identity.UserID
	AuthTime time.Time // when they signed in, in whole seconds
	Expires  time.Time // when the token expires, in whole seconds
}

// An Audience is whom tokens are issued by, and for.
type Audience struct {
	Issuer   string
	ClientID string
}

// A Verifier verifies access tokens.
type Verifier struct {
	audience Audience
	keys     *Keys
	parser   *jwt.Parser
}

// NewVerifier returns a Verifier of the tokens of an audience.
func NewVerifier(a Audience, keys *Keys) *Verifier {
	return &Verifier{a, keys, jwt.NewParser(
		jwt.WithValidMethods([]string{algorithm}),
		jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation(), // claims.check does it, in its own order
	)}
}

// claims are the parts of an access token that are looked at.
type claims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id"`
	TokenUse string `json:"token_use"`
	AuthTime int64  `json:"auth_time"`
}

// Verify returns what a token says. It fails with fault.TokenExpired if the token
// was good once, and with fault.TokenInvalid if it never was. An error without a
// kind says that the keys could not be read.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	var c claims
	var keyErr error
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, err := v.keys.get(ctx, id)
		keyErr = err
		return key, err
	})
	switch {
	case keyErr != nil && !errors.Is(keyErr, errNoKey):
		return Claims{}, keyErr
	case err != nil:
		return Claims{}, invalid(err)
	}
	if err := c.check(v.audience); err != nil {
		return Claims{}, err
	}
	return Claims{identity.UserID(c.Subject), time.Unix(c.AuthTime, 0), c.ExpiresAt.Time}, nil
}

// check looks at the expiry last, so that only a token which was good once is
// called expired.
func (c claims) check(a Audience) error {
	switch {
	case c.Issuer != a.Issuer:
		return invalid(errors.New("another issuer"))
	case c.ClientID != a.ClientID:
		return invalid(errors.New("another client"))
	case c.TokenUse != "access":
		return invalid(errors.New("not an access token"))
	case c.Subject == "" || c.AuthTime <= 0 || c.ExpiresAt == nil:
		return invalid(errors.New("claims are missing"))
	case !time.Now().Before(c.ExpiresAt.Time):
		return fault.New(fault.TokenExpired, "the token has expired")
	}
	return nil
}

func invalid(cause error) error {
	return fault.Wrap(cause, fault.TokenInvalid, "the token is not good")
}
