package iam

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/tenantry/tenantry/infra/local/cloud/keycondition"
)

// A Call is an operation that somebody asks a service for.
type Call struct {
	Service, Operation string // as in the scope of a credential: dynamodb, PutItem
	Region, AccountID  string
	Function           string // the name or ARN in the path of Lambda's Invoke
	Body               []byte
}

func (c Call) arn(service, resource string) string {
	return strings.Join([]string{"arn:aws", service, c.Region, c.AccountID, resource}, ":")
}

// open are the operations of Cognito that need no permission: who asks shows a
// password, a code or a token.
var open = map[string]bool{
	"ChangePassword": true, "ConfirmForgotPassword": true, "ConfirmSignUp": true, "DeleteUser": true,
	"ForgotPassword": true, "GetUser": true, "GlobalSignOut": true, "InitiateAuth": true,
	"ResendConfirmationCode": true, "RespondToAuthChallenge": true, "RevokeToken": true, "SignUp": true,
	"UpdateUserAttributes": true,
}

// named are the members of a body.
type named struct {
	SecretID        string `json:"SecretId"`
	Name            string
	Tags            []json.RawMessage
	UserPoolID      string `json:"UserPoolId"`
	StateMachineARN string `json:"stateMachineArn"`
	ExecutionARN    string `json:"executionArn"`
	KeyID           string `json:"KeyId"`
}

// Requests returns what must be allowed for the call to be. A call of which
// nothing is known must be allowed on *.
func (s *Schemas) Requests(c Call) []Request {
	var in named
	_ = json.Unmarshal(c.Body, &in) // what is malformed is for the service to refuse
	one := Request{Action: c.Service + ":" + c.Operation, Resource: "*"}
	switch c.Service {
	case "dynamodb":
		return s.items(c)
	case "secretsmanager":
		return c.secret(one, in)
	case "cognito-idp":
		if open[c.Operation] {
			return nil
		}
		if in.UserPoolID != "" {
			one.Resource = c.arn("cognito-idp", "userpool/"+in.UserPoolID)
		}
	case "states":
		if arn := in.StateMachineARN + in.ExecutionARN; arn != "" {
			one.Resource = arn
		}
	case "kms":
		if in.KeyID != "" {
			one.Resource = c.full("kms", "key/", in.KeyID)
		}
	case "lambda":
		if c.Operation == "Invoke" {
			one = Request{Action: "lambda:InvokeFunction", Resource: c.full("lambda", "function:", c.Function)}
		}
	}
	return []Request{one}
}

// full returns the ARN of what is known by an ARN already, or by a name.
func (c Call) full(service, kind, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return c.arn(service, kind+strings.TrimPrefix(name, kind))
}

// suffix stands for the characters that Secrets Manager adds to a secret's name
// in its ARN. A policy cannot know them, unless it has the ARN; whoever then asks
// by name is refused here, though not by AWS.
const suffix = "-000000"

func (c Call) secret(one Request, in named) []Request {
	name := in.SecretID + in.Name
	switch {
	case strings.HasPrefix(name, "arn:"):
		one.Resource = name
	case name != "":
		one.Resource = c.arn("secretsmanager", "secret:"+name+suffix)
	}
	if c.Operation == "CreateSecret" && len(in.Tags) > 0 {
		return []Request{one, {Action: "secretsmanager:TagResource", Resource: one.Resource}}
	}
	return []Request{one}
}

// Schemas knows the partition keys of tables and their indexes.
type Schemas struct {
	mu   sync.Mutex
	keys map[string]string // by the table's name, or table/index/index
}

// A schema is the part of CreateTable that says what keys there are.
type schema struct {
	TableName              string
	KeySchema              []keyPart
	GlobalSecondaryIndexes []index
	LocalSecondaryIndexes  []index
}

type index struct {
	IndexName string
	KeySchema []keyPart
}

type keyPart struct{ AttributeName, KeyType string }

// Learn remembers the keys of a table that is created.
func (s *Schemas) Learn(createTable []byte) {
	var in schema
	if json.Unmarshal(createTable, &in) != nil {
		return // it will not be created
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string]string{}
	}
	s.keys[in.TableName] = partitionKey(in.KeySchema)
	for _, indexes := range [][]index{in.GlobalSecondaryIndexes, in.LocalSecondaryIndexes} {
		for _, x := range indexes {
			s.keys[in.TableName+"/index/"+x.IndexName] = partitionKey(x.KeySchema)
		}
	}
}

func partitionKey(parts []keyPart) string {
	for _, p := range parts {
		if p.KeyType == "HASH" {
			return p.AttributeName
		}
	}
	return ""
}

func (s *Schemas) partitionKey(of string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[of]
}

