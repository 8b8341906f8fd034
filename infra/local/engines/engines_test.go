package engines

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root is where the project keeps its engines.
const root = "../../../.tools/engines"

// TestMain plays the parent that dies in TestDynaliteEndsWithItsParent.
func TestMain(m *testing.M) {
	if os.Getenv("ENGINES_TEST_PARENT") == "" {
		os.Exit(m.Run())
	}
	e, err := StartDynalite(context.Background(), root, "", io.Discard)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(e.URL.Host)
	select {}
}

func installEngines(t *testing.T) {
	t.Helper()
	if err := Install(t.Context(), root, os.Stderr); err != nil {
		t.Fatal(err)
	}
}

func TestDynalite(t *testing.T) {
	installEngines(t)
	data := t.TempDir()
	stale := filepath.Join(data, "dynalite", "stale")
	if err := os.MkdirAll(stale, 0o750); err != nil {
		t.Fatal(err)
	}
	e, err := StartDynalite(t.Context(), root, data, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if host := e.URL.Hostname(); host != "127.0.0.1" {
		t.Errorf("got host %s, want 127.0.0.1", host)
	}
	if !e.answers(t.Context(), "/") {
		t.Error("got no answer")
	}
	if got := e.header(t, "Keep-Alive"); got != "" {
		t.Errorf("got Keep-Alive: %s, want none, as connections stay open", got)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("got what an earlier engine left")
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	<-e.Done()
	if e.answers(t.Context(), "/") {
		t.Error("got an answer after the stop")
	}
	if err := e.Stop(); err != nil {
		t.Errorf("got %v for a second stop, want nothing", err)
	}
}

// TestDynaliteForgetsQueries writes and asks again and again. What a query reads with
// holds all that was in memory then.
func TestDynaliteForgetsQueries(t *testing.T) {
	installEngines(t)
	e, err := StartDynalite(t.Context(), root, t.TempDir(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop() //nolint:errcheck // it ends with this process
	call(t, e, "DynamoDB_20120810.CreateTable", map[string]any{
		"TableName": "table", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []any{map[string]any{"AttributeName": "p", "AttributeType": "S"}, map[string]any{"AttributeName": "s", "AttributeType": "S"}},
		"KeySchema":            []any{map[string]any{"AttributeName": "p", "KeyType": "HASH"}, map[string]any{"AttributeName": "s", "KeyType": "RANGE"}},
	})
	active := false
	for !active { // in a moment
		table, _ := call(t, e, "DynamoDB_20120810.DescribeTable", map[string]any{"TableName": "table"})["Table"].(map[string]any)
		active = table["TableStatus"] == "ACTIVE"
	}
	rounds := func(n int) {
		for i := range n {
			call(t, e, "DynamoDB_20120810.PutItem", map[string]any{"TableName": "table", "Item": map[string]any{
				"p": map[string]any{"S": "p"}, "s": map[string]any{"S": strconv.Itoa(i % 10)}, "v": map[string]any{"S": strings.Repeat("v", 100_000)},
			}})
			call(t, e, "DynamoDB_20120810.Query", map[string]any{
				"TableName": "table", "Limit": 1, "KeyConditionExpression": "p = :p", "ExpressionAttributeValues": map[string]any{":p": map[string]any{"S": "p"}},
			})
		}
	}
	rounds(100)
	before := resident(t, e)
	rounds(500)
	after := resident(t, e)
	t.Logf("%d MB, and %d MB after 500 queries", before, after)
	if after > before+100 {
		t.Errorf("500 queries made it grow from %d MB to %d MB", before, after)
	}
}

// resident returns the memory of an engine, in megabytes.
func resident(t *testing.T, e *Engine) int {
	t.Helper()
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(e.process.Pid)).Output() //nolint:gosec // a number
	if err != nil {
		t.Fatal(err)
	}
	kilobytes, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes >> 10
}

// header returns a header of the engine's answer to a GET.
func (e *Engine) header(t *testing.T, name string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.URL.String(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header.Get(name)
}

func TestDynaliteEndsWithItsParent(t *testing.T) {
	installEngines(t)
	parent := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // it is this test
	parent.Env = append(os.Environ(), "ENGINES_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	host, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimSpace(host))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	// An engine that lived on would take new connections for ever. One that ends
	// closes what it has open one after the other.
	_, _ = conn.Read(make([]byte, 1))
	deadline := time.Now().Add(10 * time.Second)
	for {
		again, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimSpace(host))
		if err != nil {
			return
		}
		_ = again.Close()
		if time.Now().After(deadline) {
			t.Fatal("dynalite outlives its parent")
		}
	}
}

// TestMoto runs two executions, since older versions failed from the second.
func TestMoto(t *testing.T) {
	installEngines(t)
	lambda, invoked := serveLambda(t)
	e, err := StartMoto(t.Context(), root, lambda, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop() })
	machine := call(t, e, "AWSStepFunctions.CreateStateMachine", map[string]any{
		"name": "m", "roleArn": "arn:aws:iam::123456789012:role/r",
		"definition": `{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "End": true}}}`,
	})
	for _, name := range []string{"first", "second"} {
		call(t, e, "AWSStepFunctions.StartExecution", map[string]any{
			"stateMachineArn": machine["stateMachineArn"], "name": name, "input": `{"n": 1}`,
		})
		if got, want := <-invoked, `{"n": 1}`; got != want {
			t.Errorf("%s: got the task called with %s, want %s", name, got, want)
		}
	}
}

// serveLambda answers invocations, and sends the payload of each.
func serveLambda(t *testing.T) (port int, invoked <-chan string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	payloads := make(chan string, 2)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // it serves this test only
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Amzn-RequestId", "1")
		_, _ = io.WriteString(w, "{}")
		payloads <- string(body)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().(*net.TCPAddr).Port, payloads
}

// call calls an operation of an engine.
func call(t *testing.T, e *Engine, target string, in map[string]any) (out map[string]any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.URL.String(), strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Date", "20260101T000000Z")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/states/aws4_request, SignedHeaders=host, Signature=s")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: got %s: %s", target, resp.Status, body)
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStartReportsWhyItFailed(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   string
	}{
		"with its last words": {"echo one; echo the reason >&2; exit 1", "it ended: one | the reason"},
		"in silence":          {"exit 1", "it ended"},
		"always taken":        {"echo Error: listen EADDRINUSE; exit 1", "its port is taken"},
	} {
		t.Run(name, func(t *testing.T) {
			p := program{name: "sh", args: []string{"-c", test.script}}
			_, err := p.start(t.Context(), io.Discard)
			if err == nil || err.Error() != test.want {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

func TestStartStopsWhatDoesNotAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log, begun := io.Pipe()
	result := make(chan error)
	go func() {
		p := program{name: "sh", args: []string{"-c", "echo $$; exec sleep 600"}, says: "never"}
		_, err := p.start(ctx, begun)
		result <- err
	}()
	var pid int
	if _, err := fmt.Fscanln(log, &pid); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-result; err == nil || !strings.Contains(err.Error(), "it does not answer") {
		t.Errorf("got error %v, want that it does not answer", err)
	}
	if process, err := os.FindProcess(pid); err == nil && process.Signal(syscall.Signal(0)) == nil {
		t.Error("the process still runs")
	}
}

func TestStartWithoutItsProgram(t *testing.T) {
	t.Setenv("PATH", "")
	_, err := StartDynalite(t.Context(), root, "", io.Discard)
	if err == nil || !strings.Contains(err.Error(), "node is not installed: Node 20") {
		t.Errorf("got error %v, want one that names node", err)
	}
}
