package dynamodb

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func describe(tb testing.TB, db *dynamodb.Client, table string) *types.TableDescription {
	tb.Helper()
	out, err := db.DescribeTable(tb.Context(), &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		tb.Fatal(err)
	}
	return out.Table
}

func TestCreateTable(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprintf("strict=%t", strict), func(t *testing.T) {
			_, db := newLayer(t, Options{Strict: strict})
			name := newTable(t, db) + "-made"
			create := &dynamodb.CreateTableInput{
				TableName: &name, BillingMode: types.BillingModePayPerRequest,
				AttributeDefinitions:      []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: "S"}},
				KeySchema:                 []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: "HASH"}},
				Tags:                      []types.Tag{{Key: aws.String("tenant"), Value: aws.String("t1")}, {Key: aws.String("empty"), Value: aws.String("")}},
				SSESpecification:          &types.SSESpecification{Enabled: aws.Bool(true), SSEType: types.SSETypeKms},
				DeletionProtectionEnabled: aws.Bool(true),
			}
			out, err := db.CreateTable(t.Context(), create)
			if err != nil {
				t.Fatal(err)
			}
			if got := out.TableDescription.TableStatus; got != types.TableStatusCreating {
				t.Errorf("got status %s, want CREATING", got)
			}
			tags, err := db.ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: out.TableDescription.TableArn})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, tag := range tags.Tags {
				got[*tag.Key] = *tag.Value
			}
			diff(t, "tags", got, map[string]string{"tenant": "t1", "empty": ""})
			if want := "arn:aws:dynamodb:us-east-1:123456789012:table/" + name; aws.ToString(out.TableDescription.TableArn) != want {
				t.Errorf("got ARN %s, want %s", aws.ToString(out.TableDescription.TableArn), want)
			}
			if _, err := db.CreateTable(t.Context(), create); code(err) != resourceInUse {
				t.Errorf("got error %v for a second table of the name, want %s", err, resourceInUse)
			}

			remove := func() error {
				_, err := db.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: &name})
				return err
			}
			if !aws.ToBool(describe(t, db, name).DeletionProtectionEnabled) {
				t.Error("the table is not protected")
			}
			if got := describe(t, db, name).SSEDescription; got == nil || got.Status != types.SSEStatusEnabled || got.SSEType != types.SSETypeKms {
				t.Errorf("the table is encrypted by %+v", got)
			}
			if got := code(remove()); got != validation {
				t.Errorf("got error %q for a table that is protected, want %s", got, validation)
			}
			updated, err := db.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: &name, DeletionProtectionEnabled: aws.Bool(false)})
			if err != nil {
				t.Fatal(err)
			}
			if aws.ToBool(updated.TableDescription.DeletionProtectionEnabled) {
				t.Error("the table still is protected")
			}
			if err := remove(); err != nil {
				t.Error(err)
			}
			if got := code(remove()); got != resourceNotFound {
				t.Errorf("got error %q for a table that is gone, want %s", got, resourceNotFound)
			}
			create.DeletionProtectionEnabled, create.Tags, create.SSESpecification = nil, nil, nil
			if _, err := db.CreateTable(t.Context(), create); err != nil {
				t.Errorf("got %v for a table whose name is free again", err)
			}
			if aws.ToBool(describe(t, db, name).DeletionProtectionEnabled) {
				t.Error("the new table is protected as the old one was")
			}
			if got := describe(t, db, name).SSEDescription; got != nil {
				t.Errorf("the new table is encrypted by %+v", got)
			}
		})
	}
}

func TestCreateTableRefuses(t *testing.T) {
	_, db := newLayer(t, Options{Strict: true})
	create := func(name string, tags ...types.Tag) error {
		_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: &name, BillingMode: types.BillingModePayPerRequest, Tags: tags,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: "S"}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: "HASH"}},
		})
		return err
	}
	for name, err := range map[string]error{
		"name": create("no spaces"), "short name": create("ab"), "tag": create("tagged", types.Tag{Key: aws.String(""), Value: aws.String("v")}),
		"too many tags": create("tagged", slices.Repeat([]types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}, 51)...),
	} {
		if got := code(err); got != validation {
			t.Errorf("%s: got error %v, want %s", name, err, validation)
		}
	}
	if out, err := db.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil || len(out.TableNames) > 0 {
		t.Errorf("got tables %v, %v, want none", out.TableNames, err)
	}
}

