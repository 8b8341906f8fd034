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
	"github.com/tenantry/tenantry/internal/user"
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

// Single writes whose answers are lost find what they wrote, and take that for theirs.
func TestWritesWithLostAnswers(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, write := range map[string]func(*dynamo.Table) error{
		"record": func(table *dynamo.Table) error { return dynamo.NewAudit(table).Record(t.Context(), told()) },
		"hold": func(table *dynamo.Table) error {
			return dynamo.NewUsers(table).Hold(t.Context(), user.Invitation{ID: "i", Email: "dewi@example.com", HeldUntil: now.Add(time.Minute), DeadAt: now})
		},
		"reject": func(table *dynamo.Table) error { return dynamo.NewUsers(table).Reject(t.Context(), "dewi", "dewi") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, table := newRawTable(t)
			var calls atomic.Int64
			enginetest.Inject(t, func(operation string, body []byte) layer.Outcome {
				if operation == "PutItem" && strings.Contains(string(body), table) && calls.Add(1) == 1 {
					return layer.Lose
				}
				return layer.Proceed
			})
			if err := write(dynamo.NewTable(db, table)); err != nil {
				t.Error(err)
			}
			if n := calls.Load(); n != 2 {
				t.Errorf("got %d writes, want 2", n)
			}
		})
	}
}
