package token

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// keysKept is how long keys are used before they are read again, so that one
	// which was withdrawn is not trusted for ever.
	keysKept = time.Hour
	// readAgain is how long the keys are not read again, whatever happens: anyone
	// can send a token that names a key which is not among them.
	readAgain   = 10 * time.Second
	readTimeout = 3 * time.Second
	maxKeySet   = 64 << 10
	minKeyBits  = 2048
)

// errNoKey says that the pool has no key of that name.
var errNoKey = errors.New("no such key")

// A Client sends requests.
type Client interface {
	Do(r *http.Request) (*http.Response, error)
}

// Keys are the public keys of a user pool. They are read when they are first
// used, and kept for a while.
type Keys struct {
	client Client
	url    string

	mu      sync.Mutex
	byID    map[string]*rsa.PublicKey // nil until they were read
	readAt  time.Time
	triedAt time.Time
	err     error // of the last try
}

// NewKeys returns the keys of the JSON Web Key Set at url, which client reads.
func NewKeys(client Client, url string) *Keys { return &Keys{client: client, url: url} }

// get returns the key with an ID. It fails with errNoKey if the pool has none
// such. While the keys cannot be read again it trusts those that it has.
func (k *Keys) get(ctx context.Context, id string) (*rsa.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	due := k.byID[id] == nil || time.Since(k.readAt) >= keysKept
	if due && (k.byID == nil || time.Since(k.triedAt) >= readAgain) {
		k.refresh(ctx)
	}
	switch key := k.byID[id]; {
	case key != nil:
		return key, nil
	case k.err != nil:
		return nil, k.err
	default:
		return nil, errNoKey
	}
}

// refresh reads the keys. It keeps the old ones if that fails.
func (k *Keys) refresh(ctx context.Context) {
	k.triedAt = time.Now()
	byID, err := k.read(ctx)
	k.err = err
	if err == nil {
		k.byID, k.readAt = byID, k.triedAt
	}
}

// A jwk is a key as RFC 7517 and RFC 7518 write it.
type jwk struct {
	ID        string `json:"kid"`
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

func (k *Keys) read(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("keys of the user pool: %w", err)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the keys of the user pool: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read the keys of the user pool: %s answered %s", k.url, resp.Status)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.UnmarshalRead(io.LimitReader(resp.Body, maxKeySet), &set); err != nil {
		return nil, fmt.Errorf("read the keys of the user pool: %w", err)
	}
	byID := make(map[string]*rsa.PublicKey, len(set.Keys))
	for _, j := range set.Keys {
		if key := j.publicKey(); key != nil {
			byID[j.ID] = key
		}
	}
	return byID, nil
}

// publicKey returns the key, or nil if it is not one to verify RS256 with.
func (j jwk) publicKey() *rsa.PublicKey {
	if j.ID == "" || j.Type != "RSA" || j.Use != "sig" || j.Algorithm != algorithm {
		return nil
	}
	n, err := base64.RawURLEncoding.DecodeString(j.Modulus)
	e, err2 := base64.RawURLEncoding.DecodeString(j.Exponent)
	if errors.Join(err, err2) != nil {
		return nil
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if key.N.BitLen() < minKeyBits || key.E < 3 {
		return nil
	}
	return key
}
