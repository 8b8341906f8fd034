package dynamo_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/uuid"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/dynamo"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A base is the table of a tenant, which a test makes and removes.
type base struct {
	*testing.T
	*calls
	db        *dynamodb.Client
	databases *dynamo.Databases
	tenant    tenant.Tenant
	operation operation.ID
	name      string
}

func newBase(t *testing.T) *base {
	t.Helper()
	b := &base{
		T: t, calls: &calls{}, db: enginetest.Client(t),
		tenant:    tenant.Tenant{ID: identity.TenantID(uuid.NewString()), Slug: strings.ToLower(rand.Text()), SchemaVersion: 3},
		operation: operation.ID(uuid.NewString()),
	}
	b.databases = dynamo.NewDatabases(enginetest.Client(t, func(o *dynamodb.Options) {
		o.APIOptions = append(o.APIOptions, b.intercept)
	}), "test")
	b.name = b.databases.Name(b.tenant)
	t.Cleanup(func() {
		_, err := b.db.DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: &b.name})
		if _, gone := errors.AsType[*types.ResourceNotFoundException](err); err != nil && !gone {
			t.Error(err)
		}
	})
	return b
}

// calls lets calls fail.
type calls struct {
	mu    sync.Mutex
	names []string
	// fail, if any, says what a call fails with, by its name and its number, which
	// counts from 1, and whether it is done all the same.
	fail func(name string, n int) (err error, done bool)
}

func (c *calls) intercept(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("fail",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			err, done := c.next(middleware.GetOperationName(ctx))
			if err != nil && !done {
				return middleware.InitializeOutput{}, middleware.Metadata{}, err
			}
			out, m, answer := next.HandleInitialize(ctx, in)
			return out, m, errors.Join(err, answer)
		}), middleware.Before)
}

func (c *calls) next(name string) (err error, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, name)
	if c.fail == nil {
		return nil, false
	}
	return c.fail(name, len(c.names))
}

// create makes the table, and returns how often it was not ready.
func (b *base) create() int {
	b.Helper()
	return b.patiently(func() error { return b.databases.Create(b.Context(), b.tenant, b.operation) })
}

func (b *base) delete() int {
	b.Helper()
	return b.patiently(func() error { return b.databases.Delete(b.Context(), b.tenant, b.operation) })
}

// patiently calls f until it is done, as the workflow does.
func (b *base) patiently(f func() error) int {
	b.Helper()
	waited := 0
	eventually(b, "table "+b.name+" was there, or gone", func() bool {
		err := f()
		if err != nil && !errors.Is(err, operation.ErrNotReady) && !errors.Is(err, errInjected) {
			b.Fatal(err)
		}
		if err != nil {
			waited++
		}
		return err == nil
	})
	return waited
}

var errInjected = errors.New("injected")

// status returns the status of the table, or "".
func (b *base) status() types.TableStatus {
	b.Helper()
	out, err := b.db.DescribeTable(b.Context(), &dynamodb.DescribeTableInput{TableName: &b.name})
	if _, gone := errors.AsType[*types.ResourceNotFoundException](err); gone {
		return ""
	}
	if err != nil {
		b.Fatal(err)
	}
	return out.Table.TableStatus
}

