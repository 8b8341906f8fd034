package trail_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/trail"
)

var start = time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)

// A ledger is a stream as the sealer leaves it.
type ledger struct {
	tb     testing.TB
	key    *ecdsa.PrivateKey
	events []audit.Event // oldest first
	sealed int64
	last   audit.Hash
}

func newLedger(tb testing.TB, n int) *ledger {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	l := &ledger{tb: tb, key: key, last: audit.FirstHash}
	for i := range n {
		l.seal(l.record("T", time.Duration(i)*time.Minute))
	}
	return l
}

// record returns a record that came about some time after the start.
func (l *ledger) record(stream audit.Stream, after time.Duration) audit.Record {
	r := audit.Record{
		ID: fmt.Sprintf("%08d", int(after.Seconds())), Time: start.Add(after), TenantID: stream.TenantID(),
		Origin: audit.Origin{Actor: audit.Actor{Kind: audit.User, ID: "=cmd"}, RequestID: "'R"},
		Action: audit.TenantUpdated, Target: audit.Of("tenant", stream),
		Changes: []audit.Change{{Field: "name", From: "a, \"b\"\r\n", To: 9007199254740993}, {Field: "meta_data", Redacted: true}},
	}
	if int(after.Minutes())%2 == 1 {
		r.Changes, r.OnBehalfOf, r.OperationID = nil, "U", "O"
	}
	return r
}

// seal puts a record at the end of the chain.
func (l *ledger) seal(r audit.Record) {
	l.tb.Helper()
	l.sealed++
	e := audit.Event{Record: r, Seal: audit.Seal{Seq: l.sealed, PrevHash: l.last}}
	var err error
	if e.Hash, err = e.Digest(); err != nil {
		l.tb.Fatal(err)
	}
	l.last = e.Hash
	l.add(e)
}

func (l *ledger) add(e audit.Event) {
	l.events = append(l.events, e)
	slices.SortFunc(l.events, func(a, b audit.Event) int { return a.Time.Compare(b.Time) })
}

// head returns the signed head, as it is now.
func (l *ledger) head() audit.Head {
	return l.sign(audit.Head{Stream: l.events[0].Stream(), Seq: l.sealed, Hash: l.last, SealedAt: start.Add(time.Hour)})
}

func (l *ledger) sign(h audit.Head) audit.Head {
	l.tb.Helper()
	text, err := h.Statement()
	sum := sha256.Sum256(text)
	value, err2 := ecdsa.SignASN1(rand.Reader, l.key, sum[:])
	if err := errors.Join(err, err2); err != nil {
		l.tb.Fatal(err)
	}
	h.Signature = audit.Signature{Value: value, PublicKey: l.public()}
	return h
}

func (l *ledger) public() []byte {
	l.tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(&l.key.PublicKey)
	if err != nil {
		l.tb.Fatal(err)
	}
	return der
}

// rows returns the rows of an export: the header, the records newest first, and
// the head.
func (l *ledger) rows() []string {
	l.tb.Helper()
	rows := []string{trail.Header()}
	for _, e := range slices.Backward(l.events) {
		row, err := trail.Record(e)
		if err != nil {
			l.tb.Fatal(err)
		}
		rows = append(rows, row)
	}
	return append(rows, trail.Head(l.head()))
}

// without returns the rows without some.
func without(rows []string, drop ...int) []string {
	var left []string
	for i, row := range rows {
		if !slices.Contains(drop, i) {
			left = append(left, row)
		}
	}
	return left
}

func verify(rows []string, o trail.Options) (trail.Report, error) {
	return trail.Verify([]trail.File{{Name: "a.csv", Data: strings.NewReader(strings.Join(rows, ""))}}, o)
}

// bad fails the test unless an export is found to be bad at a row, as said.
func bad(t *testing.T, rows []string, o trail.Options, row int, seq int64, problem string) {
	t.Helper()
	_, err := verify(rows, o)
	fault, ok := errors.AsType[*trail.Fault](err)
	if !ok || fault.File != "a.csv" || fault.Row != row || fault.Seq != seq || !strings.Contains(fault.Problem, problem) {
		t.Errorf("got %v, want row %d, seq %d: %s", err, row, seq, problem)
	}
}

