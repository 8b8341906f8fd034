package cognito

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newTrigger returns a call of PreSignUp, and where its response goes.
func newTrigger() (trigger, *preSignUpResponse) {
	response := new(preSignUpResponse)
	return trigger{
		function: "arn:aws:lambda:us-east-1:123456789012:function:pre",
		source:   preSignUp,
		pool:     &pool{ID: "us-east-1_Pool", region: "us-east-1"},
		clientID: "client",
		username: "alice",
		request:  preSignUpRequest{UserAttributes: map[string]string{"email": "a@b.test", "custom:role": "business"}},
		response: response,
	}, response
}

func TestTriggerEvent(t *testing.T) {
	const want = `{"version":"1","region":"us-east-1","userPoolId":"us-east-1_Pool","userName":"alice",` +
		`"callerContext":{"awsSdkVersion":"aws-sdk-unknown-unknown","clientId":"client"},"triggerSource":"PreSignUp_SignUp",` +
		`"request":{"userAttributes":{"custom:role":"business","email":"a@b.test"},"validationData":null},` +
		`"response":{"autoConfirmUser":false,"autoVerifyEmail":false,"autoVerifyPhone":false}}`
	tr, response := newTrigger()
	s := triggers{func(_ context.Context, function string, event []byte) ([]byte, string, error) {
		if function != tr.function {
			t.Errorf("got function %q, want %q", function, tr.function)
		}
		if diff := cmp.Diff(want, string(event)); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
		return []byte(`{"version":"1","response":{"autoConfirmUser":true}}`), "", nil
	}}
	if err := s.fire(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	if want := (preSignUpResponse{AutoConfirmUser: true}); *response != want {
		t.Errorf("got %+v, want %+v", *response, want)
	}
}

func TestTriggerFailures(t *testing.T) {
	for name, test := range map[string]struct {
		payload, functionError string
		err                    error
		want                   string
		calls                  int
	}{
		"error of the function": {
			`{"errorMessage":"the e-mail is taken.","errorType":"conflict"}`, "Unhandled", nil,
			"UserLambdaValidationException: PreSignUp failed with error the e-mail is taken.", 1,
		},
		"error without a message": {
			`{}`, "Unhandled", nil,
			"UserLambdaValidationException: PreSignUp failed with error null.", 1,
		},
		"null":          {`null`, "", nil, "InvalidLambdaResponseException: Unrecognizable lambda output", 1},
		"no response":   {`{"version":"1"}`, "", nil, "InvalidLambdaResponseException: Unrecognizable lambda output", 1},
		"null response": {`{"response":null}`, "", nil, "InvalidLambdaResponseException: Unrecognizable lambda output", 1},
		"a string":      {`{"response":{"autoConfirmUser":"yes"}}`, "", nil, "InvalidLambdaResponseException: Unrecognizable lambda output", 1},
		"not JSON":      {`ok`, "", nil, "InvalidLambdaResponseException: Unrecognizable lambda output", 1},
		"not invoked":   {"", "", errors.New("AccessDenied"), "UnexpectedLambdaException: PreSignUp invocation failed due to error AccessDenied.", 3},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			s := triggers{func(context.Context, string, []byte) ([]byte, string, error) {
				calls++
				return []byte(test.payload), test.functionError, test.err
			}}
			tr, _ := newTrigger()
			err := s.fire(t.Context(), tr)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if calls != test.calls {
				t.Errorf("got %d calls, want %d", calls, test.calls)
			}
		})
	}
}

func TestTriggerTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun, ended atomic.Int32
		s := triggers{func(context.Context, string, []byte) ([]byte, string, error) {
			begun.Add(1)
			time.Sleep(6 * time.Second) // the function goes on when nobody waits any more
			ended.Add(1)
			return nil, "", nil
		}}
		start := time.Now()
		tr, _ := newTrigger()
		err := s.fire(t.Context(), tr)
		const want = "UnexpectedLambdaException: PreSignUp invocation failed due to error Socket timeout while invoking Lambda function."
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("got %v, want 15s", took)
		}
		time.Sleep(time.Minute)
		if begun.Load() != 3 || ended.Load() != 3 {
			t.Errorf("got %d calls of which %d ended, want 3 and 3", begun.Load(), ended.Load())
		}
	})
}

func TestTriggerAnswersAtTheThirdTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		s := triggers{func(_ context.Context, _ string, event []byte) ([]byte, string, error) {
			if calls.Add(1) < 3 {
				time.Sleep(time.Minute)
			}
			return event, "", nil
		}}
		tr, _ := newTrigger()
		if err := s.fire(t.Context(), tr); err != nil {
			t.Errorf("got %v, want nil", err)
		}
		time.Sleep(time.Hour)
	})
}

func TestPostConfirmationEvent(t *testing.T) {
	u := &user{Username: "alice", UserStatus: confirmed, UserAttributes: attributes{{"sub", "1"}, {"email_verified", "true"}, {"custom:role", "business"}}}
	got, err := json.Marshal(postConfirmationRequest{u.triggerAttributes(), map[string]string{"from": "test"}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"userAttributes":{"cognito:user_status":"CONFIRMED","custom:role":"business","email_verified":"true","sub":"1"},"clientMetadata":{"from":"test"}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}
