package cognito_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/fault"
)

const internal fault.Kind = "" // of an error that is not the caller's

func TestFailures(t *testing.T) {
	ctx := context.Background()
	signUp := func(c *cognito.AppClient) error {
		_, _, err := c.SignUp(ctx, account.Draft{Profile: account.Profile{Username: "dewi", Email: "dewi@example.com"}, Password: "correct horse"})
		return err
	}
	confirm := func(c *cognito.AppClient) error { return c.Confirm(ctx, "dewi", "123456") }
	resend := func(c *cognito.AppClient) error { return c.ResendCode(ctx, "dewi") }
	signIn := func(c *cognito.AppClient) error {
		_, err := c.SignIn(ctx, "dewi", "correct horse")
		return err
	}
	anew := func(c *cognito.AppClient) error {
		_, err := c.SignInAnew(ctx, "dewi", "correct horse", "battery staple")
		return err
	}
	refresh := func(c *cognito.AppClient) error {
		_, err := c.Refresh(ctx, "dewi", "refresh")
		return err
	}
	find := func(c *cognito.AppClient) error {
		_, err := c.Find(ctx, "dewi")
		return err
	}
	forget := func(c *cognito.AppClient) error { return c.SendResetCode(ctx, "dewi") }
	reset := func(c *cognito.AppClient) error {
		return c.ResetPassword(ctx, "dewi", "123456", "battery staple", "R1")
	}
	change := func(c *cognito.AppClient) error {
		return c.ChangePassword(ctx, "token", "correct horse", "battery staple")
	}
	for name, test := range map[string]struct {
		do      func(*cognito.AppClient) error
		answer  answer
		kind    fault.Kind
		pointer string
	}{
		"sign-up, name taken":            {signUp, answer{"SignUp", "", "UsernameExistsException", "User already exists"}, fault.UsernameTaken, "#/username"},
		"sign-up, password":              {signUp, answer{"SignUp", "", "InvalidPasswordException", "Password not long enough"}, fault.Invalid, "#/password"},
		"sign-up, too many":              {signUp, answer{"SignUp", "", "LimitExceededException", "Attempt limit exceeded"}, fault.TooManyRequests, ""},
		"sign-up, bad call":              {signUp, answer{"SignUp", "", "InvalidParameterException", "correct horse"}, internal, ""},
		"confirmation, wrong code":       {confirm, answer{"ConfirmSignUp", "", "CodeMismatchException", "Invalid code"}, fault.Invalid, "#/code"},
		"confirmation, expired code":     {confirm, answer{"ConfirmSignUp", "", "ExpiredCodeException", "Invalid code"}, fault.Invalid, "#/code"},
		"confirmation, again":            {confirm, answer{"ConfirmSignUp", "", "NotAuthorizedException", "User cannot be confirmed. Current status is CONFIRMED"}, fault.Conflict, ""},
		"confirmation, wrong secret":     {confirm, answer{"ConfirmSignUp", "", "NotAuthorizedException", "Unable to verify secret hash for client"}, internal, ""},
		"code again, too many":           {resend, answer{"ResendConfirmationCode", "", "LimitExceededException", "Attempt limit exceeded"}, fault.TooManyRequests, ""},
		"sign-in, wrong password":        {signIn, answer{"AdminInitiateAuth", "", "NotAuthorizedException", "Incorrect username or password."}, fault.InvalidCredentials, ""},
		"sign-in, nobody":                {signIn, answer{"AdminInitiateAuth", "", "UserNotFoundException", "User does not exist."}, fault.InvalidCredentials, ""},
		"sign-in, disabled":              {signIn, answer{"AdminInitiateAuth", "", "NotAuthorizedException", "User is disabled."}, fault.InvalidCredentials, ""},
		"sign-in, locked":                {signIn, answer{"AdminInitiateAuth", "", "NotAuthorizedException", "Password attempts exceeded"}, fault.TooManyRequests, ""},
		"sign-in, wrong secret":          {signIn, answer{"AdminInitiateAuth", "", "NotAuthorizedException", "Unable to verify secret hash for client"}, internal, ""},
		"sign-in, another secret":        {signIn, answer{"AdminInitiateAuth", "", "NotAuthorizedException", "SecretHash does not match for the client"}, internal, ""},
		"sign-in, not confirmed":         {signIn, answer{"AdminInitiateAuth", "", "UserNotConfirmedException", "User is not confirmed."}, fault.UserNotConfirmed, ""},
		"sign-in, reset":                 {signIn, answer{"AdminInitiateAuth", "", "PasswordResetRequiredException", "Password reset required"}, fault.Forbidden, ""},
		"sign-in, too many":              {signIn, answer{"AdminInitiateAuth", "", "TooManyRequestsException", "Too many requests"}, fault.TooManyRequests, ""},
		"sign-in, invited":               {signIn, answer{operation: "AdminInitiateAuth", body: challenge}, fault.NewPasswordRequired, ""},
		"sign-in, another challenge":     {signIn, answer{operation: "AdminInitiateAuth", body: `{"ChallengeName":"SMS_MFA","Session":"s"}`}, internal, ""},
		"first sign-in, not invited":     {anew, answer{operation: "AdminInitiateAuth", body: signedIn()}, fault.Invalid, "#/new_password"},
		"refresh, bad token":             {refresh, answer{"AdminInitiateAuth", "", "NotAuthorizedException", "Invalid Refresh Token"}, fault.TokenInvalid, ""},
		"refresh, of another account":    {refresh, answer{"AdminInitiateAuth", "", "NotAuthorizedException", "SecretHash does not match for the client"}, fault.TokenInvalid, ""},
		"refresh, revoked":               {refresh, answer{"AdminInitiateAuth", "", "NotAuthorizedException", "Refresh Token has been revoked"}, fault.TokenInvalid, ""},
		"refresh, expired":               {refresh, answer{"AdminInitiateAuth", "", "NotAuthorizedException", "Refresh Token has expired"}, fault.TokenExpired, ""},
		"refresh, gone":                  {refresh, answer{"AdminInitiateAuth", "", "UserNotFoundException", "User does not exist."}, fault.TokenInvalid, ""},
		"code for a reset, wrong secret": {forget, answer{"ForgotPassword", "", "NotAuthorizedException", "Unable to verify secret hash for client"}, internal, ""},
		"code for a reset, down":         {forget, answer{"ForgotPassword", "", "InternalErrorException", "Internal error"}, internal, ""},
		"reset, wrong code":              {reset, answer{"ConfirmForgotPassword", "", "CodeMismatchException", "Invalid code"}, fault.Invalid, "#/code"},
		"reset, expired code":            {reset, answer{"ConfirmForgotPassword", "", "ExpiredCodeException", "Invalid code"}, fault.Invalid, "#/code"},
		"reset, nobody":                  {reset, answer{"ConfirmForgotPassword", "", "UserNotFoundException", "User does not exist."}, fault.Invalid, "#/code"},
		"reset, disabled":                {reset, answer{"ConfirmForgotPassword", "", "NotAuthorizedException", "User is disabled."}, fault.Invalid, "#/code"},
		"reset, tried too often":         {reset, answer{"ConfirmForgotPassword", "", "LimitExceededException", "Attempt limit exceeded"}, fault.Invalid, "#/code"},
		"reset, bad password":            {reset, answer{"ConfirmForgotPassword", "", "InvalidPasswordException", "Password not long enough"}, fault.Invalid, "#/new_password"},
		"reset, wrong secret":            {reset, answer{"ConfirmForgotPassword", "", "NotAuthorizedException", "Unable to verify secret hash for client"}, internal, ""},
		"change, wrong password":         {change, answer{"ChangePassword", "", "NotAuthorizedException", "Incorrect username or password."}, fault.Invalid, "#/old_password"},
		"change, bad password":           {change, answer{"ChangePassword", "", "InvalidPasswordException", "Password not long enough"}, fault.Invalid, "#/new_password"},
		"change, withdrawn token":        {change, answer{"ChangePassword", "", "NotAuthorizedException", "Access Token has been revoked"}, fault.TokenInvalid, ""},
		"change, expired token":          {change, answer{"ChangePassword", "", "NotAuthorizedException", "Access Token has expired"}, fault.TokenExpired, ""},
		"change, gone":                   {change, answer{"ChangePassword", "", "UserNotFoundException", "User does not exist."}, fault.TokenInvalid, ""},
		"change, too many":               {change, answer{"ChangePassword", "", "LimitExceededException", "Attempt limit exceeded"}, fault.TooManyRequests, ""},
		"look-up, nobody":                {find, answer{"AdminGetUser", "", "UserNotFoundException", "User does not exist."}, fault.NotFound, ""},
		"look-up, not allowed":           {find, answer{"AdminGetUser", "", "AccessDeniedException", "not authorized"}, internal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := newPool(t, test.answer)
			err := test.do(client)
			if err == nil || fault.KindOf(err) != test.kind {
				t.Fatalf("got %v, want the kind %q", err, test.kind)
			}
			if text := err.Error(); strings.Contains(text, "correct horse") || strings.Contains(text, "@example.com") {
				t.Errorf("the text %q repeats what was entered", text)
			}
			f, ok := errors.AsType[*fault.Error](err)
			if test.pointer != "" && (len(f.Fields) != 1 || f.Fields[0].Pointer != test.pointer) {
				t.Errorf("got the fields %v, want %s", f.Fields, test.pointer)
			}
			if ok && (f.RetryAfter > 0) != (test.kind == fault.TooManyRequests) {
				t.Errorf("got %v to wait", f.RetryAfter)
			}
		})
	}
}

