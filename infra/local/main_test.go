package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/sam"
	"github.com/tenantry/tenantry/infra/local/stack"
)

// asProgram makes the test binary the program itself.
const asProgram = "TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestParse(t *testing.T) {
	defaults := options{
		Options: stack.Options{
			Template: "template.yaml", Bin: "bin", Engines: ".tools/engines", Data: ".local",
			Port: 3000, AWSPort: 4566, Parameters: map[string]string{},
		},
		sam: sam.Options{CLI: ".tools/sam/bin/sam", Data: ".local"},
	}
	for name, test := range map[string]struct {
		args        []string
		environment map[string]string
		change      func(*options) // of the defaults
	}{
		"nothing": {nil, nil, func(*options) {}},
		"environment": {
			nil,
			map[string]string{"PORT": "1", "AWS_PORT": "2", "DATA": "d", "PARAMETERS": " A=1  B=x=y C= "},
			func(o *options) {
				o.Port, o.AWSPort, o.Data, o.sam.Data = 1, 2, "d", "d"
				o.Parameters = map[string]string{"A": "1", "B": "x=y", "C": ""}
			},
		},
		"flags": {
			[]string{"-port", "0", "-aws-port=65535", "-data", "d", "-parameters", "A=1", "-strict", "-template", "t", "-bin", "b", "-engines", "e", "-sam", "s", "-sam-cli", "c"},
			nil,
			func(o *options) {
				*o = options{
					Options: stack.Options{
						Template: "t", Bin: "b", Engines: "e", Data: "d",
						AWSPort: 65535, Parameters: map[string]string{"A": "1"}, Strict: true,
					},
					sam: sam.Options{Build: "s", CLI: "c", Data: "d"},
				}
			},
		},
		"flags over environment": {
			[]string{"-port", "5"},
			map[string]string{"PORT": "1"},
			func(o *options) { o.Port = 5 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := defaults
			want.Parameters = maps.Clone(defaults.Parameters)
			test.change(&want)
			got, err := parse(test.args, func(name string) string { return test.environment[name] }, io.Discard)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(options{})); err != nil || diff != "" {
				t.Errorf("%v; options (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args        []string
		environment map[string]string
		want        string
	}{
		"port":       {nil, map[string]string{"PORT": "http"}, `PORT is "http", which is no port`},
		"large port": {nil, map[string]string{"AWS_PORT": "65536"}, `AWS_PORT is "65536", which is no port`},
		"parameters": {nil, map[string]string{"PARAMETERS": "A=1 B"}, `PARAMETERS has "B", which is not of the form Name=value`},
		"flag":       {[]string{"-colour"}, nil, "-colour"},
		"argument":   {[]string{"start"}, nil, `"start" is not understood; see -h`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(test.args, func(name string) string { return test.environment[name] }, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	_, err := parse([]string{"-h"}, func(string) string { return "" }, &out)
	if !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), "[AWS_PORT]") {
		t.Errorf("got error %v and the text\n%s", err, &out)
	}
}

// program starts the program with the application of package stack's tests on
// free ports.
func program(t *testing.T, data string, environment ...string) (cmd *exec.Cmd, out *bufio.Reader, errOut *bytes.Buffer) {
	t.Helper()
	bin := t.TempDir()
	build := exec.Command("go", "build", "-tags=lambda.norpc", "-o", bin+"/", //nolint:gosec // the arguments are this test's own
		"./stack/testdata/app/functions/authorizer", "./stack/testdata/app/functions/thing-get")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the functions: %v\n%s", err, text)
	}
	cmd = exec.Command(os.Args[0], "-template", "stack/testdata/app/template.yaml", "-bin", bin, //nolint:gosec // the test binary itself
		"-engines", "../../.tools/engines", "-data", data)
	cmd.Env = append(os.Environ(), asProgram+"=1", "PORT=0", "AWS_PORT=0")
	cmd.Env = append(cmd.Env, environment...)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errOut = new(bytes.Buffer)
	cmd.Stderr = errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewReader(pipe), errOut
}

// waitFor reads out until a line says text.
func waitFor(t *testing.T, out *bufio.Reader, text string) {
	t.Helper()
	for {
		line, err := out.ReadString('\n')
		if strings.Contains(line, text) {
			return
		}
		if err != nil {
			t.Fatalf("waiting for %q: %v", text, err)
		}
	}
}

func TestSignals(t *testing.T) {
	for name, signal := range map[string]os.Signal{"interrupt": syscall.SIGINT, "terminate": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			cmd, out, errOut := program(t, data)
			waitFor(t, out, "Ctrl-C ends it")
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			wantEnd(t, cmd, out, errOut, 0, "")
			if _, err := os.Stat(filepath.Join(data, "stack.json")); err == nil {
				t.Error("stack.json is left")
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	cmd, out, errOut := program(t, filepath.Join(t.TempDir(), "data"), "PARAMETERS=Greeting=hi")
	wantEnd(t, cmd, out, errOut, 1, "must be one of hello, goodbye\n")
}

// wantEnd fails the test unless the program ends with the status and, if it has
// one line to say, says it.
func wantEnd(t *testing.T, cmd *exec.Cmd, out io.Reader, errOut *bytes.Buffer, status int, says string) {
	t.Helper()
	if _, err := io.ReadAll(out); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("got status %d, want %d; it says %s", got, status, errOut)
	}
	if got := errOut.String(); !strings.HasSuffix(got, says) || says == "" && got != "" || strings.Count(got, "\n") > 1 {
		t.Errorf("it says %q, want %q", got, says)
	}
}
