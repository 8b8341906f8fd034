package dynamo

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/tenant"
)

// Create writes a new tenant and all that belongs to it, or nothing. It fails
// with idempotency.ErrRecorded if the receipt is there already, with
// fault.Conflict if the tenant is, and with fault.SlugTaken, fault.EmailTaken or
// fault.SIPDomainTaken. An owner whose account was rejected gets fault.EmailTaken
// too.
func (s *Tenants) Create(ctx context.Context, c provisioning.Creation) error {
	n, err := s.nextNumber(ctx)
	if err != nil {
		return err
	}
	c.Tenant.Number = n
	return s.creation(c).run(ctx)
}

func (s *Tenants) creation(c provisioning.Creation) *transaction {
	t := c.Tenant
	tx := s.begin()
	tx.receipt(c.Receipt)
	tx.put(newTenantItem(t), fault.New(fault.Conflict, "there is a tenant %q already", t.ID))
	tx.put(newCountersItem(t), errLost(t.ID, "counters"))
	tx.put(newPlanItem(t, t.CreatedAt), errLost(t.ID, "plan"))
	tx.put(reservationItem{key: slugKey(t.Slug), TenantID: t.ID}, fault.New(fault.SlugTaken, "the slug %q is taken", t.Slug))
	tx.reserveSIPDomain(t)
	if c.Owner != nil {
		owner, before := *c.Owner, newRosterPage(t.ID, 1)
		roster := before
		roster.add(&owner)
		tx.putUser(owner)
		tx.checkNotRejected(owner)
		tx.saveRoster(before, roster)
	}
	if c.Operation.AdminEmail != "" {
		tx.put(emailItem{key: emailKey(c.Operation.AdminEmail), OperationID: c.Operation.ID},
			fault.New(fault.EmailTaken, "the e-mail address belongs to another account"))
	}
	tx.countNew(t)
	for _, entry := range searchItems(t) {
		tx.put(entry, errLost(t.ID, "search entry"))
	}
	tx.put(newOperationItem(c.Operation), fault.New(fault.Conflict, "there is an operation %q already", c.Operation.ID))
	tx.put(runningItem{runningKey(t.ID), c.Operation.ID}, errLost(t.ID, "operation"))
	tx.record(c.Records...)
	return tx
}

// searchItems returns the entries of a tenant's name and slug, which are one
// where they fold to the same.
func searchItems(t tenant.Tenant) []searchItem {
	items := []searchItem{slugEntry(t)}
	if name := nameEntry(t); name.key != items[0].key {
		items = append(items, name)
	}
	return items
}

// nextNumber returns a number that no other tenant has.
func (t *Table) nextNumber(ctx context.Context) (int64, error) {
	k, err := attributevalue.MarshalMap(directoryCounterKey())
	if err != nil {
		return 0, fmt.Errorf("marshal the directory's key: %w", err)
	}
	out, err := t.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &t.name,
		Key:                       k,
		UpdateExpression:          new("ADD n :one"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":one": &types.AttributeValueMemberN{Value: "1"}},
		ReturnValues:              types.ReturnValueUpdatedNew,
	})
	if err != nil {
		return 0, fmt.Errorf("take a number in the directory: %w", err)
	}
	var counter counterItem
	if err := attributevalue.UnmarshalMap(out.Attributes, &counter); err != nil {
		return 0, fmt.Errorf("unmarshal the directory's counter: %w", err)
	}
	return counter.N, nil
}

// A counterItem counts the numbers that tenants have taken.
type counterItem struct {
	N int64 `dynamodbav:"n"`
}

// A runningItem names the operation that runs on a tenant. There is one at a
// time.
type runningItem struct {
	key
	OperationID operation.ID `dynamodbav:"operation_id"`
}
