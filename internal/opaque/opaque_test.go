package opaque_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/tenantry/tenantry/internal/opaque"
)

func TestNew(t *testing.T) {
	for _, prefix := range []string{opaque.ServiceKey, opaque.Impersonation} {
		one, two := opaque.New(prefix), opaque.New(prefix)
		secret, ok := strings.CutPrefix(one, prefix)
		bits, err := base64.RawURLEncoding.DecodeString(secret)
		if one == two || !ok || err != nil || len(bits) != 256/8 {
			t.Errorf("%s: got %q and %q", prefix, one, two)
		}
	}
}

func TestHashOf(t *testing.T) {
	token := opaque.New(opaque.ServiceKey)
	sum := sha256.Sum256([]byte(token))
	if got, want := string(opaque.HashOf(token)), base64.RawURLEncoding.EncodeToString(sum[:]); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
