// Package trigger is Cognito's edge: it turns the user pool's events into calls
// of the domain. Cognito shows the text of an error to whoever signs up, so that
// only what is written for them gets there.
package trigger

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/identity"
)

// The occasions that the triggers act on. They are called on others too.
const (
	signUp        = "PreSignUp_SignUp"
	confirmSignUp = "PostConfirmation_ConfirmSignUp"
	confirmReset  = "PostConfirmation_ConfirmForgotPassword"
)

// An Event is what Cognito sends to a trigger, and gets back with the response
// filled in. Members that are not read here are handed back as they came.
type Event struct {
	Source   string         `json:"triggerSource"`
	Username string         `json:"userName"`
	Request  Request        `json:"request"`
	Response jsontext.Value `json:"response"`
	Others   jsontext.Value `json:",embed"`
}

// A Request is what an event says of an account.
type Request struct {
	Attributes map[string]string `json:"userAttributes"`
	Metadata   map[string]string `json:"clientMetadata,omitzero"` // from our own call
	Others     jsontext.Value    `json:",embed"`
}

func (e Event) profile() account.Profile {
	p := account.Profile{
		Username: e.Username,
		Email:    e.Request.Attributes["email"],
		Role:     account.Role(e.Request.Attributes["custom:role"]),
	}
	if name, ok := e.Request.Attributes["custom:organization_name"]; ok {
		p.OrganizationName = &name
	}
	return p
}

func (e Event) account() account.Account {
	return account.Account{
		ID:               identity.UserID(e.Request.Attributes["sub"]),
		Username:         e.Username,
		Email:            e.Request.Attributes["email"],
		Role:             account.Role(e.Request.Attributes["custom:role"]),
		OrganizationName: e.Request.Attributes["custom:organization_name"],
		Confirmed:        true,
	}
}

// autoConfirmed is the response that confirms an account without a code.
const autoConfirmed = `{"autoConfirmUser":true,"autoVerifyEmail":true,"autoVerifyPhone":false}`

// PreSignUp returns the trigger that refuses the accounts that POST /auth/signup
// refuses. With autoConfirm it confirms the others. Accounts that are made for
// somebody pass unchanged.
func PreSignUp(emails account.EmailHolder, autoConfirm bool) func(context.Context, Event) (Event, error) {
	return func(ctx context.Context, e Event) (Event, error) {
		if e.Source != signUp {
			return e, nil
		}
		if err := e.profile().Admit(ctx, emails); err != nil {
			return e, shown{err}
		}
		if autoConfirm {
			e.Response = jsontext.Value(autoConfirmed)
		}
		return e, nil
	}
}

// A ResetWatcher is told that forgotten passwords were replaced.
type ResetWatcher interface {
	PasswordReset(ctx context.Context, id identity.UserID, requestID string) error
}

// PostConfirmation returns the trigger that gives a confirmed account its place
// on the platform, and tells of a forgotten password that was replaced.
func PostConfirmation(o account.Onboarder, resets ResetWatcher) func(context.Context, Event) (Event, error) {
	return func(ctx context.Context, e Event) (Event, error) {
		var err error
		switch e.Source {
		case confirmSignUp:
			err = account.Onboard(ctx, o, e.account())
		case confirmReset:
			err = resets.PasswordReset(ctx, e.account().ID, e.Request.Metadata["request_id"])
		}
		if err != nil {
			return e, shown{err}
		}
		return e, nil
	}
}
