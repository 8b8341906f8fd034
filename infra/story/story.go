package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tenantry/tenantry/infra/platform"
)

const (
	// patience is how long a step may take that goes on by itself.
	patience = 5 * time.Minute
	// tidyTime is how long taking away what was made may take.
	tidyTime = 2 * time.Minute
	pause    = 500 * time.Millisecond
)

// word returns a word that nobody else uses.
func word() string { return strings.ToLower(rand.Text()[:10]) }

// A story is what is done against a stack.
type story struct {
	url   string
	admin platform.Admin
	email string // to sign up with, or "" to leave that out
	ask   questions
	out   io.Writer

	root, owner     caller
	tenant, agent   string
	operation, name string
	made            []thing // what is to be taken away, the last first
}

// A thing was made, and what takes it away.
type thing struct {
	name   string
	remove func(context.Context) error
}

// A step is a part of the story.
type step struct {
	name string
	do   func(context.Context) (note string, err error)
}

// tell does the steps, and takes away what they made.
func (s *story) tell(ctx context.Context) (err error) {
	start := time.Now()
	s.name = "story-" + word()
	defer func() {
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
		defer cancel()
		err = errors.Join(err, s.tidy(tidy))
		if err == nil {
			_, _ = fmt.Fprintf(s.out, "The story of %s took %.1f s.\n", s.url, time.Since(start).Seconds())
		}
	}()
	for _, step := range s.steps() {
		if err := s.take(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// take does a step, and says how it went.
func (s *story) take(ctx context.Context, step step) error {
	start := time.Now()
	note, err := step.do(ctx)
	word := "ok"
	if err != nil {
		word, note = "FAIL", err.Error()
	}
	_, _ = fmt.Fprintf(s.out, "%-4s %7.3f s  %s", word, time.Since(start).Seconds(), step.name)
	if note != "" {
		_, _ = fmt.Fprintf(s.out, ": %s", note)
	}
	_, _ = fmt.Fprintln(s.out)
	if err != nil {
		return fmt.Errorf("%s: %w", step.name, err)
	}
	return nil
}

// tidy takes away what was made, as far as that goes.
func (s *story) tidy(ctx context.Context) error {
	var errs []error
	for len(s.made) > 0 {
		last := s.made[len(s.made)-1]
		s.made = s.made[:len(s.made)-1]
		errs = append(errs, s.take(ctx, step{"take away " + last.name, func(ctx context.Context) (string, error) {
			return "", last.remove(ctx)
		}}))
	}
	return errors.Join(errs...)
}

func (s *story) steps() []step {
	return []step{
		{"the stack answers", s.health},
		{"the platform admin signs in", s.signInAdmin},
		{"somebody signs up, and gets a tenant", s.signUp},
		{"the admin provisions a tenant", s.provision},
		{"the same request again makes nothing", s.provisionAgain},
		{"the tenant becomes active", s.becomesActive},
		{"its owner signs in", s.signInOwner},
		{"the admin finds it by its name", s.search},
		{"the owner changes it, once", s.update},
		{"the owner makes an AI agent", s.makeAgent},
		{"the SIP password is rotated", s.rotate},
		{"a service takes a call, and reports use", s.call},
		{"the admin acts as the owner, until that ends", s.impersonate},
		{"the admin suspends it, and lifts that", s.suspend},
		{"the audit tells of it", s.audit},
		{"it is deleted, and restored", s.restore},
	}
}

func (s *story) health(ctx context.Context) (string, error) {
	_, err := caller{url: s.url}.do(ctx, "GET", "/health", nil, 200)
	return "", err
}

func (s *story) signInAdmin(ctx context.Context) (string, error) {
	var err error
	s.root, err = s.signIn(ctx, s.admin.Username, s.admin.Password)
	if err != nil {
		return "", err
	}
	me, err := s.root.do(ctx, "GET", "/auth/me", nil, 200)
	if err == nil && me["role"] != "platform_admin" {
		err = fmt.Errorf("they are %v, and no platform admin", me["role"])
	}
	return "", err
}

func (s *story) signIn(ctx context.Context, username, password string) (caller, error) {
	c := caller{url: s.url}
	session, err := c.do(ctx, "POST", "/auth/token", object{"username": username, "password": password}, 200)
	c.token = session.text("access_token")
	return c, err
}

func (s *story) signUp(ctx context.Context) (string, error) {
	if s.email == "" {
		return "left out, as there is no EMAIL", nil
	}
	username, password := "signup-"+word(), rand.Text()
	anybody := caller{url: s.url}
	account, err := anybody.do(ctx, "POST", "/auth/signup", object{"username": username, "email": s.email, "password": password, "organization_name": "Sign-up " + username}, 201)
	if err != nil {
		return "", err
	}
	owner, err := s.signIn(ctx, username, password)
	if is(err, "user-not-confirmed") {
		code, err := s.ask.ask("The code that was mailed to " + s.email)
		if err != nil {
			return "", err
		}
		if _, err := anybody.do(ctx, "POST", "/auth/confirm", object{"username": username, "code": code}, 200); err != nil {
			return "", err
		}
		owner, err = s.signIn(ctx, username, password)
		if err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	id := account.text("user_id")
	s.made = append(s.made, thing{"the tenant of the sign-up", func(ctx context.Context) error { return s.deleteTenant(ctx, id) }})
	return id, s.until(ctx, owner, "/tenants/"+id, "status", "active")
}

// draft is the tenant that is provisioned.
func (s *story) draft() object {
	return object{
		"name": "The " + s.name, "slug": s.name, "billing_plan": "business",
		"admin_email": s.name + "@example.com", "admin_password": "a password of " + s.name,
		"sip_enabled": true, "sip_domain": s.name + ".sip.example.com", "sip_username": s.name,
	}
}

func (s *story) provision(ctx context.Context) (string, error) {
	created, err := s.root.with("Idempotency-Key", s.name).do(ctx, "POST", "/tenants", s.draft(), 202)
	if err != nil {
		return "", err
	}
	s.tenant, s.operation = created.text("id"), created.text("operation_id")
	s.made = append(s.made, thing{"the tenant", func(ctx context.Context) error { return s.deleteTenant(ctx, s.tenant) }})
	return s.tenant, nil
}

func (s *story) provisionAgain(ctx context.Context) (string, error) {
	again, err := s.root.with("Idempotency-Key", s.name).do(ctx, "POST", "/tenants", s.draft(), 202)
	if err == nil && again.text("operation_id") != s.operation {
		err = fmt.Errorf("it made the operation %s besides %s", again.text("operation_id"), s.operation)
	}
	return "", err
}

func (s *story) becomesActive(ctx context.Context) (string, error) {
	return "", s.until(ctx, s.root, "/operations/"+s.operation, "state", "succeeded")
}

func (s *story) signInOwner(ctx context.Context) (string, error) {
	var err error
	s.owner, err = s.signIn(ctx, s.name+"@example.com", "a password of "+s.name)
	if err != nil {
		return "", err
	}
	me, err := s.owner.do(ctx, "GET", "/auth/me", nil, 200)
	if err == nil && (me["role"] != "owner" || me["tenant_id"] != s.tenant) {
		err = fmt.Errorf("they are %v of %v", me["role"], me["tenant_id"])
	}
	return "", err
}

func (s *story) search(ctx context.Context) (string, error) {
	return "", s.eventually(ctx, "the tenant is found", func() (bool, error) {
		list, err := s.root.list(ctx, "/tenants?q="+s.name)
		return len(list) == 1 && list[0].text("id") == s.tenant, err
	})
}

func (s *story) update(ctx context.Context) (string, error) {
	present, err := s.owner.send(ctx, "GET", "/tenants/"+s.tenant, nil)
	if err != nil {
		return "", err
	}
	once := s.owner.with("If-Match", present.header.Get("ETag"))
	if _, err := once.do(ctx, "PATCH", "/tenants/"+s.tenant, object{"name": "The renamed " + s.name}, 200); err != nil {
		return "", err
	}
	_, err = once.do(ctx, "PATCH", "/tenants/"+s.tenant, object{"name": "Late"}, 200)
	if !is(err, "stale") {
		return "", fmt.Errorf("a change of what had changed meanwhile got %w", or(err, "through"))
	}
	return "", nil
}

func (s *story) makeAgent(ctx context.Context) (string, error) {
	agent, err := s.owner.do(ctx, "POST", "/agents", object{"name": "Sales", "system_prompt": "You sell anvils.", "language": "en-US"}, 201)
	s.agent = agent.text("id")
	return s.agent, err
}

func (s *story) rotate(ctx context.Context) (string, error) {
	rotated, err := s.owner.do(ctx, "POST", "/tenants/"+s.tenant+"/sip-credentials/rotate", object{"overlap_seconds": 60}, 200)
	if err == nil && rotated.text("sip_password") == "" {
		err = errors.New("the new password is not shown")
	}
	return "", err
}

func (s *story) call(ctx context.Context) (string, error) {
	key, err := s.root.do(ctx, "POST", "/api-keys", object{"name": s.name, "scopes": []string{"calls:write", "usage:write"}, "tenant_ids": []string{s.tenant}}, 201)
	if err != nil {
		return "", err
	}
	s.made = append(s.made, thing{"the key of the service", func(ctx context.Context) error {
		_, err := s.root.do(ctx, "DELETE", "/api-keys/"+key.text("id"), nil, 204)
		return err
	}})
	edge, calls := caller{url: s.url, token: key.text("key")}, "/tenants/"+s.tenant+"/calls"
	if _, err := edge.do(ctx, "POST", calls, object{"call_id": s.name, "agent_id": s.agent}, 201); err != nil {
		return "", err
	}
	if _, err := edge.do(ctx, "POST", calls+"/"+s.name+"/end", object{"duration_seconds": 42}, 204); err != nil {
		return "", err
	}
	counted, err := edge.do(ctx, "POST", "/usage-events", []object{{
		"specversion": "1.0", "source": "/story", "id": s.name, "type": "call.minutes", "subject": s.tenant,
		"time": time.Now().UTC().Format(time.RFC3339), "data": object{"quantity": 1},
	}}, 200)
	if err == nil && counted["accepted"] != 1.0 {
		err = fmt.Errorf("the use was not counted: %v", counted)
	}
	return "", err
}

func (s *story) impersonate(ctx context.Context) (string, error) {
	me, err := s.owner.do(ctx, "GET", "/auth/me", nil, 200)
	if err != nil {
		return "", err
	}
	session, err := s.root.do(ctx, "POST", "/impersonations", object{"user_id": me.text("user_id"), "reason": "The story of " + s.name}, 201)
	if err != nil {
		return "", err
	}
	acting := caller{url: s.url, token: session.text("token")}
	if _, err := acting.do(ctx, "GET", "/tenants/"+s.tenant, nil, 200); err != nil {
		return "", err
	}
	if _, err := s.root.do(ctx, "DELETE", "/impersonations/"+session.text("id"), nil, 204); err != nil {
		return "", err
	}
	_, err = acting.do(ctx, "GET", "/tenants/"+s.tenant, nil, 200)
	if !is(err, "token-invalid") {
		return "", fmt.Errorf("after its end it got %w", or(err, "through"))
	}
	return "", nil
}

func (s *story) suspend(ctx context.Context) (string, error) {
	if _, err := s.root.do(ctx, "PATCH", "/tenants/"+s.tenant, object{"status": "suspended", "status_reason": "the story"}, 200); err != nil {
		return "", err
	}
	_, err := s.owner.do(ctx, "PATCH", "/agents/"+s.agent, object{"voice": "nova"}, 200)
	if !is(err, "tenant-suspended") {
		return "", fmt.Errorf("its owner got %w", or(err, "through"))
	}
	_, err = s.root.do(ctx, "PATCH", "/tenants/"+s.tenant, object{"status": "active"}, 200)
	return "", err
}

func (s *story) audit(ctx context.Context) (string, error) {
	missing := ""
	err := s.eventually(ctx, "the audit tells of it", func() (bool, error) {
		list, err := s.owner.list(ctx, "/audit-events?limit=1000")
		told := map[string]bool{}
		for _, record := range list {
			told[record.text("action")] = true
		}
		for _, action := range []string{"tenant.created", "tenant.provisioned", "tenant.updated", "agent.created", "sip_credentials.rotated", "impersonation.started", "impersonation.ended"} {
			if !told[action] {
				missing = action
				return false, err
			}
		}
		return true, err
	})
	if err != nil {
		return "", fmt.Errorf("%w; it lacks %s", err, missing)
	}
	return "", nil
}

func (s *story) restore(ctx context.Context) (string, error) {
	if err := s.deleteTenant(ctx, s.tenant); err != nil {
		return "", err
	}
	restored, err := s.root.do(ctx, "POST", "/tenants/"+s.tenant+"/restore", object{}, 200)
	if err == nil && restored["status"] != "active" {
		err = fmt.Errorf("it is %v", restored["status"])
	}
	return "", err
}

// deleteTenant deletes a tenant, unless that is done, when nothing else runs on it
// and its calls are over.
func (s *story) deleteTenant(ctx context.Context, id string) error {
	return s.eventually(ctx, "the tenant "+id+" is deleted", func() (bool, error) {
		_, err := s.root.do(ctx, "DELETE", "/tenants/"+id, nil, 202)
		if is(err, "operation-running") || is(err, "delete-blocked") {
			t, err := s.root.do(ctx, "GET", "/tenants/"+id, nil, 200)
			return t["status"] == "deleting", err
		}
		return err == nil, err
	})
}

// until asks again and again until a member of what is at path has the value.
func (s *story) until(ctx context.Context, c caller, path, member, value string) error {
	return s.eventually(ctx, path+" is "+value, func() (bool, error) {
		got, err := c.do(ctx, "GET", path, nil, 200)
		if got[member] == "failed" {
			return false, fmt.Errorf("it failed: %v", got["error"])
		}
		return got[member] == value, err
	})
}

// eventually asks again and again until it is so.
func (s *story) eventually(ctx context.Context, what string, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := so()
		if ok || err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
}

// object is a JSON object.
type object map[string]any

// text returns a member that is a string, or "".
func (o object) text(member string) string {
	s, _ := o[member].(string)
	return s
}

// A caller calls the API with a token.
type caller struct {
	url    string
	token  string
	header [2]string // a name and a value, where there is one
}

// with returns the caller with a header.
func (c caller) with(name, value string) caller {
	c.header = [2]string{name, value}
	return c
}

// A refusal is an answer of another status than was wanted.
type refusal struct {
	request string
	status  int
	body    string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s answered %d %s", r.request, r.status, strings.TrimSpace(r.body))
}

// is reports whether err is a refusal of the kind.
func is(err error, kind string) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && strings.Contains(r.body, "/docs/problems/"+kind+`"`)
}

// or returns err, or an error of that text where there is none.
func or(err error, text string) error {
	if err == nil {
		return errors.New(text)
	}
	return err
}

// An answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// client waits a little longer than the gateway does.
var client = &http.Client{Timeout: 35 * time.Second}

func (c caller) send(ctx context.Context, method, path string, body any) (answer, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(text))
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.header[0] != "" {
		req.Header.Set(c.header[0], c.header[1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	raw, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, raw}, err
}

// do sends a request and returns the object that is answered, if the status is
// the one that is wanted.
func (c caller) do(ctx context.Context, method, path string, body any, want int) (object, error) {
	var o object
	err := c.read(ctx, method, path, body, want, &o)
	return o, err
}

// list is do for an array.
func (c caller) list(ctx context.Context, path string) ([]object, error) {
	var all []object
	err := c.read(ctx, "GET", path, nil, http.StatusOK, &all)
	return all, err
}

func (c caller) read(ctx context.Context, method, path string, body any, want int, into any) error {
	a, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	if a.status != want {
		if a.status < http.StatusBadRequest {
			a.body = nil // it may hold a token
		}
		return &refusal{method + " " + path, a.status, string(a.body)}
	}
	if len(a.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
