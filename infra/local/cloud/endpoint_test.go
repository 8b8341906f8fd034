package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/cloud"
	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
	"github.com/tenantry/tenantry/infra/local/engines"
	"github.com/tenantry/tenantry/infra/local/schedule"
)

const enginesDir = "../../../.tools/engines"

// The endpoint of all tests and the functions behind it. They share it, as
// moto calls functions at one address; so each test uses names of its own.
var (
	endpoint  *cloud.Endpoint
	address   string
	functions = &fakeLambda{functions: map[string]function{}}
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	if err := engines.Install(ctx, enginesDir, os.Stderr); err != nil {
		return 1, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1, err
	}
	moto, err := engines.StartMoto(ctx, enginesDir, listener.Addr().(*net.TCPAddr).Port, io.Discard)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, moto.Stop()) }()
	mail, err := os.MkdirTemp("", "mail")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(mail)) }()
	endpoint = cloud.New(cloud.Options{
		Moto:         moto.URL,
		DynamoDB:     http.HandlerFunc(serveDynamoDB),
		Lambda:       functions,
		Invoke:       functions.invoke,
		FireSchedule: fireSchedule,
		MailDir:      mail,
		Strict:       true,
	})
	server := httptest.NewUnstartedServer(endpoint)
	if err := server.Listener.Close(); err != nil {
		return 1, err
	}
	server.Listener = listener
	server.Start()
	defer server.Close()
	address = server.URL
	return m.Run(), nil
}

// serveDynamoDB knows no operation but says what it was asked.
func serveDynamoDB(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	awsjson.Write(w, map[string]string{"target": r.Header.Get("X-Amz-Target"), "body": string(body)})
}

func fireSchedule(_ context.Context, name string) ([]byte, string, error) {
	switch name {
	case "Sweeper":
		return []byte(`{"swept":1}`), "", nil
	case "Broken":
		return []byte(`{"errorMessage":"no table"}`), "Unhandled", nil
	case "Failing":
		return nil, "", errors.New("no process")
	default:
		return nil, "", schedule.ErrNotFound
	}
}

type function func(event []byte) (payload []byte, functionError string)

// A fakeLambda is the Invoke API over functions of the tests.
type fakeLambda struct {
	mu        sync.Mutex
	functions map[string]function
}

// register makes a function and returns its ARN.
func (l *fakeLambda) register(f function) (arn string) {
	name := "f-" + uuid.NewString()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.functions[name] = f
	return "arn:aws:lambda:us-east-1:123456789012:function:" + name
}

func (l *fakeLambda) invoke(_ context.Context, name string, event []byte) ([]byte, string, error) {
	l.mu.Lock()
	f, ok := l.functions[name[strings.LastIndexByte(name, ':')+1:]]
	l.mu.Unlock()
	if !ok {
		return nil, "", fmt.Errorf("no function %s", name)
	}
	payload, functionError := f(event)
	return payload, functionError, nil
}

func (l *fakeLambda) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/2015-03-31/functions/"), "/invocations")
	event, _ := io.ReadAll(r.Body)
	payload, functionError, err := l.invoke(r.Context(), name, event)
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	if err != nil {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		http.Error(w, `{"Message":"no such function"}`, http.StatusNotFound)
		return
	}
	if functionError != "" {
		w.Header().Set("X-Amz-Function-Error", functionError)
	}
	_, _ = w.Write(payload)
}

// configuration is what an SDK's client needs to call the endpoint, once and
// not again.
func configuration() aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: &address,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "key"}, nil
		}),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// must fails the test if a call has failed.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// failure returns the code and message of a refusal, or "" for none.
func failure(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode() + ": " + e.ErrorMessage()
	}
	return err.Error()
}

// send sends a request and returns status and body of the answer.
func send(t *testing.T, method, path string, header map[string]string, body string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}