func good(t *testing.T, rows []string, o trail.Options) trail.Report {
	t.Helper()
	report, err := verify(rows, o)
	if err != nil {
		t.Errorf("got %v of a good export", err)
	}
	return report
}

// The rows of an export with five records: 1 is the header, 2 the record with seq
// 5, 6 that with seq 1, and 7 the head. In the tests they count from 0.
func TestVerify(t *testing.T) {
	l := newLedger(t, 5)
	rows := l.rows()
	for _, o := range []trail.Options{{}, {Key: l.public()}, {Partial: true}} {
		r := good(t, rows, o)
		if r.Records != 5 || r.Unsealed != 0 || r.First != 1 || r.Last != 5 || r.Head.Seq != 5 || r.Head.Stream != "T" {
			t.Errorf("got %+v", r)
		}
	}
	bad(t, without(rows, 3), trail.Options{}, 3, 4, "seq 3, which comes before, is missing")
	bad(t, without(rows, 3), trail.Options{Partial: true}, 3, 4, "seq 3, which comes before, is missing")
	bad(t, []string{rows[0], rows[1], rows[3], rows[2], rows[4], rows[5], rows[6]}, trail.Options{}, 4, 4, "out of order")
	bad(t, append(slices.Clone(rows[:2]), rows[1:]...), trail.Options{}, 3, 5, "the seq of another record")
	bad(t, without(rows, 1), trail.Options{}, 6, 0, "the newest records are missing: the head is seq 5, and the newest record seq 4")
	bad(t, without(rows, 5), trail.Options{}, 5, 2, "the export begins at seq 2")
	bad(t, without(rows, 1, 2, 3, 4, 5), trail.Options{}, 2, 0, "the newest records are missing: the head is seq 5, and the newest record seq 0")
	bad(t, without(rows, 0), trail.Options{}, 1, 0, "is not the header")
	bad(t, without(rows, 6), trail.Options{}, 7, 0, "the file ends without its last row")
	bad(t, rows[:0], trail.Options{}, 1, 0, "the file is empty")
	bad(t, append(slices.Clone(rows), rows[6]), trail.Options{}, 8, 0, "stands behind the last row")
	for _, part := range [][]string{without(rows, 1), without(rows, 5), without(rows, 1, 5)} {
		good(t, part, trail.Options{Partial: true})
	}
}

// A failer is a test, of rapid's or not.
type failer interface{ Fatal(args ...any) }

// cells returns the cells of CSV.
func cells(f failer, text string) [][]string {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		f.Fatal(err)
	}
	return rows
}

// decode returns what a file says, however that is written.
func decode(f failer, text string) string { return fmt.Sprintf("%q", cells(f, text)) }