// A tableCall is the part of DynamoDB's requests that says what they are about.
type tableCall struct {
	TableName   string
	IndexName   string
	ResourceARN string `json:"ResourceArn"`
	Tags        []json.RawMessage
	Key, Item   attributes

	KeyConditionExpression    string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues attributes

	TransactItems []map[string]tableCall     // by Put, Update, Delete, ConditionCheck or Get
	RequestItems  map[string]json.RawMessage // by table
}

// attributes are those of an item. Only strings and numbers matter: bytes are no
// partition key of ours.
type attributes map[string]struct{ S, N string }

// transacted are the permissions that the parts of a transaction need.
var transacted = map[string]string{
	"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem", "Get": "GetItem",
}

// items returns the requests of a call to DynamoDB. AWS does not say whether it asks
// for each item of a transaction, or once for all that an action is done to; once is
// harder to allow, so that is asked.
func (s *Schemas) items(c Call) []Request {
	var in tableCall
	_ = json.Unmarshal(c.Body, &in) // what is malformed is for the service to refuse
	if c.Operation == "BatchGetItem" || c.Operation == "BatchWriteItem" {
		return s.batch(c, in.RequestItems)
	}
	if in.TransactItems == nil {
		all := []Request{s.item(c, c.Operation, in)}
		if c.Operation == "CreateTable" && len(in.Tags) > 0 {
			all = append(all, Request{Action: "dynamodb:TagResource", Resource: all[0].Resource})
		}
		return all
	}
	var all []Request
	for _, part := range in.TransactItems {
		for kind, item := range part {
			q := s.item(c, transacted[kind], item)
			i := slices.IndexFunc(all, func(o Request) bool { return o.Action == q.Action && o.Resource == q.Resource })
			if i < 0 {
				all = append(all, q)
				continue
			}
			all[i].Keys = append(all[i].Keys, q.Keys...)
		}
	}
	return all
}

// keyed are the operations on items that are named by their partition keys.
var keyed = map[string]bool{
	"BatchGetItem": true, "BatchWriteItem": true, "ConditionCheckItem": true, "DeleteItem": true,
	"GetItem": true, "PutItem": true, "Query": true, "UpdateItem": true,
}

// unknown stands for the key of an item that is not seen here, so that no condition
// on keys holds by there being none.
const unknown = "?"

// keysOf returns the values of the partition key in items, which an operation is about.
func (s *Schemas) keysOf(operation, of string, items ...attributes) []string {
	all := values(s.partitionKey(of), items...)
	if len(all) == 0 && keyed[operation] {
		return []string{unknown}
	}
	return all
}

func (s *Schemas) item(c Call, operation string, in tableCall) Request {
	q := Request{Action: "dynamodb:" + operation, Resource: "*"}
	switch {
	case in.ResourceARN != "":
		q.Resource = in.ResourceARN
	case in.TableName != "":
		q.Resource = c.full("dynamodb", "table/", in.TableName)
	}
	_, of, _ := strings.Cut(q.Resource, ":table/")
	if in.IndexName != "" {
		of += "/index/" + in.IndexName
		q.Resource += "/index/" + in.IndexName
	}
	q.Keys = s.keysOf(operation, of, in.Key, in.Item, in.queried())
	return q
}

// values returns the values of the partition key in items.
func values(key string, items ...attributes) []string {
	var all []string
	for _, item := range items {
		if v := item[key]; v.S+v.N != "" {
			all = append(all, v.S+v.N)
		}
	}
	return all
}

// queried returns the attributes that a query wants equal to a value.
func (in tableCall) queried() attributes {
	all := attributes{}
	for name, placeholder := range keycondition.Equal(in.KeyConditionExpression, in.ExpressionAttributeNames) {
		all[name] = in.ExpressionAttributeValues[placeholder]
	}
	return all
}

// batch returns a request for each table of a batch, with the keys of all its
// items.
func (s *Schemas) batch(c Call, tables map[string]json.RawMessage) []Request {
	var all []Request
	for name, raw := range tables {
		q := Request{Action: "dynamodb:" + c.Operation, Resource: c.full("dynamodb", "table/", name)}
		_, of, _ := strings.Cut(q.Resource, ":table/")
		var reads struct{ Keys []attributes }
		var writes []struct {
			PutRequest    struct{ Item attributes }
			DeleteRequest struct{ Key attributes }
		}
		_ = json.Unmarshal(raw, &reads) // it is one of both
		_ = json.Unmarshal(raw, &writes)
		items := reads.Keys
		for _, w := range writes {
			items = append(items, w.PutRequest.Item, w.DeleteRequest.Key)
		}
		q.Keys = s.keysOf(c.Operation, of, items...)
		all = append(all, q)
	}
	return all
}
