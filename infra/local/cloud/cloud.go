// Package cloud is the one endpoint that stands for AWS on one machine. It
// hands each request to what plays that service, and behaves as AWS does where
// an engine does not.
package cloud

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tenantry/tenantry/infra/local/cloud/cognito"
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
	MailDir      string // where a file for each mail goes; empty for none
	Strict       bool   // be as unkind as AWS where the engines are not
}

// An Operation names one of a service's calls: {"dynamodb", "PutItem"}. The
// services are dynamodb, lambda, cognito-idp, states, secretsmanager and so
// on, as in the scope of a credential.
type Operation struct {
	Service string
	Name    string
}

// A Call is a request that came to the endpoint.
type Call struct {
	Operation
	Body []byte
}

// An Effect says how far a call gets.
type Effect int

// A call takes its course; it fails and nothing is done; it is done, and its
// answer is lost.
const (
	Pass Effect = iota
	Refuse
	LoseAnswer
)

// A Fault is what becomes of a call. Status, Code and Message are those of a
// refusal; by default it is 500 InternalFailure.
type Fault struct {
	Effect  Effect
	Status  int
	Code    string
	Message string
}

// An Endpoint answers the APIs of AWS, and /_local/mail and
// /_local/schedules/{name} beside them.
type Endpoint struct{}

// New returns the Endpoint of a moto that is still empty.
func New(o Options) *Endpoint { return &Endpoint{} }

// SetFault makes decide say what becomes of each call from now on; nil lets
// all pass. It is called from several goroutines at once.
func (e *Endpoint) SetFault(decide func(Call) Fault) {}

// Calls returns how often each operation was called since the start or the
// last ResetCalls.
func (e *Endpoint) Calls() map[Operation]int { return nil }

// ResetCalls makes the counts zero.
func (e *Endpoint) ResetCalls() {}

// Mails returns the mails sent to an address, or all if it is empty, the newest
// last.
func (e *Endpoint) Mails(to string) []cognito.Mail { return nil }

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
