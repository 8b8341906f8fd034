package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/identity"
)

// The format of what is hashed and signed never changes: people keep exports, and
// have verifiers of their own.
func TestFormat(t *testing.T) {
	e := audit.Event{
		Record: audit.Record{
			ID: "0c7f", Time: time.Date(2026, 11, 22, 8, 30, 0, 120e6, time.FixedZone("", 7*3600)), TenantID: "T",
			Origin: audit.Origin{Actor: audit.Actor{Kind: audit.User, ID: "A"}, OnBehalfOf: "U", RequestID: "R"},
			Action: audit.TenantUpdated, Target: audit.Of("tenant", identity.TenantID("T")),
			Changes: []audit.Change{
				{Field: "name", From: "é<\n", To: jsontext.Value(`{"b":1.0,"a":null}`)},
				{Field: "webhook_secret", Redacted: true},
			},
		},
		Seal: audit.Seal{Seq: 1, PrevHash: audit.FirstHash},
	}
	// Of {"action":"tenant.updated","actor":{"id":"A","kind":"user"},"changes":[{"field":"name","from":"é<\n","redacted":false,
	// "to":{"a":null,"b":1}},{"field":"webhook_secret","from":null,"redacted":true,"to":null}],"id":"0c7f","on_behalf_of":"U",
	// "operation_id":null,"prev_hash":"00…00","request_id":"R","seq":1,"target":{"id":"T","kind":"tenant"},"tenant_id":"T",
	// "time":"2026-11-22T01:30:00.120Z"}, without the line breaks.
	if got, err := e.Digest(); err != nil || got != "4a32d35d9d7831a1d78b475f840f0096ba2ca98c0a1cc18a9d8664f70e8e6934" {
		t.Errorf("got the hash %s (%v)", got, err)
	}
	h := audit.Head{Stream: audit.Platform, Seq: 7, Hash: "ab", SealedAt: e.Time}
	text, err := h.Statement()
	if want := `{"hash":"ab","sealed_at":"2026-11-22T01:30:00.120Z","seq":7,"stream":"platform"}`; err != nil || string(text) != want {
		t.Errorf("got the statement %s (%v), want %s", text, err, want)
	}
}

// Each stream has a chain of its own, and each batch one signature.
func TestSeal(t *testing.T) {
	m, s := newMemory(), newSigner(t)
	for i := range 250 {
		m.add("A", fmt.Sprint("a", i), time.Hour-time.Duration(i)*time.Second)
	}
	m.add("B", "b", time.Minute)
	m.add("", "p", time.Minute)
	var signatures atomic.Int64
	s.count = func() { signatures.Add(1) }
	sealer := &audit.Sealer{Store: m, Signer: s}
	for range 2 {
		if err := sealer.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.check(t, 0)
	}
	if n := signatures.Load(); n != 5 {
		t.Errorf("got %d signatures, want 3 for the large stream and 1 for each of the others", n)
	}
	for reference, e := range m.events["A"] {
		if want := fmt.Sprint("a", e.Seq-1); e.ID != want {
			t.Errorf("%s is number %d, not in the order of time", reference, e.Seq)
		}
	}
}

// A record waits for those that come about at the same time.
func TestSealWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.add("A", "new", 0)
		sealer := &audit.Sealer{Store: m, Signer: newSigner(t)}
		seal := func(unsealed int) {
			t.Helper()
			if err := sealer.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.check(t, unsealed)
		}
		seal(1)
		time.Sleep(time.Second)
		seal(1)
		time.Sleep(3 * time.Second)
		seal(0)
	})
}

// What takes too long is left to the next call.
func TestSealEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), newSigner(t)
		for i := range 20 * 99 {
			m.add("A", fmt.Sprint("a", i), time.Hour-time.Duration(i)*time.Second)
		}
		s.count = func() { time.Sleep(1500 * time.Millisecond) }
		sealer := &audit.Sealer{Store: m, Signer: s}
		start := time.Now()
		if err := sealer.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 25*time.Second {
			t.Errorf("it took %v", took)
		}
		m.check(t, 6*99)
		if err := sealer.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.check(t, 0)
	})
}

// Large records are sealed by more transactions.
func TestSealLargeRecords(t *testing.T) {
	m, s := newMemory(), newSigner(t)
	large := audit.Change{Field: "system_prompt", To: strings.Repeat("x", 300<<10)}
	for i := range 20 {
		m.add("A", fmt.Sprint("a", i), time.Hour-time.Duration(i)*time.Second, large)
	}
	var signatures atomic.Int64
	s.count = func() { signatures.Add(1) }
	if err := (&audit.Sealer{Store: m, Signer: s}).Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.check(t, 0)
	if n := signatures.Load(); n != 4 {
		t.Errorf("got %d signatures, want 4: six records of 300 KiB are below 2 MiB", n)
	}
}

