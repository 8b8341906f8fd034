package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The cores that the functions and what they talk to are kept to.
const (
	functionCore = 1
	serverCore   = 0
)

// patience is how long a function may take for anything.
const patience = 30 * time.Second

// A target is a function as it is measured.
type target struct {
	name   string
	binary string
	env    []string
	share  share // of a processor, after its start; 0 for all of it
	cold   bool  // its pages are not in memory when it starts
}

// An answer is what a function said to an event, and when.
type answer struct {
	at     time.Time
	status int
	err    error
}

// A process is a running function, to which the Runtime API is served.
type process struct {
	cmd     *exec.Cmd
	ln      net.Listener
	arrived chan time.Time // it asks for an event
	events  chan []byte
	answers chan answer
	ended   chan struct{}
	cpu     int32         // its clock
	init    time.Duration // from its start until it asks for its first event
}

// start starts a function, and returns when it asks for its first event.
func start(t target) (*process, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{ln: ln, arrived: make(chan time.Time, 1), events: make(chan []byte), answers: make(chan answer, 1), ended: make(chan struct{})}
	go p.serve()
	p.cmd = exec.Command(t.binary) //nolint:gosec // built for this
	p.cmd.Env = slices.Concat(t.env, []string{"AWS_LAMBDA_RUNTIME_API=" + ln.Addr().String()})
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if t.cold {
		if err := evict(t.binary); err != nil {
			return nil, err
		}
	}
	began, err := startOn(functionCore, p.cmd)
	if err != nil {
		return nil, err
	}
	p.cpu = int32(^p.cmd.Process.Pid)<<3 | 2 //nolint:gosec // CPUCLOCK_SCHED of a process, as clock_getcpuclockid makes it
	go io.Copy(io.Discard, out)              //nolint:errcheck // its log is of no interest
	select {
	case at := <-p.arrived:
		p.init = at.Sub(began)
	case <-time.After(patience):
		p.stop()
		return nil, fmt.Errorf("%s did not start", t.name)
	}
	if t.share == 0 {
		return p, nil
	}
	return p, t.share.hold(p.cmd.Process.Pid)
}

// stop ends the function.
func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
	_ = p.ln.Close()
	close(p.ended)
}

// invoke has the function answer a request. It returns how long that took.
func (p *process) invoke(r request) (time.Duration, error) {
	began := time.Now()
	p.events <- r.event
	select {
	case a := <-p.answers:
		if a.err != nil {
			return 0, a.err
		}
		if a.status != r.status {
			return 0, fmt.Errorf("it answers %d, not %d", a.status, r.status)
		}
		<-p.arrived
		return a.at.Sub(began), nil
	case <-time.After(patience):
		return 0, errors.New("it does not answer")
	}
}

// used returns how much of a processor the function has had.
func (p *process) used() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(p.cpu, &t)
	return time.Duration(t.Nano()), err
}

// resident returns how much memory the function has, in bytes.
func (p *process) resident() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	var kilobytes int64
	_, err = fmt.Sscan(after, &kilobytes)
	return kilobytes << 10, err
}

func (p *process) serve() {
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			return
		}
		go p.talk(conn)
	}
}

// talk serves one connection. What goes wrong there, the function's caller hears of
// by its patience.
func (p *process) talk(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // the function is gone
	in := bufio.NewReader(conn)
	for {
		if _, err := in.Peek(1); err != nil {
			return
		}
		at := time.Now()
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/next"):
			p.arrived <- at
			var event []byte
			select {
			case event = <-p.events:
			case <-p.ended:
				return
			}
			_, err = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+
				"Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n"+
				"Lambda-Runtime-Deadline-Ms: %d\r\n"+
				"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:bench\r\n\r\n%s",
				len(event), time.Now().Add(patience).UnixMilli(), event)
		case strings.HasSuffix(r.URL.Path, "/response"):
			_, err = io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
			var said struct{ StatusCode int }
			err = errors.Join(err, json.Unmarshal(body, &said))
			p.answers <- answer{at: at, status: said.StatusCode}
		default:
			_, err = io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
			p.answers <- answer{err: fmt.Errorf("it fails: %s", body)}
		}
		if err != nil {
			return
		}
	}
}

// startOn starts a program on a core, and returns when it did. A program begins on
// the cores of the thread that starts it.
func startOn(core int, cmd *exec.Cmd) (time.Time, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := keep(0, core); err != nil {
		return time.Time{}, err
	}
	began := time.Now()
	err := cmd.Start()
	return began, errors.Join(err, keep(0, serverCore))
}

// keep keeps a thread, or its caller's if it is 0, to a core.
func keep(thread, core int) error {
	var cores unix.CPUSet
	cores.Set(core)
	return unix.SchedSetaffinity(thread, &cores)
}

// keepAll keeps this program to the core of the servers, and has it and what it
// starts go first, where it may, so that others disturb them less.
func keepAll() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		var id int
		if _, err := fmt.Sscan(t.Name(), &id); err != nil {
			return err
		}
		_ = unix.Setpriority(unix.PRIO_PROCESS, id, -20) // it is for root
		if err := keep(id, serverCore); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// evict takes the pages of a file out of memory.
func evict(name string) error {
	f, err := os.Open(name) //nolint:gosec // our own copy of a function
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
