package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/engines"
)

// dynalite starts the one dynalite of this process. Layers share it, as each
// test has tables of its own.
var dynalite = sync.OnceValues(func() (*url.URL, error) {
	const dir = "../../../../.tools/engines"
	if err := engines.Install(context.Background(), dir, os.Stderr); err != nil {
		return nil, err
	}
	e, err := engines.StartDynalite(context.Background(), dir, "", io.Discard)
	if err != nil {
		return nil, err
	}
	return e.URL, nil
})

// newLayer returns a layer and a client of it. A strict layer neither lags nor
// delays unless the test says so.
func newLayer(tb testing.TB, o Options) (*Layer, *dynamodb.Client) {
	tb.Helper()
	upstream, err := dynalite()
	if err != nil {
		tb.Fatal(err)
	}
	o.Upstream = upstream
	o.TableDelay = max(o.TableDelay, 1)
	o.IndexLag = max(o.IndexLag, 1)
	l := New(o)
	return l, newClient(l)
}

// newClient returns a client that calls the handler and never tries again.
func newClient(h http.Handler) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint:     aws.String("http://layer"),
		Region:           "us-east-1",
		RetryMaxAttempts: 1,
		HTTPClient:       direct{h},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
		}),
	})
}

// direct is an HTTP client that calls a handler without a network between.
type direct struct {
	handler http.Handler
}

func (d direct) Do(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the connection broke: %v", v)
		}
	}()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// newTable makes a table with the key pk, sk and two global indexes: "tags"
// over tag, at and all attributes, and "owners" over owner, n and the keys.
func newTable(tb testing.TB, db *dynamodb.Client) string {
	tb.Helper()
	name := fmt.Sprintf("table-%x", rand.Uint64()) //nolint:gosec // it is a name, not a secret
	attribute := func(name string, kind types.ScalarAttributeType) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: kind}
	}
	index := func(name, hash, sort string, projection types.ProjectionType) types.GlobalSecondaryIndex {
		return types.GlobalSecondaryIndex{
			IndexName: &name, KeySchema: keySchema(hash, sort),
			Projection: &types.Projection{ProjectionType: projection},
		}
	}
	_, err := db.CreateTable(context.Background(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			attribute("pk", "S"), attribute("sk", "S"), attribute("tag", "S"),
			attribute("at", "S"), attribute("owner", "S"), attribute("n", "N"),
		},
		KeySchema: keySchema("pk", "sk"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			index("tags", "tag", "at", types.ProjectionTypeAll),
			index("owners", "owner", "n", types.ProjectionTypeKeysOnly),
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_, err := db.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name})
		if err != nil && code(err) != resourceNotFound {
			tb.Error(err)
		}
	})
	return name
}

func keySchema(hash, sort string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: &hash, KeyType: types.KeyTypeHash},
		{AttributeName: &sort, KeyType: types.KeyTypeRange},
	}
}

// attributes is an item as Go values.
type attributes map[string]any

// av returns the attributes as the client takes them.
func av(tb testing.TB, a attributes) map[string]types.AttributeValue {
	tb.Helper()
	m, err := attributevalue.MarshalMap(a)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// key returns the key of an item.
func key(pk, sk string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: pk},
		"sk": &types.AttributeValueMemberS{Value: sk},
	}
}

// plain returns an item that the client gave as Go values; a number is a
// float64.
func plain(tb testing.TB, m map[string]types.AttributeValue) attributes {
	tb.Helper()
	var a attributes
	if err := attributevalue.UnmarshalMap(m, &a); err != nil {
		tb.Fatal(err)
	}
	return a
}

func put(tb testing.TB, db *dynamodb.Client, table string, items ...attributes) {
	tb.Helper()
	for _, i := range items {
		_, err := db.PutItem(tb.Context(), &dynamodb.PutItemInput{TableName: &table, Item: av(tb, i)})
		if err != nil {
			tb.Error(err)
		}
	}
}

// get returns an item of partition p.
func get(tb testing.TB, db *dynamodb.Client, table, sk string) attributes {
	tb.Helper()
	out, err := db.GetItem(tb.Context(), &dynamodb.GetItemInput{
		TableName: &table, Key: key("p", sk), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		tb.Error(err)
		return nil
	}
	return plain(tb, out.Item)
}

// code returns the name of an error of DynamoDB, or "" for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return err.Error()
}

// diff reports how got differs from want.
func diff(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// together calls f for 0 to n-1, all at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	wg.Wait()
}

