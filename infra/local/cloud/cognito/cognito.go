// Package cognito is a Cognito user pool in front of moto's. Moto keeps pools,
// clients, users, groups and passwords; this package does what moto leaves
// out: triggers, codes and mail, client secrets, sign-in rules and tokens.
package cognito

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

const (
	service       = "cognito-idp"
	targetPrefix  = "AWSCognitoIdentityProviderService."
	defaultRegion = "us-east-1"
	jwksSuffix    = "/.well-known/jwks.json"
)

// Options configure a Front.
type Options struct {
	Moto    *awsjson.Client // the engine
	Invoke  InvokeFunc      // runs triggers
	MailDir string          // where a file for each mail goes; empty for none
}

// A Front answers the API of Cognito user pools.
type Front struct {
	moto       *awsjson.Client
	triggers   triggers
	outbox     *outbox
	codes      *codes
	sessions   *sessions
	pools      *pools
	challenges challenges

	// Moto walks its pools and clients while another thread adds one, and
	// then fails; so whatever changes them holds structure alone.
	structure sync.RWMutex
	users     locks
}

// New returns a Front of an engine that is still empty.
func New(o Options) *Front {
	return &Front{
		moto:     o.Moto,
		triggers: triggers{invoke: o.Invoke},
		outbox:   &outbox{dir: o.MailDir},
		codes:    newCodes(),
		sessions: newSessions(),
		pools:    newPools(),
	}
}

// Mails returns the mails sent to an address, or all if it is empty, the newest
// last.
func (f *Front) Mails(to string) []Mail { return f.outbox.list(to) }

// ServeHTTP answers requests with an X-Amz-Target of Cognito's, and
// GET /{pool}/.well-known/jwks.json.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id, ok := strings.CutSuffix(r.URL.Path, jwksSuffix); ok {
		f.serveKeys(w, strings.Trim(id, "/"))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		awsjson.WriteError(w, awsjson.Errorf("SerializationException", "the request could not be read"))
		return
	}
	region, _ := awsjson.Scope(r.Header)
	if region == "" {
		region = defaultRegion
	}
	c := &call{
		operation: strings.TrimPrefix(r.Header.Get("X-Amz-Target"), targetPrefix),
		region:    region,
		body:      body,
	}
	do, ok := operations[c.operation]
	if !ok {
		do = (*Front).pass
	}
	// As on AWS, what has begun does not end with the caller.
	answer, err := do(f, context.WithoutCancel(r.Context()), c)
	if err != nil {
		awsjson.WriteError(w, err)
		return
	}
	awsjson.Write(w, answer)
}

// A call is a request to one operation.
type call struct {
	operation string
	region    string
	body      []byte
}

// A handler answers one operation.
type handler func(*Front, context.Context, *call) (any, error)

// operations are those that this package does itself, at least in part.
// Everything else is moto's.
var operations = map[string]handler{
	"CreateUserPool":              (*Front).changePool,
	"UpdateUserPool":              (*Front).changePool,
	"DeleteUserPool":              (*Front).deletePool,
	"CreateUserPoolClient":        (*Front).changeClient,
	"UpdateUserPoolClient":        (*Front).changeClient,
	"DeleteUserPoolClient":        (*Front).deleteClient,
	"SignUp":                      operation((*Front).signUp),
	"ConfirmSignUp":               operation((*Front).confirmSignUp),
	"AdminConfirmSignUp":          operation((*Front).adminConfirmSignUp),
	"ResendConfirmationCode":      operation((*Front).resendCode),
	"AdminCreateUser":             operation((*Front).adminCreateUser),
	"AdminDeleteUser":             operation((*Front).adminDeleteUser),
	"AdminDisableUser":            operation((*Front).adminDisableUser),
	"AdminUpdateUserAttributes":   operation((*Front).adminUpdateAttributes),
	"AdminUserGlobalSignOut":      operation((*Front).adminSignOut),
	"InitiateAuth":                operation((*Front).initiateAuth),
	"AdminInitiateAuth":           operation((*Front).adminInitiateAuth),
	"RespondToAuthChallenge":      operation((*Front).respondToChallenge),
	"AdminRespondToAuthChallenge": operation((*Front).respondToChallenge),
	"ForgotPassword":              operation((*Front).forgotPassword),
	"ConfirmForgotPassword":       operation((*Front).confirmForgotPassword),
	"AdminResetUserPassword":      operation((*Front).adminResetPassword),
	"AdminSetUserPassword":        operation((*Front).adminSetPassword),
	"ChangePassword":              operation((*Front).changePassword),
	"GetUser":                     operation((*Front).getUser),
	"UpdateUserAttributes":        operation((*Front).updateAttributes),
	"DeleteUser":                  operation((*Front).deleteUser),
	"GlobalSignOut":               operation((*Front).globalSignOut),
	"RevokeToken":                 operation((*Front).revokeToken),
}

// operation gives a method the decoded request.
func operation[In any](do func(*Front, context.Context, In) (any, error)) handler {
	return func(f *Front, ctx context.Context, c *call) (any, error) {
		var in In
		if err := json.Unmarshal(c.body, &in); err != nil {
			return nil, awsjson.Errorf("SerializationException", "the request is not what %s takes: %v", c.operation, err)
		}
		return do(f, ctx, in)
	}
}

// pass hands a request to moto as it is, but for the user name, which moto
// takes to be case-sensitive always.
func (f *Front) pass(ctx context.Context, c *call) (any, error) {
	in, err := c.decode()
	if err != nil {
		return nil, err
	}
	id, _ := in["UserPoolId"].(string)
	if p, ok := f.pools.pool(id); ok {
		c.region = p.region
		if name, ok := in["Username"].(string); ok {
			in["Username"] = p.canonical(name)
		}
	}
	return f.send(ctx, c, in)
}

func (c *call) decode() (map[string]any, error) {
	in := map[string]any{}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return nil, awsjson.Errorf("SerializationException", "the request is not what %s takes: %v", c.operation, err)
	}
	return in, nil
}

// send sends what a request has become, and returns moto's answer as it is.
func (f *Front) send(ctx context.Context, c *call, in map[string]any) (any, error) {
	var out json.RawMessage
	if err := f.call(ctx, c.region, c.operation, in, &out); err != nil {
		return nil, err
	}
	if out == nil {
		return empty{}, nil
	}
	return out, nil
}

// call calls moto.
func (f *Front) call(ctx context.Context, region, op string, in, out any) error {
	switch op {
	case "CreateUserPool", "UpdateUserPool", "DeleteUserPool", "CreateUserPoolClient", "DeleteUserPoolClient":
		f.structure.Lock()
		defer f.structure.Unlock()
	default:
		f.structure.RLock()
		defer f.structure.RUnlock()
	}
	if err := f.moto.Call(ctx, region, service, targetPrefix+op, in, out); err != nil {
		return reword(op, err)
	}
	return nil
}

// reword gives those of moto's refusals that carry a bare name the message of
// Cognito's.
func reword(op string, err error) error {
	switch {
	case awsjson.HasCode(err, "UsernameExistsException") && op == "AdminCreateUser":
		return awsjson.Errorf("UsernameExistsException", "User account already exists")
	case awsjson.HasCode(err, "UsernameExistsException"):
		return awsjson.Errorf("UsernameExistsException", "User already exists")
	default:
		return fmt.Errorf("moto's %s: %w", op, err)
	}
}
