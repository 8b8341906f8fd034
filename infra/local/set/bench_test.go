package set

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/stack"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/user"
)

// startKind starts a stack as make local does, not strict.
func startKind(b *testing.B) *stack.Stack {
	b.Helper()
	data := filepath.Join(b.TempDir(), "data")
	s, err := stack.Start(b.Context(), stack.Options{
		Template: filepath.Join(root, "template.yaml"), Bin: bin, Data: data, Engines: filepath.Join(root, ".tools", "engines"),
	})
	if err != nil {
		b.Fatal(err)
	}
	folders.Store(s, data)
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// benchClient returns a client that does not hold answers against the OpenAPI
// document, which costs time.
func benchClient(b *testing.B, s *stack.Stack) *client {
	b.Helper()
	c := &client{t: b, stack: s, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	return c.admin()
}

// BenchmarkGetTenant is a warm GET /tenants/{id}: gateway, authorizer cache,
// function and store.
func BenchmarkGetTenant(b *testing.B) {
	s := startKind(b)
	c := benchClient(b, s)
	id := c.do("POST", "/tenants", map[string]any{"name": "Measured", "isolation": "pooled"}).must(202).text("id")
	c.active(id)
	for range 50 {
		c.do("GET", "/tenants/"+id, nil).must(200)
	}
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		c.do("GET", "/tenants/"+id, nil).must(200)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkProvision is one provisioning with every step, from the request until
// the tenant is active.
func BenchmarkProvision(b *testing.B) {
	s := startKind(b)
	c := benchClient(b, s)
	machine := "arn:aws:states:us-east-1:123456789012:execution:" + s.Info().StackName + "-provision:"
	transitions := 0
	for b.Loop() {
		slug := unique("bench-")
		a := c.do("POST", "/tenants", map[string]any{
			"name": slug, "slug": slug, "admin_email": slug + "@example.com", "admin_password": "a good password",
			"sip_enabled": true, "sip_domain": slug + ".example.com", "sip_username": "u",
		}).must(202)
		c.active(a.text("id"))
		transitions = entered(b, s, machine+a.text("operation_id")+"-1")
	}
	b.ReportMetric(float64(transitions), "transitions")
}

// entered returns how many states an execution entered.
func entered(b *testing.B, s *stack.Stack, execution string) int {
	b.Helper()
	out, err := sfn.NewFromConfig(awsConfig(s)).GetExecutionHistory(b.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &execution, MaxResults: 1000})
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, event := range out.Events {
		if event.Type == types.HistoryEventTypeTaskStateEntered {
			n++
		}
	}
	return n
}

// BenchmarkCreates is 200 tenants asked for at once, until all are active, and
// the memory of everything that runs then.
func BenchmarkCreates(b *testing.B) {
	const tenants = 200
	s := startKind(b)
	c := benchClient(b, s)
	var answered time.Duration
	for b.Loop() {
		answers := make([]*answer, tenants)
		start := time.Now()
		together(tenants, func(i int) {
			answers[i] = c.do("POST", "/tenants", map[string]any{"name": unique("crowd-"), "isolation": "pooled"})
		})
		answered = time.Since(start)
		for _, a := range answers {
			a.must(202)
		}
		for _, a := range answers {
			c.active(a.text("id"))
		}
	}
	b.ReportMetric(answered.Seconds(), "s-answered")
	b.ReportMetric(float64(memory(b))/(1<<20), "MB")
}

// BenchmarkCalls has 64 callers take and end calls of one tenant, and tells how many
// calls a second that makes.
func BenchmarkCalls(b *testing.B) {
	const callers = 64
	s := startKind(b)
	c := benchClient(b, s)
	id := c.do("POST", "/tenants", map[string]any{
		"name": "Called", "isolation": "pooled", "billing_plan": "enterprise",
	}).must(202).text("id")
	c.active(id)
	edge := c.as(c.do("POST", "/api-keys", map[string]any{"name": "edge", "scopes": []string{"calls:write"}}).must(201).text("key"))
	path := "/tenants/" + id + "/calls"
	var next, refused atomic.Int64
	for b.Loop() {
		const calls = 640
		start := time.Now()
		together(callers, func(int) {
			for range calls / callers {
				call := fmt.Sprint(next.Add(1))
				a := edge.do("POST", path, map[string]any{"call_id": call})
				if a.Status == http.StatusTooManyRequests {
					refused.Add(1)
					continue
				}
				a.must(201)
				edge.do("POST", path+"/"+call+"/end", nil).must(204)
			}
		})
		b.ReportMetric(calls/time.Since(start).Seconds(), "calls/s")
	}
	b.ReportMetric(float64(refused.Load()), "refused")
	if got := c.do("GET", "/tenants/"+id+"/stats", nil).must(200).Body["active_sessions"]; got != 0.0 {
		b.Errorf("%v calls are left", got)
	}
}

// BenchmarkSearchUsers is a warm page of GET /users of a tenant of 10 000 users:
// of all, of those that many searches find, of one, and of nobody.
func BenchmarkSearchUsers(b *testing.B) {
	const people = 10_000
	s := startKind(b)
	c := benchClient(b, s)
	id := c.do("POST", "/tenants", map[string]any{"name": "Crowded", "isolation": "pooled"}).must(202).text("id")
	c.active(id)
	populate(b, s, identity.TenantID(id), people)
	for name, search := range map[string]string{
		"all": "", "many": "search=example.com&", "some": "search=MEMBER+77&", "one": "search=member9.998%40&", "nobody": "search=nobody&",
	} {
		b.Run(name, func(b *testing.B) {
			page := func() *answer { return c.do("GET", "/users?"+search+"tenant_id="+id, nil).must(200) }
			for range 20 {
				page()
			}
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				page()
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(len(page().List)), "found")
		})
	}
}

// populate adds users to a tenant.
func populate(b *testing.B, s *stack.Stack, id identity.TenantID, people int) {
	b.Helper()
	table := dynamo.NewTable(dynamodb.NewFromConfig(awsConfig(s)), s.Info().Table)
	users := dynamo.NewUsers(table)
	of, err := dynamo.NewTenants(table).Get(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	for n := range people {
		now := time.Now()
		email := fmt.Sprintf("member%d.%03d@some-example.com", n/1000, n%1000)
		i := user.Invitation{ID: uuid.NewString(), Email: email, HeldUntil: now.Add(time.Minute), DeadAt: now.Add(time.Hour)}
		u := user.User{
			ID: identity.UserID(uuid.NewString()), Username: i.ID, Email: email, FullName: fmt.Sprintf("Member %d of the crowd", n),
			Role: identity.Agent, TenantID: id, CreatedAt: now, Version: 1,
		}
		err := users.Hold(b.Context(), i)
		if err == nil {
			err = users.Join(b.Context(), user.Joining{Invitation: i, User: u, Tenant: user.TenantChange{Before: of, After: of}})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// memory returns the memory of this process and all below it, in bytes. What
// processes share is counted once (the proportional set size).
func memory(b *testing.B) int64 {
	b.Helper()
	parents := map[int]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name) //nolint:gosec // of the system
		if err != nil {
			continue // it ended meanwhile
		}
		var pid, parent int
		var state string
		before, after, _ := strings.Cut(string(text), " (")
		_, after, _ = strings.Cut(after, ") ")
		if _, err := fmt.Sscan(before+" "+after, &pid, &state, &parent); err != nil {
			b.Fatal(err)
		}
		parents[pid] = parent
	}
	var total int64
	for pid := range parents {
		for p := pid; p > 1; p = parents[p] {
			if p == os.Getpid() {
				total += proportional(pid)
				break
			}
		}
	}
	return total
}

// proportional returns the proportional set size of a process in bytes, or 0 if
// it ended meanwhile.
func proportional(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, "Pss: %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	return 0
}