// post sends a request as it is, and returns the answer.
func post(l *Layer, operation, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w
}

func TestEveryAnswerHasItsChecksum(t *testing.T) {
	l, _ := newLayer(t, Options{})
	for _, operation := range []string{"GetItem", "ListTables", "TransactWriteItems", "ExecuteStatement"} {
		w := post(l, operation, `{}`)
		want := strconv.FormatUint(uint64(crc32.ChecksumIEEE(w.Body.Bytes())), 10)
		if got := w.Header().Get("X-Amz-Crc32"); got != want {
			t.Errorf("%s: got checksum %s, want %s", operation, got, want)
		}
		if w.Header().Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: got no request id", operation)
		}
	}
}

// TestMalformed sends what no SDK would: it is the caller's error, and the
// layer goes on.
func TestMalformed(t *testing.T) {
	l, _ := newLayer(t, Options{Strict: true})
	for operation := range operations {
		for _, body := range []string{"", "{", "[]", "null", `"s"`, `{"TableName": 1}`, `{"TransactItems": 1}`, `{"RequestItems": []}`, `{"TransactItems": [null]}`} {
			if operation == "ListTables" && strings.HasSuffix(body, "}") {
				continue // it needs none of the members
			}
			if w := post(l, operation, body); w.Code != http.StatusBadRequest {
				t.Errorf("%s of %s: got %d %s, want 400", operation, body, w.Code, w.Body)
			}
		}
	}
	if w := post(l, "PutItem", strings.Repeat(" ", maxRequestBytes+1)); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d for a request that is too long, want 413", w.Code)
	}
}

// TestNothingEndsDynalite puts what does not belong there in every place of a
// request. Dynalite ends at some of it, if the layer lets it through.
func TestNothingEndsDynalite(t *testing.T) {
	l, db := newLayer(t, Options{})
	table := newTable(t, db)
	bodies := map[string][]string{
		"PutItem": {
			`{"TableName": "T", "Item": X}`,
			`{"TableName": "T", "Item": {"pk": {"S": "p"}, "sk": {"S": "s"}, "a": X}}`,
			`{"TableName": "T", "Item": {"pk": {"S": "p"}, "sk": {"S": "s"}}, "ConditionExpression": "size(pk) > :v", "ExpressionAttributeValues": {":v": X}}`,
			`{"TableName": "T", "Item": {"pk": {"S": "p"}, "sk": {"S": "s"}}, "ConditionExpression": "contains(pk, :v)", "ExpressionAttributeValues": {":v": X}}`,
		},
		"UpdateItem": {
			`{"TableName": "T", "Key": {"pk": {"S": "p"}, "sk": {"S": "s"}}, "UpdateExpression": X}`,
			`{"TableName": "T", "Key": {"pk": {"S": "p"}, "sk": {"S": "s"}}, "UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": X}}`,
			`{"TableName": "T", "Key": {"pk": {"S": "p"}, "sk": {"S": "s"}}, "UpdateExpression": "ADD a :v", "ExpressionAttributeValues": {":v": X}}`,
			`{"TableName": "T", "Key": {"pk": {"S": "p"}, "sk": {"S": "s"}}, "UpdateExpression": "REMOVE #a", "ExpressionAttributeNames": {"#a": X}}`,
		},
		"GetItem":    {`{"TableName": X}`, `{"TableName": "T", "Key": X}`, `{"TableName": "T", "Key": {"pk": {"S": "p"}, "sk": X}}`},
		"DeleteItem": {`{"TableName": "T", "Key": X}`, `{"TableName": "T", "Key": {"pk": {"S": "p"}, "sk": X}}`},
		"Query": {
			`{"TableName": "T", "KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": X}}`,
			`{"TableName": "T", "KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "p"}}, "ExclusiveStartKey": X}`,
			`{"TableName": "T", "KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "p"}}, "ExclusiveStartKey": {"pk": {"S": "p"}, "sk": X}}`,
		},
		"Scan": {`{"TableName": "T", "Limit": X}`, `{"TableName": "T", "Segment": X, "TotalSegments": X}`},
		"BatchWriteItem": {
			`{"RequestItems": X}`, `{"RequestItems": {"T": X}}`, `{"RequestItems": {"T": [X]}}`,
			`{"RequestItems": {"T": [{"PutRequest": X}]}}`, `{"RequestItems": {"T": [{"DeleteRequest": {"Key": X}}]}}`,
		},
		"BatchGetItem": {`{"RequestItems": X}`, `{"RequestItems": {"T": X}}`, `{"RequestItems": {"T": {"Keys": [X]}}}`},
		"TransactWriteItems": {
			`{"TransactItems": X}`, `{"TransactItems": [X]}`, `{"TransactItems": [{"Put": X}]}`,
			`{"TransactItems": [{"Put": {"TableName": "T", "Item": {"pk": {"S": "p"}, "sk": {"S": "s"}, "a": X}}}]}`,
			`{"TransactItems": [{"Delete": {"TableName": "T", "Key": {"pk": {"S": "p"}, "sk": X}}}]}`,
		},
		"TransactGetItems": {`{"TransactItems": [{"Get": X}]}`, `{"TransactItems": [{"Get": {"TableName": "T", "Key": X}}]}`},
		"CreateTable": {
			`{"TableName": "xxx", "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": [X], "KeySchema": [X]}`,
			`{"TableName": "xxx", "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": X, "KeySchema": X, "Tags": [X]}`,
			`{"TableName": "xxx", "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}], "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}], "GlobalSecondaryIndexes": [X]}`,
		},
		"TagResource": {
			`{"ResourceArn": X, "Tags": [X]}`,
			`{"ResourceArn": "arn:aws:dynamodb:us-east-1:123456789012:table/T", "Tags": X}`,
			`{"ResourceArn": "arn:aws:dynamodb:us-east-1:123456789012:table/T", "Tags": [X]}`,
		},
		"UpdateTable":             {`{"TableName": "T", "BillingMode": X}`},
		"UpdateTimeToLive":        {`{"TableName": "T", "TimeToLiveSpecification": X}`},
		"UpdateContinuousBackups": {`{"TableName": "T", "PointInTimeRecoverySpecification": X}`},
	}
	for operation, templates := range bodies {
		for _, template := range templates {
			for _, x := range []string{
				`null`, `[]`, `{}`, `"x"`, `1`, `true`, `{"S": null}`, `{"M": {"b": null}}`, `{"L": [null]}`, `{"N": ""}`, `{"N": "1e999"}`,
				`{"SS": [null]}`, `{"SS": []}`, `{"S": "a", "N": "1"}`, `{"B": "*"}`, `{"X": 1}`, `{"M": {"__proto__": {"S": "q"}}}`,
			} {
				body := strings.NewReplacer(`"T"`, strconv.Quote(table), "/T", "/"+table, "X", x).Replace(template)
				if w := post(l, operation, body); w.Code >= http.StatusInternalServerError {
					t.Fatalf("%s of %s: got %d %s", operation, body, w.Code, w.Body)
				}
			}
		}
	}
}

