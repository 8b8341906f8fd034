package cognito

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// SignUp makes an account, and says whether it is confirmed already. It fails
// with fault.UsernameTaken, fault.Invalid and account.ErrTriggerFailed.
func (c *AppClient) SignUp(ctx context.Context, d account.Draft) (id identity.UserID, confirmed bool, err error) {
	hash, err := c.secretHash(ctx, d.Username)
	if err != nil {
		return "", false, err
	}
	attributes := []types.AttributeType{attribute(attributeEmail, d.Email), attribute(attributeRole, string(d.Role))}
	if d.OrganizationName != nil {
		attributes = append(attributes, attribute(attributeOrganization, *d.OrganizationName))
	}
	out, err := c.client.SignUp(ctx, &cognitoidentityprovider.SignUpInput{
		ClientId: &c.clientID, SecretHash: &hash, Username: &d.Username, Password: &d.Password, UserAttributes: attributes,
	}, onceIfLimited)
	if err != nil {
		return "", false, failure("sign an account up", err)
	}
	return identity.UserID(aws.ToString(out.UserSub)), out.UserConfirmed, nil
}

// Confirm takes the code that was mailed. It fails with fault.Invalid if that is
// not the code, with fault.Conflict if the account is confirmed already, and with
// account.ErrTriggerFailed.
func (c *AppClient) Confirm(ctx context.Context, username, code string) error {
	hash, err := c.secretHash(ctx, username)
	if err != nil {
		return err
	}
	_, err = c.client.ConfirmSignUp(ctx, &cognitoidentityprovider.ConfirmSignUpInput{
		ClientId: &c.clientID, SecretHash: &hash, Username: &username, ConfirmationCode: &code,
	}, onceIfLimited)
	if err != nil {
		return refusal("confirm an account", err, fault.New(fault.Conflict, "the account is confirmed already, or cannot be"))
	}
	return nil
}

// ResendCode mails a new code to an account that waits for one. Where there is
// none, it does nothing, and does not say so.
func (c *AppClient) ResendCode(ctx context.Context, username string) error {
	hash, err := c.secretHash(ctx, username)
	if err != nil {
		return err
	}
	_, err = c.client.ResendConfirmationCode(ctx, &cognitoidentityprovider.ResendConfirmationCodeInput{
		ClientId: &c.clientID, SecretHash: &hash, Username: &username,
	}, onceIfLimited)
	_, missing := errors.AsType[*types.UserNotFoundException](err)
	_, confirmed := errors.AsType[*types.InvalidParameterException](err)
	if err == nil || missing || confirmed {
		return nil
	}
	return refusal("send a code again", err, nil)
}

// onceIfLimited hands a reached limit on at once. It lasts for minutes, so that
// the SDK's further attempts would only keep the caller waiting.
func onceIfLimited(o *cognitoidentityprovider.Options) {
	o.Retryer = retryer{o.Retryer, func(err error) bool { return !isLimited(err) }}
}

// onceUnlessThrottled is for what Cognito does once for the same input: if the
// answer is lost, a further attempt would be refused for what the first one did, and
// look as if nothing had been done.
func onceUnlessThrottled(o *cognitoidentityprovider.Options) {
	o.Retryer = retryer{o.Retryer, func(err error) bool { return !isLimited(err) && throttled.IsErrorRetryable(err) == aws.TrueTernary }}
}

var throttled = retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}

// A retryer tries fewer errors again than the client's does, as often as that.
type retryer struct {
	aws.Retryer
	again func(error) bool
}

func (r retryer) IsErrorRetryable(err error) bool {
	return r.again(err) && r.Retryer.IsErrorRetryable(err)
}

func isLimited(err error) bool {
	_, ok := errors.AsType[*types.LimitExceededException](err)
	return ok
}
