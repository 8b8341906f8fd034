package engines

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// lock names every package of the engines with its version and its hashes.
//
//go:embed lock
var lock embed.FS

// The oldest versions that run the engines.
var (
	oldestNode   = version{20, 0}
	oldestPython = version{3, 11}
)

// Install puts the engines, at the versions of the lock files that are built
// into this package, into dir. When they are there already it does nothing, and
// when another process installs them it waits for that one. It reports to
// progress what takes long.
func Install(ctx context.Context, dir string, progress io.Writer) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("install the engines: %w", err)
	}
	want, err := fingerprint(dir)
	if err != nil {
		return fmt.Errorf("install the engines: %w", err)
	}
	if installed(dir, want) {
		return nil
	}
	if err := checkTools(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("install the engines: %w", err)
	}
	unlock, err := acquire(ctx, filepath.Join(dir, "lock"), progress)
	if err != nil {
		return fmt.Errorf("install the engines: %w", err)
	}
	defer unlock()
	if installed(dir, want) {
		return nil
	}
	return install(ctx, dir, want, progress)
}

// install does the work of Install. The stamp is gone while it lasts, so that
// half an installation never passes for a whole one.
func install(ctx context.Context, dir, stamp string, progress io.Writer) error {
	if err := os.RemoveAll(stampFile(dir)); err != nil {
		return fmt.Errorf("install the engines: %w", err)
	}
	if err := unpack(dir); err != nil {
		return fmt.Errorf("install the engines: %w", err)
	}
	steps := []struct {
		what    string
		command []string
	}{
		{"dynalite by npm", []string{"npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"}},
		{"a virtual environment for moto", []string{"python3", "-m", "venv", "--clear", "venv"}},
		{"moto by pip (the longest step)", []string{
			filepath.Join("venv", "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"--require-hashes", "--only-binary=:all:", "--requirement", "requirements.txt",
		}},
	}
	for _, step := range steps {
		start := time.Now()
		_, _ = fmt.Fprintf(progress, "engines: installing %s ...\n", step.what)
		if _, err := run(ctx, dir, step.command...); err != nil {
			return fmt.Errorf("install %s: %w", step.what, err)
		}
		_, _ = fmt.Fprintf(progress, "engines: installed %s in %.1f s\n", step.what, time.Since(start).Seconds())
	}
	if err := os.WriteFile(stampFile(dir), []byte(stamp), 0o600); err != nil {
		return fmt.Errorf("install the engines: %w", err)
	}
	return nil
}

func stampFile(dir string) string { return filepath.Join(dir, "stamp") }

// installed says whether dir holds the engines that stamp stands for.
func installed(dir, stamp string) bool {
	got, err := os.ReadFile(stampFile(dir))
	if err != nil || string(got) != stamp {
		return false
	}
	for _, file := range []string{dynaliteMain(dir), motoPython(dir)} {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return true
}

// fingerprint returns a hash of the lock files and of dir, as a virtual
// environment does not work where it was not made.
func fingerprint(dir string) (string, error) {
	h := sha256.New()
	_, _ = io.WriteString(h, dir)
	err := eachLockFile(func(name string, content []byte) error {
		_, _ = fmt.Fprintf(h, "\n%s %d\n", name, len(content))
		_, _ = h.Write(content)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// unpack writes the lock files to dir, where npm and pip find them.
func unpack(dir string) error {
	return eachLockFile(func(name string, content []byte) error {
		return os.WriteFile(filepath.Join(dir, name), content, 0o600)
	})
}

func eachLockFile(do func(name string, content []byte) error) error {
	entries, err := fs.ReadDir(lock, "lock")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := lock.ReadFile("lock/" + entry.Name())
		if err != nil {
			return err
		}
		if err := do(entry.Name(), content); err != nil {
			return err
		}
	}
	return nil
}

// checkTools reports everything that installing needs and this machine lacks.
func checkTools(ctx context.Context) error {
	return errors.Join(
		checkTool(ctx, "node", oldestNode),
		checkTool(ctx, "npm", version{}),
		checkTool(ctx, "python3", oldestPython),
	)
}

// checkTool fails if the program called name is not installed, or older than
// oldest.
func checkTool(ctx context.Context, name string, oldest version) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not installed: Node %v and Python %v or newer are needed", name, oldestNode, oldestPython)
	}
	out, err := run(ctx, "", name, "--version")
	if err != nil {
		return fmt.Errorf("%s does not run: %w", name, err)
	}
	got, ok := parseVersion(out)
	if !ok {
		return fmt.Errorf("%s --version says %q, which is no version", name, out)
	}
	if got.before(oldest) {
		return fmt.Errorf("%s is too old: it is %v, and %v or newer is needed", name, got, oldest)
	}
	return nil
}

// A version is the first two parts of a program's version.
type version struct {
	major, minor int
}

func (v version) String() string {
	if v.minor == 0 {
		return strconv.Itoa(v.major)
	}
	return fmt.Sprintf("%d.%d", v.major, v.minor)
}

func (v version) before(w version) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

var versionPattern = regexp.MustCompile(`(\d+)\.(\d+)`)

// parseVersion finds the version in what a program prints about itself, like
// "v20.20.2" or "Python 3.11.7".
func parseVersion(s string) (version, bool) {
	parts := versionPattern.FindStringSubmatch(s)
	if parts == nil {
		return version{}, false
	}
	major, err1 := strconv.Atoi(parts[1])
	minor, err2 := strconv.Atoi(parts[2])
	return version{major, minor}, err1 == nil && err2 == nil
}

// run runs a command in dir and returns what it prints. Its error holds the
// last lines that the command printed.
func run(ctx context.Context, dir string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the commands are written in this file
	cmd.Dir = dir
	endWithParent(cmd)
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w%s", command[0], err, lastLines(out.Bytes()))
	}
	return string(bytes.TrimSpace(out.Bytes())), nil
}
