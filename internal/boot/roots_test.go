package boot

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// published is what https://www.amazontrust.com/repository/ says that a store has
// to have in it: the names, and the SHA-256 of the public keys (DER).
var published = map[string]string{
	"Amazon Root CA 1": "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
	"Amazon Root CA 2": "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
	"Amazon Root CA 3": "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
	"Amazon Root CA 4": "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
	"Starfield Services Root Certificate Authority - G2": "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92",
}

// TestRoots fails a year before one of them expires.
func TestRoots(t *testing.T) {
	got := map[string]string{}
	for block, rest := pem.Decode(roots); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		key := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		got[c.Subject.CommonName] = hex.EncodeToString(key[:])
		if err := c.CheckSignatureFrom(c); err != nil || !bytes.Equal(c.RawSubject, c.RawIssuer) {
			t.Errorf("%s is no root: %v", c.Subject, err)
		}
		if c.NotAfter.Before(time.Now().AddDate(1, 0, 0)) {
			t.Errorf("%s expires on %s", c.Subject, c.NotAfter)
		}
	}
	if diff := cmp.Diff(published, got); diff != "" {
		t.Errorf("the roots (-want +got):\n%s", diff)
	}
}

// TestClient believes the authorities of Amazon, unless a file names others.
func TestClient(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	own := filepath.Join(t.TempDir(), "own.pem")
	writeFile(t, own, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	none := filepath.Join(t.TempDir(), "none.pem")
	writeFile(t, none, "no certificate\n")
	for name, test := range map[string]struct{ bundle, fails, refuses string }{
		"Amazon's":  {"", "", "certificate signed by unknown authority"},
		"one's own": {own, "", ""},
		"no file":   {none + "x", "environment: AWS_CA_BUNDLE: open ", ""},
		"no PEM":    {none, "environment: AWS_CA_BUNDLE: " + none + " holds no certificate in PEM", ""},
	} {
		t.Run(name, func(t *testing.T) {
			env := new(Env)
			client := env.client(test.bundle)
			if err := env.Err(); err != nil || test.fails != "" {
				if err == nil || test.fails == "" || !strings.HasPrefix(err.Error(), test.fails) {
					t.Errorf("got %v, want %s", err, test.fails)
				}
				return
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			if test.refuses == "" && err != nil || test.refuses != "" && (err == nil || !strings.Contains(err.Error(), test.refuses)) {
				t.Errorf("got %v, want %q", err, test.refuses)
			}
		})
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
