package trail

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
)

// sealedAfter is how old a record may be and have no place in the chain while
// younger ones have: longer than any transaction takes.
const sealedAfter = 10 * time.Minute

// A Fault is what is wrong with an export, at the first row where it shows.
type Fault struct {
	File    string
	Row     int    // the header is row 1
	ID      string // of the record, or "" where the row is none
	Seq     int64  // 0 where it has none
	Problem string
}

func (f *Fault) Error() string {
	text := fmt.Sprintf("%s, row %d", f.File, f.Row)
	if f.ID != "" {
		text += ", record " + f.ID
	}
	if f.Seq != 0 {
		text += fmt.Sprintf(", seq %d", f.Seq)
	}
	return text + ": " + f.Problem
}

func (at place) fault(format string, args ...any) error {
	return at.faultOf(audit.Event{}, format, args...)
}

func (at place) faultOf(e audit.Event, format string, args ...any) error {
	return &Fault{at.file, at.row, e.ID, e.Seq, fmt.Sprintf(format, args...)}
}

// Options says what an export is held against.
type Options struct {
	// Key is the public key that heads must be signed by, in DER, or nil for the one
	// that the files carry.
	Key []byte
	// Partial takes an export that neither begins with the first record nor ends
	// with the newest, and one without a head.
	Partial bool
}

// A Report is what was found in an export that is good.
type Report struct {
	Records     int         // sealed and not
	Unsealed    int         // nobody vouches for them
	First, Last int64       // the numbers of the records, where they are of one stream
	Head        *audit.Head // the newest, or nil
}

// Fingerprint returns the SHA-256 of a public key.
func Fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}

// ErrUnsealed says that nothing of an export can be told, as its stream had no head
// yet when the export was begun.
var ErrUnsealed = errors.New("there is no head, and nothing is sealed, so that nobody can tell anything: export one stream, without actor and action, a few minutes later")

// Verify checks an export: the files of its pages, newest first. It fails with a
// *Fault if the export is not what was sealed and signed, and with ErrUnsealed if
// nothing of it was when it was begun.
func Verify(files []File, o Options) (Report, error) {
	v := &verifier{options: o, chain: map[link]foundEvent{}}
	for _, f := range files {
		end, err := read(f)
		if err != nil {
			return Report{}, err
		}
		v.events, v.ends = append(v.events, end.above...), append(v.ends, end)
	}
	for _, check := range []func() error{v.records, v.order, v.heads, v.unseal, v.links, v.beginning, v.end, v.late} {
		if err := check(); err != nil {
			return Report{}, err
		}
	}
	return v.report(), nil
}

// A verifier holds all rows of an export.
type verifier struct {
	options Options
	events  []foundEvent
	ends    []foundHead
	chain   map[link]foundEvent
	oldest  *foundEvent // in the chain
	newest  *foundEvent
}

// A link is a place in the chain of a stream.
type link struct {
	stream audit.Stream
	seq    int64
}

// head returns the head that the newest file ends with, or nil.
func (v *verifier) head() *audit.Head { return v.ends[0].head }

// records checks each record by itself, and puts it into its place.
func (v *verifier) records() error {
	for _, e := range v.events {
		if !e.Sealed() {
			if e.Hash != "" || e.PrevHash != "" {
				return e.faultOf(e.Event, "has a hash and no seq")
			}
			continue
		}
		if hash, err := e.Digest(); err != nil || hash != e.Hash {
			return e.faultOf(e.Event, "was changed: its hash is not that of what it holds")
		}
		at := link{e.Stream(), e.Seq}
		if _, twice := v.chain[at]; twice {
			return e.faultOf(e.Event, "has the seq of another record")
		}
		v.chain[at] = e
	}
	return nil
}

// order checks that the rows go back in time.
func (v *verifier) order() error {
	for i := range v.events[:max(0, len(v.events)-1)] {
		newer, older := v.events[i], v.events[i+1]
		if cmp.Or(older.Time.Compare(newer.Time), cmp.Compare(older.ID, newer.ID)) >= 0 {
			return older.faultOf(older.Event, "is out of order: the row before is not newer")
		}
	}
	return nil
}

