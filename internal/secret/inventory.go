package secret

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
)

// lookBack is how much older than asked for a tenant's secret may be to be
// listed. There may be as many as there are tenants, and what is older was seen
// by many lists before.
const lookBack = 24 * time.Hour

// An InventoryClient is what Inventory uses of *secretsmanager.Client.
type InventoryClient interface {
	ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error)
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
}

// An Inventory lists the secrets of a stack's operations and tenants.
type Inventory struct {
	client InventoryClient
	stack  string
}

// NewInventory returns the secrets of a stack.
func NewInventory(client InventoryClient, stack string) *Inventory { return &Inventory{client, stack} }

// OperationSecrets calls use with each secret that was made for an operation
// longer ago than age.
func (s *Inventory) OperationSecrets(ctx context.Context, age time.Duration, use func(operation.ID, string) error) error {
	return s.list(ctx, operationPrefix(s.stack), func(id, name string, made time.Time) (bool, error) {
		if time.Since(made) < age {
			return true, nil
		}
		return true, use(operation.ID(id), name)
	})
}

// TenantSecrets calls use with each secret that was made for a tenant longer ago
// than age, and no longer than a day before that.
func (s *Inventory) TenantSecrets(ctx context.Context, age time.Duration, use func(identity.TenantID, string) error) error {
	return s.list(ctx, tenantPrefix(s.stack), func(id, name string, made time.Time) (bool, error) {
		switch since := time.Since(made); {
		case since < age:
			return true, nil
		case since > age+lookBack:
			return false, nil
		}
		return true, use(identity.TenantID(id), name)
	})
}

// OfTenant returns the names of the secrets that were made for a tenant. One that
// was made a moment ago may be missing.
func (s *Inventory) OfTenant(ctx context.Context, id identity.TenantID) ([]string, error) {
	var names []string
	err := s.list(ctx, tenantPrefix(s.stack)+string(id)+"/", func(_, name string, _ time.Time) (bool, error) {
		names = append(names, name)
		return true, nil
	})
	return names, err
}

// list calls use with each secret that has the prefix, the newest first, and with
// whose it is by the next part of its name, until use says that it is enough.
func (s *Inventory) list(ctx context.Context, prefix string, use func(id, name string, made time.Time) (bool, error)) error {
	pages := secretsmanager.NewListSecretsPaginator(s.client, &secretsmanager.ListSecretsInput{
		Filters:   []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{prefix}}},
		SortOrder: types.SortOrderTypeDesc, // by when they were made
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list secrets %s: %w", prefix, err)
		}
		for _, entry := range page.SecretList {
			name := aws.ToString(entry.Name)
			rest, ours := strings.CutPrefix(name, prefix)
			if !ours || entry.CreatedDate == nil {
				continue
			}
			id, _, _ := strings.Cut(rest, "/")
			if more, err := use(id, name, *entry.CreatedDate); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// Drop removes a secret at once. It is no error if it is gone.
func (s *Inventory) Drop(ctx context.Context, name string) error {
	return remove(ctx, s.client, name)
}
