package stack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tenantry/tenantry/infra/local/schedule"
	"github.com/tenantry/tenantry/infra/local/stack"
)

const (
	appTemplate = "testdata/app/template.yaml"
	engines     = "../../../.tools/engines"
)

// bin is the folder of the compiled functions of testdata/app.
var bin string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

// build compiles the functions of testdata/app and runs the tests.
func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stack")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin = dir
	cmd := exec.Command("go", "build", "-tags=lambda.norpc", "-o", dir+"/", //nolint:gosec // the arguments are this test's own
		"./testdata/app/functions/authorizer",
		"./testdata/app/functions/broken", "./testdata/app/functions/thing-get")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the functions: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// options are those of a stack of testdata/app on free ports.
func options(t *testing.T) stack.Options {
	t.Helper()
	return stack.Options{
		Template: appTemplate,
		Bin:      bin,
		Data:     filepath.Join(t.TempDir(), "data"),
		Engines:  engines,
		Strict:   true,
		Out:      t.Output(),
	}
}

// start starts a stack until t ends.
func start(t *testing.T, o stack.Options) *stack.Stack {
	t.Helper()
	s, err := stack.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// config is the configuration of clients of the stack's AWS endpoint.
func config(s *stack.Stack) aws.Config {
	return aws.Config{
		Region:       s.Info().Region,
		BaseEndpoint: new(s.Info().AWSEndpoint),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
		}),
	}
}

// get returns status and body of the answer to GET url.
func get(t *testing.T, url, authorization string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestStack starts one stack, in the data folder of an earlier one, and looks at
// each of its parts.
func TestStack(t *testing.T) {
	o := options(t)
	o.Parameters = map[string]string{"Greeting": "goodbye"}
	progress, err := os.Create(filepath.Join(t.TempDir(), "progress"))
	if err != nil {
		t.Fatal(err)
	}
	defer progress.Close() //nolint:errcheck // a file of the test's
	o.Out = progress
	leave(t, o.Data, "tenantry.lock", "stack.json", "logs/old.log", "mail/old.json", "notes")
	s := start(t, o)

	t.Run("leftovers", func(t *testing.T) {
		for name, want := range map[string]bool{"logs/old.log": false, "mail/old.json": false, "notes": true} {
			if _, err := os.Stat(filepath.Join(o.Data, name)); (err == nil) != want {
				t.Errorf("%s is there: %v, want %v", name, err == nil, want)
			}
		}
	})
	t.Run("API", func(t *testing.T) { checkAPI(t, s) })
	t.Run("table", func(t *testing.T) { checkTable(t, s) })
	t.Run("accounts", func(t *testing.T) { checkAccounts(t, s) })
	t.Run("secrets", func(t *testing.T) { checkSecrets(t, s) })
	t.Run("state machine", func(t *testing.T) { checkStateMachine(t, s) })
	t.Run("policies", func(t *testing.T) { checkPolicies(t, s, progress.Name()) })
	t.Run("schedule", func(t *testing.T) {
		r, err := s.Schedules().Fire(t.Context(), "ThingGetHourly")
		if err != nil || r.FunctionError != "" || !strings.Contains(string(r.Payload), "goodbye") {
			t.Errorf("got %s, %q, %v", r.Payload, r.FunctionError, err)
		}
		if _, err := s.Schedules().Fire(t.Context(), "ThingGetPaused"); !errors.Is(err, schedule.ErrNotFound) {
			t.Errorf("a schedule that is paused: %v", err)
		}
	})
	t.Run("stack.json", func(t *testing.T) {
		data, err := os.ReadFile(filepath.Join(o.Data, "stack.json"))
		var got stack.Info
		if err == nil {
			err = json.Unmarshal(data, &got)
		}
		if err != nil || got != s.Info() {
			t.Errorf("got %+v, %v, want %+v", got, err, s.Info())
		}
	})
	t.Run("second on the same data", func(t *testing.T) {
		_, err := stack.Start(t.Context(), o)
		wantLine(t, err, fmt.Sprintf("is in use by process %d", os.Getpid()))
	})
	t.Run("engine gone", func(t *testing.T) {
		killEngine(t, "moto")
		wantLine(t, <-s.Failed(), "moto has ended")
	})
	t.Run("close", func(t *testing.T) { checkClose(t, s, o.Data) })
}

// leave puts empty files into dir.
func leave(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func checkAPI(t *testing.T, s *stack.Stack) {
	url := s.Info().APIURL
	for path, want := range map[string]struct {
		authorization string
		status        int
		body          string
	}{
		"/open":     {"", 200, `"goodbye true"`},
		"/things/1": {s.Info().Table, 200, `"goodbye true"`},
		"/things/2": {"someone", 403, `{"message":"Forbidden"}`},
		"/things/3": {"", 401, `{"message":"Unauthorized"}`},
		"/other":    {"", 404, `{"message":"Not Found"}`},
	} {
		if status, body := get(t, url+path, want.authorization); status != want.status || body != want.body {
			t.Errorf("%s: got %d %s, want %d %s", path, status, body, want.status, want.body)
		}
	}
}

func checkTable(t *testing.T, s *stack.Stack) {
	db := dynamodb.NewFromConfig(config(s))
	name := new(s.Info().Table)
	table, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: name})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(table.Table.GlobalSecondaryIndexes); *name != "tenantry-local-Data-Table" || got != 1 {
		t.Errorf("got table %s with %d indexes", *name, got)
	}
	if table.Table.SSEDescription == nil {
		t.Error("the table is not encrypted by KMS")
	}
	ttl, err := db.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: name})
	if err != nil || *ttl.TimeToLiveDescription.AttributeName != "expires_at" {
		t.Errorf("time to live: got %+v, %v", ttl, err)
	}
	backups, err := db.DescribeContinuousBackups(t.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: name})
	if err != nil || backups.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != "ENABLED" {
		t.Errorf("backups: got %+v, %v", backups, err)
	}
	tags, err := db.ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: table.Table.TableArn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "tenantry-local-Data" {
		t.Errorf("tags: got %+v, %v", tags, err)
	}
}

