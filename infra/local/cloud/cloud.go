// Package cloud is the one endpoint that stands for AWS on one machine. It
// hands each request to what plays that service, and behaves as AWS does where
// an engine does not.
package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
	"github.com/tenantry/tenantry/infra/local/cloud/cognito"
	"github.com/tenantry/tenantry/infra/local/cloud/iam"
	"github.com/tenantry/tenantry/infra/local/schedule"
)

// Options configure an Endpoint.
type Options struct {
	Moto     *url.URL           // the engine of whatever has no handler here
	DynamoDB http.Handler       // DynamoDB's API
	Lambda   http.Handler       // the Invoke API
	Invoke   cognito.InvokeFunc // runs Cognito's triggers
	// FireSchedule runs a schedule's function now. It fails with
	// schedule.ErrNotFound for a name that no schedule has.
	FireSchedule func(ctx context.Context, name string) (payload []byte, functionError string, err error)
	// Refused hears of each call that its caller's role does not allow; it may be
	// nil. It is called from several goroutines at once.
	Refused   func(Refusal)
	Usage     *iam.Usage // gets what the roles needed; nil for none
	AccountID string     // 123456789012
	MailDir   string     // where a file for each mail goes; empty for none
	Strict    bool       // be as unkind as AWS where the engines are not
}

// An Endpoint answers the APIs of AWS, and /_local/mail and
// /_local/schedules/{name} beside them.
type Endpoint struct {
	fireSchedule func(ctx context.Context, name string) ([]byte, string, error)
	services     map[string]http.Handler
	moto         http.Handler
	cognito      *cognito.Front
	*authority
	observer
}

// Moto takes a thread for each connection, of which it closes each after one
// answer, and its queue of new ones is short.
const motoConnections = 64

// New returns the Endpoint of a moto that is still empty.
func New(o Options) *Endpoint {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxConnsPerHost = motoConnections
	client := &awsjson.Client{URL: o.Moto, HTTP: &http.Client{Transport: transport}}

	front := cognito.New(cognito.Options{Moto: client, Invoke: o.Invoke, MailDir: o.MailDir})
	moto := proxy(o.Moto, transport)
	var delay time.Duration
	if o.Strict {
		delay = deletionDelay
	}
	return &Endpoint{
		fireSchedule: o.FireSchedule,
		moto:         moto,
		cognito:      front,
		authority:    newAuthority(o),
		services: map[string]http.Handler{
			"dynamodb":       o.DynamoDB,
			"lambda":         o.Lambda,
			"cognito-idp":    front,
			"states":         &executions{moto: moto},
			"secretsmanager": newSecrets(moto, client, delay),
		},
	}
}

// proxy returns a handler that hands everything to moto.
func proxy(moto *url.URL, transport http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(moto)
			r.Out.Host = r.In.Host
			// Whoever calls is in the one account there is.
			r.Out.Header.Del("X-Moto-Account-Id")
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			slog.ErrorContext(r.Context(), "moto does not answer", "error", err)
			awsjson.WriteError(w, &awsjson.Error{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: "the local engine does not answer"})
		},
	}
}

// Mails returns the mails sent to an address, or all if it is empty, the newest
// last.
func (e *Endpoint) Mails(to string) []cognito.Mail { return e.cognito.Mails(to) }

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/_local/mail":
		e.serveMail(w, r)
		return
	case strings.HasPrefix(r.URL.Path, "/_local/schedules/"):
		e.serveSchedule(w, r)
		return
	case strings.HasSuffix(r.URL.Path, "/.well-known/jwks.json"):
		e.cognito.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		awsjson.WriteError(w, awsjson.Errorf("SerializationException", "the request could not be read"))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	call := Call{Operation: operationOf(r, body), Body: body}
	if call.Caller, err = e.authorize(r, call); err != nil {
		awsjson.WriteError(w, err)
		return
	}
	service := e.services[call.Service]
	if service == nil {
		service = e.moto
	}
	e.serve(w, r, call, service)
}

// targets are the services that say their name in X-Amz-Target in their own
// way.
var targets = map[string]string{
	"DynamoDB_20120810":                 "dynamodb",
	"AWSCognitoIdentityProviderService": "cognito-idp",
	"AWSStepFunctions":                  "states",
	"secretsmanager":                    "secretsmanager",
}

// operationOf returns what a request asks for, from the header of the JSON
// protocols, the path of Lambda's, or the form of the older ones.
func operationOf(r *http.Request, body []byte) Operation {
	_, service := awsjson.Scope(r.Header)
	if target, name, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		if known, ok := targets[target]; ok {
			service = known
		}
		return Operation{service, name}
	}
	if strings.HasPrefix(r.URL.Path, "/2015-03-31/functions") {
		if strings.HasSuffix(r.URL.Path, "/invocations") {
			return Operation{"lambda", "Invoke"}
		}
		return Operation{"lambda", r.Method + " " + r.URL.Path}
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if form, err := url.ParseQuery(string(body)); err == nil && form.Has("Action") {
			return Operation{service, form.Get("Action")}
		}
	}
	return Operation{service, r.Method + " " + r.URL.Path}
}

func (e *Endpoint) serveMail(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	writeJSON(w, http.StatusOK, e.cognito.Mails(r.URL.Query().Get("to")))
}

// serveSchedule fires a schedule and answers what its function returned: 200,
// 502 if the function failed, 404 if there is no such schedule.
func (e *Endpoint) serveSchedule(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	}
	payload, functionError, err := e.fireSchedule(r.Context(), strings.TrimPrefix(r.URL.Path, "/_local/schedules/"))
	result := struct {
		FunctionError string          `json:"function_error,omitempty"`
		Payload       json.RawMessage `json:"payload,omitempty"`
		Error         string          `json:"error,omitempty"`
	}{FunctionError: functionError, Payload: payload}
	status := http.StatusOK
	switch {
	case errors.Is(err, schedule.ErrNotFound):
		status, result.Error = http.StatusNotFound, err.Error()
	case err != nil:
		status, result.Error = http.StatusInternalServerError, err.Error()
	case functionError != "":
		status = http.StatusBadGateway
	}
	writeJSON(w, status, result)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller that went away does not read its answer
}