// heads checks the heads by themselves, and that all records are of their stream.
func (v *verifier) heads() error {
	if v.head() == nil && !v.options.Partial && !slices.ContainsFunc(v.ends[0].above, func(e foundEvent) bool { return e.Sealed() }) {
		return ErrUnsealed
	}
	for _, end := range v.ends {
		if end.head == nil {
			if v.options.Partial {
				continue
			}
			return end.fault("there is no head, so that nobody can tell whether records are missing; export one stream, without actor and action")
		}
		if err := v.signed(end); err != nil {
			return err
		}
		for _, e := range end.above {
			if e.Seq > end.head.Seq {
				return e.faultOf(e.Event, "is behind the head, which is seq %d: nobody has signed for it", end.head.Seq)
			}
		}
		for _, e := range v.events {
			if e.Stream() != end.head.Stream {
				return e.faultOf(e.Event, "is of the stream %s, the head of %s", e.Stream(), end.head.Stream)
			}
		}
		if e, found := v.chain[link{end.head.Stream, end.head.Seq}]; found && e.Hash != end.head.Hash {
			return e.faultOf(e.Event, "is not the record that the head was signed over")
		}
	}
	return nil
}

// signed checks the signature of a head.
func (v *verifier) signed(end foundHead) error {
	wanted := v.options.Key
	if wanted == nil && v.head() != nil {
		wanted = v.head().PublicKey
	}
	if wanted != nil && !bytes.Equal(end.head.PublicKey, wanted) {
		return end.fault("the head is signed by another key, %s", Fingerprint(end.head.PublicKey))
	}
	text, err := end.head.Statement()
	key, err2 := ParseKey(end.head.PublicKey)
	if err := cmp.Or(err, err2); err != nil {
		return end.fault("the head: %v", err)
	}
	sum := sha256.Sum256(text)
	if !ecdsa.VerifyASN1(key, sum[:], end.head.Value) {
		return end.fault("the signature is not that of the head")
	}
	return nil
}

// unseal finds the ends of the chain up to the newest head. An older page, made later,
// may have records behind that head. The head of their own page signs for them, but
// what comes before them may not be sealed on the newer page, so they count as not
// sealed.
func (v *verifier) unseal() error {
	head := v.head()
	for i, e := range v.events {
		switch {
		case !e.Sealed():
			continue
		case head != nil && e.Seq > head.Seq:
			delete(v.chain, link{e.Stream(), e.Seq})
			v.events[i].Seal = audit.Seal{}
			continue
		}
		if v.newest == nil || e.Seq > v.newest.Seq {
			v.newest = &v.events[i]
		}
		if v.oldest == nil || e.Seq < v.oldest.Seq {
			v.oldest = &v.events[i]
		}
	}
	return nil
}

// ParseKey reads a public key in DER.
func ParseKey(der []byte) (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("the public key cannot be read: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the public key is not one on the curve P-256")
	}
	return key, nil
}

// links checks that each record follows the one before. Without a head, records
// may be missing in between.
func (v *verifier) links() error {
	for _, e := range v.events {
		if !e.Sealed() {
			continue
		}
		before, found := v.chain[link{e.Stream(), e.Seq - 1}]
		switch {
		case e.Seq == 1 && e.PrevHash != audit.FirstHash, found && e.PrevHash != before.Hash:
			return e.faultOf(e.Event, "does not follow the record before: its prev_hash is another")
		case e.Seq > 1 && !found && v.head() != nil && e.Seq != v.oldest.Seq:
			return e.faultOf(e.Event, "seq %d, which comes before, is missing", e.Seq-1)
		}
	}
	return nil
}

// beginning checks that the chain begins with its first record.
func (v *verifier) beginning() error {
	if v.options.Partial || v.oldest == nil || v.oldest.Seq == 1 {
		return nil
	}
	return v.oldest.faultOf(v.oldest.Event, "the records before it are missing: the export begins at seq %d", v.oldest.Seq)
}

// end checks that the chain goes on to its head.
func (v *verifier) end() error {
	head := v.head()
	if v.options.Partial || head == nil {
		return nil
	}
	var last int64
	if v.newest != nil {
		last = v.newest.Seq
	}
	if last < head.Seq {
		return v.ends[0].fault("the newest records are missing: the head is seq %d, and the newest record seq %d", head.Seq, last)
	}
	return nil
}

// late checks that what has no place in the chain could not have one yet: records get
// theirs in the order of their times, but for those whose transaction took long. When
// the head was sealed says nothing, as the sealer may be hours behind.
func (v *verifier) late() error {
	if v.head() == nil {
		return nil
	}
	var youngest time.Time // of those that have a place
	for _, e := range v.chain {
		if e.Time.After(youngest) {
			youngest = e.Time
		}
	}
	for _, e := range v.events {
		if !e.Sealed() && e.Time.Before(youngest.Add(-sealedAfter)) {
			return e.faultOf(e.Event, "has no place in the chain, though much younger records have")
		}
	}
	return nil
}

func (v *verifier) report() Report {
	r := Report{Records: len(v.events), Unsealed: len(v.events) - len(v.chain), Head: v.head()}
	if r.Head != nil && v.newest != nil {
		r.First, r.Last = v.oldest.Seq, v.newest.Seq
	}
	return r
}
