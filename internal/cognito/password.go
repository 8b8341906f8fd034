package cognito

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"

	"github.com/tenantry/tenantry/internal/fault"
)

// SendResetCode mails a code to an account, unless it cannot have one: it is not
// there, or not confirmed, or was mailed too many. It does not say whether it did.
func (c *AppClient) SendResetCode(ctx context.Context, username string) error {
	hash, err := c.secretHash(ctx, username)
	if err != nil {
		return err
	}
	_, err = c.client.ForgotPassword(ctx, &cognitoidentityprovider.ForgotPasswordInput{
		ClientId: &c.clientID, SecretHash: &hash, Username: &username,
	}, onceIfLimited)
	if err == nil {
		return nil
	}
	if tellsOfAccount(err) {
		slog.InfoContext(ctx, "no code to reset a password was sent", "cause", failure("forget a password", err))
		return nil
	}
	return refusal("forget a password", err, nil)
}

// ResetPassword takes the code. It fails with fault.Invalid if that is not the
// code, which is also what it says of an account that cannot have one, and with
// account.ErrTriggerFailed, when the password is reset all the same. The trigger
// gets the id of the request.
func (c *AppClient) ResetPassword(ctx context.Context, username, code, password, requestID string) error {
	hash, err := c.secretHash(ctx, username)
	if err != nil {
		return err
	}
	_, err = c.client.ConfirmForgotPassword(ctx, &cognitoidentityprovider.ConfirmForgotPasswordInput{
		ClientId: &c.clientID, SecretHash: &hash, Username: &username, ConfirmationCode: &code, Password: &password,
		ClientMetadata: map[string]string{"request_id": requestID},
	}, onceUnlessThrottled)
	wrongCode := invalid(nil, "#/code", "is not the code that was sent, or has expired")
	switch {
	case err == nil:
		return nil
	case tellsOfAccount(err):
		return wrongCode
	}
	if _, ok := errors.AsType[*types.InvalidPasswordException](err); ok {
		return errNewPassword
	}
	return refusal("reset a password", err, wrongCode)
}

// tellsOfAccount reports whether an error is one that only some accounts give
// rise to, so that it would tell whether there is an account, and how it is.
func tellsOfAccount(err error) bool {
	coded, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	switch coded.ErrorCode() {
	case "UserNotFoundException", "UserNotConfirmedException", "InvalidParameterException",
		"CodeMismatchException", "ExpiredCodeException", "CodeDeliveryFailureException",
		"LimitExceededException", "TooManyFailedAttemptsException":
		return true
	case "NotAuthorizedException":
		return !isOurSecret(coded.ErrorMessage())
	}
	return false
}

var errNewPassword = invalid(nil, "#/new_password", "must be as the password policy asks")

// ChangePassword fails with fault.Invalid unless the old password is that of the
// account that the access token is for, with fault.TokenInvalid or
// fault.TokenExpired if the token is not good, and with fault.TooManyRequests.
func (d *Directory) ChangePassword(ctx context.Context, accessToken, oldPassword, newPassword string) error {
	_, err := d.client.ChangePassword(ctx, &cognitoidentityprovider.ChangePasswordInput{
		AccessToken: &accessToken, PreviousPassword: &oldPassword, ProposedPassword: &newPassword,
	}, onceUnlessThrottled)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*types.InvalidPasswordException](err); ok {
		return errNewPassword
	}
	if _, ok := errors.AsType[*types.UserNotFoundException](err); ok {
		return errAccessToken
	}
	return refusal("change a password", err, changeRefused(err))
}

var errAccessToken = fault.New(fault.TokenInvalid, "the token is not one that this API issued, or it was withdrawn")

// changeRefused says what a NotAuthorizedException of a change of password means.
func changeRefused(err error) error {
	coded, _ := errors.AsType[*types.NotAuthorizedException](err)
	if coded == nil {
		return nil
	}
	message := strings.ToLower(aws.ToString(coded.Message))
	switch {
	case strings.Contains(message, "token has expired"):
		return fault.New(fault.TokenExpired, "the token has expired; get a new one from POST /auth/token or POST /auth/refresh")
	case strings.Contains(message, "access token"):
		return errAccessToken
	}
	return invalid(nil, "#/old_password", "is not the present password")
}
