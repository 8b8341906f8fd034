package cognito

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

// How Cognito calls a trigger.
const (
	triggerTimeout = 5 * time.Second
	triggerTries   = 3
)

// An InvokeFunc runs a function by its name or ARN. FunctionError is not empty
// when the function itself failed, and payload then tells how.
type InvokeFunc func(ctx context.Context, function string, event []byte) (payload []byte, functionError string, err error)

// A source says why a trigger is called: the trigger, an underscore, and the
// occasion.
type source string

const (
	preSignUp             source = "PreSignUp_SignUp"
	preSignUpByAdmin      source = "PreSignUp_AdminCreateUser"
	postConfirmation      source = "PostConfirmation_ConfirmSignUp"
	postConfirmationReset source = "PostConfirmation_ConfirmForgotPassword"
)

// An event is what a trigger gets and, with a response, gives back.
type event struct {
	Version       string        `json:"version"`
	Region        string        `json:"region"`
	UserPoolID    string        `json:"userPoolId"`
	UserName      string        `json:"userName"`
	CallerContext callerContext `json:"callerContext"`
	TriggerSource source        `json:"triggerSource"`
	Request       any           `json:"request"`
	Response      any           `json:"response"`
}

type callerContext struct {
	AWSSDKVersion string `json:"awsSdkVersion"`
	ClientID      string `json:"clientId"`
}

// noClient is what an administrator's call has in place of a client.
const noClient = "CLIENT_ID_NOT_APPLICABLE"

type preSignUpRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	ValidationData map[string]string `json:"validationData"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
}

type preSignUpResponse struct {
	AutoConfirmUser bool `json:"autoConfirmUser"`
	AutoVerifyEmail bool `json:"autoVerifyEmail"`
	AutoVerifyPhone bool `json:"autoVerifyPhone"`
}

type postConfirmationRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
}

// A trigger is one call of a function by a pool.
type trigger struct {
	function string // its name or ARN; empty where the pool has none
	source   source
	pool     *pool
	clientID string
	username string
	request  any
	response any // a pointer to what the function may change
}

func (t trigger) event() event {
	return event{
		Version:       "1",
		Region:        t.pool.region,
		UserPoolID:    t.pool.ID,
		UserName:      t.username,
		CallerContext: callerContext{AWSSDKVersion: "aws-sdk-unknown-unknown", ClientID: t.clientID},
		TriggerSource: t.source,
		Request:       t.request,
		Response:      t.response,
	}
}

// triggers call functions for pools.
type triggers struct {
	invoke InvokeFunc
}

// fire calls the function and reads its response. It does nothing where there
// is no function.
func (s triggers) fire(ctx context.Context, t trigger) error {
	if t.function == "" {
		return nil
	}
	name, _, _ := strings.Cut(string(t.source), "_")
	in, err := json.Marshal(t.event())
	if err != nil {
		return err
	}
	payload, functionError, err := s.try(ctx, t.function, in)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return awsjson.Errorf("UnexpectedLambdaException", "%s invocation failed due to error Socket timeout while invoking Lambda function.", name)
	case err != nil:
		return awsjson.Errorf("UnexpectedLambdaException", "%s invocation failed due to error %v.", name, err)
	case functionError != "":
		return awsjson.Errorf("UserLambdaValidationException", "%s failed with error %s.", name, errorMessage(payload))
	}
	return t.read(payload)
}

// read takes the response out of what the function returned.
func (t trigger) read(payload []byte) error {
	var out struct {
		Response *json.RawMessage `json:"response"`
	}
	err := json.Unmarshal(payload, &out)
	if err == nil && out.Response != nil {
		err = json.Unmarshal(*out.Response, t.response)
	}
	if err != nil || out.Response == nil {
		return awsjson.Errorf("InvalidLambdaResponseException", "Unrecognizable lambda output")
	}
	return nil
}

// try invokes the function until it answers, three times at most. An answer
// that the function failed is an answer.
func (s triggers) try(ctx context.Context, function string, in []byte) (payload []byte, functionError string, err error) {
	for range triggerTries {
		payload, functionError, err = s.invokeInTime(ctx, function, in)
		if err == nil {
			break
		}
	}
	return payload, functionError, err
}

// invokeInTime invokes the function and gives up on the answer, but not on the
// function, after the timeout.
func (s triggers) invokeInTime(ctx context.Context, function string, in []byte) ([]byte, string, error) {
	type result struct {
		payload       []byte
		functionError string
		err           error
	}
	done := make(chan result, 1)
	go func() {
		payload, functionError, err := s.invoke(ctx, function, in)
		done <- result{payload, functionError, err}
	}()
	timeout := time.NewTimer(triggerTimeout)
	defer timeout.Stop()
	select {
	case r := <-done:
		return r.payload, r.functionError, r.err
	case <-timeout.C:
		return nil, "", context.DeadlineExceeded
	}
}

// errorMessage returns the message of the error that a function ended with.
func errorMessage(payload []byte) string {
	var e struct {
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(payload, &e); err != nil || e.Message == "" {
		return "null"
	}
	return strings.TrimSuffix(e.Message, ".")
}
