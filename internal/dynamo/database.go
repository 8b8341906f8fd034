package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	tenantTag    = "tenantry:tenant"
	operationTag = "tenantry:operation"
	maxTableName = 255
	shortID      = 8
)

// A DatabaseClient is what Databases uses of *dynamodb.Client.
type DatabaseClient interface {
	CreateTable(context.Context, *dynamodb.CreateTableInput, ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error)
	DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
	DeleteTable(context.Context, *dynamodb.DeleteTableInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteTableOutput, error)
	ListTagsOfResource(context.Context, *dynamodb.ListTagsOfResourceInput, ...func(*dynamodb.Options)) (*dynamodb.ListTagsOfResourceOutput, error)
	DescribeTimeToLive(context.Context, *dynamodb.DescribeTimeToLiveInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTimeToLiveOutput, error)
	UpdateTimeToLive(context.Context, *dynamodb.UpdateTimeToLiveInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateTimeToLiveOutput, error)
	UpdateContinuousBackups(context.Context, *dynamodb.UpdateContinuousBackupsInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateContinuousBackupsOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
}

// Databases makes and removes the tables of dedicated tenants. It is the one
// place that knows them, together with own.
type Databases struct {
	db    DatabaseClient
	stack string
}

// NewDatabases returns the tables of the dedicated tenants of a stack.
func NewDatabases(db DatabaseClient, stack string) *Databases { return &Databases{db, stack} }

// own returns the table that holds what is the tenant's own: its database, or,
// where it has none, the table that tenants share.
func (t *Table) own(of tenant.Tenant) *Table {
	if of.Database == nil {
		return t
	}
	return &Table{t.db, *of.Database}
}

// Name returns the name of the tenant's table.
func (s *Databases) Name(t tenant.Tenant) string {
	id := strings.ReplaceAll(string(t.ID), "-", "")
	name := s.stack + "-tenant-" + t.Slug
	if room := maxTableName - shortID - 1; len(name) > room {
		name = name[:room]
	}
	return name + "-" + id[:shortID]
}

// Create makes the tenant's table on behalf of an operation, or adopts the one
// that the operation made. It fails with fault.Conflict if somebody else's has
// the name, and with operation.ErrNotReady until it can be used.
func (s *Databases) Create(ctx context.Context, t tenant.Tenant, id operation.ID) error {
	table, err := s.owned(ctx, t, &id)
	if errors.Is(err, errNoItem) {
		table, err = s.create(ctx, t, id)
	}
	if err != nil {
		return err
	}
	if table.TableStatus != types.TableStatusActive {
		return operation.ErrNotReady
	}
	return s.setUp(ctx, *table.TableName, t.SchemaVersion)
}

// create makes the table. It may take a while until that can be used.
func (s *Databases) create(ctx context.Context, t tenant.Tenant, id operation.ID) (*types.TableDescription, error) {
	name := s.Name(t)
	out, err := s.db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: new("pk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: new("sk"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: new("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: new("sk"), KeyType: types.KeyTypeRange},
		},
		SSESpecification: &types.SSESpecification{Enabled: new(true), SSEType: types.SSETypeKms}, // as the table that tenants share
		Tags: []types.Tag{
			{Key: new(tenantTag), Value: new(string(t.ID))},
			{Key: new(operationTag), Value: new(string(id))},
		},
	})
	if err != nil {
		return nil, tableFailure("create table "+name, err) // where another call was first, whose it is will be seen
	}
	return out.TableDescription, nil
}

// owned returns the tenant's table. It fails with errNoItem if there is none,
// with fault.Conflict if it was not made for the tenant, by the operation unless
// that is nil, and with operation.ErrNotReady while that cannot be told.
func (s *Databases) owned(ctx context.Context, t tenant.Tenant, id *operation.ID) (*types.TableDescription, error) {
	name := s.Name(t)
	out, err := s.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		return nil, tableFailure("describe table "+name, err)
	}
	tags, err := s.tags(ctx, out.Table.TableArn)
	if err != nil {
		err = tableFailure("list the tags of table "+name, err)
		if errors.Is(err, errNoItem) {
			err = operation.ErrNotReady // it is on its way out
		}
		return nil, err
	}
	if tags[tenantTag] == string(t.ID) && (id == nil || tags[operationTag] == string(*id)) {
		return out.Table, nil
	}
	if out.Table.TableStatus == types.TableStatusCreating {
		return nil, operation.ErrNotReady // the tags may be behind the table
	}
	return nil, fault.New(fault.Conflict, "there is a table %s already, and it was not made for this tenant", name)
}