func TestTriggerFailures(t *testing.T) {
	for _, code := range []string{"UserLambdaValidationException", "UnexpectedLambdaException", "InvalidLambdaResponseException"} {
		_, client := newPool(t, answer{"ConfirmSignUp", "", code, "PostConfirmation failed with error dewi@example.com."})
		err := client.Confirm(t.Context(), "dewi", "123456")
		if !errors.Is(err, account.ErrTriggerFailed) || strings.Contains(err.Error(), "@example.com") {
			t.Errorf("%s: got %v, want %v without an address", code, err, account.ErrTriggerFailed)
		}
	}
}

// Whether there is such an account, and whether it waits for a code, is not
// told.
func TestResendCodeTellsNothing(t *testing.T) {
	for _, a := range []answer{
		{operation: "ResendConfirmationCode", body: `{}`},
		{"ResendConfirmationCode", "", "UserNotFoundException", "User does not exist."},
		{"ResendConfirmationCode", "", "InvalidParameterException", "User is already confirmed."},
		{"ResendConfirmationCode", "", "NotAuthorizedException", "User is disabled."},
	} {
		_, client := newPool(t, a)
		if err := client.ResendCode(t.Context(), "dewi"); err != nil {
			t.Errorf("%s: %v", a.code, err)
		}
	}
}

