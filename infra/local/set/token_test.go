package set

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// TestTokensOfOthers signs in for real, but not with our client: what comes of it
// is well signed, and refused all the same.
func TestTokensOfOthers(t *testing.T) {
	c := newClient(t, common)
	_, username, _, password := c.signUp()
	idp := cognitoidentityprovider.NewFromConfig(awsConfig(common))
	pool := common.Info().UserPoolID
	signIn := func(pool, client string) *types.AuthenticationResultType {
		return initiateAuth(t, pool, client, map[string]string{"USERNAME": username, "PASSWORD": password})
	}
	newClientOf := func(pool string) string {
		out, err := idp.CreateUserPoolClient(t.Context(), &cognitoidentityprovider.CreateUserPoolClientInput{
			UserPoolId: &pool, ClientName: new("other"), ExplicitAuthFlows: []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth},
		})
		if err != nil {
			t.Fatal(err)
		}
		return *out.UserPoolClient.ClientId
	}

	good := ofCognito(t, username, password)
	c.as(*good.AccessToken).do("GET", "/auth/me", nil).must(200)

	created, err := idp.CreateUserPool(t.Context(), &cognitoidentityprovider.CreateUserPoolInput{
		PoolName: new("other"),
		Policies: &types.UserPoolPolicyType{PasswordPolicy: &types.PasswordPolicyType{MinimumLength: new(int32(8))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	otherPool := *created.UserPool.Id
	if _, err := idp.AdminCreateUser(t.Context(), &cognitoidentityprovider.AdminCreateUserInput{UserPoolId: &otherPool, Username: &username, MessageAction: types.MessageActionTypeSuppress}); err != nil {
		t.Fatal(err)
	}
	if _, err := idp.AdminSetUserPassword(t.Context(), &cognitoidentityprovider.AdminSetUserPasswordInput{UserPoolId: &otherPool, Username: &username, Password: &password, Permanent: true}); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"an ID token":    *good.IdToken,
		"another client": *signIn(pool, newClientOf(pool)).AccessToken,
		"another pool":   *signIn(otherPool, newClientOf(otherPool)).AccessToken,
	} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			c.as(token).do("GET", "/auth/me", nil).problem(401, "token-invalid")
		})
	}
}

// ofCognito signs in with our client, but past the functions.
func ofCognito(t *testing.T, username, password string) *types.AuthenticationResultType {
	t.Helper()
	pool, ours := common.Info().UserPoolID, common.Info().ClientID
	described, err := cognitoidentityprovider.NewFromConfig(awsConfig(common)).DescribeUserPoolClient(t.Context(), &cognitoidentityprovider.DescribeUserPoolClientInput{
		UserPoolId: &pool, ClientId: &ours,
	})
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(*described.UserPoolClient.ClientSecret))
	mac.Write([]byte(username + ours))
	return initiateAuth(t, pool, ours, map[string]string{
		"USERNAME": username, "PASSWORD": password, "SECRET_HASH": base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	})
}

func initiateAuth(t *testing.T, pool, client string, parameters map[string]string) *types.AuthenticationResultType {
	t.Helper()
	out, err := cognitoidentityprovider.NewFromConfig(awsConfig(common)).AdminInitiateAuth(t.Context(), &cognitoidentityprovider.AdminInitiateAuthInput{
		UserPoolId: &pool, ClientId: &client, AuthFlow: types.AuthFlowTypeAdminUserPasswordAuth, AuthParameters: parameters,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.AuthenticationResult
}

// Whoever holds an access token can call Cognito with it, and must not get at the
// account by that.
func TestTokenAtCognito(t *testing.T) {
	c := newClient(t, common)
	_, username, email, password := c.signUp()
	token := c.do("POST", "/auth/token", map[string]any{"username": username, "password": password}).must(200).text("access_token")
	anybody := cognitoidentityprovider.NewFromConfig(awsConfig(common), func(o *cognitoidentityprovider.Options) {
		o.Credentials = aws.AnonymousCredentials{}
	})
	for _, name := range []string{"email", "custom:role", "custom:organization_name"} {
		_, err := anybody.UpdateUserAttributes(t.Context(), &cognitoidentityprovider.UpdateUserAttributesInput{
			AccessToken: &token, UserAttributes: []types.AttributeType{{Name: &name, Value: new(unique("x") + "@example.com")}},
		})
		refused, ok := errors.AsType[*types.InvalidParameterException](err)
		if want := "user." + name + ": Attribute cannot be updated.\n"; !ok || refused.ErrorMessage() != want {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	before := len(common.Endpoint().Mails(email))
	c.do("POST", "/auth/password/forgot", map[string]any{"username": username}).must(202)
	if got := len(common.Endpoint().Mails(email)) - before; got != 1 {
		t.Errorf("got %d mails with a code, want 1", got)
	}
}
