package tenant

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
)

// Secrets are what a tenant shares with the platform and nobody may read. They
// are kept apart from everything else.
type Secrets struct {
	SIP     SIPPasswords
	Webhook string       // "" for none
	MongoDB DatabaseUser // the zero value for none
}

// A DatabaseUser is who reads and writes a tenant's MongoDB database, and nothing
// else.
type DatabaseUser struct {
	Username string
	Password string
}

// MongoUsername is the name of that user, whom the database itself keeps, so that
// it need not tell tenants apart.
const MongoUsername = "tenant"

// SIPPasswords are the passwords that a tenant's SIP user can sign in with.
type SIPPasswords struct {
	Current  string // "" for none
	Previous []FormerPassword
}

// A FormerPassword is valid for a while yet.
type FormerPassword struct {
	Value      string
	ValidUntil time.Time
}

// SecretSettings are the secrets that a client may set.
type SecretSettings struct {
	SIPPassword   patch.Field[string]
	WebhookSecret patch.Field[string]
}

// Faults returns every rule that the secrets break.
func (s SecretSettings) Faults() fault.Fields {
	var f fault.Fields
	if s.SIPPassword.Set {
		SecretFault(&f, "#/sip_password", s.SIPPassword.Value)
	}
	if s.WebhookSecret.Set {
		SecretFault(&f, "#/webhook_secret", s.WebhookSecret.Value)
	}
	return f
}

// apply returns old with the settings. A password that is set takes the place
// of all before it at once.
func (s SecretSettings) apply(old Secrets) Secrets {
	if s.SIPPassword.Set {
		old.SIP = SIPPasswords{Current: s.SIPPassword.Value}
	}
	old.Webhook = s.WebhookSecret.Or(old.Webhook)
	return old
}

// SecretFault adds a fault unless the secret is of a good length.
func SecretFault(f *fault.Fields, pointer, secret string) {
	if n := utf8.RuneCountInString(secret); n < minSecret || n > maxSecret {
		f.Add(pointer, "must be %d to %d characters", minSecret, maxSecret)
	}
}

// GeneratePassword returns a new password that nobody can guess.
func GeneratePassword() string { return rand.Text() }

// A Vault keeps the secrets of tenants, in versions: the one that a tenant's row
// names stays as it is while the next is written, and for as long as the row
// names it.
type Vault interface {
	// Read returns the secrets that ref names.
	Read(ctx context.Context, ref SecretRef) (Secrets, error)
	// Write keeps s beside the secrets that before names, which is nil where the
	// tenant has none.
	Write(ctx context.Context, id identity.TenantID, before *SecretRef, s Secrets) (SecretRef, error)
	// Settle is to be called when the tenant's row names now in place of before.
	// What it does not get done, a later call does.
	Settle(ctx context.Context, before *SecretRef, now SecretRef)
	// Discard is to be called when the row did not come to name what was written
	// beside before.
	Discard(ctx context.Context, before *SecretRef, written SecretRef)
}

// writeSecrets writes the secrets that a change from before to after gives rise
// to now, if any, and has after name them. It returns the password that it had to
// make for that, or "".
func (s *Service) writeSecrets(ctx context.Context, now time.Time, before Tenant, after *Tenant, settings SecretSettings) (string, error) {
	turnsOn := after.SIPEnabled && !before.SIPEnabled
	if settings == (SecretSettings{}) && !turnsOn {
		return "", nil
	}
	secrets, err := s.readSecrets(ctx, before)
	if err != nil {
		return "", err
	}
	generated := ""
	if turnsOn && !settings.SIPPassword.Set && secrets.SIP.Current == "" {
		generated = GeneratePassword()
		settings.SIPPassword = patch.Of(generated)
	}
	if settings == (SecretSettings{}) {
		return "", nil
	}
	if settings.SIPPassword.Set {
		after.SIPRotatedAt, after.SIPPreviousUntil = &now, nil
	}
	ref, err := s.vault.Write(ctx, before.ID, before.Secret, settings.apply(secrets))
	after.Secret = &ref
	return generated, err
}

// readSecrets returns the secrets that a tenant has, if any. It fails with
// fault.Conflict if they are gone because the tenant has others by now.
func (s *Service) readSecrets(ctx context.Context, t Tenant) (Secrets, error) {
	if t.Secret == nil {
		return Secrets{}, nil
	}
	secrets, err := s.vault.Read(ctx, *t.Secret)
	if err == nil {
		return secrets, nil
	}
	if now, err2 := s.store.Get(ctx, t.ID); err2 == nil && (now.Secret == nil || *now.Secret != *t.Secret) {
		return Secrets{}, fault.Wrap(err, fault.Conflict, "the tenant was changed by another request meanwhile")
	}
	return Secrets{}, err
}

// settleSecrets tells the vault what became of the secrets that were written for
// after. Where that is not certain it leaves both versions.
func (s *Service) settleSecrets(ctx context.Context, before, after Tenant, outcome error) {
	switch {
	case after.Secret == before.Secret:
	case outcome == nil:
		s.vault.Settle(ctx, before.Secret, *after.Secret)
	case fault.KindOf(outcome) != "", errors.Is(outcome, idempotency.ErrRecorded):
		s.vault.Discard(ctx, before.Secret, *after.Secret)
	}
}