// A stream that fails keeps no other waiting. It is logged once, by its name.
func TestSealFails(t *testing.T) {
	m, log := newMemory(), logged(t)
	m.most = 10
	for i := range 25 {
		name := fmt.Sprint("r", i)
		m.add("A", name, time.Hour-time.Duration(i)*time.Second, audit.Change{Field: "name", To: jsontext.Value("{")})
		m.add("B", name, time.Hour-time.Duration(i)*time.Second)
	}
	err := (&audit.Sealer{Store: m, Signer: newSigner(t)}).Seal(t.Context())
	if err == nil || err.Error() != "1 streams of the audit could not be sealed" {
		t.Errorf("got %v", err)
	}
	m.check(t, 25)
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `level=ERROR msg="audit not sealed" tenant_id=A error="`) {
		t.Errorf("logged %s", text)
	}
}

// Nor does one whose calls hang: not even as many as are sealed at once.
func TestSealHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, log := newMemory(), logged(t)
		m.bad = map[audit.Stream]func(context.Context) error{}
		for i := range 8 {
			m.add(identity.TenantID(fmt.Sprint("A", i)), "a", time.Hour)
			m.bad[audit.Stream(fmt.Sprint("A", i))] = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		}
		m.add("B", "b", time.Minute)
		start := time.Now()
		err := (&audit.Sealer{Store: m, Signer: newSigner(t)}).Seal(t.Context())
		if took := time.Since(start); err == nil || took > 11*time.Second || strings.Count(log.String(), "\n") != 8 {
			t.Errorf("got %v after %v, and the log %s", err, took, log)
		}
		m.check(t, 8)
	})
}

// A stream with more records than there is time for keeps no other waiting either.
func TestSealByTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), newSigner(t)
		for _, stream := range []identity.TenantID{"A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7"} {
			for i := range 20 * 99 {
				m.add(stream, fmt.Sprint("a", i), time.Hour-time.Duration(i)*time.Second)
			}
		}
		m.add("B", "b", time.Minute)
		s.count = func() { time.Sleep(1500 * time.Millisecond) }
		if err := (&audit.Sealer{Store: m, Signer: s}).Seal(t.Context()); err != nil {
			t.Error(err)
		}
		if m.heads["B"].Seq != 1 || m.heads["A0"].Seq < 10*99 || m.heads["A0"].Seq == 20*99 {
			t.Errorf("got %d of B, and %d of A0", m.heads["B"].Seq, m.heads["A0"].Seq)
		}
	})
}

// What is found at once is not all that is sealed by one call, while there is time.
func TestSealGoesOn(t *testing.T) {
	m := newMemory()
	m.most = 10
	for i := range 95 {
		m.add("A", fmt.Sprint("a", i), time.Hour-time.Duration(i)*time.Second)
	}
	sealer := &audit.Sealer{Store: m, Signer: newSigner(t)}
	if err := sealer.Seal(t.Context()); err != nil {
		t.Error(err)
	}
	m.check(t, 0)
	m.stale = true // an index that lags has it look at the same records again, and end
	if err := sealer.Seal(t.Context()); err != nil {
		t.Error(err)
	}
}

// logged returns what is logged during the test.
func logged(t *testing.T) *strings.Builder {
	t.Helper()
	var text strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &text
}

// Sealers at once, that die at any call, over an index that lags, leave chains
// that are whole; the last of them finishes what the others left.
func TestSealersDie(t *testing.T) {
	log := logged(t)
	rapid.Check(t, func(rt *rapid.T) {
		m, s := newMemory(), newSigner(t)
		m.stale = rapid.Bool().Draw(rt, "stale")
		for stream, n := range map[identity.TenantID]int{"A": rapid.IntRange(1, 250).Draw(rt, "a"), "": rapid.IntRange(1, 5).Draw(rt, "p")} {
			for i := range n {
				m.add(stream, fmt.Sprint("r", i), time.Hour-time.Duration(i)*time.Second)
			}
		}
		fates := rapid.SliceOfN(rapid.IntRange(0, 8), 1, 60).Draw(rt, "fates")
		var calls atomic.Int64
		dies := func() error {
			if i := int(calls.Add(1)); i < len(fates) && fates[i] == 0 {
				return errDied
			}
			return nil
		}
		m.before, m.after, s.after = func(string) error { return dies() }, func(string) error { return dies() }, dies
		var sealers sync.WaitGroup
		for range rapid.IntRange(1, 4).Draw(rt, "sealers") {
			sealers.Go(func() {
				for range 3 {
					_ = (&audit.Sealer{Store: m, Signer: s}).Seal(t.Context()) // as good as that it died
				}
			})
		}
		sealers.Wait()
		unsealed := 0
		for _, events := range m.events {
			for _, e := range events {
				if !e.Sealed() {
					unsealed++
				}
			}
		}
		m.check(t, unsealed)
		calls.Store(1000) // from now on nothing dies
		if err := (&audit.Sealer{Store: m, Signer: s}).Seal(t.Context()); err != nil {
			t.Error(err)
		}
		m.check(t, 0)
	})
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, errDied.Error()) {
			t.Errorf("a sealer failed by another: %s", line)
		}
	}
}
