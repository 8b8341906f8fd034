package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
)

// labelCurrent is the staging label that shows operators the version in use. It
// follows the row; nothing here reads it.
const labelCurrent = "AWSCURRENT"

// strandedAfter is how long a version may wait for its row: longer than any
// request takes.
const strandedAfter = time.Hour

// A TenantClient is what Tenants uses of *secretsmanager.Client.
type TenantClient interface {
	Client
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	ListSecretVersionIds(context.Context, *secretsmanager.ListSecretVersionIdsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretVersionIdsOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
}

// Tenants is a tenant.Vault. The secrets of a tenant are one document in a secret
// named <stack>/tenant/<id>/<attempt>, where attempt is what made the secret.
//
// Each version but the first carries a staging label of its own, which is its
// name, so that Secrets Manager keeps it whatever becomes of the others. The row
// of the tenant says which version counts.
type Tenants struct {
	client TenantClient
	prefix string
}

// NewTenants returns the secrets that a stack keeps for its tenants.
func NewTenants(client TenantClient, stack string) *Tenants {
	return &Tenants{client, tenantPrefix(stack)}
}

func tenantPrefix(stack string) string { return stack + "/tenant/" }

// Create keeps the secrets of a tenant in a secret of their own, under a name
// that is unique to the attempt. Doing it again changes nothing.
func (s *Tenants) Create(ctx context.Context, id identity.TenantID, attempt string, secrets tenant.Secrets) (tenant.SecretRef, error) {
	name := s.name(id, attempt)
	ref := tenant.SecretRef{Name: name, Version: uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String()}
	text, err := encode(secrets)
	if err != nil {
		return ref, err
	}
	_, err = s.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name:               &ref.Name,
		ClientRequestToken: &ref.Version,
		Description:        new("What a tenant shares with the platform: its SIP password, webhook secret and database user"),
		SecretString:       &text,
	})
	if err != nil {
		return ref, fmt.Errorf("create secret %s: %w", name, err)
	}
	return ref, nil
}

// Delete removes the secret of an attempt at once. It is no error if it is gone.
func (s *Tenants) Delete(ctx context.Context, id identity.TenantID, attempt string) error {
	return remove(ctx, s.client, s.name(id, attempt))
}

// Read returns the secrets that ref names.
func (s *Tenants) Read(ctx context.Context, ref tenant.SecretRef) (tenant.Secrets, error) {
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &ref.Name, VersionId: &ref.Version})
	if err != nil {
		return tenant.Secrets{}, fmt.Errorf("read secret %s: %w", ref.Name, err)
	}
	var d document
	if out.SecretString == nil || json.Unmarshal([]byte(*out.SecretString), &d) != nil {
		return tenant.Secrets{}, errors.New("secret " + ref.Name + " holds no secrets of a tenant")
	}
	return d.secrets(), nil
}

// Write keeps secrets beside those that before names: as a new version, or as a
// new secret where the tenant has none.
func (s *Tenants) Write(ctx context.Context, id identity.TenantID, before *tenant.SecretRef, secrets tenant.Secrets) (tenant.SecretRef, error) {
	if before == nil {
		return s.Create(ctx, id, uuid.NewString(), secrets)
	}
	ref := tenant.SecretRef{Name: before.Name, Version: uuid.NewString()}
	text, err := encode(secrets)
	if err != nil {
		return ref, err
	}
	_, err = s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId:           &ref.Name,
		ClientRequestToken: &ref.Version,
		SecretString:       &text,
		VersionStages:      []string{ref.Version},
	})
	if err != nil {
		return ref, fmt.Errorf("write secret %s: %w", ref.Name, err)
	}
	return ref, nil
}

// Discard removes what was written beside before and is named by no row. What
// stays behind is taken care of by a later Settle.
func (s *Tenants) Discard(ctx context.Context, before *tenant.SecretRef, written tenant.SecretRef) {
	var err error
	if before == nil {
		err = remove(ctx, s.client, written.Name)
	} else {
		err = s.move(ctx, written.Name, written.Version, written.Version, "")
	}
	if err != nil {
		slog.WarnContext(ctx, "secret left behind", "secret", written.Name, "version", written.Version, "error", err)
	}
}

// Settle moves the label of the current version to now, and takes theirs from
// before and from versions whose requests died. A version without a label is not
// kept.
func (s *Tenants) Settle(ctx context.Context, before *tenant.SecretRef, now tenant.SecretRef) {
	if before == nil {
		return // the first version of a secret has the label
	}
	if err := s.settle(ctx, before.Version, now); err != nil {
		slog.WarnContext(ctx, "secret not settled", "secret", now.Name, "version", now.Version, "error", err)
	}
}

func (s *Tenants) settle(ctx context.Context, before string, now tenant.SecretRef) error {
	out, err := s.client.ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: &now.Name})
	if err != nil {
		return fmt.Errorf("list the versions of secret %s: %w", now.Name, err)
	}
	var errs []error
	for _, version := range out.Versions {
		id := *version.VersionId
		if id == now.Version {
			continue
		}
		stranded := version.CreatedDate != nil && time.Since(*version.CreatedDate) > strandedAfter
		for _, label := range version.VersionStages {
			switch {
			case label == labelCurrent:
				errs = append(errs, s.move(ctx, now.Name, label, id, now.Version))
			case label == id && (id == before || stranded):
				errs = append(errs, s.move(ctx, now.Name, label, id, ""))
			}
		}
	}
	return errors.Join(errs...)
}

// move takes a staging label from one version, and gives it to another unless
// that is "".
func (s *Tenants) move(ctx context.Context, name, label, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &name, VersionStage: &label, RemoveFromVersionId: &from}
	if to != "" {
		in.MoveToVersionId = &to
	}
	if _, err := s.client.UpdateSecretVersionStage(ctx, in); err != nil {
		return fmt.Errorf("move label %s of secret %s: %w", label, name, err)
	}
	return nil
}

func (s *Tenants) name(id identity.TenantID, attempt string) string {
	return s.prefix + string(id) + "/" + attempt
}

// A document is the secrets of a tenant as they are stored.
type document struct {
	SIP     *sipDocument  `json:"sip,omitzero"`
	Webhook string        `json:"webhook,omitzero"`
	MongoDB mongoDocument `json:"mongodb,omitzero"`
}

type sipDocument struct {
	Current  string           `json:"current"`
	Previous []formerDocument `json:"previous"`
}

type formerDocument struct {
	Value      string    `json:"value"`
	ValidUntil time.Time `json:"valid_until"`
}

type mongoDocument struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func encode(s tenant.Secrets) (string, error) {
	d := document{Webhook: s.Webhook, MongoDB: mongoDocument(s.MongoDB)}
	if s.SIP.Current != "" {
		d.SIP = &sipDocument{Current: s.SIP.Current}
		for _, former := range s.SIP.Previous {
			d.SIP.Previous = append(d.SIP.Previous, formerDocument(former))
		}
	}
	text, err := json.Marshal(d)
	if err != nil {
		return "", errors.New("the secrets of a tenant cannot be encoded")
	}
	return string(text), nil
}

func (d document) secrets() tenant.Secrets {
	s := tenant.Secrets{Webhook: d.Webhook, MongoDB: tenant.DatabaseUser(d.MongoDB)}
	if d.SIP != nil {
		s.SIP.Current = d.SIP.Current
		for _, former := range d.SIP.Previous {
			s.SIP.Previous = append(s.SIP.Previous, tenant.FormerPassword(former))
		}
	}
	return s
}
