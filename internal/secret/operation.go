package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/provisioning"
)

// A VaultClient is what Operations uses of *secretsmanager.Client.
type VaultClient interface {
	Client
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
	ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error)
}

// Operations keeps the passwords of operations, each in a secret named
// <stack>/operation/<id>, until the operation has no more use for them.
type Operations struct {
	client VaultClient
	prefix string
}

// NewOperations returns the passwords kept by a stack.
func NewOperations(client VaultClient, stack string) *Operations {
	return &Operations{client, stack + "/operation/"}
}

type passwordsDocument struct {
	Admin   string `json:"admin_password,omitzero"`
	SIP     string `json:"sip_password,omitzero"`
	Webhook string `json:"webhook_secret,omitzero"`
}

// Keep stores the passwords of an operation in place of those before, and
// returns the name of the secret.
func (s *Operations) Keep(ctx context.Context, id operation.ID, p provisioning.Passwords) (string, error) {
	name := s.prefix + string(id)
	text, err := json.Marshal(passwordsDocument(p))
	if err != nil {
		return "", fmt.Errorf("encode the passwords of operation %s: %w", id, err)
	}
	_, err = s.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name:         &name,
		Description:  new("The passwords of a request, until it is done"),
		SecretString: new(string(text)),
	})
	if _, ok := errors.AsType[*types.ResourceExistsException](err); ok {
		_, err = s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: new(string(text))})
	}
	if err != nil {
		return "", fmt.Errorf("write secret %s: %w", name, err)
	}
	return name, nil
}

// Open returns the passwords of an operation, or none if they are gone.
func (s *Operations) Open(ctx context.Context, id operation.ID) (provisioning.Passwords, error) {
	name := s.prefix + string(id)
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if isGone(err) {
		return provisioning.Passwords{}, nil
	}
	if err != nil {
		return provisioning.Passwords{}, fmt.Errorf("read secret %s: %w", name, err)
	}
	var document passwordsDocument
	if err := json.Unmarshal([]byte(*out.SecretString), &document); err != nil {
		return provisioning.Passwords{}, errors.New("secret " + name + " holds no passwords")
	}
	return provisioning.Passwords(document), nil
}

// Drop removes the passwords of an operation at once. It is no error if they are
// gone.
func (s *Operations) Drop(ctx context.Context, id operation.ID) error {
	name := s.prefix + string(id)
	_, err := s.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: new(true)})
	if err != nil && !isGone(err) {
		return fmt.Errorf("delete secret %s: %w", name, err)
	}
	return nil
}

// OlderThan calls use with each operation that has had passwords for longer than
// age.
func (s *Operations) OlderThan(ctx context.Context, age time.Duration, use func(operation.ID) error) error {
	pages := secretsmanager.NewListSecretsPaginator(s.client, &secretsmanager.ListSecretsInput{
		Filters: []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{s.prefix}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list secrets %s: %w", s.prefix, err)
		}
		for _, entry := range page.SecretList {
			id, ours := strings.CutPrefix(*entry.Name, s.prefix)
			if !ours || entry.CreatedDate == nil || time.Since(*entry.CreatedDate) < age {
				continue
			}
			if err := use(operation.ID(id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// isGone reports whether err says that there is no such secret, or that it is
// being deleted.
func isGone(err error) bool {
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		return true
	}
	invalid, ok := errors.AsType[*types.InvalidRequestException](err)
	return ok && strings.Contains(invalid.ErrorMessage(), "marked for deletion")
}
