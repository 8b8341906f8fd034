// Package set tests the whole set as a client would: the functions as they are
// built, behind the gateway, on engines that are as unkind as AWS. Every answer
// is held against the OpenAPI document.
package set

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantry/tenantry/infra/local/contract"
	"github.com/tenantry/tenantry/infra/local/stack"
)

// patience is how long a test waits for what takes a while.
const patience = 60 * time.Second

// common is the stack that tests share, where they need none of their own.
var common *stack.Stack

var root, bin string

// onlyBenchmarks is the pattern that make bench runs tests by: none, so that a
// benchmark has the machine to itself.
const onlyBenchmarks = "^$"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tenantry-set-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder for temporary files
	root, bin = filepath.Join("..", "..", ".."), filepath.Join(dir, "bin")
	if err := build(bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse()
	if flag.Lookup("test.run").Value.String() == onlyBenchmarks {
		return m.Run()
	}
	common, err = start(filepath.Join(dir, "data"), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer common.Close() //nolint:errcheck // the engines end with this process
	code := m.Run()
	if err := checkPolicies(os.Stdout, code == 0 && isWhole()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// build builds the functions as make build does, but for symbols, which cost
// time.
func build(bin string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil { //nolint:gosec // holds executables
		return err
	}
	cmd := exec.Command("go", "build", "-tags=lambda.norpc", "-trimpath", "-ldflags=-s -w", "-o", bin+"/", "./functions/...") //nolint:gosec // our own arguments
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the functions: %w\n%s", err, out)
	}
	return nil
}

func start(data string, parameters map[string]string) (*stack.Stack, error) {
	s, err := stack.Start(context.Background(), stack.Options{
		Template:   filepath.Join(root, "template.yaml"),
		Bin:        bin,
		Data:       data,
		Engines:    filepath.Join(root, ".tools", "engines"),
		Parameters: parameters,
		Strict:     true,
		Usage:      &usage,
	})
	folders.Store(s, data)
	return s, err
}

// folders is the data folder of each stack.
var folders sync.Map

func dataOf(s *stack.Stack) string {
	dir, _ := folders.Load(s)
	return fmt.Sprint(dir)
}

// logged returns what a stack's functions logged of a request.
func logged(s *stack.Stack, requestID string) string {
	files, _ := filepath.Glob(filepath.Join(dataOf(s), "logs", "*.log"))
	var found []string
	for _, name := range files {
		text, _ := os.ReadFile(name) //nolint:gosec // what cannot be read holds nothing
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, requestID) {
				found = append(found, line)
			}
		}
	}
	return strings.Join(found, "")
}

// startOwn starts a stack that one test has to itself.
func startOwn(t *testing.T, parameters map[string]string) *stack.Stack {
	t.Helper()
	s, err := start(filepath.Join(t.TempDir(), "data"), parameters)
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

// A client calls one stack's API with one token.
type client struct {
	t      testing.TB
	stack  *stack.Stack
	http   *http.Client
	token  string
	header map[string]string
}

func newClient(t *testing.T, s *stack.Stack) *client {
	t.Helper()
	transport := contract.Transport(t, &http.Transport{MaxIdleConnsPerHost: 64})
	return &client{t: t, stack: s, http: &http.Client{Transport: transport}}
}

// with returns the client with a header for every request.
func (c *client) with(name, value string) *client {
	copied := *c
	copied.header = map[string]string{}
	maps.Copy(copied.header, c.header)
	copied.header[name] = value
	return &copied
}

// as returns the client with another token.
func (c *client) as(token string) *client {
	copied := *c
	copied.token = token
	return &copied
}

// An answer is what the API answered.
type answer struct {
	t      testing.TB
	stack  *stack.Stack
	Status int
	Header http.Header
	Raw    string
	Body   map[string]any   // of an object
	List   []map[string]any // of an array
}

// do sends a request. Body is a string, or is encoded as JSON.
func (c *client) do(method, path string, body any) *answer {
	c.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.stack.Info().APIURL+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := &answer{t: c.t, stack: c.stack, Status: resp.StatusCode, Header: resp.Header, Raw: string(raw)}
	switch {
	case strings.HasPrefix(a.Raw, "{"):
		err = json.Unmarshal(raw, &a.Body)
	case strings.HasPrefix(a.Raw, "["):
		err = json.Unmarshal(raw, &a.List)
	}
	if err != nil {
		c.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
	}
	return a
}

// must fails the test unless the answer has the status.
func (a *answer) must(status int) *answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("got %d %s, want %d\n%s", a.Status, a.Raw, status, logged(a.stack, a.Header.Get("X-Request-Id")))
	}
	return a
}