func checkAccounts(t *testing.T, s *stack.Stack) {
	client := cognitoidentityprovider.NewFromConfig(config(s))
	info := s.Info()
	described, err := client.DescribeUserPoolClient(t.Context(), &cognitoidentityprovider.DescribeUserPoolClientInput{
		UserPoolId: &info.UserPoolID, ClientId: &info.ClientID,
	})
	if err != nil {
		t.Fatal(err)
	}
	signedIn, err := client.AdminInitiateAuth(t.Context(), &cognitoidentityprovider.AdminInitiateAuthInput{
		UserPoolId: &info.UserPoolID,
		ClientId:   &info.ClientID,
		AuthFlow:   "ADMIN_USER_PASSWORD_AUTH",
		AuthParameters: map[string]string{
			"USERNAME":    info.Admin.Username,
			"PASSWORD":    info.Admin.Password,
			"SECRET_HASH": secretHash(info.Admin.Username, info.ClientID, *described.UserPoolClient.ClientSecret),
		},
	})
	if err != nil || signedIn.AuthenticationResult == nil {
		t.Fatalf("the admin cannot sign in: %+v, %v", signedIn, err)
	}
	groups, err := client.AdminListGroupsForUser(t.Context(), &cognitoidentityprovider.AdminListGroupsForUserInput{
		UserPoolId: &info.UserPoolID, Username: &info.Admin.Username,
	})
	if err != nil || len(groups.Groups) != 1 || *groups.Groups[0].GroupName != "platform-admins" {
		t.Errorf("groups of the admin: got %+v, %v", groups, err)
	}
	pool, err := client.DescribeUserPool(t.Context(), &cognitoidentityprovider.DescribeUserPoolInput{UserPoolId: &info.UserPoolID})
	if want := "arn:aws:lambda:us-east-1:123456789012:function:tenantry-local-ThingGet"; err != nil || *pool.UserPool.LambdaConfig.PreSignUp != want {
		t.Errorf("trigger: got %+v, %v, want %s", pool, err, want)
	}
}

func checkSecrets(t *testing.T, s *stack.Stack) {
	client := secretsmanager.NewFromConfig(config(s))
	out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: new(s.Outputs()["SecretArn"])})
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ User, Password string }
	if err := json.Unmarshal([]byte(*out.SecretString), &document); err != nil {
		t.Fatal(err)
	}
	if document.User != "app" || len(document.Password) != 20 {
		t.Errorf("got user %q and a password of %d characters, want app and 20", document.User, len(document.Password))
	}
}

