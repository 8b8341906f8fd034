// Package api is the HTTP edge: it turns API Gateway events into requests,
// errors into problem documents, and holds one handler for each operation.
package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// An Operation is one operation of the API: its name in the log and
// the OpenAPI document, who may call it, and what answers it.
type Operation struct {
	Name  string
	Allow identity.Rule
	// Query names the parameters of the query that the operation takes.
	Query []string
	// AnyQuery lets every query pass, for an operation that does not read it.
	AnyQuery bool
	// Idempotency is set where the operation honours the header Idempotency-Key.
	Idempotency *Idempotency
	Handle      Handler

	guard ImpersonationGuard
}

// An ImpersonationGuard knows whether an impersonation still goes on. API Gateway
// keeps what the authorizer said of it for longer.
type ImpersonationGuard interface {
	// Guard fails with fault.TokenInvalid or fault.TokenExpired if the session is
	// over, and with fault.ImpersonationDenied if the tenant does not allow it.
	Guard(ctx context.Context, c identity.Caller) error
}

// Guarded returns the operation for use in an impersonation too. One that is not
// guarded refuses every impersonation.
func (op Operation) Guarded(g ImpersonationGuard) Operation {
	op.guard = g
	return op
}

// A Handler answers one operation of the API. An error it returns becomes a
// problem document.
type Handler func(ctx context.Context, r *Request) (*Response, error)

// A Server answers API Gateway's events (HTTP API, payload format 2.0) for one
// operation. It is a lambda.Handler.
type Server struct{ op Operation }

// Serve returns the server of op.
func Serve(op Operation) *Server { return &Server{op} }

// Invoke is all that the operations have in common, in the order in which it
// happens: read the request, answer it, log it.
//
// It fails only if the event is not API Gateway's or a response cannot be
// encoded, which are bugs. Any other failure is an answer.
func (s *Server) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	start := time.Now()
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("read the gateway's event: %w", err)
	}
	r, err := newRequest(&e)
	ctx = context.WithValue(ctx, requestIDKey{}, r.ID)
	var resp *Response
	if err == nil {
		resp, err = s.answerInTime(ctx, r)
	}
	if err != nil {
		resp = problem(err, r)
	}
	resp.setHeader("x-request-id", r.ID)
	for name, value := range common {
		resp.setHeader(name, value)
	}
	s.observe(ctx, start, r, resp, err)
	return resp.encode()
}

// common is the headers of each answer that does not say otherwise: it is one
// caller's own, and data rather than a page.
var common = map[string]string{
	"cache-control":             "no-store",
	"content-security-policy":   "default-src 'none'; frame-ancestors 'none'",
	"referrer-policy":           "no-referrer",
	"strict-transport-security": "max-age=63072000; includeSubDomains",
	"x-content-type-options":    "nosniff",
}

type requestIDKey struct{}

// RequestID returns the id of the request that ctx belongs to, or "". It is that
// of the header X-Request-Id.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// An answer is given up this long before Lambda would end the function, so that
// there is a problem document and a line in the log where a service hangs.
const (
	reserve    = 500 * time.Millisecond
	retryAfter = 5 * time.Second
)

// answerInTime is answer, and fails with fault.Unavailable when the time is over.
func (s *Server) answerInTime(ctx context.Context, r *Request) (*Response, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	resp, err := s.answer(ctx, r)
	if err != nil && ctx.Err() != nil && fault.KindOf(err) == "" {
		return nil, &fault.Error{
			Kind: fault.Unavailable, RetryAfter: retryAfter, Err: err,
			Detail: "a service that is needed does not answer; what was asked for may have happened all the same",
		}
	}
	return resp, err
}

// answer does what an operation declares of itself, and calls its handler.
func (s *Server) answer(ctx context.Context, r *Request) (*Response, error) {
	if err := s.op.admit(ctx, r); err != nil {
		return nil, err
	}
	if !s.op.AnyQuery {
		if err := r.checkQuery(s.op.Query); err != nil {
			return nil, err
		}
	}
	if err := r.checkTags("if-match"); err != nil {
		return nil, err
	}
	var resp *Response
	var err error
	if _, keyed := r.headers["idempotency-key"]; keyed && s.op.Idempotency != nil {
		resp, err = s.op.Idempotency.once(ctx, s.op, r)
	} else {
		resp, err = handle(ctx, s.op.Handle, r)
	}
	if err != nil {
		return nil, err
	}
	return resp.ifChanged(r), nil
}

// admit fails unless the caller may call the operation.
func (op Operation) admit(ctx context.Context, r *Request) error {
	switch {
	case op.Allow.IsPublic():
		return nil
	case r.credential != "":
		return credentialFault(r.credential)
	case r.expired(time.Now()):
		return credentialFault(fault.TokenExpired)
	case r.Caller.Anonymous():
		return fault.New(fault.Unauthenticated, "send a token in the header Authorization: Bearer …")
	case !op.Allow.Allows(r.Caller):
		return op.refusal(r.Caller)
	case r.Caller.Impersonation != nil:
		return op.admitImpersonation(ctx, r)
	}
	return nil
}

// refusal says why somebody may not call the operation.
func (op Operation) refusal(c identity.Caller) error {
	if scope := op.Allow.Scope(); c.Role == identity.Service && scope != "" {
		return fault.New(fault.Forbidden, "your key lacks the scope %s", scope)
	}
	return fault.New(fault.Forbidden, "your role, %s, may not do this", c.Role)
}

// admitImpersonation fails unless the impersonation goes on, and may be used for
// the operation.
func (op Operation) admitImpersonation(ctx context.Context, r *Request) error {
	if op.guard == nil {
		return fault.New(fault.ImpersonationDenied, "the operation is not for an impersonation")
	}
	if err := op.guard.Guard(ctx, r.Caller); err != nil {
		return err
	}
	switch {
	case r.Method == http.MethodGet:
		return nil
	case r.Caller.Impersonation.Mode != identity.Full:
		return fault.New(fault.ImpersonationDenied, "the impersonation is read_only; it may call GET routes only")
	case !op.Allow.AllowsProxy():
		return fault.New(fault.ImpersonationDenied, "this is the user's own to do, whatever the mode of the impersonation")
	}
	return nil
}

// credentialFault says what the authorizer found wrong with the caller's token.
func credentialFault(kind fault.Kind) error {
	if kind == fault.TokenExpired {
		return fault.New(kind, "the token has expired; get a new one from POST /auth/token or POST /auth/refresh; a service needs another key")
	}
	return fault.New(fault.TokenInvalid, "the token is not one that this API issued, or it was withdrawn")
}

// handle calls h, and makes an error of a panic, so that the caller of the API
// still gets a problem document.
func handle(ctx context.Context, h Handler, r *Request) (resp *Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return h(ctx, r)
}
