package secret

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
)

// A Connection is how a MongoDB server is reached, and as whom. Operators make its
// secret, {"uri": "mongodb://…"}.
type Connection struct{ value *Value }

// NewConnection returns what the secret with the given ARN holds. The ARN is "" where
// the stack has no MongoDB server.
func NewConnection(client Client, arn string) Connection { return Connection{NewValue(client, arn)} }

// URI returns the connection string.
func (c Connection) URI(ctx context.Context) (string, error) {
	if c.value.arn == "" {
		return "", errors.New("the stack has no MongoDB server; its parameter MongoDbSecretArn names the secret of one")
	}
	text, err := c.value.Get(ctx)
	if err != nil {
		return "", err
	}
	var d struct {
		URI string `json:"uri"`
	}
	if json.Unmarshal([]byte(text), &d) != nil || d.URI == "" { // whose error may repeat the secret
		return "", errors.New("secret " + c.value.arn + ` is no JSON object with a "uri"`)
	}
	return d.URI, nil
}
