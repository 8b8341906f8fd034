package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
)

const maxKey = 255

// Idempotency says how an operation honours the header Idempotency-Key.
type Idempotency struct {
	Records RecordFinder
	// Key returns the key that hashes of bodies are made with.
	Key func(context.Context) ([]byte, error)
	// WriteOnly names the members of the body that hold secrets. They are not
	// compared.
	WriteOnly []string
}

// A RecordFinder finds what was answered before.
type RecordFinder interface {
	// Find returns the record of the scope, or fault.NotFound. One that has
	// expired is not found.
	Find(ctx context.Context, scope idempotency.Scope) (idempotency.Record, error)
}

// onceOnly is what a request needs in order to leave a record.
type onceOnly struct {
	scope    idempotency.Scope
	bodyHash string
}

// once answers r from the record of its key, or else lets the handler answer,
// which leaves a record in the transaction that takes effect (see Receipt).
func (i *Idempotency) once(ctx context.Context, op Operation, r *Request) (*Response, error) {
	key := r.Header("idempotency-key")
	if key == "" || len(key) > maxKey || !isVisibleASCII(key) {
		return nil, fault.New(fault.Malformed, "the Idempotency-Key must be 1 to %d visible ASCII characters", maxKey)
	}
	hash, err := i.bodyHash(ctx, r.Body)
	if err != nil {
		return nil, err
	}
	r.once = &onceOnly{idempotency.Scope{Caller: idempotencyCaller(r.Caller), Route: op.Name + " " + r.URI, Key: key}, hash}
	resp, err := i.replay(ctx, r.once)
	if !errors.Is(err, fault.NotFound) {
		return resp, err
	}
	resp, err = handle(ctx, op.Handle, r)
	if err == nil {
		return resp, nil
	}
	// A twin of the request may have been first, and so have changed what this
	// one failed at.
	replayed, err2 := i.replay(ctx, r.once)
	if err2 == nil || errors.Is(err2, fault.KeyReused) {
		return replayed, err2
	}
	return resp, err
}

// idempotencyCaller names whoever chose a key. Somebody who acts for a user does not
// share the user's keys.
func idempotencyCaller(c identity.Caller) string {
	if c.Impersonation != nil {
		return string(c.Subject) + " in " + c.Impersonation.ID
	}
	return string(c.Subject)
}

// replay answers what was answered before, or fails with fault.NotFound.
func (i *Idempotency) replay(ctx context.Context, o *onceOnly) (*Response, error) {
	record, err := i.Records.Find(ctx, o.scope)
	if err != nil {
		return nil, err
	}
	if record.BodyHash != o.bodyHash {
		return nil, fault.New(fault.KeyReused, "this Idempotency-Key came before with another body; use a new key for a new request")
	}
	header := maps.Clone(record.Header)
	header["idempotent-replayed"] = "true"
	return &Response{Status: record.Status, Header: header, Body: string(record.Body)}, nil
}

// bodyHash returns a keyed hash of the body's canonical form (RFC 8785), less
// the write-only members. A body that is not JSON is hashed as it is: it will be
// refused.
func (i *Idempotency) bodyHash(ctx context.Context, body []byte) (string, error) {
	key, err := i.Key(ctx)
	if err != nil {
		return "", fmt.Errorf("key of idempotency hashes: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(i.comparable(body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

func (i *Idempotency) comparable(body []byte) []byte {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(body, &members); err != nil {
		return body
	}
	for _, name := range i.WriteOnly {
		delete(members, name)
	}
	text, err := json.Marshal(members)
	if err != nil {
		return body
	}
	canonical := jsontext.Value(text)
	if err := canonical.Canonicalize(); err != nil {
		return body
	}
	return canonical
}

// Receipt returns the record to be written in the transaction that gives rise to
// resp, or nil if the client named no key. The body of resp must hold no secret.
func (r *Request) Receipt(resp *Response) (*idempotency.Record, error) {
	if r.once == nil {
		return nil, nil
	}
	body, err := json.Marshal(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("encode the answer to be remembered: %w", err)
	}
	return &idempotency.Record{
		Scope:     r.once.scope,
		BodyHash:  r.once.bodyHash,
		Status:    resp.Status,
		Header:    maps.Clone(resp.Header),
		Body:      body,
		ExpiresAt: time.Now().Add(idempotency.Lifetime),
	}, nil
}

// effects is the namespace of ids that are derived from requests.
var effects = uuid.MustParse("6f0b7a3e-52c1-4d0c-9f38-1f2f0c4be7a5")

// effectID returns an id for what the request brings about: the same for each
// request with the same idempotency key and body, and else a new one.
func (r *Request) effectID() string {
	if r.once == nil {
		return uuid.NewString()
	}
	s := r.once.scope
	return uuid.NewSHA1(effects, fmt.Appendf(nil, "%q", []string{s.Caller, s.Route, s.Key, r.once.bodyHash})).String()
}

func isVisibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
