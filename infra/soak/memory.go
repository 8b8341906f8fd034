package main

import (
	"cmp"
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
	settling = time.Minute // how long a function's process takes to have grown to its size
	noise    = 16 << 20    // the bytes that a part may grow by in all besides, as garbage is collected now and then
	warm     = 2           // the minutes that are not looked at: processes start, caches fill
	judged   = 2 + 2*warm  // the minutes that a verdict takes
	kilobyte = int64(1024) // in which ps tells of memory
)

// allowed is how many bytes each part may grow by with a request: about half a
// kilobyte more than was measured. Functions keep nothing. The gateway keeps the
// accounts, and the answers to transactions for ten minutes: 300 bytes. The database
// keeps in part what it is told: 500 bytes. Moto forgets nothing, and may do so.
var allowed = map[string]float64{functions: 512, gateway: 768, database: 1024}

// A sample is the memory of each part, in bytes.
type sample struct {
	bytes     map[string]int64
	processes map[int]int64 // the memory of each process of a function, by its id
	settled   []int64       // that of those that have been there for a while
}

// A watch samples memory until it is stopped.
type watch struct {
	root    int
	began   map[int]time.Time // when a function's process was first seen
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
			w.settle(&s, time.Now())
			w.minutes[minute] = append(w.minutes[minute], s)
		}
		w.err = cmp.Or(w.err, err)
		w.mu.Unlock()
	}
}

// settle finds the processes of s that have been there for a while at that time.
func (w *watch) settle(s *sample, now time.Time) {
	began := map[int]time.Time{}
	for pid, bytes := range s.processes {
		began[pid] = now
		if before, ok := w.began[pid]; ok {
			began[pid] = before
		}
		if now.Sub(began[pid]) >= settling {
			s.settled = append(s.settled, bytes)
		}
	}
	w.began = began
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
	s := sample{bytes: map[string]int64{}, processes: map[int]int64{}}
	for pid, p := range all {
		if !below(all, pid, root) {
			continue
		}
		part := partOf(filepath.Base(p.name), pid == root)
		s.bytes[part] += p.rss * kilobyte
		if part == functions {
			s.processes[pid] = p.rss * kilobyte
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
			fmt.Fprintf(&b, ", %s %.0f MB", part, megabytes(float64(minute[len(minute)-1].bytes[part])))
		}
	}
	return b.String()
}

// mean returns a part's memory in a minute, in bytes.
func mean(minute []sample, part string) float64 {
	var sum int64
	for _, s := range minute {
		sum += s.bytes[part]
	}
	return float64(sum) / float64(max(1, len(minute)))
}

// processes returns how many processes functions had in a minute.
func processes(minute []sample) float64 {
	var sum int
	for _, s := range minute {
		sum += len(s.processes)
	}
	return float64(sum) / float64(max(1, len(minute)))
}

// settled returns the memory of a function's process that had been there for a
// while, in bytes, or 0 if there was none.
func settled(minute []sample) float64 {
	var sum, n int64
	for _, s := range minute {
		for _, bytes := range s.settled {
			sum += bytes
			n++
		}
	}
	return float64(sum) / float64(max(1, n))
}

// table writes each minute's memory, and returns which parts have grown by more
// than is allowed at that rate of requests.
func (w *watch) table(out io.Writer, rate float64) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	whole := w.minutes
	if n := len(whole); n > 0 && len(whole[n-1]) < int(time.Minute/sampling)/2 {
		whole = whole[:n-1] // which had hardly begun
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(tw, "\nminute\t%s MB\tprocesses\t%s MB\t%s MB\t%s MB\t\n", functions, gateway, database, moto)
	for i, minute := range whole {
		_, _ = fmt.Fprintf(tw, "%d\t%.1f\t%.0f\t%.1f\t%.1f\t%.1f\t\n", i+1, megabytes(mean(minute, functions)), processes(minute),
			megabytes(mean(minute, gateway)), megabytes(mean(minute, database)), megabytes(mean(minute, moto)))
	}
	_ = tw.Flush()
	if w.err != nil {
		return []string{fmt.Sprintf("memory could not be measured: %v", w.err)}
	}
	return grown(out, whole, rate)
}

// grown returns which parts have grown by more than is allowed, from the first
// minute after the warm ones to the last. Processes of functions come and go, so
// that what counts is how much one of those that stay grows, times how many there
// are.
func grown(out io.Writer, minutes [][]sample, rate float64) []string {
	if len(minutes) < judged {
		say(out, "\nThe load was too short to say whether memory grows: it takes %d minutes.", judged)
		return nil
	}
	say(out, "")
	first, last := minutes[warm], minutes[len(minutes)-1]
	var wrong []string
	for _, part := range parts {
		name, before, after, times := part, mean(first, part), mean(last, part), 1.0
		if part == functions {
			before, after, times = settled(first), settled(last), processes(last)
			name = fmt.Sprintf("one of %.0f processes of %s", times, part)
			if before == 0 || after == 0 {
				say(out, "No process of functions was there for long enough to say whether they grow.")
				continue
			}
		}
		span := float64(len(minutes) - 1 - warm)
		minute := (after - before) * times / span
		told := fmt.Sprintf("%s went from %.1f MB to %.1f MB: %.1f MB a minute, %.0f bytes a request",
			name, megabytes(before), megabytes(after), megabytes(minute), minute/(60*rate))
		kept, judged := allowed[part]
		if !judged {
			say(out, "%s", told)
			continue
		}
		most := kept*60*rate + noise/span
		told += fmt.Sprintf("; allowed are %.1f MB a minute", megabytes(most))
		if minute > most {
			wrong = append(wrong, told)
			continue
		}
		say(out, "%s", told)
	}
	return wrong
}

func megabytes(bytes float64) float64 { return bytes / (1 << 20) }
