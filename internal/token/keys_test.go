package token

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// transport answers as the pool does, without a network, so that time can stand
// still.
type transport struct {
	published []string // the names of the keys; nil for a pool that is down
	modulus   string
	reads     int
}

func (p *transport) RoundTrip(*http.Request) (*http.Response, error) {
	p.reads++
	if p.published == nil {
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Status: "503", Body: http.NoBody}, nil
	}
	var keys []string
	for _, id := range p.published {
		keys = append(keys, fmt.Sprintf(`{"kid":%q,"kty":"RSA","use":"sig","alg":"RS256","n":%q,"e":"AQAB"}`, id, p.modulus))
	}
	body := `{"keys":[` + strings.Join(keys, ",") + `]}`
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func newKeys(t *testing.T) (*Keys, *transport) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, minKeyBits)
	if err != nil {
		t.Fatal(err)
	}
	p := &transport{modulus: base64.RawURLEncoding.EncodeToString(new(big.Int).Set(key.N).Bytes())}
	return &Keys{client: &http.Client{Transport: p}, url: "http://pool.test"}, p
}

func TestKeys(t *testing.T) {
	const (
		known   = "known"
		unknown = "unknown"
		failed  = "failed"
	)
	type ask struct {
		after     time.Duration
		published []string // from then on
		id        string
		want      string
		reads     int // in all
	}
	one, two := []string{"one"}, []string{"two"}
	for name, asks := range map[string][]ask{
		"kept":                     {{0, one, "one", known, 1}, {59 * time.Minute, one, "one", known, 1}},
		"withdrawn":                {{0, one, "one", known, 1}, {time.Hour, two, "one", unknown, 2}},
		"rotated":                  {{0, one, "one", known, 1}, {time.Minute, two, "two", known, 2}, {0, two, "one", unknown, 2}},
		"read for tokens, bounded": {{0, one, "two", unknown, 1}, {9 * time.Second, two, "two", unknown, 1}, {time.Second, two, "two", known, 2}},
		"down at first":            {{0, nil, "one", failed, 1}, {0, one, "one", known, 2}},
		"down for a known key":     {{0, one, "one", known, 1}, {2 * time.Hour, nil, "one", known, 2}, {time.Second, nil, "one", known, 2}},
		"down for an unknown key":  {{0, one, "one", known, 1}, {time.Minute, nil, "two", failed, 2}, {time.Second, nil, "two", failed, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keys, p := newKeys(t)
				for i, a := range asks {
					time.Sleep(a.after)
					p.published = a.published
					key, err := keys.get(t.Context(), a.id)
					got := known
					switch {
					case errors.Is(err, errNoKey):
						got = unknown
					case err != nil:
						got = failed
					case key == nil:
						t.Fatalf("ask %d: got neither key nor error", i)
					}
					if got != a.want || p.reads != a.reads {
						t.Errorf("ask %d: got %s after %d reads, want %s after %d", i, got, p.reads, a.want, a.reads)
					}
				}
			})
		})
	}
}
