// Package cognito keeps accounts and their passwords in a Cognito user pool. It
// is the only package that knows of Cognito's API.
package cognito

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/sweep"
)

// The attributes of accounts.
const (
	attributeSub           = "sub"
	attributeEmail         = "email"
	attributeEmailVerified = "email_verified"
	attributeRole          = "custom:role"
	attributeOrganization  = "custom:organization_name"
)

// A Directory is the accounts of a user pool. It takes the client as it is, not
// by an interface, so that a binary links only the calls that it makes.
type Directory struct {
	client *cognitoidentityprovider.Client
	poolID string
}

// NewDirectory returns the accounts of the pool with the given ID.
func NewDirectory(client *cognitoidentityprovider.Client, poolID string) *Directory {
	return &Directory{client, poolID}
}

// Find returns the account with a user name, or fault.NotFound.
func (d *Directory) Find(ctx context.Context, username string) (account.Account, error) {
	out, err := d.client.AdminGetUser(ctx, &cognitoidentityprovider.AdminGetUserInput{UserPoolId: &d.poolID, Username: &username})
	if _, ok := errors.AsType[*types.UserNotFoundException](err); ok {
		return account.Account{}, fault.New(fault.NotFound, "there is no account with the user name")
	}
	if err != nil {
		return account.Account{}, failure("find an account", err)
	}
	return newAccount(out.Username, out.UserAttributes, out.UserStatus), nil
}

// FindByID returns the account with an ID, or fault.NotFound. An account that is
// new may not be found for a moment.
func (d *Directory) FindByID(ctx context.Context, id identity.UserID) (provisioning.Account, error) {
	out, err := d.client.ListUsers(ctx, &cognitoidentityprovider.ListUsersInput{
		UserPoolId: &d.poolID,
		Filter:     new(fmt.Sprintf("sub = %q", id)),
	})
	if err != nil {
		return provisioning.Account{}, failure("find an account by its id", err)
	}
	if len(out.Users) == 0 {
		return provisioning.Account{}, fault.New(fault.NotFound, "there is no account %q", id)
	}
	u := out.Users[0]
	return newAccount(u.Username, u.Attributes, u.UserStatus).Applicant(), nil
}

func newAccount(username *string, of []types.AttributeType, status types.UserStatusType) account.Account {
	attributes := byName(of)
	return account.Account{
		ID:               identity.UserID(attributes[attributeSub]),
		Username:         aws.ToString(username),
		Email:            attributes[attributeEmail],
		Role:             account.Role(attributes[attributeRole]),
		OrganizationName: attributes[attributeOrganization],
		Confirmed:        status != types.UserStatusTypeUnconfirmed,
	}
}

// AdminCreate makes an account for somebody: with a password, or else Cognito
// mails them an invitation. Where the account is there already it stays, but for
// the password, which is set again. It fails with fault.Invalid if the pool does
// not take the address, or its policy does not allow the password.
func (d *Directory) AdminCreate(ctx context.Context, username, email, password string) (identity.UserID, error) {
	in := &cognitoidentityprovider.AdminCreateUserInput{
		UserPoolId:             &d.poolID,
		Username:               &username,
		UserAttributes:         []types.AttributeType{attribute(attributeEmail, email), attribute(attributeEmailVerified, "true")},
		DesiredDeliveryMediums: []types.DeliveryMediumType{types.DeliveryMediumTypeEmail},
	}
	if password != "" {
		in.MessageAction = types.MessageActionTypeSuppress
	}
	id, err := d.createOrFind(ctx, in)
	if err != nil || password == "" {
		return id, err
	}
	_, err = d.client.AdminSetUserPassword(ctx, &cognitoidentityprovider.AdminSetUserPasswordInput{
		UserPoolId: &d.poolID, Username: &username, Password: &password, Permanent: true,
	})
	return id, failure("set the password of an account", err)
}

func (d *Directory) createOrFind(ctx context.Context, in *cognitoidentityprovider.AdminCreateUserInput) (identity.UserID, error) {
	out, err := d.client.AdminCreateUser(ctx, in)
	if _, ok := errors.AsType[*types.UsernameExistsException](err); ok {
		found, err := d.Find(ctx, *in.Username)
		return found.ID, err
	}
	if _, ok := errors.AsType[*types.InvalidParameterException](err); ok {
		return "", invalid(failure("create an account", err), "#/email", "is not one that the user pool takes")
	}
	if err != nil {
		return "", failure("create an account", err)
	}
	return identity.UserID(byName(out.User.Attributes)[attributeSub]), nil
}

