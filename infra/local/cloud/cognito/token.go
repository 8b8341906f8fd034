package cognito

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

// A signer signs the tokens of one pool. Like Cognito it has a key for access
// tokens and another for ID tokens. Moto's own tokens are not used: all its
// pools share one published key, it ignores lifetimes, and a refresh changes
// auth_time.
type signer struct {
	access, id *signingKey
}

type signingKey struct {
	id  string
	key func() *rsa.PrivateKey
}

func newSigner() *signer { return &signer{newSigningKey(), newSigningKey()} }

// newSigningKey returns a key that is made, which takes a while, when first used.
func newSigningKey() *signingKey {
	return &signingKey{id: base64.StdEncoding.EncodeToString(randomBytes(32)), key: sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		return key
	})}
}

func (k *signingKey) sign(claims jwt.MapClaims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header = map[string]any{"kid": k.id, "alg": "RS256"}
	return t.SignedString(k.key())
}

// A jwk is a public key as RFC 7517 writes it.
type jwk struct {
	Algorithm string `json:"alg"`
	Exponent  string `json:"e"`
	ID        string `json:"kid"`
	Type      string `json:"kty"`
	Modulus   string `json:"n"`
	Use       string `json:"use"`
}

func (k *signingKey) public() jwk {
	pub := k.key().PublicKey
	return jwk{
		Algorithm: "RS256",
		Exponent:  base64.RawURLEncoding.EncodeToString(big.NewInt(int64(pub.E)).Bytes()),
		ID:        k.id,
		Type:      "RSA",
		Modulus:   base64.RawURLEncoding.EncodeToString(pub.N.Bytes()),
		Use:       "sig",
	}
}

