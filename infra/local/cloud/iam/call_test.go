package iam_test

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/cloud/iam"
)

const createTable = `{"TableName":"t","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],
	"GlobalSecondaryIndexes":[{"IndexName":"g","KeySchema":[{"AttributeName":"n","KeyType":"HASH"}]}],
	"LocalSecondaryIndexes":[{"IndexName":"l","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"x","KeyType":"RANGE"}]}]}`

// TestRequests asks what a call needs.
func TestRequests(t *testing.T) {
	const (
		secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:" //nolint:gosec // the name of none
		pool   = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/p"
	)
	one := func(action, resource string, keys ...string) []iam.Request {
		return []iam.Request{{Action: action, Resource: resource, Keys: keys}}
	}
	for name, test := range map[string]struct {
		service, operation, function, body string
		want                               []iam.Request
	}{
		"get":               {"dynamodb", "GetItem", "", `{"TableName":"t","Key":{"pk":{"S":"A#1"},"sk":{"S":"x"}}}`, one(get, table, "A#1")},
		"get by ARN":        {"dynamodb", "GetItem", "", `{"TableName":"` + table + `","Key":{"pk":{"S":"A#1"}}}`, one(get, table, "A#1")},
		"get by number":     {"dynamodb", "GetItem", "", `{"TableName":"t","Key":{"pk":{"N":"7"}}}`, one(get, table, "7")},
		"get of none":       {"dynamodb", "GetItem", "", `{"TableName":"u","Key":{"pk":{"S":"A#1"}}}`, one(get, "arn:aws:dynamodb:us-east-1:123456789012:table/u", "?")},
		"put":               {"dynamodb", "PutItem", "", `{"TableName":"t","Item":{"pk":{"S":"A#1"},"map":{"M":{"pk":{"S":"no"}}}}}`, one("dynamodb:PutItem", table, "A#1")},
		"query":             {"dynamodb", "Query", "", `{"TableName":"t","KeyConditionExpression":"pk = :v AND begins_with(sk, :w)","ExpressionAttributeValues":{":v":{"S":"A#1"},":w":{"S":"no"}}}`, one("dynamodb:Query", table, "A#1")},
		"query, other way":  {"dynamodb", "Query", "", `{"TableName":"t","KeyConditionExpression":"sk = :w AND #p=:v","ExpressionAttributeNames":{"#p":"pk"},"ExpressionAttributeValues":{":v":{"S":"A#1"},":w":{"S":"no"}}}`, one("dynamodb:Query", table, "A#1")},
		"query, unreadable": {"dynamodb", "Query", "", `{"TableName":"t","KeyConditions":{"pk":{}}}`, one("dynamodb:Query", table, "?")},
		"query of an index": {"dynamodb", "Query", "", `{"TableName":"t","IndexName":"g","KeyConditionExpression":"n = :n","ExpressionAttributeValues":{":n":{"N":"3"}}}`, one("dynamodb:Query", table+"/index/g", "3")},
		"query of a local":  {"dynamodb", "Query", "", `{"TableName":"t","IndexName":"l","KeyConditionExpression":"pk = :n","ExpressionAttributeValues":{":n":{"S":"A"}}}`, one("dynamodb:Query", table+"/index/l", "A")},
		"scan":              {"dynamodb", "Scan", "", `{"TableName":"t"}`, one("dynamodb:Scan", table)},
		"tags":              {"dynamodb", "ListTagsOfResource", "", `{"ResourceArn":"` + table + `"}`, one("dynamodb:ListTagsOfResource", table)},
		"list of tables":    {"dynamodb", "ListTables", "", `{}`, one("dynamodb:ListTables", "*")},
		"table":             {"dynamodb", "CreateTable", "", `{"TableName":"t"}`, one("dynamodb:CreateTable", table)},
		"table with tags":   {"dynamodb", "CreateTable", "", `{"TableName":"t","Tags":[{"Key":"a","Value":"b"}]}`, []iam.Request{{Action: "dynamodb:CreateTable", Resource: table}, {Action: "dynamodb:TagResource", Resource: table}}},
		"transaction": {
			"dynamodb", "TransactWriteItems", "",
			`{"TransactItems":[{"Put":{"TableName":"t","Item":{"pk":{"S":"A"}}}},{"Update":{"TableName":"t","Key":{"pk":{"S":"B"}}}},{"Delete":{"TableName":"t","Key":{"pk":{"S":"C"}}}},{"Put":{"TableName":"t","Item":{"pk":{"S":"E"}}}},{"ConditionCheck":{"TableName":"t","Key":{"pk":{"S":"D"}}}}]}`,
			[]iam.Request{
				{Action: "dynamodb:ConditionCheckItem", Resource: table, Keys: []string{"D"}},
				{Action: "dynamodb:DeleteItem", Resource: table, Keys: []string{"C"}},
				{Action: "dynamodb:PutItem", Resource: table, Keys: []string{"A", "E"}},
				{Action: "dynamodb:UpdateItem", Resource: table, Keys: []string{"B"}},
			},
		},
		"transaction of reads": {"dynamodb", "TransactGetItems", "", `{"TransactItems":[{"Get":{"TableName":"t","Key":{"pk":{"S":"A"}}}}]}`, one(get, table, "A")},
		"unknown in one":       {"dynamodb", "TransactWriteItems", "", `{"TransactItems":[{"Merge":{"TableName":"t"}}]}`, one("dynamodb:", table)},
		"batch of reads": {
			"dynamodb", "BatchGetItem", "", `{"RequestItems":{"t":{"Keys":[{"pk":{"S":"A"}},{"pk":{"S":"B"}}]},"u":{"Keys":[{"pk":{"S":"C"}}]}}}`,
			[]iam.Request{{Action: "dynamodb:BatchGetItem", Resource: table, Keys: []string{"A", "B"}}, {Action: "dynamodb:BatchGetItem", Resource: "arn:aws:dynamodb:us-east-1:123456789012:table/u", Keys: []string{"?"}}},
		},
		"batch of writes": {"dynamodb", "BatchWriteItem", "", `{"RequestItems":{"t":[{"PutRequest":{"Item":{"pk":{"S":"A"}}}},{"DeleteRequest":{"Key":{"pk":{"S":"B"}}}}]}}`, one("dynamodb:BatchWriteItem", table, "A", "B")},
		"nonsense":        {"dynamodb", "GetItem", "", `?`, one(get, "*", "?")},

		"secret by ARN":     {"secretsmanager", "GetSecretValue", "", `{"SecretId":"` + secret + `a-Xy12Zz"}`, one("secretsmanager:GetSecretValue", secret+"a-Xy12Zz")},
		"secret by name":    {"secretsmanager", "GetSecretValue", "", `{"SecretId":"a/b"}`, one("secretsmanager:GetSecretValue", secret+"a/b-000000")},
		"new secret":        {"secretsmanager", "CreateSecret", "", `{"Name":"a/b"}`, one("secretsmanager:CreateSecret", secret+"a/b-000000")},
		"secret with tags":  {"secretsmanager", "CreateSecret", "", `{"Name":"a","Tags":[{"Key":"a","Value":"b"}]}`, []iam.Request{{Action: "secretsmanager:CreateSecret", Resource: secret + "a-000000"}, {Action: "secretsmanager:TagResource", Resource: secret + "a-000000"}}},
		"list of secrets":   {"secretsmanager", "ListSecrets", "", `{}`, one("secretsmanager:ListSecrets", "*")},
		"sign-in for them":  {"cognito-idp", "AdminInitiateAuth", "", `{"UserPoolId":"p"}`, one("cognito-idp:AdminInitiateAuth", pool)},
		"sign-up":           {"cognito-idp", "SignUp", "", `{"ClientId":"c"}`, nil},
		"list of pools":     {"cognito-idp", "ListUserPools", "", `{}`, one("cognito-idp:ListUserPools", "*")},
		"start":             {"states", "StartExecution", "", `{"stateMachineArn":"arn:m"}`, one("states:StartExecution", "arn:m")},
		"execution":         {"states", "DescribeExecution", "", `{"executionArn":"arn:e"}`, one("states:DescribeExecution", "arn:e")},
		"key by ARN":        {"kms", "Sign", "", `{"KeyId":"arn:aws:kms:us-east-1:123456789012:key/k"}`, one("kms:Sign", "arn:aws:kms:us-east-1:123456789012:key/k")},
		"key by id":         {"kms", "Sign", "", `{"KeyId":"k"}`, one("kms:Sign", "arn:aws:kms:us-east-1:123456789012:key/k")},
		"function by name":  {"lambda", "Invoke", "f", `{}`, one("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:f")},
		"function by ARN":   {"lambda", "Invoke", "arn:aws:lambda:us-east-1:123456789012:function:f", `{}`, one("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:f")},
		"another service":   {"sqs", "SendMessage", "", `{"QueueUrl":"q"}`, one("sqs:SendMessage", "*")},
		"another of Lambda": {"lambda", "GET /2015-03-31/functions", "", ``, one("lambda:GET /2015-03-31/functions", "*")},
	} {
		t.Run(name, func(t *testing.T) {
			var s iam.Schemas
			s.Learn([]byte(createTable))
			got := s.Requests(iam.Call{
				Service: test.service, Operation: test.operation, Function: test.function,
				Region: "us-east-1", AccountID: "123456789012", Body: []byte(test.body),
			})
			slices.SortFunc(got, func(a, b iam.Request) int {
				return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Action, b.Action))
			})
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}
