package work_test

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/tenant"
)

// tables is a DynamoDB of tables, which are on their way in and out until they
// are described the next time.
type tables struct {
	*process
	named  map[string]*table
	slowAt string // the state of the workflow in which they do not become active
	stuck  bool   // whether they never go
}

// A table is one with its settings. What it holds is left out.
type table struct {
	tags    map[string]string
	status  types.TableStatus
	expires bool
	backups bool
	schema  string
}

// others is a table that somebody else has made.
func others() *table { return &table{status: types.TableStatusActive} }

// tableName returns the name of the tenant's table.
func (w *world) tableName() string {
	return dynamo.NewDatabases(w.tables, "test").Name(tenant.Tenant{ID: w.tenantID, Slug: w.slug})
}

// on makes a call about a table that is there.
func (t *tables) on(ctx context.Context, call string, name *string, do func(*table) error) error {
	return t.fake(ctx, call, func() error {
		if found := t.named[*name]; found != nil {
			return do(found)
		}
		return &types.ResourceNotFoundException{}
	})
}

func (t *tables) CreateTable(ctx context.Context, in *dynamodb.CreateTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error) {
	err := t.fake(ctx, "CreateTable", func() error {
		if t.named[*in.TableName] != nil {
			return &types.ResourceInUseException{}
		}
		made := &table{tags: map[string]string{}, status: types.TableStatusCreating}
		for _, tag := range in.Tags {
			made.tags[*tag.Key] = *tag.Value
		}
		t.named[*in.TableName] = made
		return nil
	})
	return &dynamodb.CreateTableOutput{TableDescription: &types.TableDescription{TableName: in.TableName, TableStatus: types.TableStatusCreating}}, err
}

func (t *tables) DescribeTable(ctx context.Context, in *dynamodb.DescribeTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error) {
	d := &types.TableDescription{TableName: in.TableName, TableArn: new("arn:" + *in.TableName)}
	return &dynamodb.DescribeTableOutput{Table: d}, t.on(ctx, "DescribeTable", in.TableName, func(found *table) error {
		switch {
		case found.status == types.TableStatusCreating && t.at != t.slowAt:
			found.status = types.TableStatusActive
		case found.status == types.TableStatusDeleting && !t.stuck:
			delete(t.named, *in.TableName)
			return &types.ResourceNotFoundException{}
		}
		d.TableStatus = found.status
		return nil
	})
}

func (t *tables) DeleteTable(ctx context.Context, in *dynamodb.DeleteTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteTableOutput, error) {
	return &dynamodb.DeleteTableOutput{}, t.on(ctx, "DeleteTable", in.TableName, func(found *table) error {
		if found.status != types.TableStatusActive {
			return &types.ResourceInUseException{}
		}
		found.status = types.TableStatusDeleting
		return nil
	})
}

func (t *tables) ListTagsOfResource(ctx context.Context, in *dynamodb.ListTagsOfResourceInput, _ ...func(*dynamodb.Options)) (*dynamodb.ListTagsOfResourceOutput, error) {
	out := &dynamodb.ListTagsOfResourceOutput{}
	return out, t.on(ctx, "ListTagsOfResource", new(strings.TrimPrefix(*in.ResourceArn, "arn:")), func(found *table) error {
		for key, value := range found.tags {
			out.Tags = append(out.Tags, types.Tag{Key: &key, Value: &value})
		}
		return nil
	})
}

func (t *tables) DescribeTimeToLive(ctx context.Context, in *dynamodb.DescribeTimeToLiveInput, _ ...func(*dynamodb.Options)) (*dynamodb.DescribeTimeToLiveOutput, error) {
	d := &types.TimeToLiveDescription{TimeToLiveStatus: types.TimeToLiveStatusDisabled}
	return &dynamodb.DescribeTimeToLiveOutput{TimeToLiveDescription: d}, t.on(ctx, "DescribeTimeToLive", in.TableName, func(found *table) error {
		if found.expires {
			d.TimeToLiveStatus = types.TimeToLiveStatusEnabled
		}
		return nil
	})
}

func (t *tables) UpdateTimeToLive(ctx context.Context, in *dynamodb.UpdateTimeToLiveInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateTimeToLiveOutput, error) {
	return &dynamodb.UpdateTimeToLiveOutput{}, t.on(ctx, "UpdateTimeToLive", in.TableName, func(found *table) error {
		found.expires = true
		return nil
	})
}

func (t *tables) UpdateContinuousBackups(ctx context.Context, in *dynamodb.UpdateContinuousBackupsInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateContinuousBackupsOutput, error) {
	return &dynamodb.UpdateContinuousBackupsOutput{}, t.on(ctx, "UpdateContinuousBackups", in.TableName, func(found *table) error {
		found.backups = true
		return nil
	})
}

func (t *tables) PutItem(ctx context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return &dynamodb.PutItemOutput{}, t.on(ctx, "PutItem", in.TableName, func(found *table) error {
		found.schema = in.Item["schema_version"].(*types.AttributeValueMemberN).Value
		return nil
	})
}
