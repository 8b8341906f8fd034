package iam_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/cloud/iam"
)

// parse reads statements as they stand in a policy in JSON.
func parse(t *testing.T, policy string) []iam.Statement {
	t.Helper()
	var declared []map[string]any
	if err := json.Unmarshal([]byte(policy), &declared); err != nil {
		t.Fatal(err)
	}
	var all []iam.Statement
	for i, d := range declared {
		s, err := iam.Parse("F/"+string(rune('1'+i)), d)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

const (
	table = "arn:aws:dynamodb:us-east-1:123456789012:table/t"
	get   = "dynamodb:GetItem"
)

func TestDecide(t *testing.T) {
	for name, test := range map[string]struct {
		policy  string
		request iam.Request
		allowed bool
		denied  bool
	}{
		"no statement":        {`[]`, iam.Request{Action: get, Resource: table}, false, false},
		"action and resource": {`[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + table + `"}]`, iam.Request{Action: get, Resource: table}, true, false},
		"another action":      {`[{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"` + table + `"}]`, iam.Request{Action: get, Resource: table}, false, false},
		"action in a list":    {`[{"Effect":"Allow","Action":["dynamodb:PutItem","dynamodb:GetItem"],"Resource":"*"}]`, iam.Request{Action: get, Resource: table}, true, false},
		"case of an action":   {`[{"Effect":"Allow","Action":"DynamoDB:getitem","Resource":"*"}]`, iam.Request{Action: get, Resource: table}, true, false},
		"wild action":         {`[{"Effect":"Allow","Action":"dynamodb:Get*","Resource":"*"}]`, iam.Request{Action: get, Resource: table}, true, false},
		"a wild action's end": {`[{"Effect":"Allow","Action":"dynamodb:Batch*","Resource":"*"}]`, iam.Request{Action: get, Resource: table}, false, false},
		"any action":          {`[{"Effect":"Allow","Action":"*","Resource":"*"}]`, iam.Request{Action: get, Resource: table}, true, false},
		"another resource":    {`[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + table + `"}]`, iam.Request{Action: get, Resource: table + "2"}, false, false},
		"case of a resource":  {`[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + table + `"}]`, iam.Request{Action: get, Resource: strings.ToUpper(table)}, false, false},
		"a table's index":     {`[{"Effect":"Allow","Action":"dynamodb:Query","Resource":"` + table + `"}]`, iam.Request{Action: "dynamodb:Query", Resource: table + "/index/i"}, false, false},
		"wild resource":       {`[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"arn:aws:dynamodb:*:*:table/t-*"}]`, iam.Request{Action: get, Resource: table + "-1-2"}, true, false},
		"any character":       {`[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + table + `-??"}]`, iam.Request{Action: get, Resource: table + "-12"}, true, false},
		"one character short": {`[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + table + `-??"}]`, iam.Request{Action: get, Resource: table + "-1"}, false, false},
		"resource in a list":  {`[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":["x","` + table + `"]}]`, iam.Request{Action: get, Resource: table}, true, false},
		"no resource":         {`[{"Effect":"Allow","Action":"dynamodb:ListTables","Resource":"` + table + `"}]`, iam.Request{Action: "dynamodb:ListTables", Resource: "*"}, false, false},
		"denied": {
			`[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"dynamodb:*","Resource":"` + table + `"}]`,
			iam.Request{Action: get, Resource: table},
			false, true,
		},
		"another is denied": {
			`[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"dynamodb:PutItem","Resource":"*"}]`,
			iam.Request{Action: get, Resource: table},
			true, false,
		},
		"all keys":            {condition("ForAllValues:StringLike"), iam.Request{Action: get, Resource: table, Keys: []string{"A#1", "B"}}, true, false},
		"not all keys":        {condition("ForAllValues:StringLike"), iam.Request{Action: get, Resource: table, Keys: []string{"A#1", "B#1"}}, false, false},
		"all of no keys":      {condition("ForAllValues:StringLike"), iam.Request{Action: get, Resource: table}, true, false},
		"all equal":           {condition("ForAllValues:StringEquals"), iam.Request{Action: get, Resource: table, Keys: []string{"A#*", "B"}}, true, false},
		"like, not equal":     {condition("ForAllValues:StringEquals"), iam.Request{Action: get, Resource: table, Keys: []string{"A#1"}}, false, false},
		"none like":           {condition("ForAllValues:StringNotLike"), iam.Request{Action: get, Resource: table, Keys: []string{"C", "D"}}, true, false},
		"one like":            {condition("ForAllValues:StringNotLike"), iam.Request{Action: get, Resource: table, Keys: []string{"C", "B"}}, false, false},
		"none equal":          {condition("ForAllValues:StringNotEquals"), iam.Request{Action: get, Resource: table, Keys: []string{"A#1"}}, true, false},
		"one equal":           {condition("ForAllValues:StringNotEquals"), iam.Request{Action: get, Resource: table, Keys: []string{"B"}}, false, false},
		"any key":             {condition("ForAnyValue:StringLike"), iam.Request{Action: get, Resource: table, Keys: []string{"C", "A#1"}}, true, false},
		"not any key":         {condition("ForAnyValue:StringLike"), iam.Request{Action: get, Resource: table, Keys: []string{"C", "D"}}, false, false},
		"any of no keys":      {condition("ForAnyValue:StringLike"), iam.Request{Action: get, Resource: table}, false, false},
		"any key not like":    {condition("ForAnyValue:StringNotLike"), iam.Request{Action: get, Resource: table, Keys: []string{"B", "C"}}, true, false},
		"no key is not like":  {condition("ForAnyValue:StringNotLike"), iam.Request{Action: get, Resource: table, Keys: []string{"B", "A#"}}, false, false},
		"all conditions hold": {twoConditions, iam.Request{Action: get, Resource: table, Keys: []string{"A#1"}}, true, false},
		"one does not":        {twoConditions, iam.Request{Action: get, Resource: table, Keys: []string{"A#2"}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			role := iam.Role{Statements: parse(t, test.policy)}
			d := role.Decide(test.request, "")
			if d.Allowed != test.allowed || d.Denied != test.denied {
				t.Errorf("got %+v, want allowed %v, denied %v", d, test.allowed, test.denied)
			}
		})
	}
}

// condition is a policy that allows keys that are as an operator says to A#* and B.
func condition(operator string) string {
	return `[{"Sid":"x","Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*","Condition":{"` + operator + `":{"dynamodb:LeadingKeys":["A#*","B"]}}}]`
}

const twoConditions = `[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*","Condition":{
	"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"A#*"},
	"ForAllValues:StringNotEquals":{"dynamodb:LeadingKeys":"A#2"}}}]`

// TestParseRefuses finds parts of a policy that are passed over.
func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct{ statement, want string }{
		"no effect":         {`{"Action":"a:B","Resource":"*"}`, "needs Effect"},
		"no action":         {`{"Effect":"Allow","Resource":"*"}`, "needs Effect, Action"},
		"no resource":       {`{"Effect":"Allow","Action":"a:B"}`, "and Resource"},
		"another effect":    {`{"Effect":"allow","Action":"a:B","Resource":"*"}`, "Effect allow"},
		"all but an action": {`{"Effect":"Allow","NotAction":"a:B","Resource":"*"}`, "NotAction is not understood"},
		"all but one":       {`{"Effect":"Allow","Action":"a:B","NotResource":"*"}`, "NotResource is not understood"},
		"a principal":       {`{"Effect":"Allow","Action":"a:B","Resource":"*","Principal":"*"}`, "Principal is not understood"},
		"an action's form":  {`{"Effect":"Allow","Action":"GetItem","Resource":"*"}`, "not of the form"},
		"a number":          {`{"Effect":"Allow","Action":1,"Resource":"*"}`, "Action holds 1"},
		"an empty list":     {`{"Effect":"Allow","Action":"a:B","Resource":[]}`, "Resource is empty"},
		"an empty text":     {`{"Effect":"Allow","Action":"a:B","Resource":""}`, "which is no text"},
		"a variable":        {`{"Effect":"Allow","Action":"a:B","Resource":"${aws:username}"}`, "variables are not understood"},
		"a condition":       {`{"Effect":"Allow","Action":"a:B","Resource":"*","Condition":"x"}`, "Condition must be a mapping"},
		"no condition":      {`{"Effect":"Allow","Action":"a:B","Resource":"*","Condition":{"ForAllValues:StringLike":"x"}}`, "must be a mapping"},
		"an operator":       {`{"Effect":"Allow","Action":"a:B","Resource":"*","Condition":{"ForAllValues:IpAddress":{"dynamodb:LeadingKeys":"x"}}}`, `the condition operator "ForAllValues:IpAddress" is not understood`},
		"if it exists":      {`{"Effect":"Allow","Action":"a:B","Resource":"*","Condition":{"ForAllValues:StringLikeIfExists":{"dynamodb:LeadingKeys":"x"}}}`, "is not understood"},
		"no quantifier":     {`{"Effect":"Allow","Action":"a:B","Resource":"*","Condition":{"StringLike":{"dynamodb:LeadingKeys":"x"}}}`, "needs ForAllValues or ForAnyValue"},
		"a key":             {`{"Effect":"Allow","Action":"a:B","Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}`, `the condition key "aws:SourceAccount" is not understood`},
		"a value":           {`{"Effect":"Allow","Action":"a:B","Resource":"*","Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":[1]}}}`, "which is no text"},
	} {
		t.Run(name, func(t *testing.T) {
			var declared map[string]any
			if err := json.Unmarshal([]byte(test.statement), &declared); err != nil {
				t.Fatal(err)
			}
			_, err := iam.Parse("F/1", declared)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "statement F/1") {
				t.Errorf("got %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	role := iam.Role{Session: "arn:aws:sts::123456789012:assumed-role/r/f"}
	q := iam.Request{Action: get, Resource: table}
	for want, d := range map[string]iam.Decision{
		"User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: dynamodb:GetItem on resource: " + table + " because no identity-based policy allows the dynamodb:GetItem action": {},
		"User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: dynamodb:GetItem on resource: " + table + " with an explicit deny in an identity-based policy":                   {Denied: true},
	} {
		if got := role.Refusal(q, d); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// TestUsage has two statements that overlap.
func TestUsage(t *testing.T) {
	role := iam.Role{Statements: parse(t, `[
		{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:Get*","dynamodb:Query"],"Resource":["`+table+`","`+table+`2"],
		 "Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["A#*","B#*"]}}},
		{"Effect":"Allow","Action":"dynamodb:Query","Resource":"*"}]`)}
	var u iam.Usage
	u.Declare(&role)
	u.Declare(&role) // another endpoint has it too
	var asked []string
	for _, q := range []iam.Request{
		{Action: get, Resource: table, Keys: []string{"A#1"}},           // the first alone, by either action
		{Action: "dynamodb:Query", Resource: table},                     // either
		{Action: "dynamodb:Query", Resource: "x"},                       // the second alone
		{Action: "dynamodb:GetShards", Resource: table + "2"},           // the first alone, by its second action
		{Action: get, Resource: table, Keys: []string{"A#2", "A#3"}},    // as the first
		{Action: get, Resource: table, Keys: []string{"C#1"}},           // none
		{Action: "dynamodb:Query", Resource: "y", Keys: []string{"A#"}}, // the second alone
	} {
		u.Record(q, role.Decide(q, ""), func(id string) error { asked = append(asked, id+" "+q.Resource); return nil })
	}
	got := u.Statements()
	for i := range got {
		if err := got[i].Ask(); err != nil {
			t.Fatal(err)
		}
		got[i].Ask = nil
	}
	want := []iam.StatementUsage{
		{
			ID: "F/1", Allowed: 4, Alone: 3, Resources: []int{2, 1},
			Actions: map[string]int{get: 0, "dynamodb:Get*": 1, "dynamodb:Query": 0},
			Keys:    map[string]int{"A#*": 3, "B#*": 0},
		},
		{ID: "F/2", Allowed: 3, Alone: 2, Resources: []int{2}, Actions: map[string]int{"dynamodb:Query": 2}, Keys: map[string]int{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"F/1 dynamodb:GetItem", "F/1 dynamodb:Query", "F/1 key B#*"}, u.Unused()); diff != "" {
		t.Errorf("unused (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"F/1 " + table, "F/2 x"}, asked); diff != "" {
		t.Errorf("asked again (-want +got):\n%s", diff)
	}
	if d := role.Decide(iam.Request{Action: get, Resource: table}, "F/1"); d.Allowed {
		t.Errorf("without the first statement, got %+v", d)
	}
	u.Refuse("no")
	if diff := cmp.Diff([]string{"no"}, u.Refusals()); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
}

// TestUnused has statements that nothing needed, or only one of two resources of.
func TestUnused(t *testing.T) {
	short := iam.Role{Statements: parse(t, `[
		{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"`+table+`"},
		{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"*"}]`)}
	long := iam.Role{Statements: parse(t, `[
		{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":["`+table+`","`+table+`2","`+table+`3"]},
		{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"*"}]`)}
	var u iam.Usage
	u.Declare(&short)
	u.Declare(&long) // as another endpoint has it, where a parameter is a longer list
	for _, role := range []*iam.Role{&short, &long} {
		for _, resource := range []string{table, table + "3"} {
			q := iam.Request{Action: get, Resource: resource}
			u.Record(q, role.Decide(q, ""), func(string) error { return nil })
		}
	}
	if diff := cmp.Diff([]string{"F/1 resource 2", "F/2"}, u.Unused()); diff != "" {
		t.Errorf("unused (-want +got):\n%s", diff)
	}
}

func TestKinds(t *testing.T) {
	q := iam.Request{Keys: []string{"TENANT#2", "HEALTH", "TENANT#1#USER", "AUDIT#1"}}
	if got, want := strings.Join(q.Kinds(), " "), "AUDIT# HEALTH TENANT#"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
