package cognito

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

// A pool is what this package needs to know of a user pool.
type pool struct {
	ID           string `json:"Id"`
	LambdaConfig struct {
		PreSignUp        string
		PostConfirmation string
	}
	Policies struct {
		PasswordPolicy passwordPolicy
	}
	UsernameConfiguration struct {
		CaseSensitive *bool
	}
	AdminCreateUserConfig struct {
		AllowAdminCreateUserOnly bool
		InviteMessageTemplate    struct {
			EmailSubject string
			EmailMessage string
		}
	}
	EmailVerificationSubject string
	EmailVerificationMessage string
	AutoVerifiedAttributes   []string
	SchemaAttributes         []schemaAttribute

	region string
	signer *signer
}

// A client is what this package needs to know of a pool's client.
type client struct {
	ClientID                   string `json:"ClientId"`
	UserPoolID                 string `json:"UserPoolId"`
	ClientSecret               string
	ExplicitAuthFlows          []string
	PreventUserExistenceErrors string
	WriteAttributes            []string
	AccessTokenValidity        int
	IDTokenValidity            int `json:"IdTokenValidity"`
	RefreshTokenValidity       int
	TokenValidityUnits         struct {
		AccessToken  string
		IDToken      string `json:"IdToken"`
		RefreshToken string
	}

	pool *pool
}

// A userKey names a user; its name is canonical.
type userKey struct {
	pool string
	name string
}

// canonical returns a user name as moto keeps it.
func (p *pool) canonical(name string) string {
	if sensitive := p.UsernameConfiguration.CaseSensitive; sensitive != nil && !*sensitive {
		return strings.ToLower(name)
	}
	return name
}

func (p *pool) key(name string) userKey { return userKey{p.ID, p.canonical(name)} }

// verifiesEmail says whether accounts are confirmed by a code that is mailed.
func (p *pool) verifiesEmail() bool { return slices.Contains(p.AutoVerifiedAttributes, "email") }

// hidesUsers says whether answers must not tell if there is a user.
func (c *client) hidesUsers() bool { return c.PreventUserExistenceErrors == "ENABLED" }

// checkSecret checks the hash by which a caller proves to know the client's
// secret.
func (c *client) checkSecret(username, hash string) error {
	switch {
	case c.ClientSecret == "" && hash == "":
		return nil
	case c.ClientSecret == "":
		return awsjson.Errorf("NotAuthorizedException", "Client %s is not configured with secret but secret hash was received", c.ClientID)
	case hash == "":
		return awsjson.Errorf("NotAuthorizedException", "Client %s is configured with secret but SECRET_HASH was not received", c.ClientID)
	}
	mac := hmac.New(sha256.New, []byte(c.ClientSecret))
	mac.Write([]byte(username + c.ClientID))
	if base64.StdEncoding.EncodeToString(mac.Sum(nil)) != hash {
		return awsjson.Errorf("NotAuthorizedException", "Unable to verify secret hash for client %s", c.ClientID)
	}
	return nil
}

// allows says whether a sign-in flow is on.
func (c *client) allows(flow string) bool {
	on := c.ExplicitAuthFlows
	if len(on) == 0 {
		on = []string{"ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_CUSTOM_AUTH"}
	}
	switch flow {
	case "ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH":
		return slices.Contains(on, "ALLOW_ADMIN_USER_PASSWORD_AUTH") || slices.Contains(on, "ADMIN_NO_SRP_AUTH")
	case "REFRESH_TOKEN", "REFRESH_TOKEN_AUTH":
		// The older names of the flows have none for this one: it was always on.
		return slices.Contains(on, "ALLOW_REFRESH_TOKEN_AUTH") || !strings.HasPrefix(on[0], "ALLOW_")
	default:
		return slices.Contains(on, "ALLOW_"+flow) || slices.Contains(on, flow)
	}
}

func (c *client) accessLifetime() time.Duration {
	return lifetime(c.AccessTokenValidity, cmp.Or(c.TokenValidityUnits.AccessToken, "hours"), time.Hour)
}

func (c *client) idLifetime() time.Duration {
	return lifetime(c.IDTokenValidity, cmp.Or(c.TokenValidityUnits.IDToken, "hours"), time.Hour)
}

func (c *client) refreshLifetime() time.Duration {
	return lifetime(c.RefreshTokenValidity, cmp.Or(c.TokenValidityUnits.RefreshToken, "days"), 30*24*time.Hour)
}

