package engines

import (
	"bytes"
	"strings"
	"sync"
)

// tailSize is how much of what a process prints is kept to explain its end.
const tailSize = 4096

// A tail is an io.Writer that keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if extra := len(t.data) - tailSize; extra > 0 {
		t.data = append(t.data[:0], t.data[extra:]...)
	}
	return len(p), nil
}

func (t *tail) contains(s string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.data, []byte(s))
}

// lastLines returns the last lines that were written, as the end of an error.
func (t *tail) lastLines() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return lastLines(t.data)
}

// lastLines returns the last few lines of output in one line that can end an
// error, or nothing if output is blank.
func lastLines(output []byte) string {
	const most = 5
	var lines []string
	for line := range bytes.Lines(output) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, string(line))
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.Join(lines[max(0, len(lines)-most):], " | ")
}
