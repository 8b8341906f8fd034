package dynamo_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/infra/local/enginetest"
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
	return enginetest.Client(tb), enginetest.Table(tb)
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
