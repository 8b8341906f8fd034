package secret

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// A Describer is what Description uses of *secretsmanager.Client.
type Describer interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
}

// A Description is that of one secret, which tells nothing of its value.
type Description struct {
	client Describer
	arn    string
}

// NewDescription returns the description of the secret with the given ARN.
func NewDescription(client Describer, arn string) *Description { return &Description{client, arn} }

// Ping fails unless the secret can be described.
func (d *Description) Ping(ctx context.Context) error {
	if _, err := d.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &d.arn}); err != nil {
		return fmt.Errorf("describe a secret: %w", err)
	}
	return nil
}