func lifetime(n int, unit string, byDefault time.Duration) time.Duration {
	if n == 0 {
		return byDefault
	}
	units := map[string]time.Duration{"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour}
	return time.Duration(n) * units[unit]
}

// pools are the pools and clients that were made through this package.
type pools struct {
	mu      sync.RWMutex
	byID    map[string]*pool
	clients map[string]*client
}

func newPools() *pools {
	return &pools{byID: map[string]*pool{}, clients: map[string]*client{}}
}

func (s *pools) pool(id string) (*pool, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.byID[id]
	return p, ok
}

// poolOf returns the pool that an administrator named.
func (s *pools) poolOf(id string) (*pool, error) {
	p, ok := s.pool(id)
	if !ok {
		return nil, awsjson.Errorf("ResourceNotFoundException", "User pool %s does not exist.", id)
	}
	return p, nil
}

// client returns the client of that id, of whichever pool.
func (s *pools) client(id string) (*client, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.clients[id]
	if !ok {
		return nil, awsjson.Errorf("ResourceNotFoundException", "User pool client %s does not exist.", id)
	}
	withPool := *c
	withPool.pool = s.byID[c.UserPoolID]
	return &withPool, nil
}

// keep remembers a pool. It stays the signer of a pool that was known already.
func (s *pools) keep(p *pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.byID[p.ID]; ok {
		p.signer = old.signer
	} else {
		p.signer = newSigner()
	}
	p.region, _, _ = strings.Cut(p.ID, "_")
	s.byID[p.ID] = p
}

func (s *pools) keepClient(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ClientID] = c
}

func (s *pools) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
	for clientID, c := range s.clients {
		if c.UserPoolID == id {
			delete(s.clients, clientID)
		}
	}
}

func (s *pools) forgetClient(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, id)
}

// changePool lets moto create or update a pool and remembers what it is now.
func (f *Front) changePool(ctx context.Context, c *call) (any, error) {
	in, err := c.decode()
	if err != nil {
		return nil, err
	}
	completePolicy(in)
	answer, err := f.send(ctx, c, in)
	if err != nil {
		return nil, err
	}
	var id struct {
		UserPoolID string `json:"UserPoolId"`
	}
	id.UserPoolID, _ = in["UserPoolId"].(string)
	if body, ok := answer.(json.RawMessage); ok && id.UserPoolID == "" {
		var created struct {
			UserPool struct {
				ID string `json:"Id"`
			}
		}
		if err := json.Unmarshal(body, &created); err != nil {
			return nil, err
		}
		id.UserPoolID = created.UserPool.ID
	}
	var described struct{ UserPool pool }
	if err := f.call(ctx, c.region, "DescribeUserPool", id, &described); err != nil {
		return nil, err
	}
	f.pools.keep(&described.UserPool)
	return answer, nil
}

// completePolicy writes out the defaults of a password policy, of which moto
// has others.
func completePolicy(in map[string]any) {
	policies, _ := in["Policies"].(map[string]any)
	policy, ok := policies["PasswordPolicy"].(map[string]any)
	if !ok {
		return
	}
	policy["MaximumLength"] = maxPassword + 1 // moto takes it to be too long
	for _, rule := range []string{"RequireUppercase", "RequireLowercase", "RequireNumbers", "RequireSymbols"} {
		if policy[rule] == nil {
			policy[rule] = false
		}
	}
}

func (f *Front) deletePool(ctx context.Context, c *call) (any, error) {
	answer, err := f.pass(ctx, c)
	if err != nil {
		return nil, err
	}
	var in struct {
		UserPoolID string `json:"UserPoolId"`
	}
	_ = json.Unmarshal(c.body, &in) // pass has decoded it
	f.pools.forget(in.UserPoolID)
	return answer, nil
}

// changeClient lets moto create or update a client and remembers what it is
// now.
func (f *Front) changeClient(ctx context.Context, c *call) (any, error) {
	answer, err := f.pass(ctx, c)
	if err != nil {
		return nil, err
	}
	body, _ := answer.(json.RawMessage)
	var changed struct{ UserPoolClient client }
	if err := json.Unmarshal(body, &changed); err != nil {
		return nil, err
	}
	f.pools.keepClient(&changed.UserPoolClient)
	return answer, nil
}

func (f *Front) deleteClient(ctx context.Context, c *call) (any, error) {
	answer, err := f.pass(ctx, c)
	if err != nil {
		return nil, err
	}
	var in struct {
		ClientID string `json:"ClientId"`
	}
	_ = json.Unmarshal(c.body, &in) // pass has decoded it
	f.pools.forgetClient(in.ClientID)
	return answer, nil
}
