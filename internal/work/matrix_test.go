package work_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/fault-matrix.md")

const matrixFile = "../../docs/fault-matrix.md"

// A matrix is what the calls of a workflow led to that failed, each in each way.
type matrix struct {
	title  string
	places []string
	calls  []string

	mu   sync.Mutex
	ends []map[fate]string // of each call
}

// newMatrix returns the matrix of the calls that a process made from the first on.
func newMatrix(title string, p *process, first int) *matrix {
	m := &matrix{title: title, places: p.places[first:], calls: p.calls[first:]}
	for range m.calls {
		m.ends = append(m.ends, make(map[fate]string))
	}
	return m
}

// note writes down what a call led to.
func (m *matrix) note(call int, f fate, end string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends[call][f] = end
}

// whole reports whether all calls failed in all ways. They do not where one test is
// run alone.
func (m *matrix) whole() bool {
	for i, name := range m.calls {
		if len(m.ends[i]) != len(fates(name)) {
			return false
		}
	}
	return true
}

// String returns the matrix as a section of the file.
func (m *matrix) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n| in | call | refused | lost | killed |\n|---|---|---|---|---|\n", m.title)
	for i, name := range m.calls {
		end := func(f fate) string {
			if end, ok := m.ends[i][f]; ok {
				return end
			}
			return "–"
		}
		fmt.Fprintf(&b, "| %s | %d `%s` | %s | %s | %s |\n", m.places[i], i+1, strings.Replace(name, "TenantSecret", "Secret", 1), end(refused), end(lost), end(killed))
	}
	return b.String() + "\n"
}

// files is held while the file is read and written.
var files sync.Mutex

// check compares the matrix with its section of the file, or writes that.
func (m *matrix) check(t *testing.T) {
	t.Helper()
	if !m.whole() {
		return
	}
	files.Lock()
	defer files.Unlock()
	text, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), "## "+m.title+"\n")
	if !found {
		t.Fatalf("%s has no section %s", matrixFile, m.title)
	}
	section, after, more := strings.Cut("## "+m.title+"\n"+rest, "\n## ")
	if more {
		section, after = section+"\n", "## "+after
	}
	if *update {
		if err := os.WriteFile(matrixFile, []byte(strings.TrimSpace(before+m.String()+after)+"\n"), 0o600); err != nil { //nolint:gosec // a file of this repository
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.TrimSpace(section), strings.TrimSpace(m.String())); diff != "" {
		t.Errorf("%s is not as it should be; go test ./internal/work -run TestCrash -update writes it (-file +now):\n%s", matrixFile, diff)
	}
}
