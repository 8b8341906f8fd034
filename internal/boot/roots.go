package boot

import (
	"crypto/x509"
	_ "embed"
	"fmt"
	"os"
)

// roots is the certificate authorities that Amazon Trust Services asks whoever
// keeps a store of their own to have in it
// (https://www.amazontrust.com/repository/). The store of the system has some 150,
// and reading them all takes longer than all else that a function does to start.
//
//go:embed roots.pem
var roots []byte

// authorities returns those in the file, or those of Amazon if file is empty.
func authorities(file string) (*x509.CertPool, error) {
	text := roots
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil { //nolint:gosec // the file is the operator's choice
			return nil, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("AWS_CA_BUNDLE: %s holds no certificate in PEM", file)
	}
	return pool, nil
}
