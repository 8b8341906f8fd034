package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	tenantID = "0199c1a2-7b1e-7c61-9d3e-5f0a8a1b2c3d"
	noTenant = "0199c1a2-7b1e-7c61-9d3e-000000000000"
)

// tenantRow is a tenant as the table has it.
const tenantRow = `{"pk":{"S":"TENANT#` + tenantID + `"},"sk":{"S":"TENANT"},"version":{"N":"7"},"n":{"N":"12345"},
"bucket":{"N":"192"},"status_group":{"S":"active#3"},"meta_data":{"S":"{\"segment\":\"mid-market\",\"crm\":{\"id\":\"0015g00000AbCdE\"}}"},
"profile":{"M":{"id":{"S":"` + tenantID + `"},"name":{"S":"Analytical Engines Ltd"},"slug":{"S":"analytical-engines"},"status":{"S":"active"},
"country":{"S":"GB"},"billing_plan":{"S":"business"},"max_concurrent_calls":{"N":"50"},"monthly_call_limit":{"N":"100000"},
"max_agents":{"N":"25"},"max_contacts":{"N":"50000"},"max_messages_month":{"N":"100000"},"sip_enabled":{"BOOL":true},
"sip_domain":{"S":"sip.engines.example.com"},"sip_username":{"S":"engines"},"recording_enabled":{"BOOL":true},"recording_format":{"S":"wav"},
"analytics_enabled":{"BOOL":true},"hipaa_enabled":{"BOOL":false},"pci_enabled":{"BOOL":false},"data_encryption_enabled":{"BOOL":true},
"retention_days":{"N":"90"},"webhook_url":{"S":"https://hooks.engines.example.com/tenantry"},"webhook_timeout_seconds":{"N":"10"},
"isolation":{"S":"pooled"},"schema_version":{"N":"1"},"created_at":{"S":"2026-01-01T00:00:00Z"},"updated_at":{"S":"2026-06-01T00:00:00Z"}}}}`

// store answers for DynamoDB, at once: it has one tenant, and nothing else.
func store(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // who left needs no answer
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	text := "{}"
	if key := string(body); strings.Contains(key, tenantID) && strings.Contains(key, `{"S":"TENANT"}`) {
		text = `{"Item":` + tenantRow + `,"Items":[` + tenantRow + `]}` // for who gets it, and who asks what begins so
	}
	_, _ = io.WriteString(w, text)
}

// A secured is the store behind TLS, and the files of the authorities by which it
// is believed: few, as the functions have them, or many, as the system has.
type secured struct {
	*httptest.Server
	few, many string
}

// secure serves the store with a chain as AWS's endpoints have it: three
// certificates with RSA keys of 2048 bits.
func secure(dir, roots, system string) (*secured, error) {
	root, err := issue("Bench Root", nil)
	if err != nil {
		return nil, err
	}
	middle, err := issue("Bench Intermediate", root)
	if err != nil {
		return nil, err
	}
	leaf, err := issue("", middle)
	if err != nil {
		return nil, err
	}
	s := &secured{Server: httptest.NewUnstartedServer(http.HandlerFunc(store)), few: filepath.Join(dir, "few.pem"), many: filepath.Join(dir, "many.pem")}
	s.TLS = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.cert.Raw, middle.cert.Raw}, PrivateKey: leaf.key}},
	}
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw})
	for name, from := range map[string]string{s.few: roots, s.many: system} {
		text, err := os.ReadFile(from) //nolint:gosec // the lists of authorities
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(name, append(text, own...), 0o600); err != nil { //nolint:gosec // in our own folder
			return nil, err
		}
	}
	s.StartTLS()
	return s, nil
}

// An issuer is a certificate and its key.
type issuer struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// issue makes a certificate: of an authority with that name, or, without a name, of
// the store. Without an issuer it is its own.
func issue(name string, by *issuer) (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: name != "", KeyUsage: x509.KeyUsageCertSign,
	}
	if name == "" {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	if by == nil {
		by = &issuer{template, key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	return &issuer{cert, key}, err
}
