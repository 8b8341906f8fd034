package cognito

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// platformAdmins is the group whose members are made platform admins when they
// first sign in.
const platformAdmins = "platform-admins"

var (
	errCredentials = fault.New(fault.InvalidCredentials, "the user name or the password is wrong")
	errRefresh     = fault.New(fault.TokenInvalid, "the refresh token is not one that this API issued, or it was withdrawn; sign in again")
)

// SignIn fails with fault.InvalidCredentials unless the password is that of the
// account, with fault.NewPasswordRequired if another is due, with
// fault.UserNotConfirmed, and with fault.TooManyRequests.
func (c *AppClient) SignIn(ctx context.Context, username, password string) (account.Tokens, error) {
	out, err := c.initiate(ctx, username, password)
	if err != nil {
		return account.Tokens{}, err
	}
	if out.ChallengeName == types.ChallengeNameTypeNewPasswordRequired {
		return account.Tokens{}, fault.New(fault.NewPasswordRequired, "send the request again with new_password, which becomes your password")
	}
	return newTokens(out.AuthenticationResult)
}

// SignInAnew is SignIn where another password is due. It fails with fault.Invalid
// where none is.
func (c *AppClient) SignInAnew(ctx context.Context, username, password, newPassword string) (account.Tokens, error) {
	out, err := c.initiate(ctx, username, password)
	if err != nil {
		return account.Tokens{}, err
	}
	if out.ChallengeName != types.ChallengeNameTypeNewPasswordRequired {
		return account.Tokens{}, invalid(nil, "#/new_password", "can be given only when the first password of an invited user is replaced")
	}
	name := cmp.Or(out.ChallengeParameters["USER_ID_FOR_SRP"], username)
	hash, err := c.secretHash(ctx, name)
	if err != nil {
		return account.Tokens{}, err
	}
	answered, err := c.client.AdminRespondToAuthChallenge(ctx, &cognitoidentityprovider.AdminRespondToAuthChallengeInput{
		UserPoolId:         &c.poolID,
		ClientId:           &c.clientID,
		ChallengeName:      out.ChallengeName,
		ChallengeResponses: map[string]string{"USERNAME": name, "NEW_PASSWORD": newPassword, "SECRET_HASH": hash},
		Session:            out.Session,
	}, onceUnlessThrottled)
	if _, ok := errors.AsType[*types.InvalidPasswordException](err); ok {
		return account.Tokens{}, invalid(nil, "#/new_password", "must be as the password policy asks")
	}
	if err != nil {
		return account.Tokens{}, refusal("choose a password", err, errCredentials)
	}
	return newTokens(answered.AuthenticationResult)
}

func (c *AppClient) initiate(ctx context.Context, username, password string) (*cognitoidentityprovider.AdminInitiateAuthOutput, error) {
	out, err := c.authenticate(ctx, types.AuthFlowTypeAdminUserPasswordAuth, username, map[string]string{
		"USERNAME": username, "PASSWORD": password,
	})
	if _, ok := errors.AsType[*types.UserNotFoundException](err); ok {
		return nil, errCredentials
	}
	if err != nil {
		return nil, refusal("sign in", err, errCredentials)
	}
	return out, nil
}

// Refresh fails with fault.TokenInvalid or fault.TokenExpired unless the token is
// good.
func (c *AppClient) Refresh(ctx context.Context, username, token string) (account.Tokens, error) {
	out, err := c.authenticate(ctx, types.AuthFlowTypeRefreshTokenAuth, username, map[string]string{"REFRESH_TOKEN": token})
	if _, ok := errors.AsType[*types.UserNotFoundException](err); ok {
		return account.Tokens{}, errRefresh
	}
	if err != nil {
		return account.Tokens{}, refreshFailure(err)
	}
	return newTokens(out.AuthenticationResult)
}

// refreshFailure says what became of a refresh. The user name comes from the
// client's token, so that a hash which does not fit is that token's fault.
func refreshFailure(err error) error {
	refused, ok := errors.AsType[*types.NotAuthorizedException](err)
	if !ok {
		return failure("refresh a session", err)
	}
	if strings.Contains(strings.ToLower(aws.ToString(refused.Message)), "expired") {
		return fault.New(fault.TokenExpired, "the refresh token has expired; sign in again")
	}
	return errRefresh
}

func (c *AppClient) authenticate(ctx context.Context, flow types.AuthFlowType, username string, parameters map[string]string) (*cognitoidentityprovider.AdminInitiateAuthOutput, error) {
	hash, err := c.secretHash(ctx, username)
	if err != nil {
		return nil, err
	}
	parameters["SECRET_HASH"] = hash
	return c.client.AdminInitiateAuth(ctx, &cognitoidentityprovider.AdminInitiateAuthInput{
		UserPoolId: &c.poolID, ClientId: &c.clientID, AuthFlow: flow, AuthParameters: parameters,
	})
}

// claims are what an access token says of the session that it is for.
type claims struct {
	jwt.RegisteredClaims
	Username string   `json:"username"`
	AuthTime int64    `json:"auth_time"`
	Groups   []string `json:"cognito:groups"`
}

// newTokens reads the access token without a look at its signature: it comes
// from Cognito itself.
func newTokens(r *types.AuthenticationResultType) (account.Tokens, error) {
	if r == nil || r.AccessToken == nil {
		return account.Tokens{}, errors.New("cognito asks for a challenge that the pool does not have")
	}
	var c claims
	if _, _, err := jwt.NewParser().ParseUnverified(*r.AccessToken, &c); err != nil {
		return account.Tokens{}, fmt.Errorf("read Cognito's access token: %w", err)
	}
	return account.Tokens{
		Access:        *r.AccessToken,
		Refresh:       aws.ToString(r.RefreshToken),
		ExpiresIn:     time.Duration(r.ExpiresIn) * time.Second,
		UserID:        identity.UserID(c.Subject),
		Username:      c.Username,
		AuthTime:      time.Unix(c.AuthTime, 0),
		PlatformAdmin: slices.Contains(c.Groups, platformAdmins),
	}, nil
}