// Nothing tells whether there is an account, and how it is.
func TestSendResetCodeTellsNothing(t *testing.T) {
	for _, a := range []answer{
		{body: `{}`},
		{code: "UserNotFoundException", message: "User does not exist."},
		{code: "UserNotConfirmedException", message: "User is not confirmed."},
		{code: "InvalidParameterException", message: "Cannot reset password for the user as there is no registered/verified email or phone_number"},
		{code: "NotAuthorizedException", message: "User password cannot be reset in the current state."},
		{code: "LimitExceededException", message: "Attempt limit exceeded, please try after some time."},
		{code: "CodeDeliveryFailureException", message: "The mail was not delivered"},
	} {
		a.operation = "ForgotPassword"
		p, client := newPool(t, a)
		if err := client.SendResetCode(t.Context(), "dewi"); err != nil {
			t.Errorf("%s: %v", a.code, err)
		}
		checkCalls(t, p, call{"ForgotPassword", `{"ClientId":"client","SecretHash":"` + hashOf("dewi") + `","Username":"dewi"}`})
	}
}

// A bad new password is told apart from the old one.
func TestSignInAnewWithBadPassword(t *testing.T) {
	_, client := newPool(t, answer{operation: "AdminInitiateAuth", body: challenge},
		answer{"AdminRespondToAuthChallenge", "", "InvalidPasswordException", "Password not long enough"})
	_, err := client.SignInAnew(t.Context(), "dewi", "correct horse", "battery staple")
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Invalid || f.Fields[0].Pointer != "#/new_password" {
		t.Errorf("got %v, want the fault of new_password", err)
	}
}

