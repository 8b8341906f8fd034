// Package cognito is a Cognito user pool in front of moto's. Moto keeps pools,
// clients, users, groups and passwords; this package does what moto leaves
// out: triggers, codes and mail, client secrets, sign-in rules and tokens.
package cognito

import (
	"context"
	"net/http"
	"time"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

// An InvokeFunc runs a function by its name or ARN. FunctionError is not empty
// when the function itself failed, and payload then tells how.
type InvokeFunc func(ctx context.Context, function string, event []byte) (payload []byte, functionError string, err error)

// Options configure a Front.
type Options struct {
	Moto    *awsjson.Client // the engine
	Invoke  InvokeFunc      // runs triggers
	MailDir string          // where a file for each mail goes; empty for none
}

// A Mail is a message that Cognito would have sent.
type Mail struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"` // sign_up, resend, reset, invitation
	To       string    `json:"to"`
	Username string    `json:"username"`
	Subject  string    `json:"subject"`
	Body     string    `json:"body"`
	Code     string    `json:"code"` // an invitation's is the temporary password
}

// A Front answers the API of Cognito user pools.
type Front struct{}

// New returns a Front of an engine that is still empty.
func New(o Options) *Front { return &Front{} }

// ServeHTTP answers requests with an X-Amz-Target of Cognito's, and
// GET /{pool}/.well-known/jwks.json.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// Mails returns the mails sent to an address, or all if it is empty, the newest
// last.
func (f *Front) Mails(to string) []Mail { return nil }
