package cognito_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
	"github.com/tenantry/tenantry/infra/local/cloud/cognito"
	"github.com/tenantry/tenantry/infra/local/engines"
)

const enginesDir = "../../../../.tools/engines"

// moto is the engine of all tests. They share it, as each has a pool of its own.
var moto *engines.Engine

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	if err := engines.Install(ctx, enginesDir, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	if moto, err = engines.StartMoto(ctx, enginesDir, 1, io.Discard); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := moto.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// A fixture is a pool like the product's, with a client that has a secret.
type fixture struct {
	*cip.Client
	front    *cognito.Front
	url      string
	mailDir  string
	pool     string
	client   string
	secret   string
	triggers triggers
}

// triggers play the functions of a pool, and keep what they are called with.
type triggers struct {
	mu     sync.Mutex
	events []triggerEvent
	fail   map[string]string // the message to fail with, by source
	answer map[string]string // the response, by source
}

type triggerEvent struct {
	Function      string `json:"-"`
	Version       string
	TriggerSource string
	UserName      string
	UserPoolID    string `json:"userPoolId"`
	CallerContext struct{ ClientID string }
	Request       struct {
		UserAttributes map[string]string
		ValidationData map[string]string
		ClientMetadata map[string]string
	}
}

func (s *triggers) invoke(_ context.Context, function string, event []byte) ([]byte, string, error) {
	e := triggerEvent{Function: function}
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	if message, ok := s.fail[e.TriggerSource]; ok {
		return fmt.Appendf(nil, `{"errorMessage":%q}`, message), "Unhandled", nil
	}
	if response, ok := s.answer[e.TriggerSource]; ok {
		return fmt.Appendf(nil, `{"response":%s}`, response), "", nil
	}
	return event, "", nil
}

// sources returns why the functions were called, in order.
func (s *triggers) sources() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, e := range s.events {
		list = append(list, e.TriggerSource)
	}
	return list
}

const (
	preSignUpARN        = "arn:aws:lambda:us-east-1:123456789012:function:pre"
	postConfirmationARN = "arn:aws:lambda:us-east-1:123456789012:function:post"
)

// newFixture makes a pool and a client, as change leaves them.
func newFixture(t *testing.T, change ...func(*cip.CreateUserPoolInput, *cip.CreateUserPoolClientInput)) *fixture {
	t.Helper()
	f := &fixture{mailDir: t.TempDir()}
	f.front = cognito.New(cognito.Options{
		Moto:    &awsjson.Client{URL: moto.URL, HTTP: http.DefaultClient},
		Invoke:  f.triggers.invoke,
		MailDir: f.mailDir,
	})
	server := httptest.NewServer(f.front)
	t.Cleanup(server.Close)
	f.url = server.URL
	f.Client = cip.New(cip.Options{
		BaseEndpoint: &server.URL,
		Region:       "us-east-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "key"}, nil
		}),
		Retryer: aws.NopRetryer{},
	})
	pool := &cip.CreateUserPoolInput{
		PoolName:               new("pool"),
		UsernameConfiguration:  &types.UsernameConfigurationType{CaseSensitive: new(false)},
		AutoVerifiedAttributes: []types.VerifiedAttributeType{"email"},
		Policies:               &types.UserPoolPolicyType{PasswordPolicy: &types.PasswordPolicyType{MinimumLength: new(int32(8))}},
		Schema: []types.SchemaAttributeType{
			{Name: new("email"), AttributeDataType: "String", Mutable: new(true), Required: new(true)},
			{Name: new("plan"), AttributeDataType: "String", Mutable: new(false)},
			{Name: new("role"), AttributeDataType: "String", Mutable: new(true), StringAttributeConstraints: &types.StringAttributeConstraintsType{MaxLength: new("10")}},
		},
		LambdaConfig: &types.LambdaConfigType{PreSignUp: new(preSignUpARN), PostConfirmation: new(postConfirmationARN)},
	}
	client := &cip.CreateUserPoolClientInput{
		ClientName:                 new("client"),
		GenerateSecret:             true,
		ExplicitAuthFlows:          []types.ExplicitAuthFlowsType{"ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"},
		PreventUserExistenceErrors: "ENABLED",
		AccessTokenValidity:        new(int32(15)),
		TokenValidityUnits:         &types.TokenValidityUnitsType{AccessToken: "minutes"},
	}
	for _, c := range change {
		c(pool, client)
	}
	madePool := must(f.CreateUserPool(t.Context(), pool))(t)
	f.pool = *madePool.UserPool.Id
	client.UserPoolId = &f.pool
	madeClient := must(f.CreateUserPoolClient(t.Context(), client))(t)
	f.client = *madeClient.UserPoolClient.ClientId
	if s := madeClient.UserPoolClient.ClientSecret; s != nil {
		f.secret = *s
	}
	return f
}

