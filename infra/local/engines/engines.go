// Package engines installs, starts and stops the programs that stand in for
// AWS on one machine: dynalite for DynamoDB, and moto for Step Functions,
// Cognito, Secrets Manager and the rest. It knows nothing of how they are put
// together.
package engines

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// startTimeout is how long an engine may take until it answers.
const startTimeout = 60 * time.Second

// An Engine is a running engine.
type Engine struct {
	// URL is where the engine answers.
	URL *url.URL

	process *os.Process
	done    chan struct{} // closed when the process has ended
	ending  string        // how it ended; set before done is closed
	output  tail
}

// dynalitePrelude is what Node runs before dynalite.
//
//go:embed dynalite.js
var dynalitePrelude string

// StartDynalite starts the DynamoDB engine that Install put into dir, and
// returns once it answers. It keeps its tables in the folder dynalite of data,
// which it empties first, or in memory if data is "". What it prints goes to
// log.
func StartDynalite(ctx context.Context, dir, data string, log io.Writer) (*Engine, error) {
	if err := checkTool(ctx, "node", oldestNode); err != nil {
		return nil, err
	}
	p := program{
		name: "node",
		args: []string{
			"--import", "data:text/javascript," + url.PathEscape(dynalitePrelude),
			dynaliteMain(dir), "--host", "127.0.0.1",
			"--createTableMs", "0", "--updateTableMs", "0", "--deleteTableMs", "0",
		},
		portFlag: "--port",
		env:      environment("AWS_ACCOUNT_ID=123456789012", "AWS_REGION=us-east-1"),
		says:     "Dynalite listening at",
		path:     "/",
	}
	if data != "" {
		folder := filepath.Join(data, "dynalite")
		if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o750)); err != nil {
			return nil, fmt.Errorf("start dynalite: %w", err)
		}
		p.args = append(p.args, "--path", folder)
	}
	e, err := p.start(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("start dynalite: %w", err)
	}
	return e, nil
}

// motoProgram is what Python runs as moto.
//
//go:embed moto.py
var motoProgram string

// StartMoto starts the engine of the other services that Install put into dir,
// and returns once it answers. The tasks of its state machines call Lambda at
// port awsPort of this machine. What it prints goes to log.
func StartMoto(ctx context.Context, dir string, awsPort int, log io.Writer) (*Engine, error) {
	p := program{
		name:     motoPython(dir),
		args:     []string{"-P", "-c", motoProgram, "-H", "127.0.0.1"},
		portFlag: "-p",
		env:      environment("MOTO_PORT="+strconv.Itoa(awsPort), "TZ=UTC", "PYTHONUNBUFFERED=1"),
		says:     "Running on",
		path:     "/moto-api/data.json",
	}
	e, err := p.start(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	if err := e.executeStateMachines(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start moto: %w", err), e.Stop())
	}
	return e, nil
}

// executeStateMachines makes moto run state machines; it only pretends to
// unless it is told.
func (e *Engine) executeStateMachines(ctx context.Context) error {
	body := strings.NewReader(`{"stepfunctions": {"execute_state_machine": true}}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL.JoinPath("/moto-api/config").String(), body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("configure it: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("configure it: %s", resp.Status)
	}
	return nil
}

// Stop ends the engine and all its processes, and returns when it is gone.
func (e *Engine) Stop() error {
	err := killGroup(e.process)
	if err == nil {
		<-e.done
	}
	return err
}

// Done returns a channel that is closed when the engine has ended, for
// whatever reason.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Ending says how the process ended, once Done is closed: "signal: killed".
func (e *Engine) Ending() string { return e.ending }

// A program is an engine that can be started.
type program struct {
	name     string
	args     []string
	portFlag string // goes before the port to listen on
	env      []string
	says     string // what it prints once it listens
	path     string // what it answers with 200
}

// start starts the program on a free port, and returns once it answers there.
func (p program) start(ctx context.Context, log io.Writer) (*Engine, error) {
	const attempts = 3 // another process may take the port in the meantime
	var err error
	for range attempts {
		var port int
		if port, err = freePort(); err != nil {
			return nil, err
		}
		var e *Engine
		if e, err = p.startOn(ctx, port, log); !errors.Is(err, errPortTaken) {
			return e, err
		}
	}
	return nil, err
}

func (p program) startOn(ctx context.Context, port int, log io.Writer) (*Engine, error) {
	e := &Engine{
		URL:  &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		done: make(chan struct{}),
	}
	cmd := exec.Command(p.name, append(slices.Clip(p.args), p.portFlag, strconv.Itoa(port))...) //nolint:gosec // the programs are this package's own
	cmd.Env = p.env
	cmd.Stdout = io.MultiWriter(log, &e.output)
	cmd.Stderr = cmd.Stdout
	endWithParent(cmd)
	started := make(chan error)
	go e.run(cmd, started)
	if err := <-started; err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := e.wait(ctx, p.says, p.path); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// run starts the process and stays until it has ended. It keeps its thread for
// itself, as the process ends with the thread that started it.
func (e *Engine) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	e.process = cmd.Process
	started <- err
	if err == nil {
		_ = cmd.Wait()
		e.ending = cmd.ProcessState.String()
		close(e.done)
	}
}

// errPortTaken says that something else listens where an engine was to.
var errPortTaken = errors.New("its port is taken")

// wait returns when the engine has printed says and answers a GET of path, or
// will never do so. What it prints tells it from another that took its port.
func (e *Engine) wait(ctx context.Context, says, path string) error {
	for {
		select {
		case <-e.done:
			if e.output.contains("EADDRINUSE") || e.output.contains("already in use") {
				return errPortTaken
			}
			return fmt.Errorf("it ended%s", e.output.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("it does not answer at %s: %w%s", e.URL, ctx.Err(), e.output.lastLines())
		case <-time.After(20 * time.Millisecond):
		}
		if e.output.contains(says) && e.answers(ctx, path) {
			return nil
		}
	}
}

// answers says whether a GET of path is answered with 200.
func (e *Engine) answers(ctx context.Context, path string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL.JoinPath(path).String(), http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// environment returns the environment of an engine: variables, and of this
// process's own only what finds programs and folders.
func environment(variables ...string) []string {
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			variables = append(variables, name+"="+value)
		}
	}
	return variables
}

// freePort returns a port of 127.0.0.1 on which nothing listens.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}

func dynaliteMain(dir string) string {
	return filepath.Join(dir, "node_modules", "dynalite", "cli.js")
}

func motoPython(dir string) string {
	return filepath.Join(dir, "venv", "bin", "python")
}
