package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	maxBatchWrite = 25 // items that one request may write
	maxRemoved    = 5000
	deleteTries   = 50 // of which each meets calls that have ended since, or gives slots back
)

// errCallsLive says that a tenant cannot be deleted yet.
var errCallsLive = errors.New("calls go on")

// Delete replaces before by after, which is to be taken apart by the operation, or
// does nothing. It fails with fault.Conflict if the stored version is not that of
// before, with fault.OperationRunning if another operation runs on the tenant, and
// with fault.DeleteBlocked while calls go on.
func (s *Tenants) Delete(ctx context.Context, before, after tenant.Tenant, o operation.Operation, r audit.Record) error {
	for attempt := 1; ; attempt++ {
		tx := s.begin()
		tx.replaceTenant(before, after)
		tx.engage(o)
		tx.record(r)
		err := tx.run(ctx)
		if !errors.Is(err, errCallsLive) {
			return err
		}
		var counters countersItem
		if err := s.get(ctx, countersKey(after.ID), &counters); err != nil {
			return err
		}
		over, err := (&Calls{s.Table}).expireOf(ctx, after.ID, time.Now())
		if err != nil {
			return err
		}
		if n := counters.ActiveCalls; n > 0 && over == 0 || attempt == deleteTries {
			return blocked(n)
		}
	}
}

// blocked says what keeps a tenant from being deleted.
func blocked(calls int) error {
	return &fault.Error{
		Kind:    fault.DeleteBlocked,
		Detail:  fmt.Sprintf("the tenant has %d live calls", calls),
		Members: map[string]any{"blockers": []map[string]any{{"kind": "live_calls", "count": calls}}},
	}
}

// RemoveAgents removes the agents that a tenant has in this table, and counts none
// from then on. Doing it again changes nothing.
func (s *Tenants) RemoveAgents(ctx context.Context, id identity.TenantID, r audit.Record) error {
	if err := s.removeAll(ctx, countersKey(id).PK, agentsOf); err != nil {
		return fmt.Errorf("remove the agents of tenant %s: %w", id, err)
	}
	none := errors.New("no agents are counted")
	tx := s.begin()
	tx.updateIf(countersKey(id), "SET agents = :none", "agents <> :none", map[string]any{":none": 0}, nil, none)
	tx.record(r)
	if err := tx.run(ctx); !errors.Is(err, none) {
		return err
	}
	return nil
}

// RemoveUse removes what a tenant used, its calls and what was counted of them. It
// fails with operation.ErrNotReady if there is more than one call of it should
// remove. Doing it again changes nothing.
func (s *Tenants) RemoveUse(ctx context.Context, id identity.TenantID) error {
	for _, beginning := range []string{plansOf, daysOf, monthsOf, callsOf} {
		more, err := s.removeSome(ctx, countersKey(id).PK, beginning, maxRemoved)
		if err != nil {
			return fmt.Errorf("remove the use of tenant %s: %w", id, err)
		}
		if more {
			return operation.ErrNotReady
		}
	}
	return nil
}

// RemoveRoster removes what the users of a tenant were found by, who are gone.
func (s *Users) RemoveRoster(ctx context.Context, id identity.TenantID) error {
	if err := s.removeAll(ctx, countersKey(id).PK, rosterOf); err != nil {
		return fmt.Errorf("remove the roster of tenant %s: %w", id, err)
	}
	return nil
}

// removeAll removes the items of a partition whose sort keys begin with a text.
func (t *Table) removeAll(ctx context.Context, pk, beginning string) error {
	_, err := t.removeSome(ctx, pk, beginning, math.MaxInt)
	return err
}

