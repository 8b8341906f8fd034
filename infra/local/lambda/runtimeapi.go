package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// runtimeAPI serves the Runtime API. A process is told by the first element of
// the path, which it has from its AWS_LAMBDA_RUNTIME_API.
func (r *Runtime) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{process}/2018-06-01/runtime/invocation/next", r.next)
	mux.HandleFunc("POST /{process}/2018-06-01/runtime/invocation/{id}/response", r.respond)
	mux.HandleFunc("POST /{process}/2018-06-01/runtime/invocation/{id}/error", r.respond)
	mux.HandleFunc("POST /{process}/2018-06-01/runtime/init/error", func(w http.ResponseWriter, _ *http.Request) {
		accept(w) // the process exits next, and that is what counts
	})
	return mux
}

// next serves GET …/next: it answers when there is an event for the process.
func (r *Runtime) next(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	p := r.processes[req.PathValue("process")]
	if p == nil {
		r.mu.Unlock()
		refuse(w, http.StatusForbidden, "InvalidProcess", "no such process")
		return
	}
	if !p.ready {
		p.ready = true
		p.init = time.Since(p.started)
		p.initTimer.Stop()
		p.fn.starting--
		r.release(p)
		r.dispatch()
	}
	r.mu.Unlock()

	select {
	case inv := <-p.events:
		r.take(w, p, inv)
	case <-req.Context().Done():
	}
}

// take hands inv to its process, and starts the clock.
func (r *Runtime) take(w http.ResponseWriter, p *process, inv *invocation) {
	r.mu.Lock()
	inv.taken = time.Now()
	deadline := inv.taken.Add(p.fn.Timeout)
	inv.timer = time.AfterFunc(p.fn.Timeout, func() { r.expire(p, inv) })
	p.fn.stats.Invocations++
	r.mu.Unlock()

	p.fn.logStart(inv)
	h := w.Header()
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", r.arn(p.fn.Name))
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
	_, _ = w.Write(inv.payload) // a process that does not read it is about to exit
}

// respond serves POST …/{id}/response and POST …/{id}/error.
func (r *Runtime) respond(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxResponse))
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	if err != nil && !tooLarge {
		return // the process is gone, and its exit ends the invocation
	}
	failed := req.URL.Path[len(req.URL.Path)-len("error"):] == "error"
	if req.Trailer.Get("Lambda-Runtime-Function-Error-Type") != "" {
		body, failed = trailingError(req.Trailer), true
	}

	r.mu.Lock()
	p := r.processes[req.PathValue("process")]
	if p == nil || p.current == nil || p.current.id != req.PathValue("id") || p.current.ended {
		r.mu.Unlock()
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	inv := p.current
	if tooLarge {
		r.fail(inv, responseTooLarge, "Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse)
	} else {
		r.end(inv, body, failed)
	}
	r.release(p)
	r.dispatch()
	first, pid := p.init, p.pid
	p.init = 0
	r.mu.Unlock()

	if tooLarge {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxResponse))
	} else {
		accept(w)
	}
	p.fn.logReport(inv, first, pid)
}

// trailingError returns the error that a process met after it had begun to
// answer.
func trailingError(trailer http.Header) []byte {
	body, err := base64.StdEncoding.DecodeString(trailer.Get("Lambda-Runtime-Function-Error-Body"))
	if err == nil && json.Valid(body) {
		return body
	}
	body, err = json.Marshal(failure{Type: trailer.Get("Lambda-Runtime-Function-Error-Type")})
	if err != nil {
		panic(err) // a struct of two strings
	}
	return body
}

// accept answers a process as AWS does when all is well.
func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`) // the process does not read it
}

// refuse answers a process that does what it may not.
func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{kind, message}) // the process has the status
}
