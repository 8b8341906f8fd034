// Package account lets people in: it takes sign-ups, and signs accounts in and
// out. An account becomes a user when it is onboarded; from then on the user's
// row says who they are. The package knows neither HTTP nor AWS.
package account

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/provisioning"
)

// A Role is what an account was signed up for.
type Role string

// The roles that can be signed up for.
const (
	Business  Role = "business"  // gets a tenant, and owns it
	Developer Role = "developer" // has no tenant
)

// An Account is what a person signs in to, as the directory of accounts has it.
type Account struct {
	ID               identity.UserID
	Username         string
	Email            string
	Role             Role   // "" for accounts that were made for somebody
	OrganizationName string // "" if none was given
	Confirmed        bool
}

// Tokens are what a sign-in or a refresh gives, and what the access token says.
type Tokens struct {
	Access    string
	Refresh   string // "" after a refresh that leaves the old one valid
	ExpiresIn time.Duration

	UserID   identity.UserID
	Username string
	AuthTime time.Time // of the sign-in, in whole seconds
	// PlatformAdmin is set for members of the directory's group of that name.
	PlatformAdmin bool
}

// ErrTriggerFailed says that the directory gave up a sign-up or a confirmation
// since one of our triggers failed. The account may be there and confirmed all
// the same.
var ErrTriggerFailed = errors.New("a trigger of the directory failed")

// An Onboarder gives confirmed accounts their place on the platform.
type Onboarder interface {
	// Onboard makes the user of an account and, for a business, the tenant. Doing
	// it again changes nothing. It fails with fault.EmailTaken if another account
	// with the same address was first.
	Onboard(ctx context.Context, a provisioning.Account) error
}

// Onboard gives an account that signed up its place on the platform. It fails with
// fault.Forbidden if the account did not sign up, but was made for somebody.
func Onboard(ctx context.Context, o Onboarder, a Account) error {
	if a.Role != Business && a.Role != Developer {
		return fault.New(fault.Forbidden, "the account belongs to no tenant, or its tenant is not made yet")
	}
	return o.Onboard(ctx, a.Applicant())
}

// Applicant returns the account as one that asks for its place on the platform.
func (a Account) Applicant() provisioning.Account {
	return provisioning.Account{
		ID:               a.ID,
		Username:         a.Username,
		Email:            a.Email,
		Business:         a.Role == Business,
		OrganizationName: a.OrganizationName,
	}
}
