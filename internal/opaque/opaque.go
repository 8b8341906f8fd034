// Package opaque makes tokens that say nothing by themselves: what they stand for
// is kept under their hash, so that whoever reads what is kept has no token.
package opaque

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// The prefixes by which tokens are told apart, and found where they have leaked.
const (
	ServiceKey    = "tnk_"
	Impersonation = "tni_"
)

const secretBytes = 32

// New returns a token that nobody can guess.
func New(prefix string) string {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // does not fail
	return prefix + base64.RawURLEncoding.EncodeToString(secret)
}

// A Hash is what is kept of a token.
type Hash string

// HashOf returns the SHA-256 of a token. As tokens are random, it needs no salt.
func HashOf(token string) Hash {
	sum := sha256.Sum256([]byte(token))
	return Hash(base64.RawURLEncoding.EncodeToString(sum[:]))
}
