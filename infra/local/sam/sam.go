// Package sam serves the API of a local stack by sam local start-api: what stands
// behind the API's routes, the authorizer included, runs in containers. What
// workflows, triggers and schedules call runs as it does without.
package sam

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tenantry/tenantry/infra/local/stack"
)

const (
	// inside is the name of this machine in containers.
	inside = "host.docker.internal"

	startTime = 5 * time.Minute // the first time, an image is made of one that may be fetched
	stopTime  = 2 * time.Minute // sam removes one container after the other
)

// Options say what to serve the API with.
type Options struct {
	CLI   string // the sam program
	Build string // the folder that sam build has made
	Data  string // the stack's; for the log and the variables of the functions
}

// A Server is a running sam local start-api.
type Server struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it is gone
	ending error         // how it ended, once it has
}

// Start serves the API of s, which leaves that to others, and returns when it
// answers.
func Start(ctx context.Context, s *stack.Stack, o Options) (*Server, error) {
	cmd, err := command(s, o)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(o.Data, "logs", "sam.log")
	log, err := os.Create(path) //nolint:gosec // in the data folder
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this program, which tells it
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	server := &Server{cmd: cmd, exited: make(chan struct{})}
	go func() {
		server.ending = errors.Join(cmd.Wait(), log.Close())
		close(server.exited)
	}()
	if err := server.ready(ctx, s.Info().APIURL); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; see %s", err, path), server.Close())
	}
	return server, nil
}

// command returns the command that serves the API of s.
func command(s *stack.Stack, o Options) (*exec.Cmd, error) {
	info := s.Info()
	api, err := url.Parse(info.APIURL)
	if err != nil {
		return nil, err
	}
	aws, err := url.Parse(info.AWSEndpoint)
	if err != nil {
		return nil, err
	}
	template, err := declare(o.Build)
	if err != nil {
		return nil, err
	}
	variables := filepath.Join(o.Data, "env.json")
	if err := writeEnvironments(variables, s.Environments(), info.AWSEndpoint, "http://"+net.JoinHostPort(inside, aws.Port())); err != nil {
		return nil, err
	}
	// A container for each function that is called: all of them at once would take
	// minutes and gigabytes.
	cmd := exec.Command(o.CLI, "local", "start-api", "--template", template, "--env-vars", variables, //nolint:gosec // the program is the caller's choice
		"--host", api.Hostname(), "--port", api.Port(), "--add-host", inside+":host-gateway", "--region", info.Region,
		"--parameter-overrides", "Architecture="+architecture(runtime.GOARCH),
		"--skip-pull-image", "--warm-containers", "LAZY", "--no-watch")
	cmd.Env = environment(os.Environ(), info)
	return cmd, nil
}

// architecture returns Lambda's name of this machine's kind of processor, which
// is that of the containers too.
func architecture(goarch string) string {
	if goarch == "arm64" {
		return goarch
	}
	return "x86_64"
}

// environment is sam's own: it asks the local AWS endpoint who it is, once, and
// tells nobody that it runs.
func environment(inherited []string, info stack.Info) []string {
	env := slices.DeleteFunc(slices.Clone(inherited), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(env, "SAM_CLI_TELEMETRY=0", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
		"AWS_ENDPOINT_URL="+info.AWSEndpoint, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
}

// ready waits until a function answers from a container.
func (s *Server) ready(ctx context.Context, api string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		status, err := health(ctx, api)
		switch {
		case err == nil && status == http.StatusOK:
			return nil
		case err == nil:
			return fmt.Errorf("the first function in a container answered %d", status)
		}
		select {
		case <-s.exited:
			return fmt.Errorf("sam has ended: %w", s.ending)
		case <-ctx.Done():
			return fmt.Errorf("sam does not serve the API: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func health(ctx context.Context, api string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/health", http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// Done is closed when sam has ended.
func (s *Server) Done() <-chan struct{} { return s.exited }

// Close ends sam, which removes its containers.
func (s *Server) Close() error {
	_ = s.cmd.Process.Signal(os.Interrupt) // unless it is gone
	select {
	case <-s.exited:
		return nil
	case <-time.After(stopTime):
		err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.exited
		return errors.Join(fmt.Errorf("sam did not end within %v: its containers may be left", stopTime), err)
	}
}