// must fails the test if a call has failed.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// failure returns the code and message of a refusal, or "" for none.
func failure(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode() + ": " + e.ErrorMessage()
	}
	return err.Error()
}

// hash returns the SECRET_HASH of a user name.
func (f *fixture) hash(username string) *string {
	if f.secret == "" {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(f.secret))
	mac.Write([]byte(username + f.client))
	return new(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

const (
	password      = "correct horse"
	otherPassword = "battery staple"
)

func emailOf(username string) string { return username + "@example.com" }

func (f *fixture) signUpInput(username string) *cip.SignUpInput {
	return &cip.SignUpInput{
		ClientId: &f.client, SecretHash: f.hash(username), Username: &username, Password: new(password),
		UserAttributes: []types.AttributeType{{Name: new("email"), Value: new(emailOf(username))}, {Name: new("custom:role"), Value: new("business")}},
	}
}

func (f *fixture) signUp(t *testing.T, username string) *cip.SignUpOutput {
	t.Helper()
	return must(f.SignUp(t.Context(), f.signUpInput(username)))(t)
}

// lastCode returns the code in the newest mail to a user.
func (f *fixture) lastCode(t *testing.T, username string) string {
	t.Helper()
	mails := f.front.Mails(emailOf(username))
	if len(mails) == 0 {
		t.Fatalf("%s has no mail", username)
	}
	return mails[len(mails)-1].Code
}

func (f *fixture) confirm(t *testing.T, username, code string) error {
	t.Helper()
	_, err := f.ConfirmSignUp(t.Context(), &cip.ConfirmSignUpInput{
		ClientId: &f.client, SecretHash: f.hash(username), Username: &username, ConfirmationCode: &code,
	})
	return err
}

// member makes a user who can sign in.
func (f *fixture) member(t *testing.T, username string) {
	t.Helper()
	f.signUp(t, username)
	if err := f.confirm(t, username, f.lastCode(t, username)); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) signIn(t *testing.T, username, password string) (*cip.AdminInitiateAuthOutput, error) {
	t.Helper()
	params := map[string]string{"USERNAME": username, "PASSWORD": password}
	if hash := f.hash(username); hash != nil {
		params["SECRET_HASH"] = *hash
	}
	return f.AdminInitiateAuth(t.Context(), &cip.AdminInitiateAuthInput{
		UserPoolId: &f.pool, ClientId: &f.client, AuthFlow: "ADMIN_USER_PASSWORD_AUTH", AuthParameters: params,
	})
}

func (f *fixture) refresh(t *testing.T, username, token string) (*cip.AdminInitiateAuthOutput, error) {
	t.Helper()
	return f.AdminInitiateAuth(t.Context(), &cip.AdminInitiateAuthInput{
		UserPoolId: &f.pool, ClientId: &f.client, AuthFlow: "REFRESH_TOKEN_AUTH",
		AuthParameters: map[string]string{"REFRESH_TOKEN": token, "SECRET_HASH": *f.hash(username)},
	})
}

func (f *fixture) user(t *testing.T, username string) (*cip.AdminGetUserOutput, error) {
	t.Helper()
	return f.AdminGetUser(t.Context(), &cip.AdminGetUserInput{UserPoolId: &f.pool, Username: &username})
}

// attribute returns a user's attribute.
func (f *fixture) attribute(t *testing.T, username, name string) string {
	t.Helper()
	for _, a := range must(f.user(t, username))(t).UserAttributes {
		if *a.Name == name {
			return *a.Value
		}
	}
	return ""
}
