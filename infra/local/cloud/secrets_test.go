package cloud_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"
)

const scheduledForDeletion = "InvalidRequestException: You can't create this secret because a secret with this name is already scheduled for deletion."

func TestSecretNamesAfterDeletion(t *testing.T) {
	c := secretsmanager.NewFromConfig(configuration())
	for name, test := range map[string]struct {
		byARN  bool
		change func(*secretsmanager.DeleteSecretInput)
	}{
		"by force":         {false, func(in *secretsmanager.DeleteSecretInput) { in.ForceDeleteWithoutRecovery = new(true) }},
		"by force and ARN": {true, func(in *secretsmanager.DeleteSecretInput) { in.ForceDeleteWithoutRecovery = new(true) }},
		"scheduled":        {false, func(in *secretsmanager.DeleteSecretInput) { in.RecoveryWindowInDays = new(int64(7)) }},
	} {
		t.Run(name, func(t *testing.T) {
			name := "strict/" + uuid.NewString()
			create := func() (*secretsmanager.CreateSecretOutput, error) {
				return c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: new("x")})
			}
			in := &secretsmanager.DeleteSecretInput{SecretId: &name}
			made := must(create())(t)
			if test.byARN {
				in.SecretId = made.ARN
			}
			test.change(in)
			if got := *must(c.DeleteSecret(t.Context(), in))(t).Name; got != name {
				t.Errorf("got name %s, want %s", got, name)
			}
			if _, err := create(); failure(err) != scheduledForDeletion {
				t.Errorf("got %v, want %s", err, scheduledForDeletion)
			}
		})
	}
}

// TestForcedDeletionOfNothing asks that a name that was never taken stays free.
func TestForcedDeletionOfNothing(t *testing.T) {
	c := secretsmanager.NewFromConfig(configuration())
	name := "strict/" + uuid.NewString()
	must(c.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: new(true)}))(t)
	must(c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: new("x")}))(t)
}

func TestSecretSize(t *testing.T) {
	c := secretsmanager.NewFromConfig(configuration())
	for size, want := range map[int]string{
		65536: "",
		65537: "ValidationException: 1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536",
	} {
		name := "strict/" + uuid.NewString()
		_, err := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: new(strings.Repeat("x", size))})
		if got := failure(err); got != want {
			t.Errorf("%d bytes: got %s, want %s", size, got, want)
		}
	}
}
