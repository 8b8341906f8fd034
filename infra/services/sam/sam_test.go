// Package sam tests the set with the API's functions in containers, as make
// sam-local runs it.
package sam

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tenantry/tenantry/infra/local/story"
)

// patience is how long the set may take to be up, of which most is the first image.
const patience = 5 * time.Minute

// TestReadmeStory runs the lines that the README tells people to paste.
func TestReadmeStory(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if err := story.Run(t.Context(), root, start(t, root)); err != nil {
		t.Fatal(err)
	}
}

// start starts the set as make builds it, and ends it with the test.
func start(t *testing.T, root string) story.Set {
	t.Helper()
	data := t.TempDir()
	cmd := exec.Command("bin/local", "-port", "0", "-aws-port", "0", "-data", data, "-sam", ".aws-sam/local") //nolint:gosec // which make has built
	cmd.Dir = root
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; run make test-sam, which builds it", err)
	}
	var ended error
	gone := make(chan struct{})
	go func() {
		ended = cmd.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // unless it has ended
		<-gone
		if ended != nil {
			t.Errorf("the set ended with %v:\n%s", ended, &out)
		}
		if t.Failed() {
			log, err := os.ReadFile(filepath.Join(data, "logs", "sam.log")) //nolint:gosec // in the test's own folder
			t.Logf("%v, the log of sam:\n%s", err, log)
		}
	})
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for {
		var info struct {
			APIURL      string `json:"api_url"`
			AWSEndpoint string `json:"aws_endpoint"`
		}
		text, err := os.ReadFile(filepath.Join(data, "stack.json")) //nolint:gosec // in the test's own folder
		if err == nil && json.Unmarshal(text, &info) == nil && answers(t, info.APIURL) {
			return story.Set{APIURL: info.APIURL, AWSEndpoint: info.AWSEndpoint, Data: data}
		}
		select {
		case <-ticker.C:
		case <-gone:
			t.FailNow()
		case <-deadline:
			t.Fatalf("it took over %v until the set was up", patience)
		}
	}
}

// answers tells whether a container has answered at api.
func answers(t *testing.T, api string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/health", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}
