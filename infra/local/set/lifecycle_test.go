package set

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	lives = "6" // that are lived
	grace = 3 * time.Second
)

// A life is where a tenant may stand, as its clients can tell.
type life struct {
	status string
	was    string // before it was deleting
	purge  int64  // when it may be purged at the earliest, in Unix milliseconds
}

// byItself returns the lives that a life may have come to by now, without any
// client.
func (l life) byItself() []life {
	switch {
	case l.status == "provisioning":
		return []life{{status: "active"}, {status: "failed"}}
	case l.status == "deleting" && time.Now().UnixMilli() >= l.purge:
		return []life{{status: "purging"}}
	case l.status == "purging":
		return []life{{status: "deleted"}}
	}
	return nil
}

// locked reports whether members are shut out.
func (l life) locked() bool {
	return slices.Contains([]string{"deleting", "purging", "deleted"}, l.status)
}

// A move is something that a client does with a tenant. Is says whether an answer
// is one that it may get in a life, and what the life is then. An answer that is
// nil says that there was nobody to do it.
type move struct {
	name string
	send func(w *lived) *answer
	is   func(l life, a *answer) (life, bool)
}

// A made move is one with its answer.
type made struct {
	move
	answer *answer
	sent   time.Time
}

func (m made) String() string {
	if m.answer == nil {
		return m.name + ": nobody"
	}
	return fmt.Sprintf("%s: %d %s", m.name, m.answer.Status, m.answer.Raw)
}

// refused reports whether an answer is one of some kinds of problems.
func refused(a *answer, kinds ...string) bool {
	kind, _ := a.Body["type"].(string)
	return slices.Contains(kinds, strings.TrimPrefix(kind, "/docs/problems/"))
}

// shutOut reports whether an answer is one that a member of a tenant gets who is
// locked out, or whose account is gone.
func shutOut(a *answer) bool {
	return refused(a, "tenant-deleting", "token-invalid", "forbidden", "not-found")
}

// statusBy asks for a status by a PATCH.
func statusBy(who, status string, settle func(l life) (next string, refusals []string)) move {
	body := map[string]any{"status": status}
	if status == "suspended" {
		body["status_reason"] = "unpaid"
	}
	return move{status + " by " + who, func(w *lived) *answer {
		if by := w.by(who); by != nil {
			return by.do("PATCH", "/tenants/"+w.id, body)
		}
		return nil
	}, func(l life, a *answer) (life, bool) {
		next, refusals := settle(l)
		switch {
		case next == "":
			return l, refused(a, append(refusals, "conflict")...)
		case a.Status == 200 && a.Body["status"] == next:
			return life{status: next}, true
		}
		return l, refused(a, "conflict")
	}}
}

// byAdmin and byOwner say what comes of asking for a status: what it is then, or
// how that is refused.
func byAdmin(status string) func(l life) (string, []string) {
	return func(l life) (string, []string) {
		switch {
		case l.status == "provisioning":
			return "", []string{"operation-running"}
		case l.locked():
			return "", []string{"tenant-deleting"}
		case l.status == "failed", l.status == "inactive" && status == "suspended", l.status == "suspended" && status == "inactive":
			return "", []string{"illegal-transition"}
		}
		return status, nil
	}
}

func byOwner(status string) func(l life) (string, []string) {
	return func(l life) (string, []string) {
		switch {
		case l.status == "provisioning":
			return "", []string{"operation-running"}
		case l.locked():
			return "", []string{"tenant-deleting", "token-invalid", "forbidden", "not-found"}
		case l.status == "suspended":
			return "", []string{"tenant-suspended"}
		case l.status == "inactive" && status != "active":
			return "", []string{"tenant-inactive"}
		case status == "suspended":
			return "", []string{"forbidden"}
		case l.status == "failed":
			return "", []string{"illegal-transition"}
		}
		return status, nil
	}
}

