package main

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// The parts that have memory.
const (
	functions = "functions"
	gateway   = "gateway"
	database  = "local DynamoDB"
	moto      = "moto"
)

var parts = []string{functions, gateway, database, moto}

const (
	sampling = 5 * time.Second
	warm     = 2           // the minutes that are not looked at: processes start, caches fill
	most     = 1.25        // how much a part may grow after that, as a factor
	slack    = 16 << 20    // and how many bytes more
	judged   = 2 + 2*warm  // the minutes that a verdict takes
	kilobyte = int64(1024) // in which ps tells of memory
)

// A sample is the memory of each part, in bytes, and how many functions have a
// process.
type sample struct {
	bytes     map[string]int64
	processes int
}

// A watch samples memory until it is stopped.
type watch struct {
	root    int
	quit    chan struct{}
	done    chan struct{}
	mu      sync.Mutex
	minutes [][]sample
	err     error
}

// watchMemory watches the processes below root, and root itself.
func watchMemory(root int) *watch {
	w := &watch{root: root, quit: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *watch) run() {
	defer close(w.done)
	start := time.Now()
	ticker := time.NewTicker(sampling)
	defer ticker.Stop()
	for {
		select {
		case <-w.quit:
			return
		case <-ticker.C:
		}
		s, err := measure(w.root)
		w.mu.Lock()
		minute := int(time.Since(start) / time.Minute)
		for len(w.minutes) <= minute {
			w.minutes = append(w.minutes, nil)
		}
		if err == nil {
			w.minutes[minute] = append(w.minutes[minute], s)
		}
		w.err = err
		w.mu.Unlock()
	}
}

func (w *watch) stop() {
	close(w.quit)
	<-w.done
}

// measure asks ps, which knows the resident memory of processes.
func measure(root int) (sample, error) {
	text, err := exec.Command("ps", "-axo", "pid=,ppid=,rss=,comm=").Output()
	if err != nil {
		return sample{}, fmt.Errorf("ps: %w", err)
	}
	return parsePS(string(text), root)
}

// A process is one that ps tells of.
type process struct {
	parent int
	rss    int64
	name   string
}

// parsePS sorts the processes below root, and root itself, into parts.
func parsePS(text string, root int) (sample, error) {
	all := map[int]process{}
	for line := range strings.Lines(text) {
		var pid int
		var p process
		if _, err := fmt.Sscan(line, &pid, &p.parent, &p.rss, &p.name); err != nil {
			return sample{}, fmt.Errorf("ps says %q: %w", line, err)
		}
		all[pid] = p
	}
	s := sample{bytes: map[string]int64{}}
	for pid, p := range all {
		if !below(all, pid, root) {
			continue
		}
		part := partOf(filepath.Base(p.name), pid == root)
		s.bytes[part] += p.rss * kilobyte
		if part == functions {
			s.processes++
		}
	}
	return s, nil
}

// below tells whether a process is root or was started by it, or by one below it.
func below(all map[int]process, pid, root int) bool {
	for p := pid; p > 1; p = all[p].parent {
		if p == root {
			return true
		}
	}
	return false
}

func partOf(name string, root bool) string {
	switch {
	case root:
		return gateway
	case strings.HasPrefix(name, "node"):
		return database
	case strings.HasPrefix(strings.ToLower(name), "python"):
		return moto
	}
	return functions
}

// latest tells of the last sample.
func (w *watch) latest() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	if n := len(w.minutes); n > 0 && len(w.minutes[n-1]) > 0 {
		minute := w.minutes[n-1]
		for _, part := range parts {
			fmt.Fprintf(&b, ", %s %.0f MB", part, megabytes(minute[len(minute)-1].bytes[part]))
		}
	}
	return b.String()
}

// mean returns a part's memory in a minute, in bytes.
func mean(minute []sample, part string) int64 {
	var sum int64
	for _, s := range minute {
		sum += s.bytes[part]
	}
	return sum / int64(max(1, len(minute)))
}

// table writes each minute's memory, and returns which parts have grown. The
// growth of moto, which forgets nothing, is told and no more.
func (w *watch) table(out io.Writer) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	whole := w.minutes
	if n := len(whole); n > 0 && len(whole[n-1]) < int(time.Minute/sampling)/2 {
		whole = whole[:n-1] // which had hardly begun
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(tw, "\nminute\t%s MB\tprocesses\t%s MB\t%s MB\t%s MB\t\n", functions, gateway, database, moto)
	for i, minute := range whole {
		var processes int
		for _, s := range minute {
			processes += s.processes
		}
		_, _ = fmt.Fprintf(tw, "%d\t%.1f\t%d\t%.1f\t%.1f\t%.1f\t\n", i+1, megabytes(mean(minute, functions)), processes/max(1, len(minute)),
			megabytes(mean(minute, gateway)), megabytes(mean(minute, database)), megabytes(mean(minute, moto)))
	}
	_ = tw.Flush()
	if w.err != nil {
		return []string{fmt.Sprintf("memory could not be measured: %v", w.err)}
	}
	return grown(out, whole)
}

// grown returns which parts have grown from the first minute after the warm ones to
// the last.
func grown(out io.Writer, minutes [][]sample) []string {
	if len(minutes) < judged {
		say(out, "\nThe load was too short to say whether memory grows: it takes %d minutes.", judged)
		return nil
	}
	say(out, "")
	var wrong []string
	for _, part := range parts {
		first, last := mean(minutes[warm], part), mean(minutes[len(minutes)-1], part)
		if part == moto {
			say(out, "moto grew by %.1f MB a minute.", megabytes(last-first)/float64(len(minutes)-1-warm))
			continue
		}
		if float64(last) > most*float64(first)+slack {
			wrong = append(wrong, fmt.Sprintf("the memory of %s grew from %.1f MB to %.1f MB", part, megabytes(first), megabytes(last)))
			continue
		}
		say(out, "%s went from %.1f MB to %.1f MB, which is flat.", part, megabytes(first), megabytes(last))
	}
	return wrong
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
