package set

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/template"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeStory runs the lines that the README tells people to paste.
func TestReadmeStory(t *testing.T) {
	s := startOwn(t, nil)
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(readme(t), -1) {
		script.WriteString(block[1])
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script.String()) //nolint:gosec // our own README
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "PORT="+port(t, s.Info().APIURL), "AWS_PORT="+port(t, s.Info().AWSEndpoint), "DATA="+dataOf(s))
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), log.String())
	}
	if strings.Contains(out.String(), "/docs/problems/") {
		t.Errorf("a request of the README is refused:\n%s", out.String())
	}
	for _, want := range []string{
		`"role":"owner"`, `"name":"Analytical Engines Ltd"`, `"billing_plan":"business"`, // sign up
		`"full_name":"Charles Babbage"`, `"role":"supervisor"`, `"disabled":true`, // people
		`"state":"succeeded"`, `"max_agents":250`, // provision
		`"language":"en-US"`, `"voice":"nova"`, `"sip_password":"`, `"SHA-256":"`, // agents and SIP
		`"call_id":"call-1"`, `"accepted":1`, `"monthly_usage_cents":42`, // calls and use
		`"status":"suspended"`,                            // update
		"\nsuspended\ncancelled\n",                        // delete and restore
		"\n403\n", `"mode":"read_only"`, "\n200\n\n401\n", // keys and impersonation
		`remove or rename the table`, `"attempt":2`, // fail, mend, retry
		"good: the audit of ", "and 0 records that are not sealed yet", // audit
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the story does not show %s:\n%s", want, out.String())
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last := lines[len(lines)-3:]
	if last[0] != last[1] || last[1] != last[2] {
		t.Errorf("one key gave %q", last)
	}
}

// TestReadmeFunctions compares the README's table with the template.
func TestReadmeFunctions(t *testing.T) {
	tpl, err := template.Load(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	dirs, err := filepath.Glob(filepath.Join(root, "functions", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		want[filepath.Base(dir)] = nil
	}
	routes, err := tpl.Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range routes {
		dir := directoryOf(route.Function)
		want[dir] = append(want[dir], strings.TrimSpace(route.Method+" "+route.Path))
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (.*?) \\|").FindAllStringSubmatch(readme(t), -1)
	got := map[string]bool{}
	for _, row := range rows {
		got[row[1]] = true
		for _, route := range want[row[1]] {
			method, path, _ := strings.Cut(route, " ")
			if !strings.Contains(row[2], method) || !strings.Contains(row[2], path) {
				t.Errorf("the README's row of %s does not name %s", row[1], route)
			}
		}
	}
	for dir := range want {
		if !got[dir] {
			t.Errorf("the README has no row of %s", dir)
		}
	}
	if diff := cmp.Diff(len(want), len(rows)); diff != "" {
		t.Errorf("rows: %s", diff)
	}
}

var capital = regexp.MustCompile("[A-Z]")

// directoryOf returns the directory of the function with a logical id.
func directoryOf(logicalID string) string {
	return strings.TrimPrefix(capital.ReplaceAllStringFunc(logicalID, func(s string) string { return "-" + strings.ToLower(s) }), "-")
}

func port(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}