// A limit that lasts for minutes is not tried again.
func TestLimitIsHandedOn(t *testing.T) {
	p, client := newPoolTried(t, 3, answer{"ResendConfirmationCode", "", "LimitExceededException", "Attempt limit exceeded"})
	if err := client.ResendCode(t.Context(), "dewi"); !errors.Is(err, fault.TooManyRequests) {
		t.Errorf("got %v, want %v", err, fault.TooManyRequests)
	}
	if len(p.calls) != 1 {
		t.Errorf("got %d calls, want 1", len(p.calls))
	}
}

// What was done is not tried again for want of an answer, as that would be refused.
func TestLostAnswer(t *testing.T) {
	changePassword := func(c *cognito.AppClient) error {
		return c.ChangePassword(t.Context(), "token", "correct horse", "battery staple")
	}
	for name, test := range map[string]struct {
		call   func(*cognito.AppClient) error
		script []answer
	}{
		"change": {changePassword, []answer{{operation: "ChangePassword", code: lost}}},
		"change, throttled": {changePassword, []answer{
			{operation: "ChangePassword", code: "TooManyRequestsException"}, {operation: "ChangePassword", code: lost},
		}},
		"reset": {func(c *cognito.AppClient) error {
			return c.ResetPassword(t.Context(), "dewi", "123456", "battery staple", "request-1")
		}, []answer{{operation: "ConfirmForgotPassword", code: lost}}},
		"first password": {func(c *cognito.AppClient) error {
			_, err := c.SignInAnew(t.Context(), "dewi", "correct horse", "battery staple")
			return err
		}, []answer{{operation: "AdminInitiateAuth", body: challenge}, {operation: "AdminRespondToAuthChallenge", code: lost}}},
	} {
		t.Run(name, func(t *testing.T) {
			p, client := newPoolTried(t, 3, test.script...)
			if err := test.call(client); err == nil || fault.KindOf(err) != "" {
				t.Errorf("got %v, want a failure of no kind", err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.calls) != len(test.script) {
				t.Errorf("got %d calls, want %d", len(p.calls), len(test.script))
			}
		})
	}
}

// What is tried again, and how often, is no more than the client says.
func TestTriedAsTheClientSays(t *testing.T) {
	for name, test := range map[string]struct {
		call   func(*cognito.AppClient) error
		script []answer
	}{
		"throttled": {func(c *cognito.AppClient) error {
			return c.ChangePassword(t.Context(), "token", "correct horse", "battery staple")
		}, []answer{{operation: "ChangePassword", code: "TooManyRequestsException"}, {operation: "ChangePassword", code: "TooManyRequestsException"}}},
		"wrong": {func(c *cognito.AppClient) error {
			return c.Confirm(t.Context(), "dewi", "123456")
		}, []answer{{operation: "ConfirmSignUp", code: "CodeMismatchException"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p, client := newPoolTried(t, 2, test.script...)
			if err := test.call(client); fault.KindOf(err) == "" {
				t.Errorf("got %v, want a refusal", err)
			}
			if len(p.calls) != len(test.script) {
				t.Errorf("got %d calls, want %d", len(p.calls), len(test.script))
			}
		})
	}
}
