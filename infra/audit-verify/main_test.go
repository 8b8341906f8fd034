package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/trail"
)

// export returns an export of one record that is signed by a key.
func export(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	e := event(t, audit.Record{ID: "R1", Time: time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC), Action: audit.KeyCreated}, 1)
	h := audit.Head{Stream: audit.Platform, Seq: 1, Hash: e.Hash, SealedAt: e.Time}
	text, err := h.Statement()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	if h.Value, err = ecdsa.SignASN1(rand.Reader, key, sum[:]); err != nil {
		t.Fatal(err)
	}
	h.PublicKey = public(t, key)
	return trail.Header() + row(t, e) + trail.Head(h)
}

// event returns a record with a place in a chain, or with none for 0.
func event(t *testing.T, r audit.Record, seq int64) audit.Event {
	t.Helper()
	e := audit.Event{Record: r}
	if seq == 0 {
		return e
	}
	e.Seal = audit.Seal{Seq: seq, PrevHash: audit.FirstHash}
	var err error
	if e.Hash, err = e.Digest(); err != nil {
		t.Fatal(err)
	}
	return e
}

func row(t *testing.T, e audit.Event) string {
	t.Helper()
	text, err := trail.Record(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func public(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestRun(t *testing.T) {
	dir, key, other := t.TempDir(), newKey(t), newKey(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	inPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	file := write("good.csv", export(t, key))
	changed := write("changed.csv", strings.Replace(export(t, key), "api_key.created", "api_key.revoked", 1))
	young := event(t, audit.Record{ID: "R2", Time: time.Date(2026, 11, 22, 1, 31, 0, 0, time.UTC), Action: audit.KeyCreated}, 0)
	ahead := event(t, audit.Record{ID: "R2", Time: time.Date(2026, 11, 22, 1, 31, 0, 0, time.UTC), Action: audit.KeyCreated}, 2)
	unsealed := write("unsealed.csv", strings.Replace(export(t, key), trail.Header(), trail.Header()+row(t, young), 1))
	behind := write("behind.csv", strings.Replace(export(t, key), trail.Header(), trail.Header()+row(t, ahead), 1))
	noHeadUnsealed := write("no-head-unsealed.csv", trail.Header()+row(t, young)+trail.NoHead())
	noHeadSealed := write("no-head-sealed.csv", trail.Header()+row(t, event(t, audit.Record{ID: "R2", Time: time.Date(2026, 11, 22, 1, 31, 0, 0, time.UTC), Action: audit.KeyCreated}, 1))+trail.NoHead())
	noHead := write("no-head.csv", trail.Header()+trail.NoHead())
	pinned, others := write("key.pem", inPEM("PUBLIC KEY", public(t, key))), write("other.pem", inPEM("PUBLIC KEY", public(t, other)))
	text, junk, private := write("text.pem", "text"), write("junk.pem", inPEM("PUBLIC KEY", []byte("junk"))), write("private.pem", inPEM("PRIVATE KEY", nil))
	const found = "good: the audit of platform, seq 1 to 1, and 0 records that are not sealed yet; its head is seq 1, sealed at 2026-11-22T01:30:00.000Z, and signed by the key "
	print := trail.Fingerprint(public(t, key))
	for name, test := range map[string]struct {
		args     []string
		code     int
		out, log string // their beginnings
	}{
		"good":              {[]string{file}, 0, found + print + ", which the file says itself: compare it with that of your key, or give -key\n", ""},
		"pinned":            {[]string{"-key", pinned, file}, 0, found + print + ", which is that in " + pinned + "\n", ""},
		"another's key":     {[]string{"-key", others, file}, 1, "bad: " + file + ", row 3: the head is signed by another key, " + print + "\n", ""},
		"changed":           {[]string{changed}, 1, "bad: " + changed + ", row 2, record R1, seq 1: was changed: its hash is not that of what it holds\n", ""},
		"unsealed":          {[]string{unsealed}, 0, strings.Replace(found, "0 records that are not sealed yet", "1 records that are not sealed yet, which nobody vouches for", 1), ""},
		"behind the head":   {[]string{behind}, 1, "bad: " + behind + ", row 2, record R2, seq 2: is behind the head, which is seq 1: nobody has signed for it\n", ""},
		"no head, unsealed": {[]string{"-partial", noHeadUnsealed}, 0, "good as far as it goes: 1 records, 1 of them not sealed yet, which nobody vouches for; without a head", ""},
		"no head":           {[]string{noHeadSealed}, 1, "bad: " + noHeadSealed + ", row 3: there is no head", ""},
		"nothing is sealed": {[]string{noHeadUnsealed}, 2, "", "audit-verify: there is no head, and nothing is sealed"},
		"nothing is there":  {[]string{noHead}, 2, "", "audit-verify: there is no head, and nothing is sealed"},
		"no head, partial":  {[]string{"-partial", noHead}, 0, "good as far as it goes: 0 records, 0 of them not sealed yet; ", ""},
		"help":              {[]string{"--help"}, 0, usage, ""},
		"nothing":           {nil, 2, "", "audit-verify: name the files of the export\n\nUsage: "},
		"no such flag":      {[]string{"-x", file}, 2, "", "audit-verify: flag provided but not defined: -x\n\nUsage: "},
		"no such file":      {[]string{dir + "/none.csv"}, 2, "", "audit-verify: open " + dir + "/none.csv: "},
		"a folder":          {[]string{dir}, 2, "", "audit-verify: read " + dir + ": "},
		"no such key":       {[]string{"-key", dir + "/none.pem", file}, 2, "", "audit-verify: open " + dir + "/none.pem: "},
		"no key":            {[]string{"-key", text, file}, 2, "", "audit-verify: " + text + " holds no public key in PEM\n"},
		"a private key":     {[]string{"-key", private, file}, 2, "", "audit-verify: " + private + " holds no public key in PEM\n"},
		"junk":              {[]string{"-key", junk, file}, 2, "", "audit-verify: " + junk + ": the public key cannot be read: "},
	} {
		t.Run(name, func(t *testing.T) {
			var out, log strings.Builder
			code := run(test.args, &out, &log)
			if code != test.code || !strings.HasPrefix(out.String(), test.out) || !strings.HasPrefix(log.String(), test.log) {
				t.Errorf("got %d\n%s\n%s", code, out.String(), log.String())
			}
			if (test.out == "") != (out.Len() == 0) || (test.log == "") != (log.Len() == 0) {
				t.Errorf("got more than wanted: %q, %q", out.String(), log.String())
			}
		})
	}
}
