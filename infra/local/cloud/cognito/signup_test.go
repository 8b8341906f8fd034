package cognito_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/cloud/cognito"
)

func TestSignUpAndConfirm(t *testing.T) {
	f := newFixture(t)
	in := f.signUpInput("Alice")
	in.ValidationData = []types.AttributeType{{Name: new("ip"), Value: new("::1")}}
	in.ClientMetadata = map[string]string{"from": "test"}
	made := must(f.SignUp(t.Context(), in))(t)
	if made.UserConfirmed || *made.CodeDeliveryDetails.Destination != "A***@e***" || made.CodeDeliveryDetails.DeliveryMedium != "EMAIL" {
		t.Errorf("got %+v to %+v, want an unconfirmed user and a code by mail", made, made.CodeDeliveryDetails)
	}
	if _, err := f.signIn(t, "alice", password); failure(err) != "UserNotConfirmedException: User is not confirmed." {
		t.Errorf("sign-in before the confirmation: got %v", err)
	}

	code := f.lastCode(t, "Alice")
	if !regexp.MustCompile(`^\d{6}$`).MatchString(code) {
		t.Errorf("got code %q, want six digits", code)
	}
	if err := f.confirm(t, "alice", "wrong"); failure(err) != "CodeMismatchException: Invalid verification code provided, please try again." {
		t.Errorf("a wrong code: got %v", err)
	}
	if err := f.confirm(t, "aLICE", code); err != nil {
		t.Fatal(err)
	}
	if err := f.confirm(t, "alice", code); failure(err) != "NotAuthorizedException: User cannot be confirmed. Current status is CONFIRMED" {
		t.Errorf("a second confirmation: got %v", err)
	}
	if got := f.attribute(t, "alice", "email_verified"); got != "true" {
		t.Errorf("got email_verified %q, want true", got)
	}
	want := []triggerEvent{
		{Function: preSignUpARN, Version: "1", TriggerSource: "PreSignUp_SignUp", UserName: "alice", UserPoolID: f.pool},
		{Function: postConfirmationARN, Version: "1", TriggerSource: "PostConfirmation_ConfirmSignUp", UserName: "alice", UserPoolID: f.pool},
	}
	for i := range want {
		want[i].CallerContext.ClientID = f.client
		want[i].Request.UserAttributes = map[string]string{"email": "Alice@example.com", "custom:role": "business"}
	}
	want[0].Request.ValidationData = map[string]string{"ip": "::1"}
	want[0].Request.ClientMetadata = map[string]string{"from": "test"}
	want[1].Request.UserAttributes["sub"] = *made.UserSub
	want[1].Request.UserAttributes["email_verified"] = "true"
	want[1].Request.UserAttributes["cognito:user_status"] = "CONFIRMED"
	if diff := cmp.Diff(want, f.triggers.events); diff != "" {
		t.Errorf("triggers (-want +got):\n%s", diff)
	}
	if _, err := f.signIn(t, "ALICE", password); err != nil {
		t.Errorf("sign-in after the confirmation: got %v", err)
	}
}

func TestPreSignUpDecides(t *testing.T) {
	f := newFixture(t)
	f.triggers.answer = map[string]string{"PreSignUp_SignUp": `{"autoConfirmUser":true,"autoVerifyEmail":true}`}
	made := f.signUp(t, "alice")
	if !made.UserConfirmed || made.CodeDeliveryDetails != nil || len(f.front.Mails("")) != 0 {
		t.Errorf("got %+v and mails %v, want a confirmed user and none", made, f.front.Mails(""))
	}
	if got := f.attribute(t, "alice", "email_verified"); got != "true" {
		t.Errorf("got email_verified %q, want true", got)
	}
	if diff := cmp.Diff([]string{"PreSignUp_SignUp", "PostConfirmation_ConfirmSignUp"}, f.triggers.sources()); diff != "" {
		t.Errorf("triggers (-want +got):\n%s", diff)
	}
	if _, err := f.signIn(t, "alice", password); err != nil {
		t.Errorf("sign-in: got %v", err)
	}
}

func TestPreSignUpRefuses(t *testing.T) {
	f := newFixture(t)
	f.triggers.fail = map[string]string{"PreSignUp_SignUp": "the e-mail is taken", "PreSignUp_AdminCreateUser": "no"}
	_, err := f.SignUp(t.Context(), f.signUpInput("alice"))
	if got, want := failure(err), "UserLambdaValidationException: PreSignUp failed with error the e-mail is taken."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = f.AdminCreateUser(t.Context(), f.createInput("alice"))
	if got, want := failure(err), "UserLambdaValidationException: PreSignUp failed with error no."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := f.user(t, "alice"); failure(err) != "UserNotFoundException: User does not exist." {
		t.Errorf("got %v, want no user", err)
	}
	if got := f.front.Mails(""); len(got) != 0 {
		t.Errorf("got mails %v, want none", got)
	}
}

