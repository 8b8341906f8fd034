package dynamo_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A crowded client has others be first at what a transaction writes.
type crowded struct {
	*memory
	// first reports whether they are at the item with a key.
	first func(key string) bool
}

func (c *crowded) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, options ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	reasons := make([]types.CancellationReason, len(in.TransactItems))
	for i, w := range in.TransactItems {
		reasons[i].Code = new("None")
		if w.Update != nil && c.first(itemKey(w.Update.Key)) {
			reasons[i].Code = new("TransactionConflict")
			return nil, &types.TransactionCanceledException{CancellationReasons: reasons}
		}
	}
	return c.memory.TransactWriteItems(ctx, in, options...)
}

// A lease begins when the call is let in, however long that met a crowd.
func TestStartInACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acme, m := newCreation("Acme", "acme").Tenant, newMemory()
		acme.Status = tenant.Active
		m.add(acme, 1, 1)
		tries := 0
		db := &crowded{m, func(string) bool { tries++; return tries <= 20 }}
		service := call.NewService(dynamo.NewCalls(dynamo.NewTable(db, "table")), oneTenant{acme}, nil)
		asked := time.Now()
		draft := call.Draft{ID: patch.Of(call.ID("a")), Lease: patch.Of(30)}
		got, started, err := service.Start(t.Context(), identity.Caller{Role: identity.Service}, acme.ID, draft, nil)
		now := time.Now().UTC().Truncate(time.Millisecond)
		if waited := now.Sub(asked); err != nil || !started || waited < time.Second {
			t.Fatalf("got %t, %v after %s", started, err, waited)
		}
		if !got.StartedAt.Equal(now) || !got.ExpiresAt.Equal(now.Add(30*time.Second)) {
			t.Errorf("the lease is from %s to %s, and was answered at %s", got.StartedAt, got.ExpiresAt, now)
		}
		if stored, err := dynamo.NewCalls(dynamo.NewTable(m, "table")).Get(t.Context(), acme.ID, "a"); err != nil || stored != got {
			t.Errorf("stored is %+v, %v, want %+v", stored, err, got)
		}
	})
}
