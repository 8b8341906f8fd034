package secret_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tenantry/tenantry/internal/secret"
)

// oneSecret is the text of a secret, or why there is none.
type oneSecret struct {
	text string
	err  error
}

func (s oneSecret) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{SecretString: &s.text}, s.err
}

func TestConnection(t *testing.T) {
	uri := "mongodb://" + "me:hunter2@db.example.com"
	got, err := secret.NewConnection(oneSecret{text: `{"uri":"` + uri + `"}`}, "arn").URI(t.Context())
	if err != nil || got != uri {
		t.Errorf("got %q, %v", got, err)
	}
	errGone := errors.New("gone")
	for name, test := range map[string]struct {
		secret oneSecret
		arn    string
		want   string
	}{
		"no server":    {oneSecret{text: `{"uri":"` + uri + `"}`}, "", "the stack has no MongoDB server; its parameter MongoDbSecretArn names the secret of one"},
		"no secret":    {oneSecret{err: errGone}, "arn", "read secret arn: gone"},
		"no JSON":      {oneSecret{text: uri}, "arn", `secret arn is no JSON object with a "uri"`},
		"another name": {oneSecret{text: `{"url":"` + uri + `"}`}, "arn", `secret arn is no JSON object with a "uri"`},
	} {
		got, err := secret.NewConnection(test.secret, test.arn).URI(t.Context())
		if err == nil || err.Error() != test.want || got != "" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %q, %v, want %s", name, got, err, test.want)
		}
	}
}
