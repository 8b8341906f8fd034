// Package docs_test holds what the documents say against what there is.
package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name) //nolint:gosec // a file of the repository
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// found returns the first group of each match in a file.
func found(t *testing.T, name, pattern string) []string {
	t.Helper()
	var all []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, name), -1) {
		all = append(all, match[1])
	}
	if len(all) == 0 {
		t.Fatalf("nothing in %s matches %s", name, pattern)
	}
	return all
}

// TestSecurityNamesTests looks for each test that docs/security.md names, and for
// names of tests in another form.
func TestSecurityNamesTests(t *testing.T) {
	named := regexp.MustCompile("`([a-z/-]+):(Test[A-Za-z]+)`").FindAllStringSubmatch(read(t, "security.md"), -1)
	if mentions := found(t, "security.md", `\b(Test[A-Z]\w*)`); len(mentions) != len(named) {
		t.Errorf("%d tests are mentioned, and %d named as `package:Test`", len(mentions), len(named))
	}
	for _, name := range named {
		files, err := filepath.Glob(filepath.Join("..", name[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		declaration := regexp.MustCompile(`(?m)^func ` + name[2] + `\(`)
		if !slices.ContainsFunc(files, func(file string) bool { return declaration.MatchString(read(t, file)) }) {
			t.Errorf("docs/security.md names %s in %s, which is not there", name[2], name[1])
		}
	}
}

// TestOperationsTellsOfEachAlarm compares the alarms with what docs/operations.md
// says of them, and wants words below each heading.
func TestOperationsTellsOfEachAlarm(t *testing.T) {
	alarms := found(t, filepath.Join("..", "infra", "alarms.yaml"), `(?m)^  (\w+):\n    Type: AWS::CloudWatch::Alarm$`)
	told := found(t, "operations.md", "(?m)^### `(\\w+)`\n\n\\w")
	slices.Sort(alarms)
	slices.Sort(told)
	if diff := cmp.Diff(alarms, told); diff != "" {
		t.Errorf("alarms, and what is told of (-there +told):\n%s", diff)
	}
}

// TestLinksLeadToFiles looks for the files of the repository that documents link to,
// and for the headings in them.
func TestLinksLeadToFiles(t *testing.T) {
	links := 0
	for _, pattern := range []string{"../*.md", "*.md", "*/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			for _, match := range link.FindAllStringSubmatch(span.ReplaceAllString(block.ReplaceAllString(read(t, name), ""), ""), -1) {
				links++
				file, heading, _ := strings.Cut(match[1], "#")
				target := name
				if file != "" {
					target = filepath.Join(filepath.Dir(name), filepath.FromSlash(file))
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s: %v", name, err)
				} else if heading != "" && !slices.Contains(anchors(t, target), heading) {
					t.Errorf("%s: %s has no heading #%s", name, target, heading)
				}
			}
		}
	}
	if links == 0 {
		t.Error("there are no links")
	}
}

var (
	block   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	span    = regexp.MustCompile("`[^`]*`")
	link    = regexp.MustCompile(`\]\(([^):]+)\)`) // none with a scheme
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	mark    = regexp.MustCompile(`[^\pL\pN _-]`)
)

// anchors returns those of the headings of a document, as GitHub makes them.
func anchors(t *testing.T, name string) []string {
	t.Helper()
	var all []string
	for _, match := range heading.FindAllStringSubmatch(block.ReplaceAllString(read(t, name), ""), -1) {
		words := mark.ReplaceAllString(strings.ToLower(match[1]), "")
		all = append(all, strings.ReplaceAll(words, " ", "-"))
	}
	return all
}
