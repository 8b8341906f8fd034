package cloud

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
	"github.com/tenantry/tenantry/infra/local/cloud/iam"
)

// taskKey is the access key that moto signs the calls of all tasks with, of
// whatever state machine.
const taskKey = "ak"

// A Credential is what a caller signs its requests with.
type Credential struct {
	AccessKeyID     string
	SecretAccessKey string
}

// A Refusal is a call that its caller's role does not allow.
type Refusal struct {
	Caller           string // the name of the function or state machine
	Action, Resource string
	Kinds            []string // of the items that it is about, by what their partition keys begin with
	Reason           string   // as AWS words it
}

// An authority knows who calls by the key that signed a request, and what that
// caller's role allows. Whoever signs with a key that is no role's is the
// account's administrator. It reads keys and does not check signatures.
type authority struct {
	accountID string
	usage     *iam.Usage
	refused   func(Refusal)
	schemas   iam.Schemas
	nobody    principal // whose tasks call what no state machine is known to

	mu     sync.RWMutex
	byKey  map[string]principal
	byTask map[string]principal // the state machines, by the ARNs of the functions that they call
}

// A principal is somebody with a role.
type principal struct {
	name string
	role *iam.Role
}

func newAuthority(o Options) *authority {
	a := &authority{
		accountID: cmp.Or(o.AccountID, "123456789012"),
		usage:     cmp.Or(o.Usage, &iam.Usage{}),
		refused:   o.Refused,
		byKey:     map[string]principal{},
		byTask:    map[string]principal{},
	}
	if a.refused == nil {
		a.refused = func(Refusal) {}
	}
	a.nobody = a.principal("unknown", nil)
	return a
}

// GrantFunction gives a function of that name a role with the statements, and
// returns the credential that it has the role with.
func (a *authority) GrantFunction(name string, statements []iam.Statement) Credential {
	// That of a role begins so. Lambda's has a session token besides, which nothing
	// here would look at.
	c := Credential{AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: rand.Text()}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byKey[c.AccessKeyID] = a.principal(name, statements)
	return c
}

// GrantStateMachine gives a state machine, which calls the functions of the ARNs,
// a role with the statements. It fails if another one calls one of them, since
// the calls of both would look alike.
func (a *authority) GrantStateMachine(name string, statements []iam.Statement, functions []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.principal(name, statements)
	for _, arn := range functions {
		if other, taken := a.byTask[arn]; taken {
			return fmt.Errorf("state machines %s and %s both call %s: only one may", other.name, name, arn)
		}
		a.byTask[arn] = p
	}
	return nil
}

func (a *authority) principal(name string, statements []iam.Statement) principal {
	role := &iam.Role{
		Session:    fmt.Sprintf("arn:aws:sts::%s:assumed-role/%sRole/%s", a.accountID, name, name),
		Statements: statements,
	}
	a.usage.Declare(role)
	return principal{name, role}
}

// withheld is the key of a context's value: the ID of a statement that does not
// count for the request.
type withheld struct{}

// authorize returns who signed r, and fails if their role does not allow the call.
func (e *Endpoint) authorize(r *http.Request, c Call) (caller string, err error) {
	if c.Operation == (Operation{"dynamodb", "CreateTable"}) {
		e.schemas.Learn(c.Body)
	}
	region, _ := awsjson.Scope(r.Header)
	requests := e.schemas.Requests(iam.Call{
		Service: c.Service, Operation: c.Name,
		Region: cmp.Or(region, "us-east-1"), AccountID: e.accountID,
		Function: functionOf(r.URL.Path), Body: c.Body,
	})
	p, ok := e.caller(awsjson.KeyID(r.Header), requests)
	if !ok {
		return "", nil
	}
	without, trial := r.Context().Value(withheld{}).(string)
	for _, q := range requests {
		d := p.role.Decide(q, without)
		switch {
		case d.Allowed && !trial:
			e.usage.Record(q, d, func(id string) error { return e.askWithout(id, r, c.Body) })
		case !d.Allowed:
			reason := p.role.Refusal(q, d)
			if !trial {
				e.usage.Refuse(strings.Join(append([]string{reason}, q.Kinds()...), " "))
				e.refused(Refusal{Caller: p.name, Action: q.Action, Resource: q.Resource, Kinds: q.Kinds(), Reason: reason})
			}
			return p.name, refusal(c.Service, reason)
		}
	}
	return p.name, nil
}

// caller returns who signed with the key, if it is somebody with a role. The
// requests tell who that is for a task.
func (a *authority) caller(key string, requests []iam.Request) (principal, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if key != taskKey || len(a.byTask) == 0 {
		p, ok := a.byKey[key]
		return p, ok
	}
	for _, q := range requests {
		if p, ok := a.byTask[q.Resource]; ok {
			return p, true
		}
	}
	return a.nobody, true
}

// functionOf returns the name or ARN in the path of Lambda's Invoke.
func functionOf(path string) string {
	name, _ := strings.CutPrefix(path, "/2015-03-31/functions/")
	name, _ = strings.CutSuffix(name, "/invocations")
	return name
}

// refusal is how a service refuses a caller that may not.
func refusal(service, reason string) error {
	e := awsjson.Errorf("AccessDeniedException", "%s", reason)
	switch service {
	case "dynamodb":
		e.Code = "com.amazon.coral.service#" + e.Code
	case "lambda":
		e.Status = http.StatusForbidden
	}
	return e
}

// askWithout asks again for what r did, as if there were no statement of that ID,
// and fails unless that is refused.
func (e *Endpoint) askWithout(id string, r *http.Request, body []byte) error {
	again := r.Clone(context.WithValue(context.Background(), withheld{}, id))
	again.Body = io.NopCloser(bytes.NewReader(body))
	w := httptest.NewRecorder()
	e.ServeHTTP(w, again)
	if !strings.Contains(w.Body.String(), "AccessDeniedException") {
		return fmt.Errorf("without statement %s, %s %s is answered %d %s", id, r.Method, r.URL.Path, w.Code, w.Body)
	}
	return nil
}
