package dynamo

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestPassing(t *testing.T) {
	for name, test := range map[string]struct {
		codes []string
		want  bool
	}{
		"conflict":               {[]string{"None", "TransactionConflict"}, true},
		"throttled table":        {[]string{"ThrottlingError", "None"}, true},
		"throttled key":          {[]string{"None", "ProvisionedThroughputExceeded", "TransactionConflict"}, true},
		"conflict and bad write": {[]string{"TransactionConflict", "ValidationError"}, false},
		"too large":              {[]string{"ItemCollectionSizeLimitExceeded"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var reasons []types.CancellationReason
			for _, code := range test.codes {
				reasons = append(reasons, types.CancellationReason{Code: &code})
			}
			if got := passing(reasons); got != test.want {
				t.Errorf("passing(%v) = %t, want %t", test.codes, got, test.want)
			}
		})
	}
}