// Readmit mails an account whose invitation is open that invitation again, with a
// new password, and any other a code to reset the password, without which nobody
// signs in any more. It says which it was. It fails with fault.NotFound, with
// fault.Conflict if no mail can be sent to the account, and with
// fault.TooManyRequests.
func (d *Directory) Readmit(ctx context.Context, username string) (invited bool, err error) {
	_, err = d.client.AdminCreateUser(ctx, &cognitoidentityprovider.AdminCreateUserInput{
		UserPoolId:             &d.poolID,
		Username:               &username,
		MessageAction:          types.MessageActionTypeResend,
		DesiredDeliveryMediums: []types.DeliveryMediumType{types.DeliveryMediumTypeEmail},
	})
	if _, ok := errors.AsType[*types.UnsupportedUserStateException](err); !ok {
		return err == nil, readmitFailure("send an invitation again", err)
	}
	_, err = d.client.AdminResetUserPassword(ctx, &cognitoidentityprovider.AdminResetUserPasswordInput{UserPoolId: &d.poolID, Username: &username}, onceIfLimited)
	return false, readmitFailure("reset the password of an account", err)
}

func readmitFailure(what string, err error) error {
	if _, ok := errors.AsType[*types.UserNotFoundException](err); ok {
		return fault.New(fault.NotFound, "the user's account is gone")
	}
	_, noAddress := errors.AsType[*types.InvalidParameterException](err)
	if _, refused := errors.AsType[*types.NotAuthorizedException](err); noAddress || refused {
		return fault.Wrap(failure(what, err), fault.Conflict, "no mail can be sent to the account as it is")
	}
	return failure(what, err)
}

// AdminDelete removes an account. It is no error if it is gone.
func (d *Directory) AdminDelete(ctx context.Context, username string) error {
	_, err := d.client.AdminDeleteUser(ctx, &cognitoidentityprovider.AdminDeleteUserInput{UserPoolId: &d.poolID, Username: &username})
	if _, ok := errors.AsType[*types.UserNotFoundException](err); ok {
		return nil
	}
	return failure("delete an account", err)
}

// Remove ends all sessions of an account and removes it, but not another that has
// its user name by now. It is no error if it is gone.
func (d *Directory) Remove(ctx context.Context, a sweep.RejectedAccount) error {
	found, err := d.Find(ctx, a.Username)
	if errors.Is(err, fault.NotFound) || err == nil && found.ID != a.ID {
		return nil
	}
	if err == nil {
		err = d.SignOut(ctx, a.Username)
	}
	if err != nil {
		return err
	}
	return d.AdminDelete(ctx, a.Username)
}

// SignOut ends all sessions of an account. It is no error if the account is gone.
func (d *Directory) SignOut(ctx context.Context, username string) error {
	_, err := d.client.AdminUserGlobalSignOut(ctx, &cognitoidentityprovider.AdminUserGlobalSignOutInput{UserPoolId: &d.poolID, Username: &username})
	if _, ok := errors.AsType[*types.UserNotFoundException](err); ok {
		return nil
	}
	return failure("sign an account out", err)
}

func attribute(name, value string) types.AttributeType {
	return types.AttributeType{Name: &name, Value: &value}
}

func byName(attributes []types.AttributeType) map[string]string {
	values := make(map[string]string, len(attributes))
	for _, a := range attributes {
		values[aws.ToString(a.Name)] = aws.ToString(a.Value)
	}
	return values
}

// A Secret is the secret of the pool's client.
type Secret interface {
	Get(ctx context.Context) (string, error)
}

// An AppClient is the pool's one client, by which people sign up and in.
type AppClient struct {
	*Directory
	clientID string
	secret   Secret
}

// NewAppClient returns the client with the given ID of a directory's pool.
func NewAppClient(directory *Directory, clientID string, secret Secret) *AppClient {
	return &AppClient{directory, clientID, secret}
}

// secretHash proves for a request about a user name that it comes from the
// client.
func (c *AppClient) secretHash(ctx context.Context, username string) (string, error) {
	secret, err := c.secret.Get(ctx)
	if err != nil {
		return "", fmt.Errorf("secret of the user pool's client: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(username + c.clientID))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
