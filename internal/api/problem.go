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

// A report is how a kind of failure is told over HTTP.
type report struct {
	status int
	title  string // of the kind, the same each time
}

// reports is the one place where kinds of failure meet HTTP.
var reports = map[fault.Kind]report{
	fault.Malformed:           {http.StatusBadRequest, "The request cannot be read"},
	fault.Invalid:             {http.StatusUnprocessableEntity, "The request breaks rules"},
	fault.TooLarge:            {http.StatusRequestEntityTooLarge, "The body is too large"},
	fault.MediaType:           {http.StatusUnsupportedMediaType, "The body is not declared to be JSON"},
	fault.KeyReused:           {http.StatusUnprocessableEntity, "The key came before with another body"},
	fault.InProgress:          {http.StatusConflict, "The first request still runs"},
	fault.Unauthenticated:     {http.StatusUnauthorized, "There is no token"},
	fault.TokenInvalid:        {http.StatusUnauthorized, "The token is not good"},
	fault.TokenExpired:        {http.StatusUnauthorized, "The token has expired"},
	fault.InvalidCredentials:  {http.StatusUnauthorized, "User name or password is wrong"},
	fault.Forbidden:           {http.StatusForbidden, "The caller may not do this"},
	fault.PlanCeiling:         {http.StatusForbidden, "More than self-service gives"},
	fault.TenantSuspended:     {http.StatusForbidden, "The tenant is suspended"},
	fault.TenantInactive:      {http.StatusForbidden, "The tenant is paused"},
	fault.TenantDeleting:      {http.StatusForbidden, "The tenant is being deleted"},
	fault.UserNotConfirmed:    {http.StatusForbidden, "The account is not confirmed"},
	fault.UserDisabled:        {http.StatusForbidden, "The account is disabled"},
	fault.ImpersonationDenied: {http.StatusForbidden, "The impersonation does not allow it"},
	fault.NewPasswordRequired: {http.StatusForbidden, "A new password is due"},
	fault.NotFound:            {http.StatusNotFound, "There is no such thing"},
	fault.MethodNotAllowed:    {http.StatusMethodNotAllowed, "The path does not take the method"},
	fault.Conflict:            {http.StatusConflict, "Something else came first"},
	fault.SlugTaken:           {http.StatusConflict, "The slug is taken"},
	fault.EmailTaken:          {http.StatusConflict, "The e-mail address is taken"},
	fault.UsernameTaken:       {http.StatusConflict, "The user name is taken"},
	fault.SIPDomainTaken:      {http.StatusConflict, "The SIP domain is taken"},
	fault.OperationRunning:    {http.StatusConflict, "An operation is running"},
	fault.OperationNotFailed:  {http.StatusConflict, "The operation has not failed"},
	fault.IllegalTransition:   {http.StatusConflict, "The status cannot become that"},
	fault.DeleteBlocked:       {http.StatusConflict, "The tenant is in use"},
	fault.LastOwner:           {http.StatusConflict, "A tenant keeps an owner"},
	fault.RotationOverlap:     {http.StatusConflict, "The last rotation is not over"},
	fault.CallEnded:           {http.StatusConflict, "The call is over"},
	fault.Stale:               {http.StatusPreconditionFailed, "The version is not the present one"},
	fault.QuotaExceeded:       {http.StatusTooManyRequests, "A limit is reached"},
	fault.TooManyRequests:     {http.StatusTooManyRequests, "Too many requests"},
	fault.Unavailable:         {http.StatusServiceUnavailable, "The answer would take too long"},
}

// internal is how an error without a kind is told.
var internal = report{http.StatusInternalServerError, "Something failed that is ours to mend"}

// Status returns the status and the title of a kind of failure, for the pages
// that describe it.
func Status(kind fault.Kind) (status int, title string, ok bool) {
	r, ok := reports[kind]
	return r.status, r.title, ok
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
		Title:     internal.title,
		Status:    internal.status,
		Instance:  r.path(),
		RequestID: r.ID,
	}
	header := map[string]string{"content-type": "application/problem+json"}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		p.Type = ProblemPath + string(f.Kind)
		p.Status, p.Title = reports[f.Kind].status, reports[f.Kind].title
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
