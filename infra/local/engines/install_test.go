package engines

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// tools are programs that pretend to install, and write to the file "runs"
// beside them what they were called with.
var tools = map[string]string{
	"node": `echo v20.1.0`,
	"npm": `case $1 in
	--version) echo 10.0.0 ;;
	*) echo "npm $1" >> "$(dirname "$0")/runs"; mkdir -p node_modules/dynalite; touch node_modules/dynalite/cli.js ;;
	esac`,
	"python3": `case $1 in
	--version) echo Python 3.11.2 ;;
	*) mkdir -p venv/bin; printf '#!/bin/sh\n' > venv/bin/python; chmod +x venv/bin/python ;;
	esac`,
}

// usePath makes a PATH of the tools, changed as given: "" takes one away.
func usePath(t *testing.T, changed map[string]string) (bin string) {
	t.Helper()
	bin = t.TempDir()
	for name, script := range tools {
		if other, ok := changed[name]; ok {
			script = other
		}
		if script == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { //nolint:gosec // a program has to be executable
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "mkdir", "touch", "chmod", "dirname"} {
		if err := os.Symlink("/bin/"+name, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	return bin
}

func TestInstallRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		tools map[string]string
		want  []string
	}{
		"no node":    {map[string]string{"node": ""}, []string{"node is not installed: Node 20 and Python 3.11 or newer are needed"}},
		"no npm":     {map[string]string{"npm": ""}, []string{"npm is not installed"}},
		"no python":  {map[string]string{"python3": ""}, []string{"python3 is not installed"}},
		"neither":    {map[string]string{"node": "", "python3": ""}, []string{"node is not installed", "python3 is not installed"}},
		"old node":   {map[string]string{"node": "echo v18.20.1"}, []string{"node is too old: it is 18.20, and 20 or newer is needed"}},
		"old python": {map[string]string{"python3": "echo Python 3.9.2"}, []string{"python3 is too old: it is 3.9, and 3.11 or newer is needed"}},
		"no version": {map[string]string{"node": "echo hello"}, []string{`node --version says "hello"`}},
		"broken":     {map[string]string{"python3": "echo no libraries >&2; exit 3"}, []string{"python3 does not run", "exit status 3: no libraries"}},
		"offline":    {map[string]string{"npm": "if [ $1 = ci ]; then echo no network >&2; exit 1; fi; echo 10.0.0"}, []string{"install dynalite by npm: npm: exit status 1: no network"}},
	} {
		t.Run(name, func(t *testing.T) {
			usePath(t, test.tools)
			dir := t.TempDir()
			err := Install(t.Context(), dir, io.Discard)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got error %q, want one with %q", err, want)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "stamp")); err == nil {
				t.Error("got a stamp for an installation that failed")
			}
		})
	}
}

func TestInstallOnce(t *testing.T) {
	bin := usePath(t, nil)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := Install(t.Context(), dir, io.Discard); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := runs(t, bin); got != 1 {
		t.Errorf("got %d installations by npm, want 1", got)
	}
	if err := os.Remove(filepath.Join(dir, "node_modules", "dynalite", "cli.js")); err != nil {
		t.Fatal(err)
	}
	if err := Install(t.Context(), dir, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := runs(t, bin); got != 2 {
		t.Errorf("got %d installations after files were lost, want 2", got)
	}
}

func TestInstallNeedsNothingTwice(t *testing.T) {
	usePath(t, nil)
	dir := t.TempDir()
	if err := Install(t.Context(), dir, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	var progress strings.Builder
	if err := Install(t.Context(), dir, &progress); err != nil {
		t.Fatal(err)
	}
	if progress.Len() > 0 {
		t.Errorf("got progress %q, want none", progress.String())
	}
}

func TestInstallStopsWaiting(t *testing.T) {
	usePath(t, nil)
	dir := t.TempDir()
	unlock, err := acquire(t.Context(), filepath.Join(dir, "lock"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	progress, said := io.Pipe()
	result := make(chan error)
	go func() { result <- Install(ctx, dir, said) }()
	if _, err := progress.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, progress) }()
	cancel()
	if err := <-result; err == nil {
		t.Error("got no error, though another installation lasts")
	}
}

// runs returns how often the npm in bin has installed.
func runs(t *testing.T, bin string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(bin, "runs")) //nolint:gosec // it is the test's own file
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(content), "npm ci")
}
