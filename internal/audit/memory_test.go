package audit_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// errDied is what a call fails with in a process that dies.
var errDied = errors.New("the process died")

// memory is an audit.SealStore.
type memory struct {
	mu     sync.Mutex
	events map[audit.Stream]map[audit.Reference]audit.Event
	heads  map[audit.Stream]audit.Head
	// stale has Unsealed return what is sealed too, as an index does that lags.
	stale bool
	// most is how many records of a stream Unsealed returns, or 0 for all.
	most int
	// bad are the streams whose head cannot be read.
	bad map[audit.Stream]func(context.Context) error
	// before and after decide whether a call fails before it takes effect, and after.
	before, after func(call string) error
}

func newMemory() *memory {
	pass := func(string) error { return nil }
	return &memory{
		events: map[audit.Stream]map[audit.Reference]audit.Event{},
		heads:  map[audit.Stream]audit.Head{}, before: pass, after: pass,
	}
}

// add adds a record that came about some time ago.
func (m *memory) add(id identity.TenantID, name string, age time.Duration, changes ...audit.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := audit.Record{
		ID: name, Time: time.Now().Add(-age).UTC().Truncate(time.Millisecond), TenantID: id,
		Origin: audit.Origin{Actor: audit.Actor{Kind: audit.User, ID: "U"}}, Action: audit.TenantUpdated,
		Target: audit.Of("tenant", id), Changes: changes,
	}
	stream := audit.StreamOf(id)
	if m.events[stream] == nil {
		m.events[stream] = map[audit.Reference]audit.Event{}
	}
	m.events[stream][referenceTo(r)] = audit.Event{Record: r}
}

func referenceTo(r audit.Record) audit.Reference {
	return audit.Reference(audit.FormatTime(r.Time) + "#" + r.ID)
}

// call makes a call, in between those of others.
func (m *memory) call(name string, f func() error) error {
	time.Sleep(mathrand.N(50 * time.Microsecond)) //nolint:gosec // mixes the calls of sealers, keeps no secret
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.before(name); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return m.after(name)
}

func (m *memory) Unsealed(_ context.Context, before time.Time) (backlogs []audit.Backlog, more bool, err error) {
	err = m.call("Unsealed", func() error {
		for _, stream := range slices.Sorted(maps.Keys(m.events)) {
			events := m.events[stream]
			b := audit.Backlog{Stream: stream}
			for _, reference := range slices.Sorted(maps.Keys(events)) {
				e := events[reference]
				switch {
				case !e.Time.Before(before) || !m.stale && e.Sealed():
				case m.most > 0 && len(b.References) == m.most:
					more = true
				default:
					b.References = append(b.References, reference)
				}
			}
			if b.References != nil {
				backlogs = append(backlogs, b)
			}
		}
		return nil
	})
	return backlogs, more, err
}

func (m *memory) Read(_ context.Context, stream audit.Stream, references []audit.Reference) (records []audit.Record, err error) {
	err = m.call("Read", func() error {
		for _, reference := range references {
			if e := m.events[stream][reference]; !e.Sealed() {
				records = append(records, e.Record)
			}
		}
		return nil
	})
	return records, err
}

func (m *memory) Head(ctx context.Context, stream audit.Stream) (head audit.Head, err error) {
	if fail := m.bad[stream]; fail != nil {
		return head, fail(ctx)
	}
	err = m.call("Head", func() error {
		head = m.heads[stream]
		head.Stream = stream
		return nil
	})
	return head, err
}

func (m *memory) Seal(_ context.Context, before, after audit.Head, events []audit.Event) error {
	return m.call("Seal", func() error {
		if len(events) > 99 {
			return fmt.Errorf("%d records in one transaction", len(events))
		}
		if m.heads[after.Stream].Seq != before.Seq {
			return fault.New(fault.Conflict, "the head moved")
		}
		for _, e := range events {
			if m.events[after.Stream][referenceTo(e.Record)].Sealed() {
				return fault.New(fault.Conflict, "sealed")
			}
		}
		for _, e := range events {
			m.events[after.Stream][referenceTo(e.Record)] = e
		}
		m.heads[after.Stream] = after
		return nil
	})
}

// check fails unless each stream is one unbroken chain of all but the unsealed
// records, of which there are to be as many as said, up to a head that is signed.
func (m *memory) check(tb testing.TB, unsealed int) {
	tb.Helper()
	for stream, events := range m.events {
		chain := slices.SortedFunc(maps.Values(events), func(a, b audit.Event) int { return cmp.Compare(a.Seq, b.Seq) })
		prev := audit.FirstHash
		var seq int64
		for _, e := range chain {
			if !e.Sealed() {
				unsealed--
				continue
			}
			seq++
			if want, err := e.Digest(); err != nil || e.Seq != seq || e.PrevHash != prev || e.Hash != want {
				tb.Fatalf("%s: record %s has the seal %+v after %d %s (%v)", stream, e.ID, e.Seal, seq-1, prev, err)
			}
			prev = e.Hash
		}
		head := m.heads[stream]
		if head.Seq != seq || seq > 0 && head.Hash != prev {
			tb.Fatalf("%s: the head is %d %s, the last record %d %s", stream, head.Seq, head.Hash, seq, prev)
		}
		if seq > 0 && !signed(tb, head) {
			tb.Errorf("%s: the head's signature is not good", stream)
		}
	}
	if unsealed != 0 {
		tb.Errorf("there are %d more unsealed records than wanted", -unsealed)
	}
}

func signed(tb testing.TB, h audit.Head) bool {
	tb.Helper()
	key, err := x509.ParsePKIXPublicKey(h.PublicKey)
	text, err2 := h.Statement()
	if err := errors.Join(err, err2); err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), sum[:], h.Value)
}

// A signer is an audit.Signer.
type signer struct {
	key   *ecdsa.PrivateKey
	after func() error
	count func()
}

func newSigner(tb testing.TB) *signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return &signer{key, func() error { return nil }, func() {}}
}

func (s *signer) Sign(_ context.Context, statement []byte) (audit.Signature, error) {
	s.count()
	sum := sha256.Sum256(statement)
	value, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	public, err2 := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	return audit.Signature{Value: value, PublicKey: public}, errors.Join(err, err2, s.after())
}
