package enginetest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/infra/local/cloud/dynamodb"
	"github.com/tenantry/tenantry/infra/local/enginetest"
)

func TestDynamoDB(t *testing.T) {
	url := enginetest.DynamoDB(t)
	if again := enginetest.DynamoDB(t); again != url {
		t.Errorf("got %s the second time, want %s", again, url)
	}
	db := client.New(client.Options{
		BaseEndpoint: &url, Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
		}),
	})
	if _, err := db.ListTables(t.Context(), &client.ListTablesInput{}); err != nil {
		t.Fatal(err)
	}
	t.Run("with a fault", func(t *testing.T) {
		enginetest.Inject(t, func(string, []byte) dynamodb.Outcome { return dynamodb.Refuse })
		_, err := db.ListTables(t.Context(), &client.ListTablesInput{})
		if _, ok := errors.AsType[*types.InternalServerError](err); !ok {
			t.Errorf("got %v, want an internal server error", err)
		}
	})
	if _, err := db.ListTables(t.Context(), &client.ListTablesInput{}); err != nil {
		t.Errorf("got %v after the test with the fault", err)
	}
}
