package secret

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/health"
)

// Targets holds what is needed to get into what the platform's health looks at.
// Operators make those secrets.
type Targets struct{ client Client }

// NewTargets returns the secrets of targets.
func NewTargets(client Client) *Targets { return &Targets{client} }

// Credentials returns what a secret holds. It is read each time, as it may have
// been rotated.
func (t *Targets) Credentials(ctx context.Context, arn string) (health.Credentials, error) {
	var c health.Credentials
	text, err := NewValue(t.client, arn).Get(ctx)
	if err != nil {
		return c, err
	}
	if json.Unmarshal([]byte(text), &c) != nil { // whose error may repeat the secret
		return c, errors.New("secret " + arn + " is no JSON object with username, password, database and tls")
	}
	return c, nil
}
