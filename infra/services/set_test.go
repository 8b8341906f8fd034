package services

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what takes a while.
const patience = time.Minute

// A set is the whole set, run by the program behind make local.
type set struct {
	StackName   string `json:"stack_name"`
	APIURL      string `json:"api_url"`
	AWSEndpoint string `json:"aws_endpoint"`
	Table       string `json:"table"`
	Admin       struct {
		Username string `json:"username"`
		Password string `json:"password"`
	} `json:"admin"`
}

// startSet starts the set as make builds it, with parameters of its template, and ends
// it with the test.
func startSet(t *testing.T, parameters ...string) *set {
	t.Helper()
	data := t.TempDir()
	cmd := exec.Command("bin/local", "-port", "0", "-aws-port", "0", "-data", data, "-strict", "-parameters", strings.Join(parameters, " ")) //nolint:gosec // which make has built
	cmd.Dir = filepath.Join("..", "..")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; run make test-services, which builds it", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // unless it has ended
		if err := <-ended; err != nil || t.Failed() {
			t.Errorf("the set ended with %v:\n%s", err, &out)
		}
	})
	var s set
	eventually(t, "the set was up", func() bool {
		text, err := os.ReadFile(filepath.Join(data, "stack.json")) //nolint:gosec // in the test's own folder
		return err == nil && json.Unmarshal(text, &s) == nil
	})
	return &s
}

// eventually asks again and again until ok, and fails the test if that takes too
// long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("it took over %v until %s", patience, what)
		}
	}
}

// A client calls the API with one token.
type client struct {
	url, token string
}

// admin returns the platform admin.
func (s *set) admin(t *testing.T) client {
	t.Helper()
	c := client{url: s.APIURL}
	c.token = c.do(t, "POST", "/auth/token", map[string]any{"username": s.Admin.Username, "password": s.Admin.Password}, 200)["access_token"].(string)
	return c
}

// do sends a request, and fails the test unless the answer has the status.
func (c client) do(t *testing.T, method, path string, body any, status int) map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if body == nil {
		text = nil
	}
	got, answer, err := c.send(t.Context(), method, path, text)
	if err != nil || got != status {
		t.Fatalf("%s %s: got %d %v, %v, want %d", method, path, got, answer, err, status)
	}
	return answer
}

func (c client) send(ctx context.Context, method, path string, body []byte) (status int, answer map[string]any, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return resp.StatusCode, nil, fmt.Errorf("%s: %w", text, err)
	}
	return resp.StatusCode, answer, nil
}
