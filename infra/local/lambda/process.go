package lambda

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// A process is one execution environment: it runs one event at a time.
type process struct {
	id     string
	fn     *function
	events chan *invocation // has room for the one that it is assigned
	exited chan struct{}    // closed when the process is gone

	// Guarded by the Runtime's mutex.
	pid       int  // 0 until it has been started
	slot      bool // counted in the function's slots
	ready     bool // has asked for an event
	killed    bool
	overdue   bool // killed because its init or its event took too long
	started   time.Time
	init      time.Duration
	since     time.Time   // idle since
	idleTimer *time.Timer // retires it
	initTimer *time.Timer
	current   *invocation // assigned to it, taken or not
}

// start starts a process of fn when room is closed, at once if room is nil. The
// caller holds the mutex.
func (r *Runtime) start(fn *function, room <-chan struct{}) {
	p := &process{id: uuid.NewString(), fn: fn, slot: true, events: make(chan *invocation, 1), exited: make(chan struct{})}
	p.initTimer = time.AfterFunc(r.o.InitTimeout, func() { r.expire(p, nil) })
	p.idleTimer = time.AfterFunc(r.o.IdleTimeout, func() { r.expireIdle(p) })
	r.processes[p.id] = p
	r.slots++
	fn.slots++
	fn.starting++
	fn.stats.Starts++
	r.wg.Go(func() {
		defer close(p.exited)
		if room != nil {
			<-room
		}
		r.gone(p, r.live(p))
	})
}

// live runs p from its start to its exit, and returns why it ended.
func (r *Runtime) live(p *process) error {
	cmd := exec.Command(p.fn.Binary) //nolint:gosec // running the functions is what this package is for
	cmd.Dir = filepath.Dir(p.fn.Binary)
	cmd.Env = append([]string{"AWS_LAMBDA_RUNTIME_API=" + r.addr + "/" + p.id}, p.fn.env...)
	cmd.SysProcAttr = sysProcAttr()
	if p.fn.log != nil {
		cmd.Stdout, cmd.Stderr = p.fn.log, p.fn.log
	}

	r.mu.Lock()
	p.started = time.Now()
	r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.mu.Lock()
	p.pid = cmd.Process.Pid
	if p.killed {
		r.kill(p)
	}
	r.mu.Unlock()
	if err := cmd.Wait(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}

// gone clears up after p, and fails what it was doing.
func (r *Runtime) gone(p *process, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.processes, p.id)
	r.giveBack(p)
	p.fn.idle = slices.DeleteFunc(p.fn.idle, func(q *process) bool { return q == p })
	p.initTimer.Stop()
	p.idleTimer.Stop()
	inv := p.current
	if !p.ready {
		p.fn.starting--
		inv = r.oldest(p.fn)
	}
	switch {
	case inv == nil || inv.ended:
	case r.closed:
		inv.ended = true
		inv.done <- outcome{err: ErrClosed}
	case p.ready && inv.taken.IsZero():
		r.waiting.PushFront(inv) // another process can still take it
	case p.overdue && p.ready:
		r.fail(inv, timedOut, "Task timed out after %.2f seconds", p.fn.Timeout.Seconds())
	case p.overdue:
		r.fail(inv, timedOut, "Task timed out after %.2f seconds", r.o.InitTimeout.Seconds())
	case p.pid == 0:
		r.fail(inv, invalidBinary, "%v", withoutPath(reason))
	default:
		r.fail(inv, exited, "Runtime exited with error: %v", reason)
	}
	r.dispatch()
}

// oldest takes the first invocation of fn out of the line, or returns nil. The
// caller holds the mutex.
func (r *Runtime) oldest(fn *function) *invocation {
	for e := r.waiting.Front(); e != nil; e = e.Next() {
		if inv := e.Value.(*invocation); inv.fn == fn {
			r.waiting.Remove(e)
			return inv
		}
	}
	return nil
}

// expire kills p because inv, or its init if inv is nil, took too long.
func (r *Runtime) expire(p *process, inv *invocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.current != inv || (inv == nil && p.ready) || (inv != nil && inv.ended) {
		return
	}
	p.overdue = true
	r.kill(p)
}

// expireIdle retires p if it is idle still.
func (r *Runtime) expireIdle(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(p.fn.idle, p) && time.Since(p.since) >= r.o.IdleTimeout {
		r.retire(p)
	}
}

// kill ends p and all that it started; nothing is assigned to it any more. The
// caller holds the mutex.
func (r *Runtime) kill(p *process) {
	p.killed = true
	p.fn.idle = slices.DeleteFunc(p.fn.idle, func(q *process) bool { return q == p })
	if p.pid != 0 {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL) // it fails only for a group that is gone
	}
}

// withoutPath drops the operation and the path from an error of the file system.
func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// lastWords returns the last line that a process of fn wrote, or else what res
// says of its end.
func (fn *function) lastWords(res Result) string {
	var f failure
	if err := json.Unmarshal(res.Payload, &f); err != nil {
		f.Message = string(res.Payload)
	}
	if fn.LogFile == "" || f.Type != exited {
		return f.Message
	}
	output, err := os.ReadFile(fn.LogFile)
	if err != nil {
		return f.Message
	}
	lines := strings.Split(string(bytes.TrimSpace(output)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return f.Message
}
