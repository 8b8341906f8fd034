package dynamo_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
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

// Tenants that a crowd keeps busy do not keep a sweep from the leases of others.
func TestExpireBesideACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tenants = 60 // of which every other is busy
		m := newMemory()
		calls := dynamo.NewCalls(dynamo.NewTable(m, "table"))
		begun := time.Now().UTC().Truncate(time.Millisecond)
		var quiet, busy []string
		for i := range tenants {
			acme := newCreation("Acme", fmt.Sprint("acme-", i)).Tenant
			acme.Status = tenant.Active
			m.add(acme, 1, 1)
			c := call.Call{ID: "a", TenantID: acme.ID, State: call.Live, StartedAt: begun, Lease: time.Minute, ExpiresAt: begun.Add(time.Minute)}
			if err := takeAs(t.Context(), calls, acme, c); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				busy = append(busy, countersOf(acme.ID))
			} else {
				quiet = append(quiet, countersOf(acme.ID))
			}
		}
		time.Sleep(2 * time.Minute)
		var met atomic.Int64
		db := &crowded{m, func(key string) bool {
			is := slices.Contains(busy, key)
			if is {
				met.Add(1)
			}
			return is
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second) // as the sweeper gives it
		defer cancel()
		if err := dynamo.NewCalls(dynamo.NewTable(db, "table")).ExpireDue(ctx, time.Now()); err == nil || ctx.Err() != nil {
			t.Errorf("got %v, of a sweep that ended with %v", err, ctx.Err())
		}
		for _, key := range quiet {
			if n := number(m.items[key]["active_calls"]); n != 0 {
				t.Errorf("%s has %d calls", key, n)
			}
		}
		if met.Load() < int64(3*len(busy)) {
			t.Errorf("the %d busy tenants were given %d attempts", len(busy), met.Load())
		}
	})
}
