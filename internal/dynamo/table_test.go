package dynamo_test

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/infra/local/template"
	"github.com/tenantry/tenantry/internal/dynamo"
)

// newTable makes an empty table, as infra/data.yaml has it, which lives as long
// as the test.
func newTable(tb testing.TB) *dynamo.Table {
	tb.Helper()
	db, name := newRawTable(tb)
	return dynamo.NewTable(db, name)
}

// newRawTable is newTable for a test that also looks at items themselves.
func newRawTable(tb testing.TB) (*dynamodb.Client, string) {
	tb.Helper()
	db := dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: new(enginetest.DynamoDB(tb)),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	in := tableInput(tb)
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
	return db, *in.TableName
}

// tableInput reads the table from the template.
func tableInput(tb testing.TB) *dynamodb.CreateTableInput {
	tb.Helper()
	data, err := template.Load("../../infra/data.yaml")
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

// eventually calls done until it returns true. Indexes are a little behind their
// table.
func eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			tb.Fatalf("still not so: %s", what)
		}
	}
}
