package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// startTime is how long the set may take to be up.
const startTime = 5 * time.Minute

// A set is the whole set, run by the program behind make local.
type set struct {
	APIURL string `json:"api_url"`
	Admin  struct {
		Username string `json:"username"`
		Password string `json:"password"`
	} `json:"admin"`

	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
	end  error         // how it ended, once it has
	http *http.Client
}

// startSet starts the set, empty, on ports of its own.
func startSet(ctx context.Context, o options) (*set, error) {
	file := filepath.Join(o.data, "stack.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	s := &set{
		cmd:  exec.Command(o.program, "-port", "0", "-aws-port", "0", "-data", o.data, "-parameters", "AccessTokenMinutes=1440"), //nolint:gosec // the program is the caller's choice
		gone: make(chan struct{}),
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: o.inFlight}},
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this program, which ends the set
	var log lockedBuffer
	s.cmd.Stdout, s.cmd.Stderr = &log, &log
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the set: %w; make soak builds it", err)
	}
	go func() {
		s.end = s.cmd.Wait()
		close(s.gone)
	}()
	deadline := time.After(startTime)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		text, err := os.ReadFile(file) //nolint:gosec // of the set
		if err == nil && json.Unmarshal(text, s) == nil {
			return s, nil
		}
		select {
		case <-ticker.C:
		case <-s.gone:
			return nil, fmt.Errorf("the set has ended: %w\n%s", s.end, log.String())
		case <-deadline:
			return nil, errors.Join(fmt.Errorf("it took over %v until the set was up", startTime), s.close())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.close())
		}
	}
}

// pid is that of the program, which all others are started by.
func (s *set) pid() int { return s.cmd.Process.Pid }

// close ends the set.
func (s *set) close() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // unless it has ended
	<-s.gone
	return s.end
}

// An answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// object reads an answer that is an object.
func (a answer) object() map[string]any {
	var m map[string]any
	_ = json.Unmarshal(a.body, &m) // what is none has no members
	return m
}

// text returns a member that is a string, or "".
func (a answer) text(name string) string {
	s, _ := a.object()[name].(string)
	return s
}

// list reads an answer that is an array of objects.
func (a answer) list() ([]map[string]any, error) {
	var l []map[string]any
	err := json.Unmarshal(a.body, &l)
	return l, err
}

// A request is one of the API's.
type request struct {
	method, path string
	token        string
	key          string // the Idempotency-Key, if any
	body         any
}

// do sends a request.
func (s *set) do(ctx context.Context, r request) (answer, error) {
	var body io.Reader = http.NoBody
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, s.APIURL+r.path, body) //nolint:gosec // the API's own paths
	if err != nil {
		return answer{}, err
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	resp, err := s.http.Do(req) //nolint:gosec // to the set on this machine
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, errors.Join(err, resp.Body.Close())
}

// A lockedBuffer may be read while a program writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