func TestPostConfirmationFailsAndTheAccountStaysConfirmed(t *testing.T) {
	const want = "UserLambdaValidationException: PostConfirmation failed with error no table."
	for name, confirm := range map[string]func(*testing.T, *fixture) error{
		"by code": func(t *testing.T, f *fixture) error {
			f.signUp(t, "alice")
			return f.confirm(t, "alice", f.lastCode(t, "alice"))
		},
		"by an administrator": func(t *testing.T, f *fixture) error {
			f.signUp(t, "alice")
			_, err := f.AdminConfirmSignUp(t.Context(), &cip.AdminConfirmSignUpInput{UserPoolId: &f.pool, Username: new("Alice")})
			return err
		},
		"by PreSignUp": func(t *testing.T, f *fixture) error {
			f.triggers.answer = map[string]string{"PreSignUp_SignUp": `{"autoConfirmUser":true}`}
			_, err := f.SignUp(t.Context(), f.signUpInput("alice"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.triggers.fail = map[string]string{"PostConfirmation_ConfirmSignUp": "no table"}
			if got := failure(confirm(t, f)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := must(f.user(t, "alice"))(t).UserStatus; got != "CONFIRMED" {
				t.Errorf("got status %s, want CONFIRMED", got)
			}
		})
	}
}

func TestSignUpRefuses(t *testing.T) {
	f := newFixture(t, func(p *cip.CreateUserPoolInput, _ *cip.CreateUserPoolClientInput) {
		p.Policies.PasswordPolicy.RequireNumbers = true
	})
	taken := f.signUpInput("taken")
	taken.Password = new("password1")
	must(f.SignUp(t.Context(), taken))(t)
	for name, test := range map[string]struct {
		change func(*cip.SignUpInput)
		want   string
	}{
		"taken": {func(in *cip.SignUpInput) { in.Username = new("TAKEN"); in.SecretHash = f.hash("TAKEN") }, "UsernameExistsException: User already exists"},
		"no secret": {
			func(in *cip.SignUpInput) { in.SecretHash = nil },
			"NotAuthorizedException: Client " + f.client + " is configured with secret but SECRET_HASH was not received",
		},
		"wrong secret": {
			func(in *cip.SignUpInput) { in.SecretHash = f.hash("someone") },
			"NotAuthorizedException: Unable to verify secret hash for client " + f.client,
		},
		"no such client": {func(in *cip.SignUpInput) { in.ClientId = new("nobody") }, "ResourceNotFoundException: User pool client nobody does not exist."},
		"short password": {func(in *cip.SignUpInput) { in.Password = new("short1") }, "InvalidPasswordException: Password did not conform with policy: Password not long enough"},
		"no number":      {func(in *cip.SignUpInput) { in.Password = new("password") }, "InvalidPasswordException: Password did not conform with policy: Password must have numeric characters"},
		"space in name": {
			func(in *cip.SignUpInput) { in.Username = new("a b"); in.SecretHash = f.hash("a b") },
			"InvalidParameterException: 1 validation error detected: Value at 'username' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+",
		},
		"not an address": {func(in *cip.SignUpInput) { in.UserAttributes[0].Value = new("nobody") }, "InvalidParameterException: Invalid email address format."},
		"no address": {
			func(in *cip.SignUpInput) { in.UserAttributes = in.UserAttributes[1:] },
			"InvalidParameterException: Attributes did not conform to the schema: email: The attribute is required\n",
		},
		"undeclared attribute": {
			func(in *cip.SignUpInput) { in.UserAttributes[1].Name = new("custom:rank") },
			"InvalidParameterException: Attributes did not conform to the schema: custom:rank: Attribute does not exist in the schema.\n",
		},
		"long attribute": {
			func(in *cip.SignUpInput) { in.UserAttributes[1].Value = new(strings.Repeat("é", 11)) },
			"InvalidParameterException: Attributes did not conform to the schema: custom:role: String must be no longer than 10 character(s)\n",
		},
		"verified by themselves": {
			func(in *cip.SignUpInput) { in.UserAttributes[1].Name = new("email_verified") },
			"NotAuthorizedException: A client attempted to write unauthorized attribute",
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := f.signUpInput("new")
			in.Password = new("password1")
			test.change(in)
			_, err := f.SignUp(t.Context(), in)
			if got := failure(err); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if _, err := f.user(t, "new"); failure(err) != "UserNotFoundException: User does not exist." {
		t.Errorf("got %v, want no user", err)
	}
}

func TestResendConfirmationCode(t *testing.T) {
	f := newFixture(t)
	f.signUp(t, "alice")
	old := f.lastCode(t, "alice")
	resend := func(username string) (*cip.ResendConfirmationCodeOutput, error) {
		return f.ResendConfirmationCode(t.Context(), &cip.ResendConfirmationCodeInput{ClientId: &f.client, SecretHash: f.hash(username), Username: &username})
	}
	sent := must(resend("Alice"))(t)
	if got := *sent.CodeDeliveryDetails.Destination; got != "a***@e***" {
		t.Errorf("got destination %s, want a***@e***", got)
	}
	for code := f.lastCode(t, "alice"); code == old; code = f.lastCode(t, "alice") {
		must(resend("alice"))(t)
	}
	if err := f.confirm(t, "alice", old); failure(err) != "CodeMismatchException: Invalid verification code provided, please try again." {
		t.Errorf("the older code: got %v", err)
	}
	if err := f.confirm(t, "alice", f.lastCode(t, "alice")); err != nil {
		t.Errorf("the newer code: got %v", err)
	}
	if _, err := resend("alice"); failure(err) != "InvalidParameterException: User is already confirmed." {
		t.Errorf("a confirmed user: got %v", err)
	}
	if sent := must(resend("nobody"))(t); !strings.Contains(*sent.CodeDeliveryDetails.Destination, "***@") {
		t.Errorf("nobody: got %+v, want a simulated delivery", sent.CodeDeliveryDetails)
	}
}

func TestConfirmNobody(t *testing.T) {
	f := newFixture(t)
	if err := f.confirm(t, "nobody", "123456"); failure(err) != "ExpiredCodeException: Invalid code provided, please request a code again." {
		t.Errorf("got %v", err)
	}
}

// TestCodeOfADeletedUser asks that nobody inherits a code with the name.
func TestCodeOfADeletedUser(t *testing.T) {
	f := newFixture(t)
	f.member(t, "alice")
	must(f.forgot(t, "alice"))(t)
	code := f.lastCode(t, "alice")
	must(f.AdminDeleteUser(t.Context(), &cip.AdminDeleteUserInput{UserPoolId: &f.pool, Username: new("Alice")}))(t)
	must(f.AdminCreateUser(t.Context(), f.createInput("alice")))(t)
	if err := f.reset(t, "alice", code, otherPassword); failure(err) != "ExpiredCodeException: Invalid code provided, please request a code again." {
		t.Errorf("got %v", err)
	}
}

func TestMailIsKept(t *testing.T) {
	f := newFixture(t)
	f.signUp(t, "alice")
	f.signUp(t, "bob")
	all := f.front.Mails("")
	if len(all) != 2 || all[0].Username != "alice" || all[1].Username != "bob" {
		t.Fatalf("got %+v, want a mail to alice and then one to bob", all)
	}
	if diff := cmp.Diff(all[1:], f.front.Mails("BOB@example.com")); diff != "" {
		t.Errorf("mails to bob (-want +got):\n%s", diff)
	}
	m := all[0]
	want := cognito.Mail{
		Time: m.Time, Kind: "sign_up", To: "alice@example.com", Username: "alice",
		Subject: "Your verification code", Body: "Your verification code is " + m.Code + ". ", Code: m.Code,
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("mail (-want +got):\n%s", diff)
	}
	files, err := filepath.Glob(filepath.Join(f.mailDir, "*.json"))
	if err != nil || len(files) != 2 {
		t.Fatalf("got files %v and %v, want two", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var kept cognito.Mail
	if err := json.Unmarshal(content, &kept); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, kept); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

// TestSignUpsAtOnce asks that one of several sign-ups with one name wins, and
// that others do not hinder each other.
func TestSignUpsAtOnce(t *testing.T) {
	f := newFixture(t)
	const names, each = 8, 4
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		subs = map[string]string{}
		lost int
	)
	for i := range names * each {
		name := string(rune('a' + i%names))
		wg.Go(func() {
			made, err := f.SignUp(t.Context(), f.signUpInput(name))
			mu.Lock()
			defer mu.Unlock()
			switch failure(err) {
			case "":
				subs[name] = *made.UserSub
			case "UsernameExistsException: User already exists":
				lost++
			default:
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
	wg.Wait()
	if len(subs) != names || lost != names*(each-1) {
		t.Errorf("got %d names made and %d refused, want %d and %d", len(subs), lost, names, names*(each-1))
	}
	for name, sub := range subs {
		if got := f.attribute(t, name, "sub"); got != sub {
			t.Errorf("%s: got sub %s, want %s", name, got, sub)
		}
	}
}
