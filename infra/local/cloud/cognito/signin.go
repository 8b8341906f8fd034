package cognito

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

const newPasswordRequired = "NEW_PASSWORD_REQUIRED"

type authInput struct {
	UserPoolID     string `json:"UserPoolId"`
	ClientID       string `json:"ClientId"`
	AuthFlow       string
	AuthParameters map[string]string
}

type authOutput struct {
	AuthenticationResult *tokens `json:",omitempty"`
	ChallengeName        string  `json:",omitempty"`
	ChallengeParameters  map[string]string
	Session              string `json:",omitempty"`
}

var errWrongPassword = awsjson.Errorf("NotAuthorizedException", "Incorrect username or password.")

func (f *Front) initiateAuth(ctx context.Context, in authInput) (any, error) {
	client, err := f.pools.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(in.AuthFlow, "ADMIN_") {
		return nil, awsjson.Errorf("InvalidParameterException", "Initiate Auth method not supported.")
	}
	if !client.allows(in.AuthFlow) {
		return nil, awsjson.Errorf("InvalidParameterException", "%s flow not enabled for this client", in.AuthFlow)
	}
	return f.authenticate(ctx, client, in)
}

func (f *Front) adminInitiateAuth(ctx context.Context, in authInput) (any, error) {
	client, err := f.pools.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	if client.UserPoolID != in.UserPoolID {
		return nil, awsjson.Errorf("ResourceNotFoundException", "User pool client %s does not exist.", in.ClientID)
	}
	if !client.allows(in.AuthFlow) {
		return nil, awsjson.Errorf("InvalidParameterException", "Auth flow not enabled for this client")
	}
	return f.authenticate(ctx, client, in)
}

func (f *Front) authenticate(ctx context.Context, client *client, in authInput) (any, error) {
	switch in.AuthFlow {
	case "ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH", "USER_PASSWORD_AUTH":
		return f.signIn(ctx, client, in.AuthParameters)
	case "REFRESH_TOKEN_AUTH", "REFRESH_TOKEN":
		return f.refresh(ctx, client, in.AuthParameters)
	default:
		return nil, awsjson.Errorf("InvalidParameterException", "the flow %s is not offered on one machine", in.AuthFlow)
	}
}

func (f *Front) signIn(ctx context.Context, client *client, params map[string]string) (any, error) {
	name, password := params["USERNAME"], params["PASSWORD"]
	switch {
	case name == "":
		return nil, awsjson.Errorf("InvalidParameterException", "Missing required parameter USERNAME")
	case password == "":
		return nil, awsjson.Errorf("InvalidParameterException", "Missing required parameter PASSWORD")
	}
	if err := client.checkSecret(name, params["SECRET_HASH"]); err != nil {
		return nil, err
	}
	u, err := f.user(ctx, client.pool, name)
	if errors.Is(err, errUserNotFound) && client.hidesUsers() {
		return nil, errWrongPassword
	}
	if err != nil {
		return nil, err
	}
	if err := f.checkPassword(ctx, client, u, password); err != nil {
		return nil, err
	}
	switch u.UserStatus {
	case unconfirmed:
		return nil, awsjson.Errorf("UserNotConfirmedException", "User is not confirmed.")
	case resetRequired:
		return nil, awsjson.Errorf("PasswordResetRequiredException", "Password reset required for the user")
	case forceChangePassword:
		return f.challenge(client, u)
	}
	return f.signedIn(ctx, client, u)
}

// checkPassword fails unless the user may sign in by that password.
func (f *Front) checkPassword(ctx context.Context, client *client, u *user, password string) error {
	if !u.Enabled {
		return errDisabled
	}
	err := f.call(ctx, client.pool.region, "AdminInitiateAuth", authInput{
		UserPoolID:     client.UserPoolID,
		ClientID:       client.ClientID,
		AuthFlow:       "ADMIN_USER_PASSWORD_AUTH",
		AuthParameters: map[string]string{"USERNAME": u.Username, "PASSWORD": password},
	}, nil)
	if awsjson.HasCode(err, "NotAuthorizedException") {
		return errWrongPassword
	}
	return err
}

// signedIn begins a session and returns its tokens.
func (f *Front) signedIn(ctx context.Context, client *client, u *user) (any, error) {
	groups, err := f.groups(ctx, client.pool, u.Username)
	if err != nil {
		return nil, err
	}
	s := f.sessions.begin(client, u)
	result, err := issueTokens(client, s, u, groups)
	if err != nil {
		return nil, err
	}
	result.RefreshToken = s.refresh
	return authOutput{AuthenticationResult: result, ChallengeParameters: map[string]string{}}, nil
}