// TestNotThere names what the layer leaves out.
func TestNotThere(t *testing.T) {
	_, db := newLayer(t, Options{})
	_, err := db.ExecuteStatement(t.Context(), &dynamodb.ExecuteStatementInput{Statement: aws.String("SELECT * FROM t")})
	if got, want := code(err), "UnknownOperationException"; got != want {
		t.Errorf("got error %s, want %s", got, want)
	}
}

func TestDynaliteIsGone(t *testing.T) {
	l := New(Options{Upstream: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}})
	_, err := newClient(l).GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("table"), Key: key("a", "b")})
	if got, want := code(err), internalError; got != want {
		t.Errorf("got error %s, want %s", got, want)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, strict := range []bool{false, true} {
		b.Run(fmt.Sprintf("strict=%t", strict), func(b *testing.B) {
			_, db := newLayer(b, Options{Strict: strict})
			table := newTable(b, db)
			for i := 0; b.Loop(); i++ {
				put(b, db, table, attributes{"pk": strconv.Itoa(i), "sk": "s", "tag": "t", "at": "a"})
			}
		})
	}
}

func BenchmarkTransactWrite(b *testing.B) {
	_, db := newLayer(b, Options{})
	table := newTable(b, db)
	for i := 0; b.Loop(); i++ {
		var in dynamodb.TransactWriteItemsInput
		for k := range 4 {
			in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Put: &types.Put{
				TableName: &table, Item: key(strconv.Itoa(i), strconv.Itoa(k)),
				ConditionExpression: aws.String("attribute_not_exists(pk)"),
			}})
		}
		if _, err := db.TransactWriteItems(b.Context(), &in); err != nil {
			b.Fatal(err)
		}
	}
}
