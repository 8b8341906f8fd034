package invoke_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/invoke"
	"github.com/tenantry/tenantry/internal/operation"
)

// client answers every call alike, and remembers the last.
type client struct {
	arn, in string
	out     string
	err     error
}

func (c *client) Invoke(_ context.Context, arn string, payload []byte) ([]byte, error) {
	c.arn, c.in = arn, string(payload)
	return []byte(c.out), c.err
}

func TestUndo(t *testing.T) {
	errDown := errors.New("down")
	for name, test := range map[string]struct {
		client client
		want   string
	}{
		"done":    {client{out: "{}"}, ""},
		"down":    {client{err: errDown}, "call arn: down"},
		"strange": {client{out: "["}, "read the answer of arn: "},
	} {
		err := invoke.NewStep(&test.client, "arn").Undo(t.Context(), operation.Operation{ID: "o", Attempt: 2})
		if err == nil && test.want != "" || err != nil && (test.want == "" || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if want := `{"operation_id":"o","attempt":2,"action":"undo"}`; test.client.in != want || test.client.arn != "arn" {
			t.Errorf("%s: %s was sent %s, want %s", name, test.client.arn, test.client.in, want)
		}
	}
}

const arn = "arn:aws:lambda:eu-central-1:111122223333:function:probe"

// A request is one as Lambda gets it. What is of the time, and what tells who sent it,
// is left out.
type request struct {
	Method, URI, Body, Type, Token, Scope, Signed string
}

// answer is what a server says to one request.
type answer struct {
	status            int
	code, failure, in string
}

// serve answers requests one after the other, the last answer again and again, and
// returns how the server is reached, and what it was asked.
func serve(t *testing.T, answers ...answer) (aws.Config, *[]request) {
	t.Helper()
	var got []request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		credential, rest, _ := strings.Cut(r.Header.Get("Authorization"), ", SignedHeaders=")
		signed, _, _ := strings.Cut(rest, ", ")
		_, scope, _ := strings.Cut(credential, "Credential=")
		at, _, _ := strings.Cut(r.Header.Get("X-Amz-Date"), "T")
		got = append(got, request{
			r.Method, r.RequestURI, string(body), r.Header.Get("Content-Type"), r.Header.Get("X-Amz-Security-Token"),
			strings.ReplaceAll(scope, at, "DAY"), signed,
		})
		a := answers[min(len(got), len(answers))-1]
		if a.code != "" {
			w.Header().Set("X-Amzn-Errortype", a.code)
		}
		if a.failure != "" {
			w.Header().Set("X-Amz-Function-Error", a.failure)
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.in)
	}))
	t.Cleanup(server.Close)
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET", SessionToken: "TOKEN"}, nil
		}),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = 3
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}, &got
}

// TestLambda sends what the SDK's own client of Lambda sends.
func TestLambda(t *testing.T) {
	cfg, got := serve(t, answer{status: 200, in: `{"a":1}`})
	out, err := invoke.NewLambda(cfg).Invoke(t.Context(), arn, []byte(`{"b":2}`))
	if err != nil || string(out) != `{"a":1}` {
		t.Errorf("got %s, %v", out, err)
	}
	if _, err := lambda.NewFromConfig(cfg).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: new(arn), Payload: []byte(`{"b":2}`)}); err != nil {
		t.Fatal(err)
	}
	ours, theirs := (*got)[0], (*got)[1]
	ours.Signed, theirs.Signed = "", "" // the SDK signs headers of its own too
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Errorf("(-SDK +ours):\n%s", diff)
	}
	if want := "content-length;content-type;host;x-amz-date;x-amz-security-token"; (*got)[0].Signed != want {
		t.Errorf("the headers %s are signed, want %s", (*got)[0].Signed, want)
	}
}

// TestLambdaFails tries again what passes, and nothing else.
func TestLambdaFails(t *testing.T) {
	good := answer{status: 200, in: "{}"}
	for name, test := range map[string]struct {
		answers []answer
		calls   int
		want    string
	}{
		"throttled, then good": {[]answer{{status: 429, code: "TooManyRequestsException:http://internal"}, good}, 2, ""},
		"broken, then good":    {[]answer{{status: 503}, {status: 500, code: "ServiceException"}, good}, 3, ""},
		"broken for long":      {[]answer{{status: 502, in: "why"}}, 3, "why"},
		"forbidden":            {[]answer{{status: 403, code: "AccessDeniedException", in: "why"}, good}, 1, "AccessDeniedException: why"},
		"not there":            {[]answer{{status: 404, code: "ResourceNotFoundException", in: "why"}, good}, 1, "ResourceNotFoundException: why"},
		"the function fails":   {[]answer{{status: 200, failure: "Unhandled", in: `{"errorType":"x"}`}, good}, 1, "it failed: Unhandled"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, got := serve(t, test.answers...)
			_, err := invoke.NewLambda(cfg).Invoke(t.Context(), arn, []byte("{}"))
			if len(*got) != test.calls || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v after %d calls, want %q after %d", err, len(*got), test.want, test.calls)
			}
		})
	}
}