// problem fails the test unless the answer is a problem of the kind.
func (a *answer) problem(status int, kind string) *answer {
	a.t.Helper()
	a.must(status)
	if got := a.Body["type"]; got != "/docs/problems/"+kind {
		a.t.Fatalf("got problem %v, want %s: %s", got, kind, a.Raw)
	}
	return a
}

// text returns a member that is a string.
func (a *answer) text(name string) string {
	a.t.Helper()
	s, ok := a.Body[name].(string)
	if !ok {
		a.t.Fatalf("%s is no string in %s", name, a.Raw)
	}
	return s
}

// signIn returns the client with the token of a user.
func (c *client) signIn(username, password string) *client {
	c.t.Helper()
	a := c.do("POST", "/auth/token", map[string]any{"username": username, "password": password}).must(200)
	return c.as(a.text("access_token"))
}

// admin returns the client with the token of the platform admin.
func (c *client) admin() *client {
	c.t.Helper()
	admin := c.stack.Info().Admin
	return c.signIn(admin.Username, admin.Password)
}

// eventually asks again and again until ok, and fails the test if that takes too
// long.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for wait := 10 * time.Millisecond; !ok(); wait = min(2*wait, 250*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it took over %v until %s", patience, what)
		}
		select {
		case <-time.After(wait):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// operation waits until an operation has ended, and returns it.
func (c *client) operation(id string) *answer {
	c.t.Helper()
	var a *answer
	eventually(c.t, "operation "+id+" ended", func() bool {
		a = c.do("GET", "/operations/"+id, nil).must(200)
		return a.Body["ended_at"] != nil
	})
	return a
}

// active waits until a tenant is active.
func (c *client) active(id string) *answer {
	c.t.Helper()
	var a *answer
	eventually(c.t, "tenant "+id+" was active", func() bool {
		a = c.do("GET", "/tenants/"+id, nil).must(200)
		return a.Body["status"] == "active"
	})
	return a
}

var names atomic.Int64

// unique returns a word that no other test uses.
func unique(word string) string { return fmt.Sprintf("%s%d", word, names.Add(1)) }

// signUp makes a business account and returns its name, address and password.
func (c *client) signUp() (id, username, email, password string) {
	c.t.Helper()
	username = unique("user")
	email, password = username+"@example.com", "correct horse "+username
	a := c.do("POST", "/auth/signup", map[string]any{"username": username, "email": email, "password": password}).must(201)
	return a.text("user_id"), username, email, password
}

// plainHTTP does not hold answers against the OpenAPI document, which has none
// for a function that was killed.
var plainHTTP = &http.Client{}

// swept fires the sweeper again and again until ok.
func swept(t *testing.T, s *stack.Stack, ok func() bool) {
	t.Helper()
	fired(t, s, "SweeperEveryMinute", ok)
}

// fired fires a schedule again and again until ok.
func fired(t *testing.T, s *stack.Stack, schedule string, ok func() bool) {
	t.Helper()
	eventually(t, schedule+" had done its work", func() bool {
		if ok() {
			return true
		}
		if _, err := s.Schedules().Fire(t.Context(), schedule); err != nil {
			t.Fatal(err)
		}
		return ok()
	})
}
