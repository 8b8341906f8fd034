package dynamo_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/identity"
)

// A slack client leaves the keys of some batches unread.
type slack struct {
	*memory
	left int // of how many
}

func (s *slack) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, options ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	if s.left == 0 {
		return s.memory.BatchGetItem(ctx, in, options...)
	}
	s.left--
	return &dynamodb.BatchGetItemOutput{UnprocessedKeys: in.RequestItems}, nil
}

// What a table that is busy leaves unread is read after all, or given up, before a
// function's time is over.
func TestBatchesLeftUnread(t *testing.T) {
	for name, test := range map[string]struct {
		left int
		fail bool
	}{"in the end": {13, false}, "never": {14, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				s := dynamo.NewStats(dynamo.NewTable(&slack{newMemory(), test.left}, "table"))
				_, err := s.Usages(t.Context(), []identity.TenantID{"a"}, begun)
				if took := time.Since(begun); (err != nil) != test.fail || took > 10*time.Second {
					t.Errorf("got %v after %s", err, took)
				}
			})
		})
	}
}
