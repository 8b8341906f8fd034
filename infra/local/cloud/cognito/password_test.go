package cognito_test

import (
	"strings"
	"testing"

	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/google/go-cmp/cmp"
)

func (f *fixture) createInput(username string) *cip.AdminCreateUserInput {
	return &cip.AdminCreateUserInput{
		UserPoolId: &f.pool, Username: &username, DesiredDeliveryMediums: []types.DeliveryMediumType{"EMAIL"},
		UserAttributes: []types.AttributeType{{Name: new("email"), Value: new(emailOf(username))}, {Name: new("email_verified"), Value: new("true")}},
	}
}

// choose answers the challenge of a first sign-in.
func (f *fixture) choose(t *testing.T, username, session, password string) error {
	t.Helper()
	_, err := f.AdminRespondToAuthChallenge(t.Context(), &cip.AdminRespondToAuthChallengeInput{
		UserPoolId: &f.pool, ClientId: &f.client, ChallengeName: "NEW_PASSWORD_REQUIRED", Session: &session,
		ChallengeResponses: map[string]string{"USERNAME": username, "NEW_PASSWORD": password, "SECRET_HASH": *f.hash(username)},
	})
	return err
}

func TestInvitation(t *testing.T) {
	f := newFixture(t)
	made := must(f.AdminCreateUser(t.Context(), f.createInput("Alice")))(t).User
	if *made.Username != "alice" || made.UserStatus != "FORCE_CHANGE_PASSWORD" {
		t.Errorf("got %s, %s, want alice, FORCE_CHANGE_PASSWORD", *made.Username, made.UserStatus)
	}
	mail := f.front.Mails("Alice@example.com")[0]
	if mail.Kind != "invitation" || mail.Body != "Your username is alice and temporary password is "+mail.Code+". " {
		t.Errorf("got mail %+v", mail)
	}
	if diff := cmp.Diff([]string{"PreSignUp_AdminCreateUser"}, f.triggers.sources()); diff != "" {
		t.Errorf("triggers (-want +got):\n%s", diff)
	}
	if got := f.triggers.events[0].CallerContext.ClientID; got != "CLIENT_ID_NOT_APPLICABLE" {
		t.Errorf("got client %s, want none", got)
	}

	challenge := must(f.signIn(t, "alice", mail.Code))(t)
	if challenge.ChallengeName != "NEW_PASSWORD_REQUIRED" || challenge.AuthenticationResult != nil {
		t.Fatalf("got %+v, want a challenge and no tokens", challenge)
	}
	f.member(t, "mallory")
	if err := f.choose(t, "mallory", *challenge.Session, otherPassword); failure(err) != "NotAuthorizedException: Invalid session for the user." {
		t.Errorf("another user: got %v", err)
	}
	if err := f.choose(t, "alice", *challenge.Session, "short"); failure(err) != "InvalidPasswordException: Password did not conform with policy: Password not long enough" {
		t.Errorf("a short password: got %v", err)
	}
	if err := f.choose(t, "alice", *challenge.Session, password); err != nil {
		t.Fatal(err)
	}
	if err := f.choose(t, "alice", *challenge.Session, otherPassword); failure(err) != "NotAuthorizedException: Invalid session for the user, session can only be used once." {
		t.Errorf("the same session again: got %v", err)
	}
	if result := must(f.signIn(t, "alice", password))(t); result.AuthenticationResult == nil {
		t.Errorf("got %+v, want tokens", result)
	}
}