func checkStateMachine(t *testing.T, s *stack.Stack) {
	out := execute(t, s, "MachineArn")
	if out.Status != sfntypes.ExecutionStatusSucceeded || !strings.Contains(*out.Output, "goodbye") {
		t.Errorf("got %s, %s", out.Status, aws.ToString(out.Output))
	}
}

// checkPolicies has a state machine call a function that it may not call.
func checkPolicies(t *testing.T, s *stack.Stack, progress string) {
	out := execute(t, s, "PowerlessArn")
	if out.Status != sfntypes.ExecutionStatusFailed || !strings.Contains(aws.ToString(out.Cause), "is not authorized to perform: lambda:InvokeFunction") {
		t.Errorf("got %s, %s", out.Status, aws.ToString(out.Cause))
	}
	written, err := os.ReadFile(progress) //nolint:gosec // a file of the test's
	want := "refused: tenantry-local-Powerless may not lambda:InvokeFunction on arn:aws:lambda:us-east-1:123456789012:function:tenantry-local-Authorizer\n"
	if err != nil || !strings.Contains(string(written), want) {
		t.Errorf("progress is %q, %v, want %q in it", written, err, want)
	}
}

// execute runs the state machine of an output.
func execute(t *testing.T, s *stack.Stack, output string) *sfn.DescribeExecutionOutput {
	t.Helper()
	client := sfn.NewFromConfig(config(s))
	execution, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: new(s.Outputs()[output]), Name: new("first"), Input: new("{}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for {
		out, err := client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: execution.ExecutionArn})
		if err != nil {
			t.Fatal(err)
		}
		if out.Status != sfntypes.ExecutionStatusRunning {
			return out
		}
	}
}

func checkClose(t *testing.T, s *stack.Stack, data string) {
	if len(children(t)) == 0 {
		t.Error("found no child process before the end")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, data)
	for _, url := range []string{s.Info().APIURL, s.Info().AWSEndpoint} {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
			_ = conn.Close()
			t.Errorf("something still listens on %s", url)
		}
	}
}

// wantNothingLeft fails the test if a process or stack.json is left of a stack.
func wantNothingLeft(t *testing.T, data string) {
	t.Helper()
	if left := children(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if _, err := os.Stat(filepath.Join(data, "stack.json")); err == nil {
		t.Error("stack.json is left")
	}
}

// wantLine fails the test unless err is one line that says want.
func wantLine(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got error %v, want one line that says %q", err, want)
	}
}

func TestStartRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	port := taken.Addr().(*net.TCPAddr).Port

	for name, test := range map[string]struct {
		change func(*stack.Options)
		want   string
	}{
		"taken port":     {func(o *stack.Options) { o.Port = port }, fmt.Sprintf("port %d, for the API, is taken: choose another with PORT", port)},
		"taken AWS port": {func(o *stack.Options) { o.AWSPort = port }, fmt.Sprintf("port %d, for the AWS endpoint, is taken: choose another with AWS_PORT", port)},
		"no template":    {func(o *stack.Options) { o.Template = "none.yaml" }, "none.yaml"},
		"unknown type":   {func(o *stack.Options) { o.Template = "testdata/unknown.yaml" }, "testdata/unknown.yaml:6: Queue: the resource type AWS::Kinesis::Stream is not understood"},
		"parameter":      {func(o *stack.Options) { o.Parameters = map[string]string{"Greeting": "hi"} }, "must be one of hello, goodbye"},
		"no binaries":    {func(o *stack.Options) { o.Bin = "testdata" }, "thing-get"},
		"broken function": {
			func(o *stack.Options) { o.Parameters = map[string]string{"WithBroken": "true"} },
			"function broken does not start",
		},
		"someone else's folder": {
			func(o *stack.Options) { o.Data = "testdata" },
			"the folder testdata holds something else",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			test.change(&o)
			s, err := stack.Start(t.Context(), o)
			wantLine(t, err, test.want)
			if s != nil {
				t.Error("got a stack")
			}
			wantNothingLeft(t, o.Data)
		})
	}
}

func TestStartIsToldToStop(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // the engines take longer
	defer cancel()
	o := options(t)
	s, err := stack.Start(ctx, o)
	if !errors.Is(err, context.DeadlineExceeded) || s != nil {
		t.Errorf("got %v, %v, want no stack and the context's error", s, err)
	}
	wantNothingLeft(t, o.Data)
}
