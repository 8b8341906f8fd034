// Package idempotency remembers what was answered to a request that named a
// key, so that the same request gets the same answer and takes effect once.
package idempotency

import (
	"errors"
	"time"
)

// Lifetime is how long an answer is remembered.
const Lifetime = 24 * time.Hour

// ErrRecorded says that a write was given up because another request with the
// same key came first. Its answer is in the store.
var ErrRecorded = errors.New("another request with this idempotency key came first")

// A Scope is where a key is unique: callers and routes do not share keys.
type Scope struct {
	Caller string
	Route  string
	Key    string
}

// A Record is the answer to the first request with a key. It holds no secret.
type Record struct {
	Scope
	BodyHash  string // keyed, and without the members that are write-only
	Status    int
	Header    map[string]string
	Body      []byte
	ExpiresAt time.Time
}