// moves is everything that clients do.
var moves = []move{
	statusBy("admin", "active", byAdmin("active")),
	statusBy("admin", "inactive", byAdmin("inactive")),
	statusBy("admin", "suspended", byAdmin("suspended")),
	statusBy("owner", "active", byOwner("active")),
	statusBy("owner", "inactive", byOwner("inactive")),
	statusBy("owner", "suspended", byOwner("suspended")),
	{"delete", (*lived).remove, func(l life, a *answer) (life, bool) {
		if slices.Contains([]string{"active", "inactive", "suspended", "failed"}, l.status) && a.Status == 202 {
			return life{status: "deleting", was: l.status}, true
		}
		return l, refused(a, "operation-running", "illegal-transition", "conflict")
	}},
	{"restore", func(w *lived) *answer { return w.do("POST", "/tenants/"+w.id+"/restore", nil) }, func(l life, a *answer) (life, bool) {
		if l.status == "deleting" && a.Status == 200 && a.Body["status"] == l.was {
			return life{status: l.was}, true
		}
		return l, refused(a, "illegal-transition", "conflict")
	}},
	{"retry", func(w *lived) *answer { return w.do("POST", "/operations/"+w.operationID+"/retry", nil) }, func(l life, a *answer) (life, bool) {
		if l.status == "failed" && a.Status == 202 {
			return life{status: "provisioning"}, true
		}
		return l, refused(a, "operation-not-failed", "illegal-transition", "operation-running", "conflict")
	}},
	{"free the table's name", (*lived).unblock, func(l life, _ *answer) (life, bool) { return l, true }},
	{"read by admin", func(w *lived) *answer { return w.do("GET", "/tenants/"+w.id, nil) }, func(l life, a *answer) (life, bool) {
		return l, a.Status == 200 && a.Body["status"] == l.status
	}},
	{"read by owner", func(w *lived) *answer {
		if owner := w.by("owner"); owner != nil {
			return owner.do("GET", "/tenants/"+w.id, nil)
		}
		return nil
	}, func(l life, a *answer) (life, bool) {
		return l, l.locked() && shutOut(a) || !l.locked() && a.Status == 200 && a.Body["status"] == l.status
	}},
	{"make an agent", func(w *lived) *answer {
		if owner := w.by("owner"); owner != nil {
			return owner.do("POST", "/agents", map[string]any{"name": "Agent"})
		}
		return nil
	}, func(l life, a *answer) (life, bool) {
		switch {
		case l.locked():
			return l, shutOut(a)
		case l.status == "active":
			return l, a.Status == 201 || refused(a, "quota-exceeded", "conflict")
		case l.status == "inactive", l.status == "suspended":
			return l, refused(a, "tenant-"+l.status)
		}
		return l, a.Status == 409
	}},
	{"impersonate the owner", (*lived).impersonate, func(l life, a *answer) (life, bool) {
		return l, l.locked() && (shutOut(a) || a.Status == 422) || !l.locked() && a.Status == 200 && a.Body["status"] == l.status
	}},
}

// A lived is a tenant whose life is followed.
type lived struct {
	*wanted
	owner   *client
	foreign string // somebody's table that has the name of the tenant's own, or ""
	free    sync.Once
}

// live makes a tenant, whose provisioning fails if it is blocked.
func live(admin *client, blocked bool) *lived {
	admin.t.Helper()
	slug := unique("life-")
	w := &lived{wanted: &wanted{client: admin, slug: slug, email: slug + "@example.com"}}
	w.id = fmt.Sprintf("%08d-0000-4000-8000-000000000000", names.Add(1))
	if blocked {
		w.foreign = tenantTable(admin.stack, slug, w.id[:8])
		makeTable(w.t, w.stack, w.foreign)
	}
	w.operationID = admin.do("POST", "/tenants", map[string]any{ //nolint:gosec // secrets of a test
		"id": w.id, "name": "Life", "slug": slug, "admin_email": w.email, "admin_password": ownersPassword,
		"sip_enabled": true, "sip_domain": slug + ".example.com", "sip_username": "u", "sip_password": "a long sip password",
	}).must(202).text("operation_id")
	return w
}