// TestTableLife stops the clock in each state of a table.
func TestTableLife(t *testing.T) {
	l, db := newLayer(t, Options{Strict: true, TableDelay: time.Hour})
	name := newTable(t, db)
	items, settings := itemCalls(t, db, name), tableCalls(t, db, name)

	expectStatus(t, db, name, types.TableStatusCreating)
	expect(t, "creating", items, resourceNotFound, nil)
	expect(t, "creating", settings, resourceInUse, map[string]string{"backups": unavailableBackups})

	l.tables.change(func() { l.tables.byName[name].ready = time.Now() })
	expectStatus(t, db, name, types.TableStatusActive)
	expect(t, "active", items, "", nil)
	remove := settings["delete"]
	delete(settings, "delete")
	expect(t, "active", settings, "", map[string]string{"create": resourceInUse})

	for range 2 { // the second finds it DELETING, and does no harm
		if err := remove(); err != nil {
			t.Fatal(err)
		}
	}
	expectStatus(t, db, name, types.TableStatusDeleting)
	expect(t, "deleting", items, resourceNotFound, nil)
	expect(t, "deleting", settings, resourceInUse, map[string]string{"backups": tableNotFound})

	l.tables.change(func() { l.tables.byName[name].gone = time.Now() })
	if _, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name}); code(err) != resourceNotFound {
		t.Errorf("got error %v for a table that is gone, want %s", err, resourceNotFound)
	}
	expect(t, "gone", items, resourceNotFound, nil)
	delete(settings, "create")
	expect(t, "gone", settings, resourceNotFound, map[string]string{"backups": tableNotFound})
}

// expect makes all calls, and expects the error want of each but those in but.
func expect(tb testing.TB, state string, calls map[string]func() error, want string, but map[string]string) {
	tb.Helper()
	for what, call := range calls {
		want := want
		if other, ok := but[what]; ok {
			want = other
		}
		if got := code(call()); got != want {
			tb.Errorf("%s, %s: got error %q, want %q", state, what, got, want)
		}
	}
}

// expectStatus expects that the table is described with a status, and listed.
func expectStatus(tb testing.TB, db *dynamodb.Client, name string, want types.TableStatus) {
	tb.Helper()
	if got := describe(tb, db, name).TableStatus; got != want {
		tb.Errorf("got status %s, want %s", got, want)
	}
	if out, err := db.ListTables(tb.Context(), &dynamodb.ListTablesInput{}); err != nil || !slices.Contains(out.TableNames, name) {
		tb.Errorf("%s: got tables %v, %v, want %s among them", want, out.TableNames, err, name)
	}
}

// itemCalls are operations on a table's items.
func itemCalls(tb testing.TB, db *dynamodb.Client, name string) map[string]func() error {
	tb.Helper()
	return map[string]func() error{
		"get": func() error {
			_, err := db.GetItem(tb.Context(), &dynamodb.GetItemInput{TableName: &name, Key: key("p", "a")})
			return err
		},
		"put": func() error {
			_, err := db.PutItem(tb.Context(), &dynamodb.PutItemInput{TableName: &name, Item: key("p", "a")})
			return err
		},
		"query": func() error {
			_, err := db.Query(tb.Context(), &dynamodb.QueryInput{
				TableName: &name, KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: av(tb, attributes{":p": "p"}),
			})
			return err
		},
		"transaction": func() error { return transact(tb, db, name, remove("a", "")) },
		"batch get": func() error {
			_, err := db.BatchGetItem(tb.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
				name: {Keys: []map[string]types.AttributeValue{key("p", "a")}},
			}})
			return err
		},
		"batch write": func() error {
			_, err := db.BatchWriteItem(tb.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{
				name: {{PutRequest: &types.PutRequest{Item: key("p", "a")}}},
			}})
			return err
		},
	}
}

// tableCalls are operations on a table itself.
func tableCalls(tb testing.TB, db *dynamodb.Client, name string) map[string]func() error {
	tb.Helper()
	return map[string]func() error{
		"time to live": func() error {
			_, err := db.UpdateTimeToLive(tb.Context(), &dynamodb.UpdateTimeToLiveInput{
				TableName: &name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(true)},
			})
			return err
		},
		"protection": func() error {
			_, err := db.UpdateTable(tb.Context(), &dynamodb.UpdateTableInput{TableName: &name, DeletionProtectionEnabled: aws.Bool(false)})
			return err
		},
		"backups": func() error {
			_, err := db.UpdateContinuousBackups(tb.Context(), &dynamodb.UpdateContinuousBackupsInput{
				TableName: &name, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
			})
			return err
		},
		"create": func() error {
			_, err := db.CreateTable(tb.Context(), &dynamodb.CreateTableInput{
				TableName: &name, BillingMode: types.BillingModePayPerRequest,
				AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: "S"}},
				KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: "HASH"}},
			})
			return err
		},
		"delete": func() error {
			out, err := db.DeleteTable(tb.Context(), &dynamodb.DeleteTableInput{TableName: &name})
			if err == nil && out.TableDescription.TableStatus != types.TableStatusDeleting {
				tb.Errorf("got status %s, want DELETING", out.TableDescription.TableStatus)
			}
			return err
		},
	}
}

