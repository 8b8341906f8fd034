package cognito_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/sweep"
)

const (
	poolID       = "eu-west-1_abc"
	clientID     = "client"
	clientSecret = "the secret of the client"
)

// A pool answers calls in the order of its script, and keeps what they asked.
type pool struct {
	mu     sync.Mutex // for what is read though no answer came
	script []answer
	calls  []call
}

// An answer is what Cognito answers a call of the operation: the body, or the
// code of an error and its message.
type answer struct {
	operation     string
	body          string
	code, message string
}

// lost is the code of an answer that does not come.
const lost = "lost"

type call struct {
	Operation string
	Input     string // in canonical form
}

// newPool serves the script to the app client that it returns, which tries each
// call once.
func newPool(t *testing.T, script ...answer) (*pool, *cognito.AppClient) {
	t.Helper()
	return newPoolTried(t, 1, script...)
}

func newPoolTried(t *testing.T, attempts int, script ...answer) (*pool, *cognito.AppClient) {
	t.Helper()
	p := &pool{script: script}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	client := cognitoidentityprovider.New(cognitoidentityprovider.Options{
		Region:           "eu-west-1",
		BaseEndpoint:     &server.URL,
		RetryMaxAttempts: attempts,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	return p, cognito.NewAppClient(cognito.NewDirectory(client, poolID), clientID, secretFunc(func() (string, error) {
		return clientSecret, nil
	}))
}

func (p *pool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var input jsontext.Value
	err := json.UnmarshalRead(r.Body, &input)
	if err == nil {
		err = input.Canonicalize()
	}
	p.calls = append(p.calls, call{operation, string(input)})
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", "request-1")
	if len(p.script) == 0 || p.script[0].operation != operation || err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	a := p.script[0]
	p.script = p.script[1:]
	if a.code == lost {
		panic(http.ErrAbortHandler)
	}
	if a.code != "" {
		w.WriteHeader(http.StatusBadRequest)
		a.body = fmt.Sprintf(`{"__type":%q,"message":%q}`, a.code, a.message)
	}
	_, _ = io.WriteString(w, a.body) // a client that left has failed its test
}

// secretFunc is a cognito.Secret.
type secretFunc func() (string, error)

func (f secretFunc) Get(context.Context) (string, error) { return f() }

func hashOf(username string) string {
	mac := hmac.New(sha256.New, []byte(clientSecret))
	mac.Write([]byte(username + clientID))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func checkCalls(t *testing.T, p *pool, want ...call) {
	t.Helper()
	for i := range want {
		input := jsontext.Value(want[i].Input)
		if err := input.Canonicalize(); err != nil {
			t.Fatal(err)
		}
		want[i].Input = string(input)
	}
	if diff := cmp.Diff(want, p.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// accessToken is one that is signed by nobody.
func accessToken() string {
	claims := `{"sub":"3f0c2a4e","username":"dewi","auth_time":1800000000,"cognito:groups":["platform-admins"]}`
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func signedIn() string {
	return fmt.Sprintf(`{"AuthenticationResult":{"AccessToken":%q,"ExpiresIn":3600,"RefreshToken":"refresh","TokenType":"Bearer"}}`, accessToken())
}

func tokens(refresh string) account.Tokens {
	return account.Tokens{
		Access: accessToken(), Refresh: refresh, ExpiresIn: time.Hour,
		UserID: "3f0c2a4e", Username: "dewi", AuthTime: time.Unix(1_800_000_000, 0), PlatformAdmin: true,
	}
}

const challenge = `{"ChallengeName":"NEW_PASSWORD_REQUIRED","Session":"session","ChallengeParameters":{"USER_ID_FOR_SRP":"dewi"}}`

func TestSignUp(t *testing.T) {
	p, client := newPool(t, answer{operation: "SignUp", body: `{"UserConfirmed":true,"UserSub":"3f0c2a4e"}`})
	id, confirmed, err := client.SignUp(t.Context(), account.Draft{
		Profile: account.Profile{
			Username: "dewi", Email: "dewi@example.com", Role: account.Business, OrganizationName: new("Nusantara"),
		},
		Password: "correct horse",
	})
	if id != "3f0c2a4e" || !confirmed || err != nil {
		t.Errorf("got %q, %v and %v, want a confirmed account", id, confirmed, err)
	}
	checkCalls(t, p, call{"SignUp", `{"ClientId":"client","SecretHash":"` + hashOf("dewi") + `","Username":"dewi","Password":"correct horse",
		"UserAttributes":[{"Name":"email","Value":"dewi@example.com"},{"Name":"custom:role","Value":"business"},
		{"Name":"custom:organization_name","Value":"Nusantara"}]}`})
}

func TestSignIn(t *testing.T) {
	p, client := newPool(t, answer{operation: "AdminInitiateAuth", body: signedIn()})
	got, err := client.SignIn(t.Context(), "dewi", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tokens("refresh"), got); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	checkCalls(t, p, call{"AdminInitiateAuth", `{"UserPoolId":"eu-west-1_abc","ClientId":"client","AuthFlow":"ADMIN_USER_PASSWORD_AUTH",
		"AuthParameters":{"USERNAME":"dewi","PASSWORD":"correct horse","SECRET_HASH":"` + hashOf("dewi") + `"}}`})
}

func TestSignInAnew(t *testing.T) {
	p, client := newPool(t, answer{operation: "AdminInitiateAuth", body: challenge}, answer{operation: "AdminRespondToAuthChallenge", body: signedIn()})
	got, err := client.SignInAnew(t.Context(), "Dewi", "correct horse", "battery staple")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tokens("refresh"), got); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	checkCalls(t, p,
		call{"AdminInitiateAuth", `{"UserPoolId":"eu-west-1_abc","ClientId":"client","AuthFlow":"ADMIN_USER_PASSWORD_AUTH",
			"AuthParameters":{"USERNAME":"Dewi","PASSWORD":"correct horse","SECRET_HASH":"` + hashOf("Dewi") + `"}}`},
		call{"AdminRespondToAuthChallenge", `{"UserPoolId":"eu-west-1_abc","ClientId":"client","ChallengeName":"NEW_PASSWORD_REQUIRED","Session":"session",
			"ChallengeResponses":{"USERNAME":"dewi","NEW_PASSWORD":"battery staple","SECRET_HASH":"` + hashOf("dewi") + `"}}`})
}

func TestRefresh(t *testing.T) {
	body := strings.Replace(signedIn(), `"RefreshToken":"refresh",`, "", 1)
	p, client := newPool(t, answer{operation: "AdminInitiateAuth", body: body})
	got, err := client.Refresh(t.Context(), "dewi", "refresh")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tokens(""), got); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	checkCalls(t, p, call{"AdminInitiateAuth", `{"UserPoolId":"eu-west-1_abc","ClientId":"client","AuthFlow":"REFRESH_TOKEN_AUTH",
		"AuthParameters":{"REFRESH_TOKEN":"refresh","SECRET_HASH":"` + hashOf("dewi") + `"}}`})
}

func TestPasswords(t *testing.T) {
	p, client := newPool(t, answer{operation: "ConfirmForgotPassword", body: `{}`}, answer{operation: "ChangePassword", body: `{}`})
	if err := client.ResetPassword(t.Context(), "dewi", "123456", "battery staple", "R1"); err != nil {
		t.Error(err)
	}
	if err := client.ChangePassword(t.Context(), "token", "correct horse", "battery staple"); err != nil {
		t.Error(err)
	}
	checkCalls(t, p,
		call{"ConfirmForgotPassword", `{"ClientId":"client","SecretHash":"` + hashOf("dewi") + `","Username":"dewi","ConfirmationCode":"123456","Password":"battery staple","ClientMetadata":{"request_id":"R1"}}`},
		call{"ChangePassword", `{"AccessToken":"token","PreviousPassword":"correct horse","ProposedPassword":"battery staple"}`})
}

func TestFind(t *testing.T) {
	const user = `"UserStatus":"CONFIRMED","Username":"dewi"`
	const attributes = `[{"Name":"sub","Value":"3f0c2a4e"},{"Name":"email","Value":"dewi@example.com"},
		{"Name":"custom:role","Value":"business"},{"Name":"custom:organization_name","Value":"Nusantara"}]`
	p, client := newPool(t,
		answer{operation: "AdminGetUser", body: `{` + user + `,"UserAttributes":` + attributes + `}`},
		answer{operation: "ListUsers", body: `{"Users":[{` + user + `,"Attributes":` + attributes + `}]}`},
		answer{operation: "ListUsers", body: `{"Users":[]}`},
	)
	byName, err := client.Find(t.Context(), "dewi")
	want := account.Account{
		ID: "3f0c2a4e", Username: "dewi", Email: "dewi@example.com",
		Role: account.Business, OrganizationName: "Nusantara", Confirmed: true,
	}
	if diff := cmp.Diff(want, byName); diff != "" || err != nil {
		t.Errorf("by name: %v, (-want +got):\n%s", err, diff)
	}
	byID, err := client.FindByID(t.Context(), "3f0c2a4e")
	if diff := cmp.Diff(want.Applicant(), byID); diff != "" || err != nil {
		t.Errorf("by id: %v, (-want +got):\n%s", err, diff)
	}
	if got, err := client.FindByID(t.Context(), "nobody"); !errors.Is(err, fault.NotFound) || got != (provisioning.Account{}) {
		t.Errorf("got %+v and %v, want %v", got, err, fault.NotFound)
	}
	checkCalls(t, p,
		call{"AdminGetUser", `{"UserPoolId":"eu-west-1_abc","Username":"dewi"}`},
		call{"ListUsers", `{"UserPoolId":"eu-west-1_abc","Filter":"sub = \"3f0c2a4e\""}`},
		call{"ListUsers", `{"UserPoolId":"eu-west-1_abc","Filter":"sub = \"nobody\""}`})
}

func TestAdminCreate(t *testing.T) {
	const (
		create  = `"UserPoolId":"eu-west-1_abc","Username":"name","UserAttributes":[{"Name":"email","Value":"dewi@example.com"},{"Name":"email_verified","Value":"true"}],"DesiredDeliveryMediums":["EMAIL"]`
		created = `{"User":{"Attributes":[{"Name":"sub","Value":"3f0c2a4e"}]}}`
		found   = `{"UserStatus":"CONFIRMED","UserAttributes":[{"Name":"sub","Value":"3f0c2a4e"}]}`
	)
	suppressed := call{"AdminCreateUser", `{` + create + `,"MessageAction":"SUPPRESS"}`}
	invited := call{"AdminCreateUser", `{` + create + `}`}
	set := call{"AdminSetUserPassword", `{"UserPoolId":"eu-west-1_abc","Username":"name","Password":"correct horse","Permanent":true}`}
	look := call{"AdminGetUser", `{"UserPoolId":"eu-west-1_abc","Username":"name"}`}
	exists := answer{operation: "AdminCreateUser", code: "UsernameExistsException", message: "User account already exists"}
	for name, test := range map[string]struct {
		password string
		script   []answer
		calls    []call
		kind     fault.Kind
	}{
		"with a password": {
			"correct horse",
			[]answer{{operation: "AdminCreateUser", body: created}, {operation: "AdminSetUserPassword", body: `{}`}},
			[]call{suppressed, set},
			"",
		},
		"by invitation": {"", []answer{{operation: "AdminCreateUser", body: created}}, []call{invited}, ""},
		"again, with a password": {
			"correct horse",
			[]answer{exists, {operation: "AdminGetUser", body: found}, {operation: "AdminSetUserPassword", body: `{}`}},
			[]call{suppressed, look, set},
			"",
		},
		"again, by invitation": {"", []answer{exists, {operation: "AdminGetUser", body: found}}, []call{invited, look}, ""},
		"with a bad password": {
			"correct horse",
			[]answer{
				{operation: "AdminCreateUser", body: created},
				{operation: "AdminSetUserPassword", code: "InvalidPasswordException", message: "Password not long enough"},
			},
			[]call{suppressed, set},
			fault.Invalid,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, client := newPool(t, test.script...)
			id, err := client.AdminCreate(t.Context(), "name", "dewi@example.com", test.password)
			if fault.KindOf(err) != test.kind || err == nil && id != "3f0c2a4e" {
				t.Errorf("got %q and %v, want the account or the kind %q", id, err, test.kind)
			}
			checkCalls(t, p, test.calls...)
		})
	}
}

func TestReadmit(t *testing.T) {
	const (
		again = `{"UserPoolId":"eu-west-1_abc","Username":"name","MessageAction":"RESEND","DesiredDeliveryMediums":["EMAIL"]}`
		name  = `{"UserPoolId":"eu-west-1_abc","Username":"name"}`
	)
	accepted := answer{operation: "AdminCreateUser", code: "UnsupportedUserStateException", message: "Resend not possible."}
	reset := func(code string) answer { return answer{operation: "AdminResetUserPassword", code: code, body: `{}`} }
	for situation, test := range map[string]struct {
		script  []answer
		invited bool
		kind    fault.Kind
	}{
		"invitation is open": {[]answer{{operation: "AdminCreateUser", body: `{"User":{}}`}}, true, ""},
		"accepted":           {[]answer{accepted, reset("")}, false, ""},
		"gone":               {[]answer{{operation: "AdminCreateUser", code: "UserNotFoundException"}}, false, fault.NotFound},
		"gone since":         {[]answer{accepted, reset("UserNotFoundException")}, false, fault.NotFound},
		"no address":         {[]answer{accepted, reset("InvalidParameterException")}, false, fault.Conflict},
		"disabled":           {[]answer{accepted, reset("NotAuthorizedException")}, false, fault.Conflict},
		"too often":          {[]answer{accepted, reset("LimitExceededException")}, false, fault.TooManyRequests},
	} {
		t.Run(situation, func(t *testing.T) {
			p, client := newPool(t, test.script...)
			invited, err := client.Readmit(t.Context(), "name")
			if invited != test.invited || fault.KindOf(err) != test.kind || (err == nil) != (test.kind == "") {
				t.Errorf("got %v, %v, want %v and the kind %q", invited, err, test.invited, test.kind)
			}
			checkCalls(t, p, []call{{"AdminCreateUser", again}, {"AdminResetUserPassword", name}}[:len(test.script)]...)
		})
	}
}

// What is done already is no error.
func TestGone(t *testing.T) {
	for operation, do := range map[string]func(*cognito.AppClient) error{
		"AdminDeleteUser":        func(c *cognito.AppClient) error { return c.AdminDelete(context.Background(), "dewi") },
		"AdminUserGlobalSignOut": func(c *cognito.AppClient) error { return c.SignOut(context.Background(), "dewi") },
	} {
		for _, a := range []answer{{body: `{}`}, {code: "UserNotFoundException", message: "User does not exist."}} {
			a.operation = operation
			p, client := newPool(t, a)
			if err := do(client); err != nil {
				t.Errorf("%s: %v", operation, err)
			}
			checkCalls(t, p, call{operation, `{"UserPoolId":"eu-west-1_abc","Username":"dewi"}`})
		}
	}
}

// TestRemove ends the sessions of an account and removes it, but not of another that
// has the name by now.
func TestRemove(t *testing.T) {
	const dewi = `{"UserPoolId":"eu-west-1_abc","Username":"dewi"}`
	found := answer{operation: "AdminGetUser", body: `{"Username":"dewi","UserStatus":"CONFIRMED","UserAttributes":[{"Name":"sub","Value":"d"}]}`}
	get, signOut, remove := call{"AdminGetUser", dewi}, call{"AdminUserGlobalSignOut", dewi}, call{"AdminDeleteUser", dewi}
	for name, test := range map[string]struct {
		id     identity.UserID
		script []answer
		want   []call
		fails  bool
	}{
		"there":     {"d", []answer{found, {operation: "AdminUserGlobalSignOut", body: `{}`}, {operation: "AdminDeleteUser", body: `{}`}}, []call{get, signOut, remove}, false},
		"another's": {"e", []answer{found}, []call{get}, false},
		"gone":      {"d", []answer{{operation: "AdminGetUser", code: "UserNotFoundException", message: "User does not exist."}}, []call{get}, false},
		"not signed out": {
			"d", []answer{found, {operation: "AdminUserGlobalSignOut", code: "InternalErrorException", message: "down"}}, []call{get, signOut}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, client := newPool(t, test.script...)
			if err := client.Remove(t.Context(), sweep.RejectedAccount{ID: test.id, Username: "dewi"}); (err != nil) != test.fails {
				t.Errorf("got %v", err)
			}
			checkCalls(t, p, test.want...)
		})
	}
}

func TestSecretCannotBeRead(t *testing.T) {
	cause := errors.New("down")
	client := cognito.NewAppClient(cognito.NewDirectory(nil, poolID), clientID, secretFunc(func() (string, error) { return "", cause }))
	if _, err := client.SignIn(t.Context(), "dewi", "correct horse"); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}