// by returns a client, or nil for an owner who cannot sign in.
func (w *lived) by(who string) *client {
	if who == "admin" {
		return w.client
	}
	return w.owner
}

// meet signs the owner in, if there is one.
func (w *lived) meet() {
	if w.owner != nil {
		return
	}
	a := w.do("POST", "/auth/token", map[string]any{"username": w.email, "password": ownersPassword})
	if a.Status == 200 {
		w.owner = w.as(a.text("access_token"))
	}
}

func (w *lived) remove() *answer { return w.do("DELETE", "/tenants/"+w.id, nil) }

// unblock removes somebody's table, once: what has its name thereafter is the
// tenant's own.
func (w *lived) unblock() *answer {
	w.free.Do(func() {
		if w.foreign != "" {
			dropTable(w.t, w.stack, w.foreign)
		}
	})
	return nil
}

// impersonate reads the tenant as its owner, by an impersonation that ends
// thereafter. It answers what was read, or why there was no impersonation.
func (w *lived) impersonate() *answer {
	owner, _ := w.do("GET", "/tenants/"+w.id, nil).Body["owner_id"].(string)
	if owner == "" {
		return nil
	}
	session := w.do("POST", "/impersonations", map[string]any{"user_id": owner, "reason": "to see what they see"})
	if session.Status != 201 {
		return session
	}
	as := w.as(session.text("token"))
	read := as.do("GET", "/tenants/"+w.id, nil)
	if a := w.do("DELETE", "/impersonations/"+session.text("id"), nil); a.Status != 204 {
		return a
	}
	if a := as.do("GET", "/tenants/"+w.id, nil); !refused(a, "token-invalid") {
		return a
	}
	return read
}

// closure returns lives with all that they may have come to by themselves.
func closure(of []life) []life {
	all := slices.Clone(of)
	for i := 0; i < len(all); i++ {
		for _, next := range all[i].byItself() {
			if !slices.Contains(all, next) {
				all = append(all, next)
			}
		}
	}
	return all
}

// explain returns the lives that a tenant may be in after moves that were made at
// once: there must be an order of them in which each answer is one that it may
// get.
func explain(before []life, moves []made) []life {
	before = closure(before)
	if len(moves) == 0 {
		return before
	}
	var after []life
	for i, m := range moves {
		var next []life
		for _, l := range before {
			l, ok := m.in(l)
			if ok && !slices.Contains(next, l) {
				next = append(next, l)
			}
		}
		if next == nil {
			continue
		}
		for _, l := range explain(next, slices.Delete(slices.Clone(moves), i, i+1)) {
			if !slices.Contains(after, l) {
				after = append(after, l)
			}
		}
	}
	return after
}

// in returns the life that a move leads to from another, and whether its answer
// is one that it may get there.
func (m made) in(l life) (life, bool) {
	if m.answer == nil {
		return l, true
	}
	next, ok := m.is(l, m.answer)
	if next.status == "deleting" && l.status != "deleting" {
		next.purge = m.sent.Add(grace).UnixMilli()
	}
	return next, ok
}