// check fails the test unless the table is fit for use.
func (b *base) check() {
	b.Helper()
	ttl, err := b.db.DescribeTimeToLive(b.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &b.name})
	if err != nil {
		b.Fatal(err)
	}
	if d := ttl.TimeToLiveDescription; d.TimeToLiveStatus != types.TimeToLiveStatusEnabled || *d.AttributeName != "expires_at" {
		b.Errorf("the time to live is %+v", d)
	}
	backups, err := b.db.DescribeContinuousBackups(b.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: &b.name})
	if err != nil {
		b.Fatal(err)
	}
	if s := backups.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus; s != types.PointInTimeRecoveryStatusEnabled {
		b.Errorf("point-in-time recovery is %s", s)
	}
	described, err := b.db.DescribeTable(b.Context(), &dynamodb.DescribeTableInput{TableName: &b.name})
	if err != nil {
		b.Fatal(err)
	}
	if d := described.Table.SSEDescription; d == nil || d.SSEType != types.SSETypeKms {
		b.Errorf("it is encrypted by %+v", d)
	}
	out, err := b.db.Scan(b.Context(), &dynamodb.ScanInput{TableName: &b.name})
	if err != nil {
		b.Fatal(err)
	}
	if len(out.Items) != 1 || out.Items[0]["schema_version"].(*types.AttributeValueMemberN).Value != "3" {
		b.Errorf("the table holds %v", out.Items)
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	if err := b.databases.Delete(t.Context(), b.tenant, b.operation); err != nil {
		t.Errorf("nothing is there: %v", err)
	}
	if err := b.databases.Create(t.Context(), b.tenant, b.operation); !errors.Is(err, operation.ErrNotReady) {
		t.Errorf("a new table: got %v, want %v", err, operation.ErrNotReady)
	}
	if err := b.databases.Delete(t.Context(), b.tenant, b.operation); !errors.Is(err, operation.ErrNotReady) || b.status() != types.TableStatusCreating {
		t.Errorf("a table that is being made: got %v, want %v", err, operation.ErrNotReady)
	}
	b.create()
	b.check()
	if waited := b.create(); waited != 0 {
		t.Error("what is there was not ready")
	}
	b.check()
	if waited := b.delete(); waited == 0 || b.status() != "" {
		t.Errorf("after %d waits the table is %s", waited, b.status())
	}
	if err := b.databases.Delete(t.Context(), b.tenant, b.operation); err != nil {
		t.Errorf("nothing is there any more: %v", err)
	}
}

// TestDatabaseWhileDeleting makes a table whose predecessor is on its way out.
func TestDatabaseWhileDeleting(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.create()
	if err := b.databases.Delete(t.Context(), b.tenant, b.operation); !errors.Is(err, operation.ErrNotReady) {
		t.Errorf("got %v, want %v", err, operation.ErrNotReady)
	}
	if waited := b.create(); waited == 0 {
		t.Error("a table that is deleted was taken for one that is there")
	}
	b.check()
}

// TestDatabaseTogether makes and removes a table several times at once.
func TestDatabaseTogether(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	for _, f := range []func() int{b.create, b.delete} {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { f() })
		}
		wg.Wait()
	}
	if got := b.status(); got != "" {
		t.Errorf("the table is %s", got)
	}
}

// TestDatabaseRemoved removes a tenant's table, whatever operation made it, and no
// other's.
func TestDatabaseRemoved(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	remove := func() error { return b.databases.Remove(t.Context(), b.tenant) }
	if err := remove(); err != nil {
		t.Errorf("nothing is there: %v", err)
	}
	b.create()
	other := b.tenant
	other.ID = b.tenant.ID[:8] + identity.TenantID(uuid.NewString())[8:] // the same name, but for the tag
	if err := b.databases.Remove(t.Context(), other); err != nil || b.status() != types.TableStatusActive {
		t.Errorf("another's: got %v, and the table is %s", err, b.status())
	}
	if waited := b.patiently(remove); waited == 0 || b.status() != "" {
		t.Errorf("after %d waits the table is %s", waited, b.status())
	}
	if err := remove(); err != nil {
		t.Errorf("nothing is there any more: %v", err)
	}
}

// TestDatabaseMigrated writes down a later version of the schema, and no earlier one,
// whatever operation made the table.
func TestDatabaseMigrated(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	if err := b.databases.Migrate(t.Context(), b.tenant, 3); !errors.Is(err, fault.Conflict) || b.status() != "" {
		t.Errorf("nothing is there: got %v, want %v", err, fault.Conflict)
	}
	b.tenant.SchemaVersion = 1
	b.create()
	for _, version := range []int{2, 3, 3, 2} {
		if err := b.databases.Migrate(t.Context(), b.tenant, version); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
	}
	b.check()
	b.create() // as a late duplicate of the step does
	b.check()
	namesake := b.tenant
	namesake.ID = b.tenant.ID[:8] + identity.TenantID(uuid.NewString())[8:]
	if err := b.databases.Migrate(t.Context(), namesake, 9); !errors.Is(err, fault.Conflict) {
		t.Errorf("another tenant's: got %v, want %v", err, fault.Conflict)
	}
	b.check()
}