func TestInvitationRenewed(t *testing.T) {
	f := newFixture(t)
	must(f.AdminCreateUser(t.Context(), f.createInput("alice")))(t)
	sub, first := f.attribute(t, "alice", "sub"), f.lastCode(t, "alice")
	again := f.createInput("Alice")
	again.MessageAction = "RESEND"
	must(f.AdminCreateUser(t.Context(), again))(t)
	if got := f.attribute(t, "alice", "sub"); got != sub {
		t.Errorf("got sub %s, want %s as before", got, sub)
	}
	if _, err := f.signIn(t, "alice", first); failure(err) != "NotAuthorizedException: Incorrect username or password." {
		t.Errorf("the first password: got %v", err)
	}
	if got := must(f.signIn(t, "alice", f.lastCode(t, "alice")))(t).ChallengeName; got != "NEW_PASSWORD_REQUIRED" {
		t.Errorf("the second password: got %q, want a challenge", got)
	}
	f.member(t, "bob")
	for username, want := range map[string]string{
		"bob":    "UnsupportedUserStateException: Resend not possible. bob status is not FORCE_CHANGE_PASSWORD",
		"nobody": "UserNotFoundException: User does not exist.",
	} {
		in := f.createInput(username)
		in.MessageAction = "RESEND"
		if _, err := f.AdminCreateUser(t.Context(), in); failure(err) != want {
			t.Errorf("%s: got %v, want %s", username, err, want)
		}
	}
}