func TestListTables(t *testing.T) {
	for _, strict := range []bool{false, true} {
		_, db := newLayer(t, Options{Strict: strict})
		var want []string
		for range 5 {
			want = append(want, newTable(t, db))
		}
		slices.Sort(want)
		var got []string
		in := &dynamodb.ListTablesInput{Limit: aws.Int32(2)}
		for pages := 0; ; pages++ {
			out, err := db.ListTables(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, out.TableNames...)
			if in.ExclusiveStartTableName = out.LastEvaluatedTableName; in.ExclusiveStartTableName == nil {
				if pages != 2 {
					t.Errorf("got %d pages, want 3", pages+1)
				}
				break
			}
		}
		diff(t, fmt.Sprintf("tables, strict=%t", strict), got, want)
		if _, err := db.ListTables(t.Context(), &dynamodb.ListTablesInput{Limit: aws.Int32(101)}); code(err) != validation {
			t.Errorf("got error %v for a limit of 101, want %s", err, validation)
		}
	}
}

func TestTimeToLive(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	set := func(table string, enabled bool) error {
		_, err := db.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
			TableName: &table, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: &enabled},
		})
		return err
	}
	status := func() string {
		out, err := db.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &table})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out.TimeToLiveDescription.TimeToLiveStatus) + " " + aws.ToString(out.TimeToLiveDescription.AttributeName))
	}
	for _, step := range []struct {
		enabled     bool
		err, status string
	}{{false, validation, "DISABLED"}, {true, "", "ENABLED ttl"}, {true, validation, "ENABLED ttl"}, {false, "", "DISABLED"}} {
		if got := code(set(table, step.enabled)); got != step.err {
			t.Errorf("set to %t: got error %q, want %q", step.enabled, got, step.err)
		}
		if got := status(); got != step.status {
			t.Errorf("set to %t: got %s, want %s", step.enabled, got, step.status)
		}
	}
	if got := code(set("nowhere", true)); got != resourceNotFound {
		t.Errorf("got error %q for a table that is not there, want %s", got, resourceNotFound)
	}
	if _, err := db.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("nowhere")}); code(err) != resourceNotFound {
		t.Errorf("got error %v for a table that is not there, want %s", err, resourceNotFound)
	}
	put(t, db, table, attributes{"pk": "p", "sk": "old", "ttl": 1})
	if got := get(t, db, table, "old"); len(got) == 0 {
		t.Error("what has expired is gone at once; DynamoDB takes up to days")
	}
}

func TestContinuousBackups(t *testing.T) {
	_, db := newLayer(t, Options{})
	table := newTable(t, db)
	set := func(table string, enabled bool, days *int32) error {
		_, err := db.UpdateContinuousBackups(t.Context(), &dynamodb.UpdateContinuousBackupsInput{
			TableName: &table, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: &enabled, RecoveryPeriodInDays: days},
		})
		return err
	}
	for _, step := range []struct {
		enabled bool
		days    *int32
		err     string
		status  types.PointInTimeRecoveryStatus
		kept    int32
	}{
		{false, nil, "", "DISABLED", 0},
		{true, nil, "", "ENABLED", 35},
		{true, aws.Int32(7), "", "ENABLED", 7},
		{true, aws.Int32(36), validation, "ENABLED", 7},
		{false, nil, "", "DISABLED", 0},
	} {
		if got := code(set(table, step.enabled, step.days)); got != step.err {
			t.Errorf("got error %q, want %q", got, step.err)
		}
		out, err := db.DescribeContinuousBackups(t.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: &table})
		if err != nil {
			t.Fatal(err)
		}
		got := out.ContinuousBackupsDescription.PointInTimeRecoveryDescription
		if got.PointInTimeRecoveryStatus != step.status || aws.ToInt32(got.RecoveryPeriodInDays) != step.kept {
			t.Errorf("got %s for %d days, want %s for %d", got.PointInTimeRecoveryStatus, aws.ToInt32(got.RecoveryPeriodInDays), step.status, step.kept)
		}
		if step.status == "ENABLED" && (got.EarliestRestorableDateTime == nil || time.Since(*got.LatestRestorableDateTime) > time.Minute) {
			t.Errorf("got backups from %v to %v", got.EarliestRestorableDateTime, got.LatestRestorableDateTime)
		}
	}
	if got := code(set("nowhere", true, nil)); got != tableNotFound {
		t.Errorf("got error %q for a table that is not there, want %s", got, tableNotFound)
	}
}
