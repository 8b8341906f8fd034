// Package enginetest gives the tests of any package a DynamoDB to talk to.
package enginetest

import (
	"testing"

	"github.com/tenantry/tenantry/infra/local/cloud/dynamodb"
)

// DynamoDB returns the address of a DynamoDB in strict mode. The first call of
// a test process installs and starts it; it ends with the process.
func DynamoDB(tb testing.TB) string {
	tb.Helper()
	tb.Fatal("not built yet")
	return ""
}

// Inject lets f decide over all calls to the DynamoDB until tb ends. Tests run
// at the same time, so f has to let pass what is not tb's own.
func Inject(tb testing.TB, f dynamodb.Fault) {
	tb.Helper()
	tb.Fatal("not built yet")
}
