package dynamo_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	layer "github.com/tenantry/tenantry/infra/local/cloud/dynamodb"
	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/tenant"
)

// Transactions whose answers are lost, that are throttled, or that meet others
// take effect once all the same.
func TestTransactionsThatFail(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]layer.Outcome{
		"lost": layer.Lose, "throttled": layer.Throttle, "refused": layer.Refuse, "in conflict": layer.Conflict,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, table := newRawTable(t)
			var calls atomic.Int64
			enginetest.Inject(t, func(operation string, body []byte) layer.Outcome {
				if operation == "TransactWriteItems" && strings.Contains(string(body), table) && calls.Add(1)%2 == 1 {
					return outcome
				}
				return layer.Proceed
			})
			tenants := dynamo.NewTenants(dynamo.NewTable(db, table))
			acme := create(t, tenants, newCreation("Acme", "acme"))[0]
			after := change(t, tenants, acme, func(t *tenant.Tenant) { t.Name, t.SIPDomain = "New", new("sip.example.com") })
			if got, err := tenants.Get(t.Context(), acme.ID); err != nil || got.Name != "New" || got.Version != after.Version {
				t.Errorf("got %+v, %v", got, err)
			}
			if n := calls.Load(); n != 4 {
				t.Errorf("got %d transactions, want each tried twice", n)
			}
		})
	}
}

// A transaction that meets others time and again is no failure of ours, and says
// when to come again.
func TestTransactionsThatAlwaysMeet(t *testing.T) {
	t.Parallel()
	db, table := newRawTable(t)
	enginetest.Inject(t, func(operation string, body []byte) layer.Outcome {
		if operation == "TransactWriteItems" && strings.Contains(string(body), table) {
			return layer.Conflict
		}
		return layer.Proceed
	})
	err := dynamo.NewTenants(dynamo.NewTable(db, table)).Create(t.Context(), newCreation("Acme", "acme"))
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.TooManyRequests || f.RetryAfter != time.Second {
		t.Errorf("got %v, want %s", err, fault.TooManyRequests)
	}
}
