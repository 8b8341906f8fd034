package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const templateText = `
Globals: { Function: { Runtime: provided.al2023 } }
Resources:
  Table: { Type: AWS::DynamoDB::Table, Properties: { CodeUri: nowhere } }
  ThingGet: { Type: AWS::Serverless::Function, Properties: { CodeUri: ThingGet, Timeout: !Ref Timeout } }
`

// built returns a folder as sam build makes it, of one function for an
// architecture.
func built(t *testing.T, goarch string, flags ...string) string {
	t.Helper()
	dir, source := t.TempDir(), filepath.Join(t.TempDir(), "main.go")
	for path, text := range map[string]string{source: "package main\n\nfunc main() {}\n", filepath.Join(dir, "template.yaml"): templateText} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := append([]string{"build", "-o", filepath.Join(dir, "ThingGet", "bootstrap")}, flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, source)...) //nolint:gosec // our own arguments
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func TestGood(t *testing.T) {
	var out bytes.Buffer
	if err := run(built(t, "arm64"), "arm64", &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "1 functions for arm64, from 1.") || !strings.Contains(got, "MB (ThingGet)") {
		t.Errorf("got %q", got)
	}
}

func TestLibraries(t *testing.T) {
	err := run(built(t, "arm64", "-buildmode=pie"), "arm64", nil)
	if want := "ThingGet: it needs libraries"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestWrong(t *testing.T) {
	bootstrap := filepath.Join("ThingGet", "bootstrap")
	for want, spoil := range map[string]func(dir string) error{
		"it is for EM_X86_64":            func(string) error { return nil },
		"ThingGet: stat ":                func(dir string) error { return os.Remove(filepath.Join(dir, bootstrap)) },
		"ThingGet: it is not executable": func(dir string) error { return os.Chmod(filepath.Join(dir, bootstrap), 0o600) },
		"bad magic number": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, bootstrap), []byte("#!/bin/sh\nexit 0 # no executable of ours\n"), 0o600)
		},
		"it has 262144001 bytes":           func(dir string) error { return os.Truncate(filepath.Join(dir, bootstrap), maxBytes+1) },
		"the template has no functions":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "template.yaml"), nil, 0o600) },
		"template.yaml: no such file or d": func(dir string) error { return os.Remove(filepath.Join(dir, "template.yaml")) },
	} {
		t.Run(want, func(t *testing.T) {
			dir := built(t, "amd64")
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if err := run(dir, "arm64", nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}
