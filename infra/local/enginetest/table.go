package enginetest

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/infra/local/template"
	"github.com/tenantry/tenantry/internal/boot"
)

// Client returns a client of the DynamoDB, which tries again what the functions do.
func Client(tb testing.TB, options ...func(*dynamodb.Options)) *dynamodb.Client {
	tb.Helper()
	return dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: new(DynamoDB(tb)),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
		Retryer: boot.Retryer(),
	}, options...)
}

// Table makes an empty table, as infra/data.yaml has it, which lives as long as
// the test. It returns its name.
func Table(tb testing.TB) string {
	tb.Helper()
	db, in := Client(tb), tableInput(tb)
	in.TableName = new("test-" + rand.Text())
	in.DeletionProtectionEnabled = new(false)
	if _, err := db.CreateTable(tb.Context(), in); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { // after tb.Context is done
		_, err := db.DeleteTable(context.WithoutCancel(tb.Context()), &dynamodb.DeleteTableInput{TableName: in.TableName})
		if err != nil {
			tb.Error(err)
		}
	})
	waiter := dynamodb.NewTableExistsWaiter(db, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 20*time.Millisecond, 200*time.Millisecond
	})
	if err := waiter.Wait(tb.Context(), &dynamodb.DescribeTableInput{TableName: in.TableName}, time.Minute); err != nil {
		tb.Fatal(err)
	}
	return *in.TableName
}

// tableInput reads the table from the template.
func tableInput(tb testing.TB) *dynamodb.CreateTableInput {
	tb.Helper()
	root, err := moduleRoot()
	if err != nil {
		tb.Fatal(err)
	}
	data, err := template.Load(filepath.Join(root, "infra", "data.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	stack, err := data.Instantiate("test", template.Environment{}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	i := slices.IndexFunc(data.Resources(), func(r *template.Resource) bool { return r.ID == "Table" })
	var properties struct {
		dynamodb.CreateTableInput
		SSESpecification, TimeToLiveSpecification, PointInTimeRecoverySpecification template.Unread
	}
	if err := stack.Properties(data.Resources()[i], &properties); err != nil {
		tb.Fatal(err)
	}
	return &properties.CreateTableInput
}
