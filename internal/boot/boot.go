// Package boot starts Lambda functions. It is the only package that reads the
// environment, and it imports no AWS service, so that a function links only the
// clients that it names.
package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/api"
)

// A call of AWS is tried again while the client still waits for the answer.
const (
	maxAttempts = 5
	maxBackoff  = time.Second
	callTimeout = 20 * time.Second // Cognito may take 15 s, with its triggers
)

// HTTP runs an operation of the API. It does not return.
//
// Wire is called once for each execution environment, before the first event.
// It only connects things: whatever does I/O does it when first used. Where it
// reads TABLE_NAME, a connection to DynamoDB is opened after it.
func HTTP(wire func(aws.Config, *Env) api.Operation) {
	run(func(cfg aws.Config, env *Env) lambda.Handler {
		return api.Serve(wire(cfg, env))
	})
}

// Event runs any other function: the authorizer, a Cognito trigger, a Step
// Functions task, a schedule. It does not return. Wire is as for HTTP.
func Event[In, Out any](wire func(aws.Config, *Env) func(context.Context, In) (Out, error)) {
	run(func(cfg aws.Config, env *Env) lambda.Handler {
		return handler[In, Out](wire(cfg, env))
	})
}

func run(wire func(aws.Config, *Env) lambda.Handler) {
	logTo(lambdacontext.NewLogger().Handler())
	env := new(Env)
	cfg := env.config(env.client(env.Optional("AWS_CA_BUNDLE")))
	handle := wire(cfg, env)
	if err := env.Err(); err != nil {
		slog.Error("cannot start", "error", err)
		os.Exit(1)
	}
	if env.table {
		prime(cfg)
	}
	lambda.Start(handle)
}

// logTo has all lines go to h. What libraries write by package log, which net/http
// does of bytes that a server sent unasked, is for debugging only: it may hold what
// is not ours to keep.
func logTo(h slog.Handler) {
	slog.SetDefault(slog.New(requestLog{h}))
	slog.SetLogLoggerLevel(slog.LevelDebug)
}

// requestLog adds to each line the id of the request that it is about, which the
// client has too.
type requestLog struct{ slog.Handler }

func (l requestLog) Handle(ctx context.Context, r slog.Record) error {
	if id := api.RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("gateway_request_id", id))
	}
	return l.Handler.Handle(ctx, r)
}

func (l requestLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestLog{l.Handler.WithAttrs(attrs)}
}

func (l requestLog) WithGroup(name string) slog.Handler { return requestLog{l.Handler.WithGroup(name)} }

// A handler reads and writes its events with the JSON library of the rest of
// the program.
type handler[In, Out any] func(context.Context, In) (Out, error)

func (h handler[In, Out]) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in In
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	out, err := h(ctx, in)
	if _, logged := errors.AsType[messages.InvokeResponse_Error](err); logged {
		return nil, err // by the edge that gave it its name
	}
	if err != nil {
		slog.ErrorContext(ctx, "failed", "error", err)
		return nil, err
	}
	return json.Marshal(out)
}

// An Env reads environment variables and remembers those that are missing or
// wrong, so that a function can report them all at once.
type Env struct {
	faults []string
	table  bool // whether the function wants to know the stack's table
}

// String returns the variable, which must be set.
func (e *Env) String(name string) string {
	v := os.Getenv(name)
	e.table = e.table || name == "TABLE_NAME"
	if v == "" {
		e.faults = append(e.faults, name+" is not set")
	}
	return v
}

// Optional returns the variable, or "" if it is not set.
func (*Env) Optional(name string) string { return os.Getenv(name) }

// Int returns the variable, which must be a whole number above zero.
func (e *Env) Int(name string) int {
	text := e.String(name)
	n, err := strconv.Atoi(text)
	if text != "" && (err != nil || n < 1) {
		e.faults = append(e.faults, name+" is no number above zero")
	}
	return n
}

// Bool returns the variable, which must be true or false.
func (e *Env) Bool(name string) bool {
	text := e.String(name)
	v, err := strconv.ParseBool(text)
	if err != nil && text != "" {
		e.faults = append(e.faults, name+" is neither true nor false")
	}
	return v
}

// Seconds returns the variable, which must be a whole number of seconds, and not
// negative.
func (e *Env) Seconds(name string) time.Duration {
	text := e.String(name)
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil && text != "" {
		e.faults = append(e.faults, name+" is no number of seconds")
	}
	return time.Duration(n) * time.Second
}

// Check notes what is wrong with a variable that was read otherwise.
func (e *Env) Check(err error) {
	if err != nil {
		e.faults = append(e.faults, err.Error())
	}
}

// Err says what was wrong with the variables, if anything.
func (e *Env) Err() error {
	if e.faults == nil {
		return nil
	}
	return fmt.Errorf("environment: %s", strings.Join(e.faults, ", "))
}

// metTransaction is what DynamoDB says of a single write that met a transaction on
// the same item. It passes, and the SDK does not try it again by itself.
var metTransaction = retry.RetryableErrorCode{Codes: map[string]struct{}{"TransactionConflictException": {}}}

// Retryer says which calls of AWS are tried again, and how often.
func Retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.MaxBackoff = maxBackoff
		o.Retryables = append(o.Retryables, metTransaction)
	})
}

// config makes the configuration of AWS clients from the variables that Lambda
// sets. It reads no file and asks no service, unlike the SDK's own loader, and
// links none of the services that the loader asks.
func (e *Env) config(client aws.HTTPClient) aws.Config {
	credentials := aws.Credentials{
		AccessKeyID:     e.String("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: e.String("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
		Source:          "environment",
	}
	cfg := aws.Config{
		Region: e.String("AWS_REGION"),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return credentials, nil
		}),
		HTTPClient: client,
		Retryer:    Retryer,
	}
	if endpoint := os.Getenv("AWS_ENDPOINT_URL"); endpoint != "" {
		cfg.BaseEndpoint = &endpoint
	}
	return cfg
}

// client returns the HTTP client that all clients of AWS share, and so their
// connections: frozen, as a client of a service may else take a copy to set it up in
// its own way. It believes the authorities in the file bundle, or those of Amazon if
// that is empty.
func (e *Env) client(bundle string) aws.HTTPClient {
	authorities, err := authorities(bundle)
	e.Check(err)
	return awshttp.NewBuildableClient().WithTimeout(callTimeout).WithTransportOptions(func(t *http.Transport) {
		t.TLSClientConfig.RootCAs = authorities
	}).Freeze()
}