// serveKeys answers GET /{pool}/.well-known/jwks.json.
func (f *Front) serveKeys(w http.ResponseWriter, poolID string) {
	p, err := f.pools.poolOf(poolID)
	if err != nil {
		awsjson.WriteError(w, err)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=86400")
	awsjson.Write(w, map[string][]jwk{"keys": {p.signer.id.public(), p.signer.access.public()}})
}

// A session is a sign-in: what its refresh token stands for.
type session struct {
	user     userKey
	clientID string
	refresh  string
	origin   string // origin_jti of all its tokens
	authTime time.Time
	expires  time.Time
	revoked  bool
}

// tokens are the result of a sign-in or a refresh.
type tokens struct {
	AccessToken  string
	ExpiresIn    int
	IDToken      string `json:"IdToken"`
	RefreshToken string `json:",omitempty"`
	TokenType    string
}

// issueTokens signs tokens for a session, as they are valid from now.
func issueTokens(c *client, s *session, u *user, groups []string) (*tokens, error) {
	now := time.Now()
	common := jwt.MapClaims{
		"sub":        u.sub(),
		"iss":        "https://cognito-idp." + c.pool.region + ".amazonaws.com/" + c.pool.ID,
		"origin_jti": s.origin,
		"event_id":   uuid.NewString(),
		"auth_time":  s.authTime.Unix(),
		"iat":        now.Unix(),
	}
	if len(groups) > 0 {
		common["cognito:groups"] = groups
	}
	access, err := c.pool.signer.access.sign(with(common, jwt.MapClaims{
		"client_id": c.ClientID,
		"token_use": "access",
		"scope":     "aws.cognito.signin.user.admin",
		"exp":       now.Add(c.accessLifetime()).Unix(),
		"jti":       uuid.NewString(),
		"username":  u.Username,
	}))
	if err != nil {
		return nil, err
	}
	id, err := c.pool.signer.id.sign(with(common, u.claims(), jwt.MapClaims{
		"aud":              c.ClientID,
		"token_use":        "id",
		"exp":              now.Add(c.idLifetime()).Unix(),
		"jti":              uuid.NewString(),
		"cognito:username": u.Username,
	}))
	if err != nil {
		return nil, err
	}
	return &tokens{AccessToken: access, ExpiresIn: int(c.accessLifetime().Seconds()), IDToken: id, TokenType: "Bearer"}, nil
}

// with returns all of the given claims in one map.
func with(parts ...jwt.MapClaims) jwt.MapClaims {
	all := jwt.MapClaims{}
	for _, m := range parts {
		maps.Copy(all, m)
	}
	return all
}

// sessions are all sign-ins.
type sessions struct {
	mu        sync.Mutex
	byRefresh map[string]*session
	byOrigin  map[string]*session
}

func newSessions() *sessions {
	return &sessions{byRefresh: map[string]*session{}, byOrigin: map[string]*session{}}
}

// begin begins a session of a user who has just signed in.
func (s *sessions) begin(c *client, u *user) *session {
	now := time.Now()
	n := &session{
		user:     c.pool.key(u.Username),
		clientID: c.ClientID,
		refresh:  newRefreshToken(),
		origin:   uuid.NewString(),
		authTime: now,
		expires:  now.Add(c.refreshLifetime()),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byRefresh[n.refresh] = n
	s.byOrigin[n.origin] = n
	return n
}

// refreshed returns the session that a client's refresh token stands for.
func (s *sessions) refreshed(c *client, token string) (session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.byRefresh[token]
	switch {
	case !ok || n.clientID != c.ClientID:
		return session{}, awsjson.Errorf("NotAuthorizedException", "Invalid Refresh Token")
	case n.revoked:
		return session{}, awsjson.Errorf("NotAuthorizedException", "Refresh Token has been revoked")
	case !time.Now().Before(n.expires):
		return session{}, awsjson.Errorf("NotAuthorizedException", "Refresh Token has expired")
	}
	return *n, nil
}

// accessed returns the session that an access token was issued for.
func (s *sessions) accessed(origin string) (session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.byOrigin[origin]
	switch {
	case !ok:
		return session{}, errInvalidAccessToken
	case n.revoked:
		return session{}, awsjson.Errorf("NotAuthorizedException", "Access Token has been revoked")
	}
	return *n, nil
}

// revoke ends the session of a refresh token, if there is one.
func (s *sessions) revoke(refresh string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.byRefresh[refresh]; ok {
		n.revoked = true
	}
}

// revokeAll ends all sessions of a user.
func (s *sessions) revokeAll(u userKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.byRefresh {
		if n.user == u {
			n.revoked = true
		}
	}
}

var errInvalidAccessToken = awsjson.Errorf("NotAuthorizedException", "Invalid Access Token")

// bearer returns pool and session of an access token, which must be valid.
func (f *Front) bearer(token string) (*pool, session, error) {
	var claims struct {
		jwt.RegisteredClaims
		TokenUse string `json:"token_use"`
		Origin   string `json:"origin_jti"`
	}
	var p *pool
	_, err := jwt.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		issuer, err := t.Claims.GetIssuer()
		if err != nil {
			return nil, err
		}
		if p, err = f.pools.poolOf(issuer[strings.LastIndexByte(issuer, '/')+1:]); err != nil {
			return nil, err
		}
		return &p.signer.access.key().PublicKey, nil
	}, jwt.WithValidMethods([]string{"RS256"}))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, session{}, awsjson.Errorf("NotAuthorizedException", "Access Token has expired")
	case err != nil || claims.TokenUse != "access":
		return nil, session{}, errInvalidAccessToken
	}
	s, err := f.sessions.accessed(claims.Origin)
	return p, s, err
}

// newRefreshToken returns an opaque token of the form and length of Cognito's,
// which is an encrypted JWT.
func newRefreshToken() string {
	const header = `{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}`
	parts := []string{base64.RawURLEncoding.EncodeToString([]byte(header))}
	for _, n := range []int{256, 12, 960, 16} {
		parts = append(parts, base64.RawURLEncoding.EncodeToString(randomBytes(n)))
	}
	return strings.Join(parts, ".")
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
