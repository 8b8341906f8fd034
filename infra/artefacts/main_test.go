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
Parameters: { Architecture: { Type: String, Default: arm64 } }
Globals: { Function: { Runtime: provided.al2023 } }
Resources:
  Table: { Type: AWS::DynamoDB::Table, Properties: { CodeUri: nowhere } }
  ThingGet: { Type: AWS::Serverless::Function, Properties: { CodeUri: ThingGet, Timeout: !Ref Timeout } }
`

const config = `
version = 0.1
[plain.deploy.parameters]
stack_name = "plain"
[arm.global.parameters]
parameter_overrides = ["Production=false", "Architecture=arm64"]
[x86.global.parameters]
parameter_overrides = ["Architecture=x86_64"]
[own.global.parameters]
parameter_overrides = ["Architecture=arm64"]
[own.deploy.parameters]
parameter_overrides = ["Architecture=x86_64"]
[other.global.parameters]
parameter_overrides = ["Architecture=mips"]
[quoted.global.parameters]
parameter_overrides = ['MailFrom="Example <no-reply@example.com>"', 'HealthTargets="[{\"name\":\"x\"}]"', "Architecture=x86_64"]
[blank.global.parameters]
parameter_overrides = ["Architecture=arm64", "MailFrom=Example <no-reply@example.com>"]
[quote.global.parameters]
parameter_overrides = ['HealthTargets=[{"name":"x"}]']
`

// configured returns a samconfig.toml.
func configured(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "samconfig.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

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
	for stage, goarch := range map[string]string{"plain": "arm64", "arm": "arm64", "x86": "amd64", "own": "amd64", "quoted": "amd64"} {
		var out bytes.Buffer
		if err := run(built(t, goarch), configured(t), stage, &out); err != nil {
			t.Errorf("%s: %v", stage, err)
			continue
		}
		want := map[string]string{"arm64": "1 functions for arm64, from 1.", "amd64": "1 functions for x86_64, from 1."}[goarch]
		if got := out.String(); !strings.HasPrefix(got, want) || !strings.Contains(got, "MB (ThingGet)") {
			t.Errorf("%s: got %q", stage, got)
		}
	}
}

// TestWrongStage builds for what a stage does not run on, or cannot be deployed as.
func TestWrongStage(t *testing.T) {
	for stage, want := range map[string]string{
		"x86":     "ThingGet: it is for EM_AARCH64",
		"own":     "ThingGet: it is for EM_AARCH64",
		"other":   `the architecture of the stage other is "mips"`,
		"nowhere": "has no stage nowhere",
		"blank":   `the stage blank: SAM cuts MailFrom at its first blank or quote: write 'MailFrom="…"'`,
		"quote":   "the stage quote: SAM cuts HealthTargets",
	} {
		if err := run(built(t, "arm64"), configured(t), stage, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", stage, err, want)
		}
	}
}

func TestLibraries(t *testing.T) {
	err := run(built(t, "arm64", "-buildmode=pie"), configured(t), "plain", nil)
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
		"it has 262144001 bytes": func(dir string) error { return os.Truncate(filepath.Join(dir, bootstrap), maxBytes+1) },
		"the template has no functions": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "template.yaml"), []byte("Parameters: { Architecture: { Default: arm64 } }\n"), 0o600)
		},
		"template.yaml: no such file or d": func(dir string) error { return os.Remove(filepath.Join(dir, "template.yaml")) },
	} {
		t.Run(want, func(t *testing.T) {
			dir := built(t, "amd64")
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if err := run(dir, configured(t), "plain", nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}