// TestLifecycle lets several clients do at once, at random, what clients do with
// a tenant, and holds every answer against a model of its life. In the end the
// tenant is there with everything, or gone with everything, and the audit tells of
// all of it.
func TestLifecycle(t *testing.T) {
	if err := flag.Set("rapid.checks", lives); err != nil {
		t.Fatal(err)
	}
	s := startOwn(t, map[string]string{"DeletionGraceSeconds": fmt.Sprint(int(grace.Seconds()))})
	admin := newClient(t, s).admin()
	rapid.Check(t, func(rt *rapid.T) {
		w := live(admin, rapid.Bool().Draw(rt, "blocked"))
		maybe := []life{{status: "provisioning"}}
		for range rapid.IntRange(8, 16).Draw(rt, "rounds") {
			w.meet()
			chosen := rapid.SliceOfN(rapid.SampledFrom(moves), 1, 3).Draw(rt, "moves")
			done := make([]made, len(chosen))
			together(len(chosen), func(i int) {
				done[i] = made{move: chosen[i], sent: time.Now()}
				done[i].answer = chosen[i].send(w)
			})
			before := maybe
			if maybe = explain(before, done); maybe == nil {
				rt.Fatalf("a tenant that is one of %v cannot have answered, in any order:\n%v", before, done)
			}
			if _, err := s.Schedules().Fire(t.Context(), "SweeperEveryMinute"); err != nil {
				t.Fatal(err)
			}
		}
		if rapid.Bool().Draw(rt, "in the end it is kept") {
			w.keep()
		} else {
			w.lose()
		}
		if report, err := admin.verify(admin.sealed("tenant_id=" + w.id + "&limit=1000")); err != nil || string(report.Head.Stream) != w.id {
			rt.Errorf("the audit of the tenant: %+v, %v", report, err)
		}
	})
}

// status returns the tenant's status when that does not change by itself.
func (w *lived) status(transient ...string) string {
	w.t.Helper()
	status := ""
	eventually(w.t, "the tenant's status stays", func() bool {
		status = w.do("GET", "/tenants/"+w.id, nil).must(200).text("status")
		return !slices.Contains(transient, status)
	})
	return status
}

// keep makes the tenant active, if it is not too late, and looks whether it has
// everything, once.
func (w *lived) keep() {
	w.t.Helper()
	w.unblock()
	for {
		switch status := w.status("provisioning", "purging"); status {
		case "deleting":
			w.do("POST", "/tenants/"+w.id+"/restore", nil) // which may be too late
		case "failed":
			w.do("POST", "/operations/"+w.operationID+"/retry", nil).must(202)
		case "inactive", "suspended":
			w.do("PATCH", "/tenants/"+w.id, `{"status":"active"}`).must(200)
		case "deleted":
			w.gone()
			return
		default:
			w.checkActive()
			return
		}
	}
}

// lose deletes the tenant, and looks whether everything is gone.
func (w *lived) lose() {
	w.t.Helper()
	w.unblock()
	if w.status("provisioning", "purging", "deleting") != "deleted" {
		w.remove().must(202)
		w.status("deleting", "purging")
	}
	w.gone()
}

// gone fails the test unless nothing is left of the tenant but its tombstone, its
// operations and its audit.
func (w *lived) gone() {
	w.t.Helper()
	eventually(w.t, "what belonged to the tenant was gone", func() bool { return len(w.left()) == 0 })
	for line := range strings.Lines(tableText(w.t, w.stack, w.stack.Info().Table)) {
		for _, kept := range []string{"SLUG#" + w.slug, "EMAIL#" + w.email, "SIPDOMAIN#" + w.slug, "=TENANT#COUNTERS", "=AGENT#", "=ROSTER#", "=USER#"} {
			if strings.Contains(line, kept) && (strings.Contains(line, w.slug) || strings.Contains(line, w.id)) && !strings.Contains(line, "AUDIT#") {
				w.t.Errorf("%s is left: %s", kept, line)
			}
		}
	}
	tombstone := w.do("GET", "/tenants/"+w.id, nil).must(200)
	got := map[string]any{}
	for _, name := range []string{"status", "slug", "owner_id", "sip_domain", "sip_username", "database"} {
		got[name] = tombstone.Body[name]
	}
	want := map[string]any{"status": "deleted", "slug": w.slug, "owner_id": nil, "sip_domain": nil, "sip_username": nil, "database": nil}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("the tombstone (-want +got):\n%s", diff)
	}
}
