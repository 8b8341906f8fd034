package set

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/story"
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
	if err := story.Run(t.Context(), root, story.Set{APIURL: s.Info().APIURL, AWSEndpoint: s.Info().AWSEndpoint, Data: dataOf(s)}); err != nil {
		t.Fatal(err)
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
