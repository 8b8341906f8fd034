package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/fault"
)

// statuses is the one place where kinds of failure meet HTTP.
var statuses = map[fault.Kind]int{
	fault.Malformed:           http.StatusBadRequest,
	fault.Invalid:             http.StatusUnprocessableEntity,
	fault.TooLarge:            http.StatusRequestEntityTooLarge,
	fault.MediaType:           http.StatusUnsupportedMediaType,
	fault.KeyReused:           http.StatusUnprocessableEntity,
	fault.InProgress:          http.StatusConflict,
	fault.Unauthenticated:     http.StatusUnauthorized,
	fault.TokenInvalid:        http.StatusUnauthorized,
	fault.TokenExpired:        http.StatusUnauthorized,
	fault.InvalidCredentials:  http.StatusUnauthorized,
	fault.Forbidden:           http.StatusForbidden,
	fault.PlanCeiling:         http.StatusForbidden,
	fault.TenantSuspended:     http.StatusForbidden,
	fault.TenantInactive:      http.StatusForbidden,
	fault.TenantDeleting:      http.StatusForbidden,
	fault.UserNotConfirmed:    http.StatusForbidden,
	fault.UserDisabled:        http.StatusForbidden,
	fault.NewPasswordRequired: http.StatusForbidden,
	fault.NotFound:            http.StatusNotFound,
	fault.MethodNotAllowed:    http.StatusMethodNotAllowed,
	fault.Conflict:            http.StatusConflict,
	fault.SlugTaken:           http.StatusConflict,
	fault.EmailTaken:          http.StatusConflict,
	fault.UsernameTaken:       http.StatusConflict,
	fault.SIPDomainTaken:      http.StatusConflict,
	fault.OperationRunning:    http.StatusConflict,
	fault.OperationNotFailed:  http.StatusConflict,
	fault.IllegalTransition:   http.StatusConflict,
	fault.Stale:               http.StatusPreconditionFailed,
	fault.QuotaExceeded:       http.StatusTooManyRequests,
	fault.TooManyRequests:     http.StatusTooManyRequests,
}

// Statuses returns the status of each kind of failure, for the pages that
// describe them.
func Statuses(kind fault.Kind) (status int, ok bool) {
	status, ok = statuses[kind]
	return status, ok
}

// ProblemPath is where the page of a kind of problem is, below the API's URL.
const ProblemPath = "/docs/problems/"

// A problemView is a problem document (RFC 9457).
type problemView struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail,omitzero"`
	Instance  string         `json:"instance"`
	RequestID string         `json:"request_id"`
	Errors    []fieldView    `json:"errors,omitempty"`
	Members   map[string]any `json:",embed"`
}

type fieldView struct {
	Pointer   string `json:"pointer,omitzero"`
	Parameter string `json:"parameter,omitzero"`
	Detail    string `json:"detail"`
}

// problem returns the response that reports err. It says nothing of an error
// without a kind, whose text may hold secrets.
func problem(err error, r *Request) *Response {
	p := problemView{
		Type:      ProblemPath + "internal",
		Status:    http.StatusInternalServerError,
		Instance:  r.path(),
		RequestID: r.ID,
	}
	header := map[string]string{"content-type": "application/problem+json"}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		p.Type = ProblemPath + string(f.Kind)
		p.Status = statuses[f.Kind]
		p.Detail = f.Detail
		p.Members = f.Members
		for _, field := range f.Fields {
			p.Errors = append(p.Errors, fieldView(field))
		}
		if f.RetryAfter > 0 {
			header["retry-after"] = strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))
		}
	}
	if p.Status == http.StatusUnauthorized {
		header["www-authenticate"] = "Bearer"
	}
	if allow, ok := p.Members["allow"].(string); ok && p.Status == http.StatusMethodNotAllowed {
		header["allow"] = allow
	}
	p.Title = http.StatusText(p.Status)
	return &Response{Status: p.Status, Header: header, Body: p}
}

// malformed returns an error of kind Malformed that holds the faults, or nil if
// there are none.
func malformed(detail string, faults fault.Fields) error {
	if len(faults) == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Malformed, Detail: detail, Fields: faults}
}

// pointer returns the URI fragment of the member at p (RFC 6901, section 6).
func pointer(p jsontext.Pointer) string { return fmt.Sprintf("#%s", p) }