func (f *Front) refresh(ctx context.Context, client *client, params map[string]string) (any, error) {
	s, err := f.sessions.refreshed(client, params["REFRESH_TOKEN"])
	if err != nil {
		return nil, err
	}
	if err := client.checkSecret(s.user.name, params["SECRET_HASH"]); err != nil {
		return nil, err
	}
	u, err := f.user(ctx, client.pool, s.user.name)
	if err != nil {
		return nil, err
	}
	if !u.Enabled {
		return nil, errDisabled
	}
	groups, err := f.groups(ctx, client.pool, u.Username)
	if err != nil {
		return nil, err
	}
	result, err := issueTokens(client, &s, u, groups)
	if err != nil {
		return nil, err
	}
	return authOutput{AuthenticationResult: result, ChallengeParameters: map[string]string{}}, nil
}

// A challenged is a user who must choose a password to sign in.
type challenged struct {
	clientID string
	user     userKey
	expires  time.Time
}

// challenges are those that are not answered yet, by session.
type challenges struct {
	mu     sync.Mutex
	issued map[string]challenged
}

const challengeLifetime = 3 * time.Minute

func (s *challenges) issue(clientID string, u userKey) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.issued == nil {
		s.issued = map[string]challenged{}
	}
	id := uuid.NewString()
	s.issued[id] = challenged{clientID, u, time.Now().Add(challengeLifetime)}
	return id
}

// check fails unless the session is that of a challenge to the user.
func (s *challenges) check(id, clientID string, u userKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.issued[id]
	switch {
	case !ok:
		return awsjson.Errorf("NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	case c.clientID != clientID || c.user != u:
		return awsjson.Errorf("NotAuthorizedException", "Invalid session for the user.")
	case time.Now().After(c.expires):
		return awsjson.Errorf("NotAuthorizedException", "Invalid session for the user, session is expired.")
	}
	return nil
}

func (s *challenges) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.issued, id)
}

func (f *Front) challenge(client *client, u *user) (any, error) {
	known := map[string]string{}
	for _, a := range u.UserAttributes {
		if a.Name != "sub" {
			known[a.Name] = a.Value
		}
	}
	encoded, err := json.Marshal(known)
	if err != nil {
		return nil, err
	}
	return authOutput{
		ChallengeName: newPasswordRequired,
		ChallengeParameters: map[string]string{
			"USER_ID_FOR_SRP":    u.Username,
			"requiredAttributes": "[]",
			"userAttributes":     string(encoded),
		},
		Session: f.challenges.issue(client.ClientID, client.pool.key(u.Username)),
	}, nil
}

type challengeInput struct {
	ClientID           string `json:"ClientId"`
	ChallengeName      string
	Session            string
	ChallengeResponses map[string]string
}

// respondToChallenge lets an invited user choose a password and signs them in.
func (f *Front) respondToChallenge(ctx context.Context, in challengeInput) (any, error) {
	if in.ChallengeName != newPasswordRequired {
		return nil, awsjson.Errorf("InvalidParameterException", "the challenge %s is not offered on one machine", in.ChallengeName)
	}
	name, password := in.ChallengeResponses["USERNAME"], in.ChallengeResponses["NEW_PASSWORD"]
	client, err := f.client(in.ClientID, name, in.ChallengeResponses["SECRET_HASH"])
	if err != nil {
		return nil, err
	}
	if err := f.choosePassword(ctx, client, in.Session, name, password); err != nil {
		return nil, err
	}
	u, err := f.user(ctx, client.pool, name)
	if err != nil {
		return nil, err
	}
	return f.signedIn(ctx, client, u)
}

func (f *Front) choosePassword(ctx context.Context, client *client, session, name, password string) error {
	p := client.pool
	k := p.key(name)
	defer f.users.lock(k)()
	if err := f.challenges.check(session, client.ClientID, k); err != nil {
		return err
	}
	if err := p.Policies.PasswordPolicy.check(password); err != nil {
		return err
	}
	u, err := f.user(ctx, p, name)
	if err != nil {
		return err
	}
	if !u.Enabled {
		return errDisabled
	}
	if err := f.setPassword(ctx, p, k.name, password, true); err != nil {
		return err
	}
	f.challenges.drop(session)
	return nil
}

type revokeInput struct {
	ClientID     string `json:"ClientId"`
	ClientSecret string
	Token        string
}

func (f *Front) revokeToken(_ context.Context, in revokeInput) (any, error) {
	client, err := f.pools.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	if in.ClientSecret != client.ClientSecret {
		return nil, awsjson.Errorf("UnauthorizedException", "Invalid client secret")
	}
	f.sessions.revoke(in.Token)
	return empty{}, nil
}