// Whatever byte of an export is changed, it is found, or makes no difference.
func TestVerifyEveryByte(t *testing.T) {
	l := newLedger(t, 3)
	text := strings.Join(l.rows(), "")
	decoded := decode(t, text)
	for i := range text {
		for _, flip := range []byte{1, 2, 4, 0x20, 0x80} {
			changed := []byte(text)
			changed[i] ^= flip
			if _, err := verify([]string{string(changed)}, trail.Options{}); err == nil && decode(t, string(changed)) != decoded {
				t.Fatalf("byte %d, in %q, changed to %q is not found", i, text[max(0, i-20):i+1], changed[i])
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		i, b := rapid.IntRange(0, len(text)-1).Draw(rt, "at"), rapid.Byte().Draw(rt, "byte")
		changed := []byte(text)
		changed[i] = b
		_, err := verify([]string{string(changed)}, trail.Options{Key: l.public()})
		if _, found := errors.AsType[*trail.Fault](err); err != nil && !found {
			rt.Fatalf("got %v, which is no fault of the export", err)
		}
		if err == nil && decode(rt, string(changed)) != decoded {
			rt.Fatalf("byte %d changed to %q is not found", i, b)
		}
	})
}

// Of any parts of an export, put together in any way, only all of it is good.
func TestVerifyPieces(t *testing.T) {
	l := newLedger(t, 6)
	rows := l.rows()
	rapid.Check(t, func(rt *rapid.T) {
		picked := rapid.SliceOfN(rapid.IntRange(1, len(rows)-2), 0, 8).Draw(rt, "rows")
		pieces := []string{rows[0]}
		for _, i := range picked {
			pieces = append(pieces, rows[i])
		}
		_, err := verify(append(pieces, rows[len(rows)-1]), trail.Options{})
		if whole := slices.Equal(picked, []int{1, 2, 3, 4, 5, 6}); whole != (err == nil) {
			rt.Fatalf("rows %v: got %v", picked, err)
		}
	})
}

// A record whose transaction took long is sealed after younger ones. Its row
// stands where its time says.
func TestVerifyLateRecord(t *testing.T) {
	l := newLedger(t, 3)
	l.seal(l.record("T", 90*time.Second)) // seq 4, between 2 and 3
	rows := l.rows()
	if r := good(t, rows, trail.Options{}); r.Last != 4 {
		t.Errorf("got %+v", r)
	}
	bad(t, without(rows, 2), trail.Options{}, 5, 0, "the newest records are missing")
	bad(t, without(rows, 1), trail.Options{}, 2, 4, "seq 3, which comes before, is missing")
}

// What is not sealed yet is counted, and is not protected; but it must be young.
func TestVerifyUnsealed(t *testing.T) {
	l := newLedger(t, 3)
	l.add(audit.Event{Record: l.record("T", 70*time.Minute)})
	l.seal(l.record("T", 65*time.Minute))
	l.add(audit.Event{Record: l.record("T", 55*time.Minute)}) // its transaction took long
	if r := good(t, l.rows(), trail.Options{}); r.Records != 6 || r.Unsealed != 2 || r.Last != 4 {
		t.Errorf("got %+v", r)
	}
	l.add(audit.Event{Record: l.record("T", 54*time.Minute)})
	for _, o := range []trail.Options{{}, {Key: l.public()}, {Partial: true}} {
		bad(t, l.rows(), o, 5, 0, "has no place in the chain, though much younger records have")
	}

	stripped := newLedger(t, 3)
	stripped.events[1].Seal = audit.Seal{}
	bad(t, stripped.rows(), trail.Options{}, 2, 3, "seq 2, which comes before, is missing")
	halfway := newLedger(t, 1)
	halfway.add(audit.Event{Record: l.record("T", 55*time.Minute), Seal: audit.Seal{Hash: "h"}})
	bad(t, halfway.rows(), trail.Options{}, 2, 0, "has a hash and no seq")
}

// TestVerifyBacklog exports while the sealer is far behind: what it seals an hour
// late, oldest first, leaves younger records without a place.
func TestVerifyBacklog(t *testing.T) {
	l := newLedger(t, 3) // sealed at minute 60
	for i := range 50 {
		l.add(audit.Event{Record: l.record("T", time.Duration(3+i)*time.Minute)})
	}
	for _, o := range []trail.Options{{}, {Key: l.public()}, {Partial: true}} {
		if r := good(t, l.rows(), o); r.Records != 53 || r.Unsealed != 50 || r.Last != 3 {
			t.Errorf("got %+v", r)
		}
	}
	rows := l.rows()
	recent := append(slices.Clone(rows[:11]), rows[len(rows)-1]) // as with from
	if r := good(t, recent, trail.Options{Partial: true}); r.Records != 10 || r.Unsealed != 10 {
		t.Errorf("got %+v", r)
	}
	bad(t, recent, trail.Options{}, 12, 0, "the newest records are missing")
}

// TestVerifyBeforeSealing exports a stream of which nothing is sealed yet, or was when
// its newest page was made. That is not good, and not bad either.
func TestVerifyBeforeSealing(t *testing.T) {
	l := newLedger(t, 0)
	for i := range 4 {
		l.add(audit.Event{Record: l.record("T", time.Duration(i)*time.Minute)})
	}
	first := func(n int) []string {
		var rows []string
		for _, e := range slices.Backward(l.events[n:]) {
			row, err := trail.Record(e)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		return append(append([]string{trail.Header()}, rows...), trail.NoHead())
	}
	if _, err := verify(first(0), trail.Options{Key: l.public()}); !errors.Is(err, trail.ErrUnsealed) {
		t.Errorf("got %v, want %v", err, trail.ErrUnsealed)
	}
	if _, err := verify([]string{trail.Header(), trail.NoHead()}, trail.Options{}); !errors.Is(err, trail.ErrUnsealed) {
		t.Errorf("nothing: got %v, want %v", err, trail.ErrUnsealed)
	}
	if r := good(t, first(0), trail.Options{Partial: true}); r.Records != 4 || r.Unsealed != 4 {
		t.Errorf("got %+v", r)
	}
	newer := first(2)
	sealed := newLedger(t, 2)
	_, err := trail.Verify([]trail.File{
		{Name: "new.csv", Data: strings.NewReader(strings.Join(newer, ""))},
		{Name: "old.csv", Data: strings.NewReader(strings.Join(sealed.rows(), ""))},
	}, trail.Options{})
	if !errors.Is(err, trail.ErrUnsealed) {
		t.Errorf("sealed between two pages: got %v, want %v", err, trail.ErrUnsealed)
	}
}

// Nobody has signed for what is behind the head, whatever it holds.
func TestVerifyBehindHead(t *testing.T) {
	l := newLedger(t, 3)
	head := trail.Head(l.head())
	l.seal(l.record("T", 58*time.Minute))
	rows := append(slices.Clone(l.rows()[:5]), head)
	for _, o := range []trail.Options{{}, {Key: l.public()}, {Partial: true}} {
		bad(t, rows, o, 2, 4, "is behind the head, which is seq 3: nobody has signed for it")
	}
	l.seal(l.record("T", 50*time.Minute)) // its row is below
	bad(t, append(slices.Clone(l.rows()[:6]), head), trail.Options{}, 2, 4, "is behind the head")
	// An old head, with all records after it taken away, is the export of that time:
	// only a later head tells.
	good(t, append([]string{rows[0]}, rows[2:]...), trail.Options{})
}

// A record whose transaction took long may be sealed between two pages. It is on the
// older one, whose head signs for it, and counts as not sealed, since that before it is
// not on the newer one.
func TestVerifySealedBetweenPages(t *testing.T) {
	l := newLedger(t, 3)
	l.add(audit.Event{Record: l.record("T", 59*time.Minute)})
	newer := l.rows()
	l.sealed, l.last = 4, "h4" // that record has its place when the older page is made
	l.seal(l.record("T", 55*time.Minute))
	older, row := trail.Head(l.head()), func(e audit.Event) string {
		text, err := trail.Record(e)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	late := row(l.events[3])
	pages := func(late string) (trail.Report, error) {
		return trail.Verify([]trail.File{
			{Name: "new.csv", Data: strings.NewReader(newer[0] + newer[1] + newer[5])},
			{Name: "old.csv", Data: strings.NewReader(newer[0] + late + strings.Join(newer[2:5], "") + older)},
		}, trail.Options{Key: l.public()})
	}
	if r, err := pages(late); err != nil || r.Records != 5 || r.Unsealed != 2 || r.Last != 3 || r.Head.Seq != 3 {
		t.Errorf("got %+v (%v)", r, err)
	}
	for problem, text := range map[string]string{
		"was changed":                                     strings.Replace(late, "tenant.updated", "tenant.deleted", 1),
		"is behind the head, which is seq 5":              row(behind(t, l.events[3], 6)),
		"is not the record that the head was signed over": row(behind(t, l.events[3], 5)),
	} {
		if _, err := pages(text); err == nil || !strings.Contains(err.Error(), "old.csv, row 2, record 00003300") || !strings.Contains(err.Error(), problem) {
			t.Errorf("got %v, want %s", err, problem)
		}
	}
}

// behind returns an event with another place in a chain that is whole in itself.
func behind(t *testing.T, e audit.Event, seq int64) audit.Event {
	t.Helper()
	e.Seal = audit.Seal{Seq: seq, PrevHash: "p"}
	var err error
	if e.Hash, err = e.Digest(); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestVerifySignature(t *testing.T) {
	l, forger := newLedger(t, 3), newLedger(t, 3)
	forger.events, forger.last, forger.sealed = slices.Clone(l.events), l.last, l.sealed
	bad(t, forger.rows(), trail.Options{Key: l.public()}, 5, 0, "signed by another key, "+trail.Fingerprint(forger.public()))
	good(t, forger.rows(), trail.Options{}) // the fingerprint tells

	rows := l.rows()
	for what, change := range map[string]func(*audit.Head){
		"its time":         func(h *audit.Head) { h.SealedAt = h.SealedAt.Add(time.Millisecond) },
		"its seq":          func(h *audit.Head) { h.Seq = 2; h.Hash = l.events[1].Hash },
		"its hash":         func(h *audit.Head) { h.Hash = l.events[1].Hash },
		"another's value":  func(h *audit.Head) { h.Value = forger.head().Value },
		"no value":         func(h *audit.Head) { h.Value = nil },
		"another's key":    func(h *audit.Head) { h.PublicKey = forger.public() },
		"the other stream": func(h *audit.Head) { h.Stream = audit.Platform },
	} {
		h := l.head()
		change(&h)
		if _, err := verify(append(rows[:4:4], trail.Head(h)), trail.Options{}); err == nil || !strings.Contains(err.Error(), "the signature is not that of the head") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	h := l.head()
	h.PublicKey = []byte("key")
	bad(t, append(rows[:4:4], trail.Head(h)), trail.Options{}, 5, 0, "the public key cannot be read")

	// One who can sign, and rewrote the past, does not fit what is kept elsewhere; but
	// a head must be that of the records.
	h = l.sign(audit.Head{Stream: "T", Seq: 3, Hash: l.events[0].Hash, SealedAt: start})
	bad(t, append(rows[:4:4], trail.Head(h)), trail.Options{}, 2, 3, "is not the record that the head was signed over")
	h = l.sign(audit.Head{Stream: "U", Seq: 3, Hash: l.last, SealedAt: start.Add(time.Hour)})
	bad(t, append(rows[:4:4], trail.Head(h)), trail.Options{}, 2, 3, "is of the stream T, the head of U")
}

// A chain that is whole in itself, but is not the one that was signed.
func TestVerifyRewritten(t *testing.T) {
	l := newLedger(t, 4)
	rows := l.rows()
	forged := newLedger(t, 0)
	for _, e := range l.events {
		e.Action = audit.TenantDeleted
		forged.seal(e.Record)
	}
	bad(t, append(forged.rows()[:5], rows[5]), trail.Options{}, 2, 4, "is not the record that the head was signed over")
	bad(t, []string{rows[0], rows[1], forged.rows()[2], rows[3], rows[4], rows[5]}, trail.Options{}, 2, 4, "does not follow the record before")
}

// The pages of an export are checked together.
func TestVerifyPages(t *testing.T) {
	l := newLedger(t, 6)
	l.seal(l.record("T", 150*time.Second)) // seq 7, on the page of the older ones
	rows := l.rows()
	head := rows[8]
	l.seal(l.record("T", 10*time.Minute)) // after the first page was read
	later := trail.Head(l.head())
	page := func(end string, rows ...string) string { return trail.Header() + strings.Join(rows, "") + end }
	pages := func(o trail.Options, texts ...string) error {
		var files []trail.File
		for i, text := range texts {
			files = append(files, trail.File{Name: fmt.Sprint("page", i+1), Data: strings.NewReader(text)})
		}
		_, err := trail.Verify(files, o)
		return err
	}
	first, second, third := page(head, rows[1:4]...), page(later, rows[4:6]...), page(later, rows[6:8]...)
	if err := pages(trail.Options{Key: l.public()}, first, second, third); err != nil {
		t.Error(err)
	}
	for want, err := range map[string]error{
		"page1, row 4, record 00000180, seq 4: seq 3, which comes before, is missing":                                                      pages(trail.Options{}, first, third),
		"page2, row 2, record 00000300, seq 6: is out of order: the row before is not newer":                                               pages(trail.Options{}, second, first, third),
		"page1, row 5: the newest records are missing: the head is seq 8, and the newest record seq 7":                                     pages(trail.Options{}, page(later, rows[1:4]...), second, third),
		"page2, row 4: there is no head, so that nobody can tell whether records are missing; export one stream, without actor and action": pages(trail.Options{}, first, page(trail.NoHead(), rows[4:6]...), third),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Without a head there is no telling what is missing, but a record that was changed
// is found, and one that does not follow its neighbour.
func TestVerifyWithoutHead(t *testing.T) {
	l, other := newLedger(t, 3), newLedger(t, 0)
	other.seal(other.record(audit.Platform, 150*time.Second))
	foreign, err := trail.Record(other.events[0])
	if err != nil {
		t.Fatal(err)
	}
	rows := l.rows()
	all := []string{rows[0], foreign, rows[1], rows[2], rows[3], trail.NoHead()}
	bad(t, all, trail.Options{}, 6, 0, "there is no head")
	if r := good(t, all, trail.Options{Partial: true}); r.Records != 4 || r.Head != nil {
		t.Errorf("got %+v", r)
	}
	good(t, without(all, 3), trail.Options{Partial: true})
	all[2] = strings.Replace(all[2], "tenant.updated", "tenant.deleted", 1)
	bad(t, all, trail.Options{Partial: true}, 3, 3, "was changed")
	bad(t, []string{rows[0], strings.Replace(trail.NoHead(), ",", ",x", 1)}, trail.Options{Partial: true}, 2, 0, `id is "x"`)
	bad(t, []string{rows[0], strings.Replace(trail.NoHead(), "no_head", "end", 1)}, trail.Options{}, 2, 0, `of the kind "end"`)
}

// A cell means what it is written as and nothing else, and no spreadsheet takes it
// for a formula.
func TestCells(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[=+\-@'\t",;a-z \x{e9}]{0,6}`)
		e := audit.Event{Record: audit.Record{
			ID: text.Draw(rt, "id"), Time: start, Action: audit.Action(text.Draw(rt, "action")),
			Origin:  audit.Origin{Actor: audit.Actor{Kind: "user", ID: text.Draw(rt, "actor")}, RequestID: text.Draw(rt, "request")},
			Target:  audit.Target{Kind: text.Draw(rt, "kind"), ID: text.Draw(rt, "target")},
			Changes: []audit.Change{{Field: "f", From: rapid.String().Draw(rt, "from"), To: rapid.Float64Range(-1e30, 1e30).Draw(rt, "to")}},
		}, Seal: audit.Seal{Seq: 1, PrevHash: audit.FirstHash}}
		var err error
		if e.Hash, err = e.Digest(); err != nil {
			rt.Fatal(err)
		}
		row, err := trail.Record(e)
		if err != nil {
			rt.Fatal(err)
		}
		if _, err := verify([]string{trail.Header(), row, trail.NoHead()}, trail.Options{Partial: true}); err != nil {
			rt.Fatalf("%v: %s", err, row)
		}
		for _, cell := range cells(rt, row)[0] {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				rt.Fatalf("the cell %q begins as a formula does", cell)
			}
		}
	})
}

// That a file cannot be read says nothing of its content.
func TestVerifyUnreadable(t *testing.T) {
	broken := errors.New("broken")
	_, err := trail.Verify([]trail.File{{Name: "a.csv", Data: iotest.ErrReader(broken)}}, trail.Options{})
	if _, fault := errors.AsType[*trail.Fault](err); fault || !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
