package cognito

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/fault"
)

// How long to wait when Cognito will not say: it locks an account for up to a
// quarter of an hour, and counts an API's requests by the second.
const (
	afterLimit = 15 * time.Minute
	afterRate  = 5 * time.Second
)

// failure says what Cognito's error means to whoever called. What has no meaning
// to them keeps its code alone, since the message may repeat what was entered.
func failure(what string, err error) error {
	if err == nil {
		return nil
	}
	coded, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	cause := fmt.Errorf("%s: Cognito answered %s%s", what, coded.ErrorCode(), requestID(err))
	switch coded.(type) {
	case *types.UserLambdaValidationException, *types.UnexpectedLambdaException, *types.InvalidLambdaResponseException:
		return fmt.Errorf("%w: %w", account.ErrTriggerFailed, cause)
	case *types.UsernameExistsException:
		return account.ErrUsernameTaken(cause)
	case *types.InvalidPasswordException:
		return invalid(cause, "#/password", "must be as the password policy asks: at least 8 characters")
	case *types.CodeMismatchException, *types.ExpiredCodeException:
		return invalid(cause, "#/code", "is not the code that was sent, or has expired")
	case *types.UserNotConfirmedException:
		return fault.Wrap(cause, fault.UserNotConfirmed, "enter the code that was sent to your e-mail address with POST /auth/confirm")
	case *types.PasswordResetRequiredException:
		return fault.Wrap(cause, fault.Forbidden, "the password was reset; choose a new one with the code from the mail and POST /auth/password/reset")
	case *types.LimitExceededException, *types.TooManyFailedAttemptsException:
		return tooMany(cause, afterLimit)
	case *types.TooManyRequestsException:
		return tooMany(cause, afterRate)
	}
	return cause
}

// refusal says what a NotAuthorizedException means, which Cognito gives for much
// and tells apart by the message alone. Otherwise is what it usually means.
func refusal(what string, err error, otherwise error) error {
	refused, ok := errors.AsType[*types.NotAuthorizedException](err)
	if !ok {
		return failure(what, err)
	}
	message := strings.ToLower(aws.ToString(refused.Message))
	cause := fmt.Errorf("%s: Cognito answered %s%s", what, refused.ErrorCode(), requestID(err))
	switch {
	case isOurSecret(message):
		return fmt.Errorf("%w: the client's secret is not the one that is kept", cause)
	case strings.Contains(message, "attempts exceeded"):
		return tooMany(cause, afterLimit)
	}
	return otherwise
}

// isOurSecret reports whether a NotAuthorizedException with the message is about
// the secret of the pool's client, and so no fault of the caller's.
func isOurSecret(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "secret hash") || strings.Contains(message, "secrethash")
}

func invalid(cause error, pointer, detail string) error {
	return &fault.Error{
		Kind:   fault.Invalid,
		Detail: "the request breaks a rule; errors lists each",
		Fields: fault.Fields{{Pointer: pointer, Detail: detail}},
		Err:    cause,
	}
}

func tooMany(cause error, wait time.Duration) error {
	return &fault.Error{
		Kind:       fault.TooManyRequests,
		Detail:     "there were too many attempts; try again later",
		RetryAfter: wait,
		Err:        cause,
	}
}

// requestID returns what AWS's support asks for.
func requestID(err error) string {
	if resp, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return " to request " + resp.ServiceRequestID()
	}
	return ""
}
