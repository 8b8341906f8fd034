package trigger_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/trigger"
)

// preSignUp is an event as Cognito sends it, with what the cases change in
// braces.
const preSignUp = `{"version":"1","region":"eu-west-1","userPoolId":"eu-west-1_abc","userName":"{name}",` +
	`"callerContext":{"awsSdkVersion":"aws-sdk-go-v2","clientId":"client"},"triggerSource":"{source}",` +
	`"request":{"userAttributes":{"email":"{email}","custom:role":"{role}"},"validationData":null},` +
	`"response":{"autoConfirmUser":false,"autoVerifyEmail":false,"autoVerifyPhone":false}}`

// heldFunc is an account.EmailHolder.
type heldFunc func(email string) (bool, error)

func (f heldFunc) EmailHeld(_ context.Context, email string) (bool, error) { return f(email) }

func held(email string) (bool, error) {
	if email == "broken@example.com" {
		return false, errors.New("a secret detail")
	}
	return email == "held@example.com", nil
}

func TestPreSignUp(t *testing.T) {
	for name, test := range map[string]struct {
		name, source, email, role string
		autoConfirm               bool
		want                      string // the end of the event that goes back
		message                   string
	}{
		"waits for the code": {
			"dewi", "PreSignUp_SignUp", "dewi@example.com", "business", false,
			`"response":{"autoConfirmUser":false,"autoVerifyEmail":false,"autoVerifyPhone":false}}`, "",
		},
		"confirmed at once": {
			"dewi", "PreSignUp_SignUp", "dewi@example.com", "business", true,
			`"response":{"autoConfirmUser":true,"autoVerifyEmail":true,"autoVerifyPhone":false}}`, "",
		},
		"held address": {
			"dewi", "PreSignUp_SignUp", "held@example.com", "business", true,
			"", "the e-mail address belongs to another account; #/email is taken",
		},
		"no role to sign up for": {
			"dewi", "PreSignUp_SignUp", "dewi@example.com", "admin", true,
			"", "the request breaks a rule; errors lists each; #/role must be business or developer",
		},
		"failure of ours": {
			"dewi", "PreSignUp_SignUp", "broken@example.com", "business", true,
			"", "this did not work; try again later",
		},
		"made for somebody": {
			"3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e", "PreSignUp_AdminCreateUser", "held@example.com", "", true,
			`"response":{"autoConfirmUser":false,"autoVerifyEmail":false,"autoVerifyPhone":false}}`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("{name}", test.name, "{source}", test.source, "{email}", test.email, "{role}", test.role).Replace(preSignUp)
			got, err := trigger.PreSignUp(heldFunc(held), test.autoConfirm)(t.Context(), event(t, text))
			if got := message(err); got != test.message {
				t.Fatalf("got the message %q, want %q", got, test.message)
			}
			if err != nil {
				return
			}
			before, _, _ := strings.Cut(text, `"response"`)
			if diff := cmp.Diff(object(t, before+test.want), object(t, encode(t, got))); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

// onboardFunc is an account.Onboarder.
type onboardFunc func(provisioning.Account) error

func (f onboardFunc) Onboard(_ context.Context, a provisioning.Account) error { return f(a) }

const postConfirmation = `{"version":"1","userPoolId":"eu-west-1_abc","userName":"dewi","triggerSource":"{source}",` +
	`"request":{"userAttributes":{"sub":"3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e","email":"dewi@example.com","email_verified":"true",` +
	`"cognito:user_status":"CONFIRMED","custom:role":"{role}","custom:organization_name":"Nusantara Voice"},"clientMetadata":{"request_id":"R1"}},"response":{}}`

type resetFunc func(id identity.UserID, requestID string) error

func (f resetFunc) PasswordReset(_ context.Context, id identity.UserID, requestID string) error {
	return f(id, requestID)
}

func TestPostConfirmation(t *testing.T) {
	dewi := provisioning.Account{
		ID: identity.UserID("3f0c2a4e-5b1d-4c57-9a53-0f6f3a1c9b7e"), Username: "dewi", Email: "dewi@example.com",
		Business: true, OrganizationName: "Nusantara Voice",
	}
	for name, test := range map[string]struct {
		source, role string
		failure      error
		want         []provisioning.Account
		message      string
	}{
		"confirmed":          {"PostConfirmation_ConfirmSignUp", "business", nil, []provisioning.Account{dewi}, ""},
		"forgotten password": {"PostConfirmation_ConfirmForgotPassword", "business", nil, nil, ""},
		"forgotten password, and a failure of ours": {
			"PostConfirmation_ConfirmForgotPassword", "business", errors.New("a secret detail"), nil,
			"this did not work; try again later",
		},
		"made for somebody": {
			"PostConfirmation_ConfirmSignUp", "", nil, nil,
			"the account belongs to no tenant, or its tenant is not made yet",
		},
		"address lost": {
			"PostConfirmation_ConfirmSignUp", "business", fault.New(fault.EmailTaken, "the e-mail address belongs to another account"),
			[]provisioning.Account{dewi},
			"the e-mail address belongs to another account",
		},
		"failure of ours": {
			"PostConfirmation_ConfirmSignUp", "business", errors.New("a secret detail"),
			[]provisioning.Account{dewi},
			"this did not work; try again later",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []provisioning.Account
			onboard := onboardFunc(func(a provisioning.Account) error {
				got = append(got, a)
				return test.failure
			})
			resets := resetFunc(func(id identity.UserID, requestID string) error {
				if test.source != "PostConfirmation_ConfirmForgotPassword" || id != dewi.ID || requestID != "R1" {
					t.Errorf("the password of %s was reset by the request %s", id, requestID)
				}
				return test.failure
			})
			text := strings.NewReplacer("{source}", test.source, "{role}", test.role).Replace(postConfirmation)
			back, err := trigger.PostConfirmation(onboard, resets)(t.Context(), event(t, text))
			if got := message(err); got != test.message {
				t.Errorf("got the message %q, want %q", got, test.message)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("onboarded (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(object(t, text), object(t, encode(t, back))); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func event(t *testing.T, text string) trigger.Event {
	t.Helper()
	var e trigger.Event
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func encode(t *testing.T, e trigger.Event) string {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestLogHasTheCause(t *testing.T) {
	_, err := trigger.PreSignUp(heldFunc(held), false)(t.Context(), event(t, strings.NewReplacer(
		"{name}", "dewi", "{source}", "PreSignUp_SignUp", "{email}", "broken@example.com", "{role}", "business").Replace(preSignUp)))
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Error("failed", "error", err)
	if !strings.Contains(b.String(), "a secret detail") {
		t.Errorf("got the line %q, want the cause in it", b.String())
	}
}
