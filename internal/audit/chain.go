package audit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/identity"
)

// A Stream is the records of one tenant, or of the platform. Each has a chain of
// its own. It is named by the tenant's id.
type Stream string

// Platform is the stream of what belongs to no tenant.
const Platform = "platform"

// StreamOf returns the stream of a tenant's records, or of the platform's for "".
func StreamOf(id identity.TenantID) Stream { return cmp.Or(Stream(id), Platform) }

// TenantID returns the tenant whose stream it is, or "".
func (s Stream) TenantID() identity.TenantID {
	if s == Platform {
		return ""
	}
	return identity.TenantID(s)
}

// A Hash is a SHA-256, in lower-case hexadecimal digits.
type Hash string

// FirstHash stands for the hash before the first record of a stream.
var FirstHash = Hash(strings.Repeat("0", 2*sha256.Size))

// A Seal is the place of a record in the chain of its stream. The zero value says
// that it has none yet.
type Seal struct {
	Seq      int64 // 1 for the first
	PrevHash Hash  // that of the record before, or FirstHash
	Hash     Hash  // over the record, Seq and PrevHash
}

// An Event is a record and its seal.
type Event struct {
	Record
	Seal
}

// Sealed reports whether the record has a place in the chain.
func (e Event) Sealed() bool { return e.Seq > 0 }

// Stream returns the stream that the record belongs to.
func (r Record) Stream() Stream { return StreamOf(r.TenantID) }

// A Head is the end of a stream's chain, signed. The zero value, but for its
// stream, is that of a chain which has no record yet.
type Head struct {
	Stream   Stream
	Seq      int64
	Hash     Hash
	SealedAt time.Time
	Signature
}

// A Signature is made over the statement of a head. PublicKey is what it is checked
// with, in DER (SubjectPublicKeyInfo); Value is in DER as well (ECDSA with SHA-256).
type Signature struct {
	Value     []byte
	PublicKey []byte
}

// statement is what is signed of a head. Its names and forms never change.
type statement struct {
	Stream   Stream `json:"stream"`
	Seq      int64  `json:"seq"`
	Hash     Hash   `json:"hash"`
	SealedAt string `json:"sealed_at"`
}

// Statement returns what is signed of the head, as canonical JSON (RFC 8785).
func (h Head) Statement() ([]byte, error) {
	text, err := Canonical(statement{h.Stream, h.Seq, h.Hash, FormatTime(h.SealedAt)})
	if err != nil {
		return nil, fmt.Errorf("statement of the head of %s: %w", h.Stream, err)
	}
	return text, nil
}

// after returns the seal of a record that comes next in the chain.
func (h Head) after(r Record) (Seal, error) {
	e := Event{r, Seal{Seq: h.Seq + 1, PrevHash: cmp.Or(h.Hash, FirstHash)}}
	hash, err := e.Digest()
	e.Hash = hash
	return e.Seal, err
}

// Digest returns the hash that the event must have: over its document.
func (e Event) Digest() (Hash, error) {
	text, err := Canonical(NewDocument(e))
	if err != nil {
		return "", fmt.Errorf("hash audit record %s: %w", e.ID, err)
	}
	sum := sha256.Sum256(text)
	return Hash(hex.EncodeToString(sum[:])), nil
}

// A Document is an event as it is hashed: all of it but the hash. Clients get the
// same, so that they can hash it too. Its names and forms never change.
type Document struct {
	ID          string             `json:"id"`
	Time        string             `json:"time"`
	TenantID    *identity.TenantID `json:"tenant_id"`
	Actor       ActorDocument      `json:"actor"`
	OnBehalfOf  *identity.UserID   `json:"on_behalf_of"`
	Action      Action             `json:"action"`
	Target      TargetDocument     `json:"target"`
	Changes     []ChangeDocument   `json:"changes"`
	RequestID   *string            `json:"request_id"`
	OperationID *string            `json:"operation_id"`
	Seq         *int64             `json:"seq"`
	PrevHash    *Hash              `json:"prev_hash"`
}

// An ActorDocument is an actor as it is hashed.
type ActorDocument struct {
	Kind ActorKind `json:"kind"`
	ID   string    `json:"id"`
}

// A TargetDocument is a target as it is hashed.
type TargetDocument struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// A ChangeDocument is a change as it is hashed.
type ChangeDocument struct {
	Field    string `json:"field"`
	From     any    `json:"from"`
	To       any    `json:"to"`
	Redacted bool   `json:"redacted"`
}

// NewDocument returns the document of an event.
func NewDocument(e Event) Document {
	d := Document{
		ID:          e.ID,
		Time:        FormatTime(e.Time),
		TenantID:    orNull(e.TenantID),
		Actor:       ActorDocument(e.Actor),
		OnBehalfOf:  orNull(e.OnBehalfOf),
		Action:      e.Action,
		Target:      TargetDocument(e.Target),
		Changes:     []ChangeDocument{},
		RequestID:   orNull(e.RequestID),
		OperationID: orNull(e.OperationID),
		Seq:         orNull(e.Seq),
		PrevHash:    orNull(e.PrevHash),
	}
	for _, c := range e.Changes {
		d.Changes = append(d.Changes, ChangeDocument(c))
	}
	return d
}

// A Filter says which records are wanted.
type Filter struct {
	Stream Stream    // "" for all, and then From and To are set
	Actor  string    // the id of who did it, or "" for anybody
	Action Action    // or "" for any
	From   time.Time // the first instant that is wanted; the zero time for the beginning
	To     time.Time // the first that is not; the zero time for no end
}

func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// FormatTime writes a time as it is hashed: in UTC, to the millisecond.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Canonical returns v as canonical JSON (RFC 8785).
func Canonical(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(text)
	if err := value.Canonicalize(); err != nil {
		return nil, err
	}
	return value, nil
}
