package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/provisioning"
)

// A VaultClient is what Operations uses of *secretsmanager.Client.
type VaultClient interface {
	Client
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
}

// Operations keeps the passwords of operations until they have no more use for
// them. Each time it does so in a secret of its own, named
// <stack>/operation/<id>/<uuid>, since the name of a removed secret cannot be had
// again for a while.
type Operations struct {
	client VaultClient
	prefix string
}

// NewOperations returns the passwords kept by a stack.
func NewOperations(client VaultClient, stack string) *Operations {
	return &Operations{client, operationPrefix(stack)}
}

func operationPrefix(stack string) string { return stack + "/operation/" }

type passwordsDocument struct {
	Admin   string `json:"admin_password,omitzero"`
	SIP     string `json:"sip_password,omitzero"`
	Webhook string `json:"webhook_secret,omitzero"`
	MongoDB string `json:"mongodb_password,omitzero"`
}

// Keep stores the passwords of an operation, and returns the name of the secret
// that it made for them.
func (s *Operations) Keep(ctx context.Context, id operation.ID, p provisioning.Passwords) (string, error) {
	name := s.prefix + string(id) + "/" + uuid.NewString()
	text, err := json.Marshal(passwordsDocument(p))
	if err != nil {
		return "", errors.New("the passwords of operation " + string(id) + " cannot be encoded")
	}
	_, err = s.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name:         &name,
		Description:  new("The passwords of a request, until it is done"),
		SecretString: new(string(text)),
	})
	if err != nil {
		return "", fmt.Errorf("create secret %s: %w", name, err)
	}
	return name, nil
}

// Open returns the passwords in a secret, or provisioning.ErrNoPasswords.
func (s *Operations) Open(ctx context.Context, name string) (provisioning.Passwords, error) {
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if isGone(err) {
		return provisioning.Passwords{}, provisioning.ErrNoPasswords
	}
	if err != nil {
		return provisioning.Passwords{}, fmt.Errorf("read secret %s: %w", name, err)
	}
	var document passwordsDocument
	if out.SecretString == nil || json.Unmarshal([]byte(*out.SecretString), &document) != nil {
		return provisioning.Passwords{}, errors.New("secret " + name + " holds no passwords")
	}
	return provisioning.Passwords(document), nil
}

// Drop removes a secret at once. It is no error if it is gone.
func (s *Operations) Drop(ctx context.Context, name string) error {
	return remove(ctx, s.client, name)
}

// A remover is what removes secrets.
type remover interface {
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
}

// remove removes a secret at once. It is no error if it is gone.
func remove(ctx context.Context, client remover, name string) error {
	_, err := client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: new(true)})
	if err != nil && !isGone(err) {
		return fmt.Errorf("delete secret %s: %w", name, err)
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
