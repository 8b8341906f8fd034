package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/api"
	"github.com/tenantry/tenantry/internal/identity"
)

// setenv sets the variables, and unsets those that Lambda sets besides.
func setenv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"} {
		t.Setenv(name, "")
	}
	for name, v := range variables {
		t.Setenv(name, v)
	}
}

func TestEnvFaults(t *testing.T) {
	for name, test := range map[string]struct {
		variables map[string]string
		want      string
	}{
		"everything is set": {
			map[string]string{"AWS_REGION": "r", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "TABLE_NAME": "t", "AUTO_CONFIRM": "false", "GRACE": "0"},
			"",
		},
		"nothing is set": {
			nil,
			"environment: AWS_ACCESS_KEY_ID is not set, AWS_SECRET_ACCESS_KEY is not set, AWS_REGION is not set, TABLE_NAME is not set, AUTO_CONFIRM is not set, GRACE is not set",
		},
		"one is wrong, another missing": {
			map[string]string{"AWS_REGION": "r", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AUTO_CONFIRM": "yes", "GRACE": "-1"},
			"environment: TABLE_NAME is not set, AUTO_CONFIRM is neither true nor false, GRACE is no number of seconds",
		},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, test.variables)
			env := new(Env)
			env.config(nil)
			env.String("TABLE_NAME")
			env.Bool("AUTO_CONFIRM")
			env.Seconds("GRACE")
			got := ""
			if err := env.Err(); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestEnvValues(t *testing.T) {
	setenv(t, map[string]string{"TABLE_NAME": "table", "ON": "true", "OFF": "false", "GRACE": "2592000"})
	env := new(Env)
	if got := env.String("TABLE_NAME"); got != "table" {
		t.Errorf("got %q, want table", got)
	}
	if !env.Bool("ON") || env.Bool("OFF") {
		t.Error("true is false, or false true")
	}
	if got := env.Seconds("GRACE"); got != 30*24*time.Hour {
		t.Errorf("got %v, want 30 days", got)
	}
	if err := env.Err(); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	variables := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session"}
	setenv(t, variables)
	env := new(Env)
	cfg := env.config(nil)
	if err := env.Err(); err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "eu-west-1" || cfg.BaseEndpoint != nil {
		t.Errorf("the region is %s, and the endpoint %v", cfg.Region, cfg.BaseEndpoint)
	}
	got, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret", SessionToken: "session", Source: "environment"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	if got := cfg.Retryer().MaxAttempts(); got != maxAttempts {
		t.Errorf("a call is made %d times, want %d", got, maxAttempts)
	}
	for code, want := range map[string]bool{"TransactionConflictException": true, "ThrottlingException": true, "ConditionalCheckFailedException": false} {
		if got := cfg.Retryer().IsErrorRetryable(&smithy.GenericAPIError{Code: code}); got != want {
			t.Errorf("%s is tried again: %v, want %v", code, got, want)
		}
	}
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
	if cfg := env.config(nil); cfg.BaseEndpoint == nil || *cfg.BaseEndpoint != "http://127.0.0.1:4566" {
		t.Errorf("the endpoint is %v", cfg.BaseEndpoint)
	}
}

// TestHandler reads and writes events, and logs an error that no edge has.
func TestHandler(t *testing.T) {
	type event struct {
		Name string `json:"name"`
	}
	for name, test := range map[string]struct {
		payload string
		err     error
		want    string
		logs    bool
		fails   string
	}{
		"an answer":          {`{"name":"a","more":1}`, nil, `{"name":"a!"}`, false, ""},
		"no JSON":            {`{"name":`, nil, "", false, "read the event: "},
		"a member twice":     {`{"name":"a","name":"b"}`, nil, "", false, "read the event: "},
		"an error":           {`{}`, errors.New("down"), "", true, "down"},
		"a name for a state": {`{}`, messages.InvokeResponse_Error{Type: "conflict", Message: "taken"}, "", false, "taken"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			before := slog.Default()
			slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
			t.Cleanup(func() { slog.SetDefault(before) })
			h := handler[event, event](func(_ context.Context, in event) (event, error) {
				return event{in.Name + "!"}, test.err
			})
			got, err := h.Invoke(t.Context(), []byte(test.payload))
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
				t.Errorf("got error %v, want %q", err, test.fails)
			}
			if fmt.Sprintf("%T", err) != fmt.Sprintf("%T", test.err) && test.err != nil {
				t.Errorf("got an error of type %T, want %T", err, test.err)
			}
			if logged := log.Len() > 0; logged != test.logs {
				t.Errorf("the log is %q", log.String())
			}
		})
	}
}

// TestLogTo holds that libraries' own lines are left out.
func TestLogTo(t *testing.T) {
	logger, writer, flags := slog.Default(), log.Writer(), log.Flags()
	t.Cleanup(func() {
		slog.SetDefault(logger)
		slog.SetLogLoggerLevel(slog.LevelInfo)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
	var out strings.Builder
	logTo(slog.NewJSONHandler(&out, nil))
	log.Print("Unsolicited response received on idle HTTP channel starting with secret")
	slog.Info("ours")
	if got := out.String(); strings.Contains(got, "secret") || !strings.Contains(got, `"msg":"ours"`) {
		t.Errorf("got %s", got)
	}
}

func TestRequestLog(t *testing.T) {
	var out strings.Builder
	logger := slog.New(requestLog{slog.NewJSONHandler(&out, nil)})
	server := api.Serve(api.Operation{
		Name:  "Log",
		Allow: identity.Public(),
		Handle: func(ctx context.Context, _ *api.Request) (*api.Response, error) {
			logger.With("a", 1).WarnContext(ctx, "within")
			return api.NoContent(), nil
		},
	})
	logger.InfoContext(t.Context(), "outside")
	if _, err := server.Invoke(t.Context(), []byte(`{"requestContext":{"requestId":"R1"}}`)); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(out.String(), "\n")
	if len(got) != 3 || strings.Contains(got[0], "gateway_request_id") || !strings.Contains(got[1], `"a":1,"gateway_request_id":"R1"`) {
		t.Errorf("got the lines %q", got)
	}
}
