package dynamodb

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// tokenLife is how long a transaction's token is remembered.
const tokenLife = 10 * time.Minute

// tokens remembers the transactions that carried a ClientRequestToken.
type tokens struct {
	mu      sync.Mutex
	entries map[string]*tokenEntry
	swept   time.Time
}

// A tokenEntry is a transaction that runs or has succeeded.
type tokenEntry struct {
	request [sha256.Size]byte
	done    chan struct{} // closed when the transaction has ended
	answer  *reply        // nil while it runs
	expires time.Time
}

// A ticket is the right to run the transaction of a token.
type ticket struct {
	tokens *tokens
	token  string
	entry  *tokenEntry
}

// begin returns a ticket, or the answer to the same transaction if that has
// succeeded in the last ten minutes. While the same transaction runs, begin
// waits for it, or fails if told not to.
func (t *tokens) begin(ctx context.Context, token string, actions json.RawMessage, wait bool) (*ticket, *reply, error) {
	request, err := fingerprint(actions)
	if err != nil {
		return nil, nil, err
	}
	for {
		entry, mine := t.enter(token, request)
		if mine {
			return &ticket{t, token, entry}, nil, nil
		}
		if entry.request != request {
			return nil, nil, failure(tokenMismatch, "The request uses the same client token as a previous, but non-identical request")
		}
		answer, err := entry.result(ctx, wait)
		if answer != nil || err != nil {
			return nil, answer, err
		}
	}
}

// enter returns the entry of a token, and whether it has just been made.
func (t *tokens) enter(token string, request [sha256.Size]byte) (entry *tokenEntry, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep()
	if entry := t.entries[token]; entry != nil && !entry.expired() {
		return entry, false
	}
	if t.entries == nil {
		t.entries = map[string]*tokenEntry{}
	}
	entry = &tokenEntry{request: request, done: make(chan struct{})}
	t.entries[token] = entry
	return entry, true
}

// sweep forgets what has expired, now and then.
func (t *tokens) sweep() {
	if time.Since(t.swept) < time.Minute {
		return
	}
	t.swept = time.Now()
	for token, entry := range t.entries {
		if entry.expired() {
			delete(t.entries, token)
		}
	}
}

// expired says whether the entry counts no more. One that still runs does.
func (e *tokenEntry) expired() bool {
	select {
	case <-e.done:
		return e.answer == nil || time.Now().After(e.expires)
	default:
		return false
	}
}

// result returns the answer of the entry's transaction, or nothing if that has
// failed.
func (e *tokenEntry) result(ctx context.Context, wait bool) (*reply, error) {
	if !wait {
		select {
		case <-e.done:
			return e.answer, nil
		default:
			return nil, failure(transactionRunning, "The transaction with the given request token is already in progress.")
		}
	}
	select {
	case <-e.done:
		return e.answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// end gives the ticket back, with the answer of the transaction if it has
// succeeded.
func (t *ticket) end(answer *reply) {
	t.tokens.mu.Lock()
	defer t.tokens.mu.Unlock()
	t.entry.answer = answer
	t.entry.expires = time.Now().Add(tokenLife)
	close(t.entry.done)
}

// fingerprint returns a hash that is the same for equal JSON, in whatever order
// its members stand.
func fingerprint(body json.RawMessage) (hash [sha256.Size]byte, err error) {
	var v any
	if err := decode(body, &v); err != nil {
		return hash, err
	}
	canonical, err := encode(v)
	if err != nil {
		return hash, fmt.Errorf("hash the transaction: %w", err)
	}
	return sha256.Sum256(canonical), nil
}
