package tenant

import (
	"context"
	"crypto/md5" //nolint:gosec // RFC 7616 names it, and most telephones know no other
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/conflict"
	"github.com/tenantry/tenantry/internal/identity"
)

// SIPCredentials are what a registrar checks the sign-ins of a tenant's SIP user
// with.
type SIPCredentials struct {
	Domain   string // the realm
	Username string
	Digests  []SIPDigest // of the passwords that are valid, the present one first
}

// A SIPDigest is H(A1) of one password (RFC 7616, section 3.4.2), by the two
// algorithms that SIP has (RFC 8760). Whoever holds it can sign in as the user.
type SIPDigest struct {
	ValidUntil *time.Time // nil for the present password
	MD5        string
	SHA256     string
}

// SIPCredentials returns what a tenant's SIP user signs in with at the moment. It
// fails with the faults of AdmitWriter, for a tenant that is not in service has no
// telephony, and with fault.NotFound if the tenant has no SIP.
func (s *Service) SIPCredentials(ctx context.Context, c identity.Caller, id identity.TenantID) (SIPCredentials, error) {
	return conflict.Retry(ctx, func() (SIPCredentials, error) {
		t, err := s.store.Get(ctx, id)
		if err != nil {
			return SIPCredentials{}, err
		}
		if err := t.AdmitWriter(c); err != nil {
			return SIPCredentials{}, err
		}
		secrets, err := s.readSecrets(ctx, t)
		if err != nil {
			return SIPCredentials{}, fmt.Errorf("secrets of tenant %s: %w", id, err)
		}
		if !t.SIPEnabled || secrets.SIP.Current == "" {
			return SIPCredentials{}, NoSIP(id)
		}
		return t.credentials(secrets.SIP, time.Now()), nil
	})
}

// credentials returns the credentials made of the passwords that are valid.
func (t Tenant) credentials(p SIPPasswords, now time.Time) SIPCredentials {
	c := SIPCredentials{Domain: *t.SIPDomain, Username: *t.SIPUsername}
	c.Digests = append(c.Digests, c.digest(p.Current, nil))
	for _, former := range p.Previous {
		if now.Before(former.ValidUntil) {
			c.Digests = append(c.Digests, c.digest(former.Value, &former.ValidUntil))
		}
	}
	return c
}

func (c SIPCredentials) digest(password string, until *time.Time) SIPDigest {
	a1 := []byte(c.Username + ":" + c.Domain + ":" + password)
	weak, strong := md5.Sum(a1), sha256.Sum256(a1) //nolint:gosec // as above
	return SIPDigest{until, hex.EncodeToString(weak[:]), hex.EncodeToString(strong[:])}
}
