// Package platform is what those who run the platform need besides its API: where
// a stack is, and its platform admins.
package platform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/cognito"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// adminGroup is the group of the user pool whose members are platform admins from
// their first sign-in on.
const adminGroup = "platform-admins"

// Admins are the platform admins of a stack.
type Admins struct {
	client    *cognitoidentityprovider.Client
	poolID    string
	directory *cognito.Directory
	users     *dynamo.Users
}

// NewAdmins returns the platform admins with accounts in the user pool, and rows in
// the table.
func NewAdmins(cfg aws.Config, poolID, table string) *Admins {
	client := cognitoidentityprovider.NewFromConfig(cfg)
	return &Admins{
		client:    client,
		poolID:    poolID,
		directory: cognito.NewDirectory(client, poolID),
		users:     dynamo.NewUsers(dynamo.NewTable(dynamodb.NewFromConfig(cfg), table)),
	}
}

// Seed makes the account of a platform admin with a password that is final. The
// first sign-in makes the row.
func (a *Admins) Seed(ctx context.Context, username, email, password string) error {
	_, err := a.account(ctx, username, email, password)
	return err
}

// account makes an account in the group of platform admins, or finds the one with
// the name. Without a password a new one gets an invitation by mail.
func (a *Admins) account(ctx context.Context, username, email, password string) (identity.UserID, error) {
	id, err := a.directory.AdminCreate(ctx, username, email, password)
	if err != nil {
		return "", err
	}
	return id, a.join(ctx, username)
}

func (a *Admins) join(ctx context.Context, username string) error {
	_, err := a.client.AdminAddUserToGroup(ctx, &cognitoidentityprovider.AdminAddUserToGroupInput{
		UserPoolId: &a.poolID, Username: &username, GroupName: new(adminGroup),
	})
	if err != nil {
		return fmt.Errorf("add the account to the group %s: %w", adminGroup, err)
	}
	return nil
}

// An Appointment is how somebody came to be a platform admin.
type Appointment struct {
	Username string
	// Invited is set where a temporary password was mailed, which is to be replaced.
	Invited bool
	// Was is the role before, or "" for somebody new.
	Was identity.Role
}

// A PromotionError says that the address has an account already, which becomes a
// platform admin only where the caller says so: whoever has its password would.
type PromotionError struct{ User user.User }

func (e *PromotionError) Error() string {
	return fmt.Sprintf("%s has an account already: user name %s, role %s, made at %s", e.User.Email, e.User.Username, e.User.Role, e.User.CreatedAt.Format(time.RFC3339))
}

// Appoint makes somebody a platform admin: with a new account, to which an
// invitation is mailed, or, with promote, the account that has the e-mail address
// and belongs to no tenant. Doing it again mails an invitation that is open again,
// and changes nothing else. It fails with a *PromotionError.
func (a *Admins) Appoint(ctx context.Context, email string, promote bool) (Appointment, error) {
	if !tenant.IsEmail(email) {
		return Appointment{}, fmt.Errorf("%q is no e-mail address", email)
	}
	username, err := a.users.ByEmail(ctx, email)
	if errors.Is(err, fault.NotFound) {
		return a.invite(ctx, email)
	}
	if err != nil {
		return Appointment{}, err
	}
	u, err := a.user(ctx, username)
	if err != nil {
		return Appointment{}, err
	}
	if err := a.promote(ctx, u, promote); err != nil {
		return Appointment{}, err
	}
	if err := a.join(ctx, username); err != nil {
		return Appointment{}, err
	}
	invited, err := a.remind(ctx, username)
	return Appointment{Username: username, Invited: invited, Was: u.Role}, err
}

// user returns the user whose account has the name.
func (a *Admins) user(ctx context.Context, username string) (user.User, error) {
	found, err := a.directory.Find(ctx, username)
	if err != nil {
		return user.User{}, err
	}
	return a.users.Get(ctx, found.ID)
}

// byOperator is who the audit says did it: the account of AWS knows who that was.
var byOperator = audit.BySystem("admin", "")

// invite makes a platform admin with a new account. Its name comes from the
// address, so that whoever goes on after a failure finds the same account.
func (a *Admins) invite(ctx context.Context, email string) (Appointment, error) {
	held, err := a.users.EmailHeld(ctx, email)
	if err != nil {
		return Appointment{}, err
	}
	if held {
		return Appointment{}, fmt.Errorf("%s is held for a member of a tenant who is just being made; choose another address", email)
	}
	username := uuid.NewSHA1(uuid.NameSpaceURL, []byte("mailto:"+user.FoldEmail(email)+"#"+adminGroup)).String()
	id, err := a.account(ctx, username, email, "")
	if err != nil {
		return Appointment{}, err
	}
	u, told := account.NewPlatformAdmin(account.Account{ID: id, Username: username, Email: email}, email, byOperator)
	err = a.users.Create(ctx, u, told)
	if errors.Is(err, fault.EmailTaken) {
		return Appointment{}, fmt.Errorf("%s was taken by another account meanwhile, or was a user until a moment ago; try again in two minutes: %w", email, err)
	}
	if err != nil && !errors.Is(err, fault.Conflict) { // another run made the row
		return Appointment{}, err
	}
	return Appointment{Username: username, Invited: true}, nil
}

// promote makes a user a platform admin who is none yet, if that is wanted.
func (a *Admins) promote(ctx context.Context, u user.User, wanted bool) error {
	switch {
	case u.TenantID != "":
		return fmt.Errorf("%s is %s of the tenant %s, and platform admins belong to none; choose another address", u.Email, u.Role, u.TenantID)
	case u.Disabled:
		return fmt.Errorf("%s is disabled; another platform admin enables them with PATCH /users/%s", u.Email, u.ID)
	case u.Role == identity.PlatformAdmin:
		return nil
	case !wanted:
		return &PromotionError{u}
	}
	after := u
	after.Role = identity.PlatformAdmin
	after.Version++
	told := byOperator.Did(audit.UserUpdated, "", user.Target(u.ID), user.Changes(u, after)...)
	return a.users.Change(ctx, user.Change{Before: u, After: after, Records: []audit.Record{told}})
}

// remind mails an invitation again, with another temporary password, if it is open.
func (a *Admins) remind(ctx context.Context, username string) (invited bool, err error) {
	_, err = a.client.AdminCreateUser(ctx, &cognitoidentityprovider.AdminCreateUserInput{
		UserPoolId:             &a.poolID,
		Username:               &username,
		MessageAction:          types.MessageActionTypeResend,
		DesiredDeliveryMediums: []types.DeliveryMediumType{types.DeliveryMediumTypeEmail},
	})
	if _, accepted := errors.AsType[*types.UnsupportedUserStateException](err); accepted {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("mail the invitation again: %w", err)
	}
	return true, nil
}
