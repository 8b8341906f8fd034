// Package secret keeps secrets in Secrets Manager, and nowhere else.
package secret

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// keptFor is how long a value is used before it is read again, so that a
// rotation works without a restart.
const keptFor = 5 * time.Minute

// A Client is what this package uses of *secretsmanager.Client.
type Client interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// A Value is one secret that the whole stack shares. It is read when it is first
// used, and kept for a while.
type Value struct {
	client Client
	arn    string

	mu    sync.Mutex
	text  string
	until time.Time
}

// NewValue returns the secret with the given ARN.
func NewValue(client Client, arn string) *Value { return &Value{client: client, arn: arn} }

// Get returns the secret.
func (v *Value) Get(ctx context.Context) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Now().Before(v.until) {
		return v.text, nil
	}
	out, err := v.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &v.arn})
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", v.arn, err)
	}
	if out.SecretString == nil {
		return "", errors.New("secret " + v.arn + " holds no text")
	}
	v.text, v.until = *out.SecretString, time.Now().Add(keptFor)
	return v.text, nil
}

// Bytes is Get for a secret that is used as a key.
func (v *Value) Bytes(ctx context.Context) ([]byte, error) {
	text, err := v.Get(ctx)
	return []byte(text), err
}