// TestDatabaseOfAnother leaves alone what is not the operation's.
func TestDatabaseOfAnother(t *testing.T) {
	t.Parallel()
	for name, tags := range map[string]func(*base) []types.Tag{
		"no tags": func(*base) []types.Tag { return nil },
		"another operation": func(b *base) []types.Tag {
			return []types.Tag{{Key: new("tenantry:tenant"), Value: new(string(b.tenant.ID))}, {Key: new("tenantry:operation"), Value: new("another")}}
		},
		"another tenant": func(b *base) []types.Tag {
			return []types.Tag{{Key: new("tenantry:tenant"), Value: new("another")}, {Key: new("tenantry:operation"), Value: new(string(b.operation))}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			_, err := b.db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
				TableName: &b.name, BillingMode: types.BillingModePayPerRequest, Tags: tags(b),
				AttributeDefinitions: []types.AttributeDefinition{{AttributeName: new("theirs"), AttributeType: types.ScalarAttributeTypeS}},
				KeySchema:            []types.KeySchemaElement{{AttributeName: new("theirs"), KeyType: types.KeyTypeHash}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := b.databases.Create(t.Context(), b.tenant, b.operation); !errors.Is(err, operation.ErrNotReady) {
				t.Errorf("Create while it is made: got %v, want %v", err, operation.ErrNotReady)
			}
			eventually(t, "the other's table was there", func() bool { return b.status() == types.TableStatusActive })
			if err := b.databases.Create(t.Context(), b.tenant, b.operation); !errors.Is(err, fault.Conflict) {
				t.Errorf("Create: got %v, want %s", err, fault.Conflict)
			}
			if err := b.databases.Delete(t.Context(), b.tenant, b.operation); err != nil {
				t.Errorf("Delete: %v", err)
			}
			if got := b.status(); got != types.TableStatusActive {
				t.Errorf("the other's table is %s", got)
			}
		})
	}
}

// TestDatabaseFails fails each call in turn, before and after it is done.
func TestDatabaseFails(t *testing.T) {
	t.Parallel()
	names := []string{
		"DescribeTable", "CreateTable", "ListTagsOfResource", "DescribeTimeToLive", "UpdateTimeToLive", "UpdateContinuousBackups", "PutItem", "DeleteTable",
	}
	for _, name := range names {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/done %t", name, done), func(t *testing.T) {
				t.Parallel()
				b := newBase(t)
				failed := false
				b.fail = func(called string, _ int) (error, bool) {
					if called != name || failed {
						return nil, false
					}
					failed = true
					return errInjected, done
				}
				b.create()
				b.check()
				b.delete()
				if got := b.status(); got != "" || !failed {
					t.Errorf("the table is %s, and a call failed: %t", got, failed)
				}
			})
		}
	}
}

// TestDatabaseErrors tells what passes from what does not.
func TestDatabaseErrors(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.create()
	for name, test := range map[string]struct {
		err    error
		passes bool
	}{
		"in use":            {&types.ResourceInUseException{}, true},
		"too many tables":   {&types.LimitExceededException{}, true},
		"no backups yet":    {&types.ContinuousBackupsUnavailableException{}, true},
		"throttled":         {&smithy.GenericAPIError{Code: "ThrottlingException"}, true},
		"not allowed":       {&smithy.GenericAPIError{Code: "AccessDeniedException"}, false},
		"malformed":         {&smithy.GenericAPIError{Code: "ValidationException"}, false},
		"something happens": {errInjected, false},
	} {
		for _, call := range []string{"DescribeTable", "ListTagsOfResource", "UpdateContinuousBackups"} {
			b.fail = func(called string, _ int) (error, bool) {
				if called == call {
					return test.err, false
				}
				return nil, false
			}
			err := b.databases.Create(t.Context(), b.tenant, b.operation)
			if errors.Is(err, operation.ErrNotReady) != test.passes || !errors.Is(err, test.err) || fault.KindOf(err) != "" {
				t.Errorf("%s, %s: got %v", call, name, err)
			}
		}
	}
}

func TestDatabaseName(t *testing.T) {
	t.Parallel()
	const id = "0f1e2d3c-0000-4000-8000-000000000001"
	for name, test := range map[string]struct{ stack, slug, want string }{
		"short": {"app", "acme", "app-tenant-acme-0f1e2d3c"},
		"long":  {strings.Repeat("s", 128), strings.Repeat("a", 63), strings.Repeat("s", 128) + "-tenant-" + strings.Repeat("a", 63) + "-0f1e2d3c"},
		"cut":   {strings.Repeat("s", 234), "acme-corp", strings.Repeat("s", 234) + "-tenant-acme-0f1e2d3c"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := dynamo.NewDatabases(nil, test.stack).Name(tenant.Tenant{ID: id, Slug: test.slug}); got != test.want {
				t.Errorf("got %q of %d characters, want %q", got, len(got), test.want)
			}
		})
	}
}