func TestAdminCreateUser(t *testing.T) {
	f := newFixture(t)
	f.member(t, "taken")
	sub, mails := f.attribute(t, "taken", "sub"), len(f.front.Mails(""))
	_, err := f.AdminCreateUser(t.Context(), f.createInput("TAKEN"))
	if got, want := failure(err), "UsernameExistsException: User account already exists"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := f.attribute(t, "taken", "sub"); got != sub {
		t.Errorf("got sub %s, want %s as before", got, sub)
	}

	silent := f.createInput("silent")
	silent.MessageAction = "SUPPRESS"
	silent.TemporaryPassword = new(otherPassword)
	must(f.AdminCreateUser(t.Context(), silent))(t)
	unasked := f.createInput("unasked") // without a medium it would be a text message
	unasked.DesiredDeliveryMediums = nil
	must(f.AdminCreateUser(t.Context(), unasked))(t)
	if got := f.front.Mails("")[mails:]; len(got) != 0 {
		t.Errorf("got mails %+v, want none", got)
	}

	must(f.AdminSetUserPassword(t.Context(), &cip.AdminSetUserPasswordInput{
		UserPoolId: &f.pool, Username: new("Silent"), Password: new(password), Permanent: true,
	}))(t)
	if result := must(f.signIn(t, "silent", password))(t); result.AuthenticationResult == nil {
		t.Errorf("got %+v, want tokens", result)
	}
	for name, test := range map[string]struct {
		change func(*cip.AdminCreateUserInput)
		want   string
	}{
		"short password": {func(in *cip.AdminCreateUserInput) { in.TemporaryPassword = new("short") }, "InvalidPasswordException: Password did not conform with policy: Password not long enough"},
		"no address":     {func(in *cip.AdminCreateUserInput) { in.UserAttributes = nil }, "InvalidParameterException: Attributes did not conform to the schema: email: The attribute is required\n"},
		"no such pool":   {func(in *cip.AdminCreateUserInput) { in.UserPoolId = new("us-east-1_None") }, "ResourceNotFoundException: User pool us-east-1_None does not exist."},
	} {
		in := f.createInput("new")
		test.change(in)
		if _, err := f.AdminCreateUser(t.Context(), in); failure(err) != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

func (f *fixture) forgot(t *testing.T, username string) (*cip.ForgotPasswordOutput, error) {
	t.Helper()
	return f.ForgotPassword(t.Context(), &cip.ForgotPasswordInput{ClientId: &f.client, SecretHash: f.hash(username), Username: &username})
}

func (f *fixture) reset(t *testing.T, username, code, password string) error {
	t.Helper()
	_, err := f.ConfirmForgotPassword(t.Context(), &cip.ConfirmForgotPasswordInput{
		ClientId: &f.client, SecretHash: f.hash(username), Username: &username, ConfirmationCode: &code, Password: &password,
	})
	return err
}

func TestForgottenPassword(t *testing.T) {
	f := newFixture(t)
	f.member(t, "alice")
	if err := f.reset(t, "alice", "123456", otherPassword); failure(err) != "ExpiredCodeException: Invalid code provided, please request a code again." {
		t.Errorf("without a code: got %v", err)
	}
	sent := must(f.forgot(t, "Alice"))(t)
	if got := *sent.CodeDeliveryDetails.Destination; got != "a***@e***" {
		t.Errorf("got destination %s, want a***@e***", got)
	}
	code := f.lastCode(t, "alice")
	if err := f.reset(t, "alice", "wrong", otherPassword); failure(err) != "CodeMismatchException: Invalid verification code provided, please try again." {
		t.Errorf("a wrong code: got %v", err)
	}
	if err := f.reset(t, "alice", code, "short"); failure(err) != "InvalidPasswordException: Password did not conform with policy: Password not long enough" {
		t.Errorf("a short password: got %v", err)
	}
	if err := f.reset(t, "ALICE", code, otherPassword); err != nil {
		t.Fatal(err)
	}
	if err := f.reset(t, "alice", code, password); failure(err) != "ExpiredCodeException: Invalid code provided, please request a code again." {
		t.Errorf("a used code: got %v", err)
	}
	if _, err := f.signIn(t, "alice", password); failure(err) != "NotAuthorizedException: Incorrect username or password." {
		t.Errorf("the old password: got %v", err)
	}
	must(f.signIn(t, "alice", otherPassword))(t)
	events := f.triggers.events
	last := events[len(events)-1]
	if last.TriggerSource != "PostConfirmation_ConfirmForgotPassword" || last.Function != postConfirmationARN || last.UserName != "alice" {
		t.Errorf("got %+v, want PostConfirmation_ConfirmForgotPassword of alice", last)
	}
}

func TestTooManyWrongCodes(t *testing.T) {
	f := newFixture(t)
	f.member(t, "alice")
	must(f.forgot(t, "alice"))(t)
	for range 5 {
		if err := f.reset(t, "alice", "wrong", otherPassword); failure(err) != "CodeMismatchException: Invalid verification code provided, please try again." {
			t.Fatalf("got %v", err)
		}
	}
	if err := f.reset(t, "alice", f.lastCode(t, "alice"), otherPassword); failure(err) != "LimitExceededException: Attempt limit exceeded, please try after some time." {
		t.Errorf("got %v", err)
	}
}

func TestForgottenPasswordOfWhoCannotReset(t *testing.T) {
	f := newFixture(t)
	f.signUp(t, "unverified")
	f.member(t, "disabled")
	must(f.AdminDisableUser(t.Context(), &cip.AdminDisableUserInput{UserPoolId: &f.pool, Username: new("disabled")}))(t)
	mails := len(f.front.Mails(""))
	for _, username := range []string{"nobody", "unverified", "disabled"} {
		first, second := must(f.forgot(t, username))(t), must(f.forgot(t, username))(t)
		got := *first.CodeDeliveryDetails.Destination
		if !strings.Contains(got, "***@") || got != *second.CodeDeliveryDetails.Destination {
			t.Errorf("%s: got %s and %s, want the same masked address", username, got, *second.CodeDeliveryDetails.Destination)
		}
	}
	for _, username := range []string{"nobody", "disabled"} {
		if err := f.reset(t, username, "123456", otherPassword); failure(err) != "CodeMismatchException: Invalid verification code provided, please try again." {
			t.Errorf("%s: got %v", username, err)
		}
	}
	must(f.AdminCreateUser(t.Context(), f.createInput("invited")))(t)
	if _, err := f.forgot(t, "invited"); failure(err) != "NotAuthorizedException: User password cannot be reset in the current state." {
		t.Errorf("invited: got %v", err)
	}
	if got := len(f.front.Mails("")) - mails; got != 1 {
		t.Errorf("got %d mails, want the invitation alone", got)
	}
}

func TestResetByAnAdministrator(t *testing.T) {
	f := newFixture(t)
	f.member(t, "alice")
	must(f.AdminResetUserPassword(t.Context(), &cip.AdminResetUserPasswordInput{UserPoolId: &f.pool, Username: new("Alice")}))(t)
	if err := f.reset(t, "alice", f.lastCode(t, "alice"), otherPassword); err != nil {
		t.Fatal(err)
	}
	must(f.signIn(t, "alice", otherPassword))(t)
}

func TestChangePassword(t *testing.T) {
	f := newFixture(t)
	f.member(t, "alice")
	token := must(f.signIn(t, "alice", password))(t).AuthenticationResult.AccessToken
	change := func(previous, proposed string) error {
		_, err := f.ChangePassword(t.Context(), &cip.ChangePasswordInput{AccessToken: token, PreviousPassword: &previous, ProposedPassword: &proposed})
		return err
	}
	if err := change("wrong", otherPassword); failure(err) != "NotAuthorizedException: Incorrect username or password." {
		t.Errorf("a wrong password: got %v", err)
	}
	if err := change(password, otherPassword); err != nil {
		t.Fatal(err)
	}
	must(f.signIn(t, "alice", otherPassword))(t)
}

func TestAttributes(t *testing.T) {
	f := newFixture(t)
	f.member(t, "alice")
	token := must(f.signIn(t, "alice", password))(t).AuthenticationResult.AccessToken
	role := func(name, value string) []types.AttributeType {
		return []types.AttributeType{{Name: &name, Value: &value}}
	}
	must(f.UpdateUserAttributes(t.Context(), &cip.UpdateUserAttributesInput{AccessToken: token, UserAttributes: role("custom:role", "developer")}))(t)
	if got := f.attribute(t, "alice", "custom:role"); got != "developer" {
		t.Errorf("got role %q, want developer", got)
	}
	_, err := f.UpdateUserAttributes(t.Context(), &cip.UpdateUserAttributesInput{AccessToken: token, UserAttributes: role("email_verified", "true")})
	if got, want := failure(err), "NotAuthorizedException: A client attempted to write unauthorized attribute"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = f.UpdateUserAttributes(t.Context(), &cip.UpdateUserAttributesInput{AccessToken: token, UserAttributes: role("custom:plan", "free")})
	if got, want := failure(err), "InvalidParameterException: user.custom:plan: Attribute cannot be updated.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	must(f.AdminUpdateUserAttributes(t.Context(), &cip.AdminUpdateUserAttributesInput{UserPoolId: &f.pool, Username: new("Alice"), UserAttributes: role("email", "new@example.com")}))(t)
	if got := f.attribute(t, "alice", "email_verified"); got != "false" {
		t.Errorf("got email_verified %q for a new address, want false", got)
	}
	_, err = f.GetUser(t.Context(), &cip.GetUserInput{AccessToken: new("a.b.c")})
	if got, want := failure(err), "NotAuthorizedException: Invalid Access Token"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatIsMotos(t *testing.T) {
	f := newFixture(t)
	f.member(t, "alice")
	f.member(t, "bob")
	list := must(f.ListUsers(t.Context(), &cip.ListUsersInput{UserPoolId: &f.pool, Filter: new(`email = "bob@example.com"`)}))(t)
	if len(list.Users) != 1 || *list.Users[0].Username != "bob" {
		t.Errorf("got %+v, want bob", list.Users)
	}
	if _, err := f.user(t, "nobody"); failure(err) != "UserNotFoundException: User does not exist." {
		t.Errorf("got %v", err)
	}
	must(f.DeleteUserPoolClient(t.Context(), &cip.DeleteUserPoolClientInput{UserPoolId: &f.pool, ClientId: &f.client}))(t)
	if _, err := f.SignUp(t.Context(), f.signUpInput("carol")); failure(err) != "ResourceNotFoundException: User pool client "+f.client+" does not exist." {
		t.Errorf("a client that is gone: got %v", err)
	}
	must(f.DeleteUserPool(t.Context(), &cip.DeleteUserPoolInput{UserPoolId: &f.pool}))(t)
	_, err := f.AdminCreateUser(t.Context(), f.createInput("carol"))
	if got, want := failure(err), "ResourceNotFoundException: User pool "+f.pool+" does not exist."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