// removeSome is removeAll for about as many items as most says. It reports whether
// there are more.
func (t *Table) removeSome(ctx context.Context, pk, beginning string, most int) (bool, error) {
	in := dynamodb.QueryInput{
		KeyConditionExpression: new("pk = :pk AND begins_with(sk, :beginning)"),
		ProjectionExpression:   new("pk, sk"),
		ConsistentRead:         new(true),
	}
	for removed := 0; removed < most; {
		keys, err := query[key](ctx, t, in, map[string]any{":pk": pk, ":beginning": beginning}, maxQuery)
		if err != nil || len(keys) == 0 {
			return false, err
		}
		if err := t.batchRemove(ctx, keys); err != nil {
			return false, err
		}
		removed += len(keys)
	}
	return true, nil
}

// batchRemove removes items, whatever is in them.
func (t *Table) batchRemove(ctx context.Context, keys []key) error {
	for chunk := range slices.Chunk(keys, maxBatchWrite) {
		var requests []types.WriteRequest
		for _, k := range chunk {
			av, err := attributevalue.MarshalMap(k)
			if err != nil {
				return fmt.Errorf("marshal key %s: %w", k.PK, err)
			}
			requests = append(requests, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: av}})
		}
		if err := t.batchWrite(ctx, requests); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) batchWrite(ctx context.Context, requests []types.WriteRequest) error {
	for attempt := 1; len(requests) > 0; attempt++ {
		out, err := t.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{t.name: requests}})
		if err != nil {
			return fmt.Errorf("write a batch of %d: %w", len(requests), err)
		}
		if requests = out.UnprocessedItems[t.name]; len(requests) == 0 {
			return nil
		}
		if attempt == transactionAttempts {
			return fmt.Errorf("DynamoDB left a batch unwritten %d times", attempt)
		}
		if err := sleep(ctx, rand.N(min(transactionBackoff<<attempt, longestBackoff))); err != nil { //nolint:gosec // spreads attempts, keeps no secret
			return err
		}
	}
	return nil
}

// Remaining returns how many users a tenant has, and the ids of some of them, at
// most as many as wanted. The index that the ids come from is a little behind the
// count.
func (s *Users) Remaining(ctx context.Context, id identity.TenantID, wanted int) (int, []identity.UserID, error) {
	var counters countersItem
	if err := s.get(ctx, countersKey(id), &counters); err != nil {
		return 0, nil, fmt.Errorf("count the users of tenant %s: %w", id, err)
	}
	in := dynamodb.QueryInput{IndexName: new("tenant"), KeyConditionExpression: new("of_tenant = :t")}
	items, err := query[userItem](ctx, s.Table, in, map[string]any{":t": usersOf(id)}, wanted)
	if err != nil {
		return 0, nil, fmt.Errorf("find the users of tenant %s: %w", id, err)
	}
	var ids []identity.UserID
	for _, item := range items[:min(wanted, len(items))] {
		ids = append(ids, item.ID)
	}
	return counters.Users, ids, nil
}

// ReleaseEmail frees an e-mail address that is still held for an operation. It is
// no error if it is not.
func (s *Users) ReleaseEmail(ctx context.Context, email string, id operation.ID, r audit.Record) error {
	other := errors.New("the address is not held for the operation")
	tx := s.begin()
	tx.remove(emailKey(email), "operation_id = :o", map[string]any{":o": id}, other)
	tx.record(r)
	if err := tx.run(ctx); !errors.Is(err, other) {
		return err
	}
	return nil
}

// Provisions returns the operations that made a tenant, as they are now. Each
// tenant has one, so operation.ErrNotReady says that the index which it is found
// by is behind.
func (s *Operations) Provisions(ctx context.Context, id identity.TenantID) ([]operation.Operation, error) {
	var provisions []operation.Operation
	for w := (page.Window{Limit: maxQuery}); ; {
		p, err := s.List(ctx, id, w)
		if err != nil {
			return nil, err
		}
		for _, entry := range p.Entries {
			if entry.Value.Kind != operation.Provision {
				continue
			}
			o, err := s.Get(ctx, entry.Value.ID)
			if err != nil {
				return nil, err
			}
			provisions = append(provisions, o)
		}
		if w.From = p.Next; w.From == "" {
			break
		}
	}
	if provisions == nil {
		return nil, operation.ErrNotReady
	}
	return provisions, nil
}