func (s *Databases) tags(ctx context.Context, arn *string) (map[string]string, error) {
	found := map[string]string{}
	in := &dynamodb.ListTagsOfResourceInput{ResourceArn: arn}
	for {
		out, err := s.db.ListTagsOfResource(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, tag := range out.Tags {
			found[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		if out.NextToken == nil {
			return found, nil
		}
		in.NextToken = out.NextToken
	}
}

// setUp makes a table that is active fit for use.
func (s *Databases) setUp(ctx context.Context, name string, schemaVersion int) error {
	if err := s.expire(ctx, name); err != nil {
		return err
	}
	_, err := s.db.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
		TableName:                        &name,
		PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: new(true)},
	})
	if err != nil {
		return tableFailure("set point-in-time recovery of table "+name, err)
	}
	return s.setSchemaVersion(ctx, name, schemaVersion)
}

// setSchemaVersion writes down the version of the schema that a table has, unless it
// has a later one.
func (s *Databases) setSchemaVersion(ctx context.Context, name string, version int) error {
	v := &types.AttributeValueMemberN{Value: strconv.Itoa(version)}
	_, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &name,
		Item: map[string]types.AttributeValue{
			"pk":             &types.AttributeValueMemberS{Value: "SCHEMA"},
			"sk":             &types.AttributeValueMemberS{Value: "SCHEMA"},
			"schema_version": v,
		},
		ConditionExpression:       new("attribute_not_exists(schema_version) OR schema_version <= :v"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":v": v},
	})
	if _, later := errors.AsType[*types.ConditionalCheckFailedException](err); err == nil || later {
		return nil
	}
	return tableFailure("write the schema version of table "+name, err)
}

// Migrate brings the tenant's table to a version of the schema, unless it has a later
// one: the items say themselves what they are, so that is only written down. It fails
// with fault.Conflict if there is no table, or if that was not made for the tenant.
func (s *Databases) Migrate(ctx context.Context, t tenant.Tenant, version int) error {
	table, err := s.owned(ctx, t, nil)
	if errors.Is(err, errNoItem) {
		return fault.New(fault.Conflict, "there is no table %s", s.Name(t))
	}
	if err != nil {
		return err
	}
	return s.setSchemaVersion(ctx, *table.TableName, version)
}

// expire turns the time to live of a table on, unless it is.
func (s *Databases) expire(ctx context.Context, name string) error {
	on, err := s.expires(ctx, name)
	if err != nil || on {
		return err
	}
	_, err = s.db.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: new("expires_at"), Enabled: new(true)},
	})
	if err == nil {
		return nil
	}
	if on, err2 := s.expires(ctx, name); err2 == nil && on {
		return nil // another call was first
	}
	return tableFailure("set the time to live of table "+name, err)
}

// expires reports whether the time to live of a table is on, or will be.
func (s *Databases) expires(ctx context.Context, name string) (bool, error) {
	out, err := s.db.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		return false, tableFailure("describe the time to live of table "+name, err)
	}
	d := out.TimeToLiveDescription
	return d != nil && d.TimeToLiveStatus != types.TimeToLiveStatusDisabled, nil
}

// Delete removes the tenant's table if the operation made it; another's is left
// alone. It fails with operation.ErrNotReady until it is gone.
func (s *Databases) Delete(ctx context.Context, t tenant.Tenant, id operation.ID) error {
	return s.delete(ctx, t, &id)
}

// Remove removes the tenant's table, whatever operation made it; another tenant's
// is left alone. It fails with operation.ErrNotReady until it is gone.
func (s *Databases) Remove(ctx context.Context, t tenant.Tenant) error { return s.delete(ctx, t, nil) }

func (s *Databases) delete(ctx context.Context, t tenant.Tenant, id *operation.ID) error {
	table, err := s.owned(ctx, t, id)
	if errors.Is(err, errNoItem) || errors.Is(err, fault.Conflict) {
		return nil
	}
	if err != nil {
		return err
	}
	if table.TableStatus == types.TableStatusDeleting {
		return operation.ErrNotReady
	}
	_, err = s.db.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table.TableName})
	if err != nil {
		err = tableFailure("delete table "+*table.TableName, err)
		if errors.Is(err, errNoItem) {
			return nil
		}
		return err
	}
	return operation.ErrNotReady
}

// tableFailure says what an error of a call about a table means: errNoItem if
// there is no such table, and operation.ErrNotReady if it is on its way in or
// out, or there were too many such calls in the account, which pass.
func tableFailure(what string, err error) error {
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		return fmt.Errorf("%s: %w", what, errNoItem)
	}
	_, inUse := errors.AsType[*types.ResourceInUseException](err)
	_, noBackups := errors.AsType[*types.ContinuousBackupsUnavailableException](err)
	throttled := retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err)
	if inUse || noBackups || throttled.Bool() {
		return fmt.Errorf("%s: %w: %w", what, operation.ErrNotReady, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
