package services

import (
	"testing"
)

const (
	username  = "phones"
	realm     = "sip.phones.example.com"
	firstOne  = "the-first-password"
	neverOne  = "never-a-password"
	overlap   = 20 // seconds: longer than the sign-ins take that are made in it
	forbidden = 403
)

// Real telephones sign in before, during and after rotations of their password, at
// a registrar that knows what the API says of it.
func TestSIP(t *testing.T) {
	needSIPp(t)
	s := startSet(t)
	admin := s.admin(t)
	tenant := admin.do(t, "POST", "/tenants", map[string]any{
		"name": "Phones", "isolation": "pooled", "sip_enabled": true, "sip_domain": realm, "sip_username": username, "sip_password": firstOne,
	}, 202)["id"].(string)
	eventually(t, "the tenant was active", func() bool {
		return admin.do(t, "GET", "/tenants/"+tenant, nil, 200)["status"] == "active"
	})
	route := "/tenants/" + tenant + "/sip-credentials"
	key := admin.do(t, "POST", "/api-keys", map[string]any{"name": "edge", "scopes": []string{"sip:read"}, "tenant_ids": []string{tenant}}, 201)["key"].(string)
	line := newLine(t, client{s.APIURL, key}, route+"/digest")
	rotate := func(body map[string]any) string {
		return admin.do(t, "POST", route+"/rotate", body, 200)["sip_password"].(string)
	}

	line.check(t, "before", map[string]int{firstOne: 200, neverOne: forbidden})
	second := rotate(map[string]any{"overlap_seconds": overlap})
	line.check(t, "during", map[string]int{firstOne: 200, second: 200, neverOne: forbidden})
	if !line.hasPasswords(t, 2) {
		t.Fatalf("the overlap of %d s was over before the telephones were done", overlap)
	}
	eventually(t, "the overlap was over", func() bool { return line.hasPasswords(t, 1) })
	line.check(t, "after", map[string]int{firstOne: forbidden, second: 200, neverOne: forbidden})

	third := rotate(map[string]any{"overlap_seconds": 600})
	fourth := rotate(map[string]any{"overlap_seconds": 600, "force": true})
	line.check(t, "forced", map[string]int{second: forbidden, third: 200, fourth: 200})
	admin.do(t, "PUT", route, map[string]any{"sip_domain": realm, "sip_username": username, "sip_password": firstOne}, 200)
	line.check(t, "set", map[string]int{third: forbidden, fourth: forbidden, firstOne: 200})
	admin.do(t, "PATCH", "/tenants/"+tenant, map[string]any{"status": "suspended", "status_reason": "unpaid"}, 200)
	line.check(t, "suspended", map[string]int{firstOne: forbidden})
}

// A line is telephones of several makers, and the registrars that they sign in at.
type line []connection

type connection struct {
	name      string
	phone     phone
	registrar *registrar
}

// newLine starts a registrar for each algorithm. SIPp 3.6 answers by MD5 only.
func newLine(t *testing.T, edge client, route string) line {
	t.Helper()
	start := func(algorithm string) *registrar {
		return startRegistrar(t, &registrar{edge: edge, route: route, realm: realm, algorithm: algorithm})
	}
	weak, strong := start("MD5"), start("SHA-256")
	return line{{"SIPp by MD5", sipp, weak}, {"sipgo by MD5", softphone, weak}, {"sipgo by SHA-256", softphone, strong}}
}

// check signs in with each password by each telephone.
func (l line) check(t *testing.T, when string, want map[string]int) {
	t.Helper()
	for _, c := range l {
		for password, status := range want {
			t.Run(when+"/"+c.name, func(t *testing.T) { c.phone(t, c.registrar, username, password, status) })
		}
	}
}

// hasPasswords reports whether so many passwords are valid.
func (l line) hasPasswords(t *testing.T, n int) bool {
	t.Helper()
	_, all, err := l[0].registrar.digests()
	if err != nil {
		t.Fatal(err)
	}
	return len(all) == n
}
