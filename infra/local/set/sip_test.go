package set

import (
	"crypto/md5" //nolint:gosec // SIP has it
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// edge returns the client with a key that may read what SIP sign-ins are checked
// with, of the tenants named, or of all.
func (c *client) edge(tenantIDs ...string) *client {
	c.t.Helper()
	body := map[string]any{"name": "edge", "scopes": []string{"sip:read", "calls:write", "usage:write"}}
	if tenantIDs != nil {
		body["tenant_ids"] = tenantIDs
	}
	return c.as(c.admin().do("POST", "/api-keys", body).must(201).text("key"))
}

// telephony makes a tenant with SIP, and returns its owner and its id.
func telephony(t *testing.T, password string) (owner *client, id, domain string) {
	t.Helper()
	c := newClient(t, common)
	slug := unique("phones-")
	domain = slug + ".example.com"
	created := c.admin().do("POST", "/tenants", map[string]any{
		"name": "Phones", "slug": slug, "isolation": "pooled", "admin_email": slug + "@example.com", "admin_password": "a password of " + slug,
		"sip_enabled": true, "sip_domain": domain, "sip_username": "phones", "sip_password": password,
	}).must(202)
	c.admin().active(created.text("id"))
	return c.signIn(slug+"@example.com", "a password of "+slug), created.text("id"), domain
}

// ha1 returns H(A1) of a password by MD5 and by SHA-256.
func ha1(domain, password string) (weak, strong string) {
	a1 := []byte("phones:" + domain + ":" + password)
	return fmt.Sprintf("%x", md5.Sum(a1)), fmt.Sprintf("%x", sha256.Sum256(a1)) //nolint:gosec // as above
}

// digests fails the test unless the digest is that of the passwords, and returns
// until when each is valid.
func (a *answer) digests(domain string, passwords ...string) (until []any) {
	a.t.Helper()
	want := []any{}
	for _, password := range passwords {
		weak, strong := ha1(domain, password)
		want = append(want, map[string]any{"MD5": weak, "SHA-256": strong})
	}
	got := []any{}
	list, _ := a.Body["credentials"].([]any)
	for _, each := range list {
		credential, _ := each.(map[string]any)
		got, until = append(got, credential["ha1"]), append(until, credential["valid_until"])
	}
	if diff := cmp.Diff(want, got); diff != "" || a.Body["sip_domain"] != domain || a.Body["sip_username"] != "phones" {
		a.t.Errorf("the digest is %s (-want +got):\n%s", a.Raw, diff)
	}
	return until
}

func TestRotateSIP(t *testing.T) {
	first := "the first password " + unique("p")
	owner, id, domain := telephony(t, first)
	route := "/tenants/" + id + "/sip-credentials"
	edge := owner.edge()
	edge.do("GET", route+"/digest", nil).must(200).digests(domain, first)
	before := owner.do("GET", route, nil).must(200)
	if before.Body["rotated_at"] == nil || before.Body["previous_valid_until"] != nil {
		t.Errorf("before the first rotation: %s", before.Raw)
	}

	keyed := owner.with("Idempotency-Key", "rotate")
	rotated := keyed.do("POST", route+"/rotate", `{"overlap_seconds":600}`).must(200)
	second := rotated.text("sip_password")
	until := edge.do("GET", route+"/digest", nil).must(200).digests(domain, second, first)
	if until[0] != nil || until[1] != rotated.Body["previous_valid_until"] {
		t.Errorf("valid until %v, and the rotation said %s", until, rotated.Raw)
	}
	again := keyed.do("POST", route+"/rotate", `{"overlap_seconds":600}`).must(200)
	if again.Body["secret_shown"] != true || again.Body["sip_password"] != nil {
		t.Errorf("the answer repeated is %s", again.Raw)
	}
	if refused := owner.do("POST", route+"/rotate", nil).problem(409, "rotation-overlap"); refused.Body["valid_until"] != until[1] {
		t.Errorf("the refusal is %s", refused.Raw)
	}
	third := owner.do("POST", route+"/rotate", `{"force":true}`).must(200).text("sip_password")
	edge.do("GET", route+"/digest", nil).must(200).digests(domain, third, second)
	fourth := owner.do("POST", route+"/rotate", `{"overlap_seconds":0,"force":true}`).must(200).text("sip_password")
	edge.do("GET", route+"/digest", nil).must(200).digests(domain, fourth)

	moved := "moved." + domain
	owner.do("PUT", route, map[string]any{"sip_domain": moved, "sip_username": "phones"}).must(200)
	edge.do("GET", route+"/digest", nil).must(200).digests(moved, fourth)
	fifth := "the fifth password " + unique("p")
	put := owner.do("PUT", route, map[string]any{"sip_domain": moved, "sip_username": "phones", "sip_password": fifth}).must(200)
	if put.Body["sip_password"] != nil || put.Body["rotated_at"] == before.Body["rotated_at"] {
		t.Errorf("the credentials are %s", put.Raw)
	}
	edge.do("GET", route+"/digest", nil).must(200).digests(moved, fifth)

	text := tableText(t, common, common.Info().Table)
	for _, password := range []string{first, second, third, fourth, fifth} {
		if strings.Contains(text, password) || strings.Contains(logged(common, password), password) {
			t.Errorf("the password %q is where it must not be", password)
		}
		if weak, strong := ha1(domain, password); logged(common, weak)+logged(common, strong) != "" {
			t.Errorf("the digest of %q is in the log", password)
		}
	}
	for _, told := range []string{"action=sip_credentials.rotated", "target_kind=sip_credentials"} {
		if !strings.Contains(text, told) {
			t.Errorf("the audit does not tell %s", told)
		}
	}
}

// Of many rotations at once one wins. Where one may follow another, the last has
// made the password that is valid.
func TestRotateSIPTogether(t *testing.T) {
	for name, body := range map[string]string{"with an overlap": `{}`, "by force": `{"force":true}`, "without": `{"overlap_seconds":0}`} {
		t.Run(name, func(t *testing.T) {
			first := "the first password " + unique("p")
			owner, id, domain := telephony(t, first)
			route := "/tenants/" + id + "/sip-credentials"
			answers := make([]*answer, 8)
			together(len(answers), func(i int) { answers[i] = owner.do("POST", route+"/rotate", body) })
			var won []string
			for _, a := range answers {
				if a.Status != 409 {
					won = append(won, a.must(200).text("sip_password"))
				}
			}
			if len(won) == 0 {
				t.Fatal("none won")
			}
			digest := owner.edge(id).do("GET", route+"/digest", nil).must(200)
			if body == `{}` {
				digest.digests(domain, won[0], first)
				if len(won) != 1 {
					t.Errorf("%d won", len(won))
				}
				return
			}
			list, _ := digest.Body["credentials"].([]any)
			present := fmt.Sprint(list[0])
			if !slices.ContainsFunc(won, func(password string) bool {
				_, strong := ha1(domain, password)
				return strings.Contains(present, strong)
			}) {
				t.Errorf("the present password is none of those that were shown: %s", digest.Raw)
			}
		})
	}
}

// A domain that another has leaves nothing behind of what came with it.
func TestSIPDomainTaken(t *testing.T) {
	_, _, taken := telephony(t, "the password "+unique("p"))
	owner, id := newClient(t, common).owner()
	for method, path := range map[string]string{"PUT": "/tenants/" + id + "/sip-credentials", "PATCH": "/tenants/" + id} {
		body := map[string]any{"sip_domain": taken, "sip_username": "phones", "sip_password": "the password " + unique("p")}
		if method == "PATCH" {
			body["sip_enabled"] = true
		}
		owner.do(method, path, body).problem(409, "sip-domain-taken")
	}
	if secrets := secretValues(t, common); strings.Contains(secrets, "/tenant/"+id) {
		t.Errorf("a secret of the tenant is there")
	}
}

// Who may not read digests, and of whom.
func TestSIPDigestIsGuarded(t *testing.T) {
	password := "the password " + unique("p")
	owner, id, domain := telephony(t, password)
	route := "/tenants/" + id + "/sip-credentials/digest"
	_, other, _ := telephony(t, "the password "+unique("p"))
	owner.edge(id).do("GET", route, nil).must(200).digests(domain, password)
	owner.edge(other).do("GET", route, nil).problem(404, "not-found")
	owner.do("GET", route, nil).problem(403, "forbidden")
	owner.admin().do("GET", route, nil).problem(403, "forbidden")
	edge := owner.edge()
	edge.do("GET", "/tenants/00000000-0000-4000-8000-000000000000/sip-credentials/digest", nil).problem(404, "not-found")
	edge.do("GET", "/tenants/"+id+"/sip-credentials", nil).problem(403, "forbidden")
	edge.do("POST", "/tenants/"+id+"/sip-credentials/rotate", nil).problem(403, "forbidden")

	admin := owner.admin()
	admin.do("PATCH", "/tenants/"+id, `{"status":"suspended","status_reason":"unpaid"}`).must(200)
	edge.do("GET", route, nil).problem(403, "tenant-suspended")
	admin.do("PATCH", "/tenants/"+id, `{"status":"active"}`).must(200)
	admin.do("PATCH", "/tenants/"+id, `{"sip_enabled":false}`).must(200)
	edge.do("GET", route, nil).problem(404, "not-found")
	owner.do("GET", "/tenants/"+id+"/sip-credentials", nil).problem(404, "not-found")
	on := owner.do("PUT", "/tenants/"+id+"/sip-credentials", map[string]any{"sip_domain": domain, "sip_username": "phones"}).must(200)
	if on.Body["sip_enabled"] != true || on.Body["sip_password"] != nil {
		t.Errorf("the credentials are %s", on.Raw)
	}
	edge.do("GET", route, nil).must(200).digests(domain, password)
}
