package template_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/template"
)

var environment = template.Environment{Region: "us-east-1", AccountID: "123456789012"}

// write writes the files of a template, of which template.yaml is the root, and
// returns the path of that.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "template.yaml")
}

// load loads the template text.
func load(t *testing.T, text string) *template.Template {
	t.Helper()
	root, err := template.Load(write(t, map[string]string{"template.yaml": text}))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// instantiate makes the stack "app" of the template text.
func instantiate(t *testing.T, text string) *template.Instance {
	t.Helper()
	i, err := load(t, text).Instantiate("app", environment, nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// resource returns the resource of i called id.
func resource(t *testing.T, i *template.Instance, id string) *template.Resource {
	t.Helper()
	all, err := i.Resources()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("there is no resource %s", id)
	return nil
}

// wantError fails the test unless err says want.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one that says %q", err, want)
	}
}

func TestValues(t *testing.T) {
	const text = `
Parameters:
  Stage: { Type: String, Default: test }
  Zones: { Type: CommaDelimitedList, Default: "a, b,c" }
  Count: { Type: Number, Default: 3 }
Mappings:
  Sizes: { test: { memory: 128 }, live: { memory: 512 } }
Conditions:
  Live: !Equals [!Ref Stage, live]
  Test: !Not [Condition: Live]
  Either: !Or [!Condition Live, !Condition Test]
  Both: { "Fn::And": [{ Condition: Live }, { Condition: Test }] }
Resources:
  Table: { Type: AWS::DynamoDB::Table }
Outputs:
  Value: { Value: %s }
`
	for name, test := range map[string]struct{ value, want string }{
		"text":               {"plain", "plain"},
		"number":             {"12", "12"},
		"ref to a parameter": {"!Ref Stage", "test"},
		"ref to a resource":  {"!Ref Table", "app-Table"},
		"long ref":           {"{ Ref: Count }", "3"},
		"attribute":          {"!GetAtt Table.Arn", "arn:table"},
		"long attribute":     {`{ "Fn::GetAtt": [Table, Arn] }`, "arn:table"},
		"pseudo parameters":  {`!Sub "${AWS::Partition} ${AWS::Region} ${AWS::AccountId} ${AWS::URLSuffix} ${AWS::StackName}"`, "aws us-east-1 123456789012 amazonaws.com app"},
		"sub":                {`!Sub "${Table}/${Table.Arn}/${!Kept}"`, "app-Table/arn:table/${Kept}"},
		"sub with variables": {`!Sub ["${Own}-${Stage}", { Own: !GetAtt Table.Arn }]`, "arn:table-test"},
		"long sub":           {`{ "Fn::Sub": "${Stage}" }`, "test"},
		"join":               {`!Join ["-", [a, !Ref Stage, 1]]`, "a-test-1"},
		"join of a list":     {`!Join ["+", !Ref Zones]`, "a+b+c"},
		"select":             {"!Select [1, !Ref Zones]", "b"},
		"split":              {`!Select [2, !Split ["/", "x/y/z"]]`, "z"},
		"find in map":        {"!FindInMap [Sizes, !Ref Stage, memory]", "128"},
		"if it holds":        {"!If [Test, yes, no]", "yes"},
		"if it does not":     {`{ "Fn::If": [Live, yes, no] }`, "no"},
		"or":                 {"!If [Either, yes, no]", "yes"},
		"and":                {"!If [Both, yes, no]", "no"},
		"no value in a list": {`!Join ["-", [a, !If [Live, b, !Ref AWS::NoValue], c]]`, "a-c"},
	} {
		t.Run(name, func(t *testing.T) {
			i := instantiate(t, strings.Replace(text, "%s", test.value, 1))
			i.Created(resource(t, i, "Table"), template.Attributes{Ref: "app-Table", Values: map[string]string{"Arn": "arn:table"}})
			got, err := i.Outputs()
			if err != nil || got["Value"] != test.want {
				t.Errorf("got %q, %v, want %q", got["Value"], err, test.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	const resources = "\nResources: { Table: { Type: AWS::DynamoDB::Table } }\n"
	for name, test := range map[string]struct{ text, want string }{
		"not YAML":                {"a: [", "template.yaml"},
		"nothing":                 {"", "the template is empty"},
		"no resources":            {"Description: none", "has no resources"},
		"a section":               {"Hooks: {}" + resources, `line 1: the section "Hooks" is not understood`},
		"a transform":             {"Transform: AWS::Include" + resources, `the transform "AWS::Include" is not understood`},
		"a key twice":             {"Description: a\nDescription: b" + resources, `"Description" is there twice`},
		"SAM without transform":   {"Resources: { F: { Type: AWS::Serverless::Function } }", "needs the SAM transform"},
		"globals":                 {"Transform: AWS::Serverless-2016-10-31\nGlobals: { Api: {} }" + resources, `Globals: "Api" is not understood`},
		"a resource attribute":    {"Resources: { Table: { Type: T, CreationPolicy: {} } }", `"CreationPolicy" is not understood`},
		"no type":                 {"Resources: { Table: {} }", "the resource has no Type"},
		"a function":              {"Resources: { A: { Type: T, Properties: { X: !ImportValue y } } }", `the function "ImportValue" is not understood`},
		"a ref to nothing":        {"Resources: { A: { Type: T, Properties: { X: !Ref B } } }", `there is no "B" to refer to`},
		"an attribute of nothing": {"Resources: { A: { Type: T, Properties: { X: !GetAtt B.Arn } } }", `there is no resource "B"`},
		"no attribute":            {"Resources: { A: { Type: T, Properties: { X: !GetAtt A } } }", `"A" names no attribute`},
		"a sub of nothing":        {`Resources: { A: { Type: T, Properties: { X: !Sub "${B.Arn}" } } }`, `there is no resource "B"`},
		"an unknown dependency":   {"Resources: { A: { Type: T, DependsOn: B } }", "it depends on B, which there is not"},
		"an unknown condition":    {"Resources: { A: { Type: T, Condition: C } }", `there is no condition "C"`},
		"a condition in a value":  {"Resources: { A: { Type: T, Properties: { X: !If [C, 1, 2] } } }", `there is no condition "C"`},
		"a condition of itself":   {"Conditions: { C: !Not [!Condition D], D: !Not [!Condition C] }" + resources, "it depends on itself"},
		"an alias":                {"Resources: { A: { Type: T, Properties: { X: &x 1, Y: *x } } }", "anchors and aliases are not understood"},
		"a parameter type":        {"Parameters: { P: { Type: AWS::EC2::VPC::Id } }" + resources, `the type "AWS::EC2::VPC::Id" is not understood`},
		"a parameter attribute":   {"Parameters: { P: { Type: String, Colour: red } }" + resources, `"Colour" is not understood`},
		"a wrong default":         {"Parameters: { P: { Type: Number, Default: x } }" + resources, "must be a number"},
		"an output":               {"Outputs: { O: { Value: 1, Colour: red } }" + resources, `"Colour" is not understood`},
		"an output without value": {"Outputs: { O: { Description: d } }" + resources, "output O has no Value"},
		"an output's condition":   {"Outputs: { O: { Value: 1, Condition: C } }" + resources, `there is no condition "C"`},
		"a file that is not there": {
			"Resources: { S: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: none.yaml } } }", "none.yaml",
		},
		"a template in itself": {
			"Resources: { S: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: template.yaml } } }", "the template nests itself",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := template.Load(write(t, map[string]string{"template.yaml": test.text}))
			wantError(t, err, test.want)
		})
	}
}

func TestCycles(t *testing.T) {
	const sam = "Transform: AWS::Serverless-2016-10-31\nResources:\n"
	for name, test := range map[string]struct{ text, want string }{
		"itself":       {"Resources: { A: { Type: T, Properties: { X: !Ref A } } }", "A → A"},
		"by reference": {"Resources: { A: { Type: T, Properties: { X: !GetAtt B.Arn } }, B: { Type: T, Properties: { X: !Sub '${A}' } } }", "A → B → A"},
		"by order":     {"Resources: { A: { Type: T, DependsOn: [B] }, B: { Type: T, DependsOn: A } }", "A → B → A"},
		"in either branch": {
			"Conditions: { C: !Equals [a, b] }\nResources: { A: { Type: T, Properties: { X: !If [C, !Ref B, 1] } }, B: { Type: T, DependsOn: A } }",
			"A → B → A",
		},
		"function and nested stack": {
			sam + `
  F: { Type: AWS::Serverless::Function, Properties: { Environment: { Variables: { POOL: !GetAtt Users.Outputs.Pool } } } }
  Users: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: users.yaml, Parameters: { Trigger: !GetAtt F.Arn } } }`,
			"F → Users → F",
		},
		"function and its API": {
			sam + `
  Api: { Type: AWS::Serverless::HttpApi }
  F:
    Type: AWS::Serverless::Function
    Properties:
      Environment: { Variables: { URL: !Ref Api } }
      Events: { Call: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /a } } }`,
			"Api → F → Api",
		},
		"function and its policy": {
			sam + `
  F:
    Type: AWS::Serverless::Function
    Properties: { Policies: [{ Statement: [{ Effect: Allow, Action: lambda:InvokeFunction, Resource: !GetAtt F.Arn }] }] }`,
			"F → F",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := template.Load(write(t, map[string]string{
				"template.yaml": test.text,
				"users.yaml":    "Parameters: { Trigger: { Type: String } }\nResources: { Pool: { Type: T } }",
			}))
			wantError(t, err, "resources depend on each other: "+test.want)
		})
	}
}

func TestResources(t *testing.T) {
	i := instantiate(t, `
Transform: AWS::Serverless-2016-10-31
Conditions: { Never: !Equals [a, b] }
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth: { Authorizers: { A: { FunctionArn: !GetAtt Authorizer.Arn } } }
  List:
    Type: AWS::Serverless::Function
    Properties:
      Environment: { Variables: { TABLE: !Ref Table } }
      Events: { Call: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /a } } }
  Table: { Type: T }
  Absent: { Type: T, Condition: Never }
  Authorizer: { Type: AWS::Serverless::Function, DependsOn: Table }
`)
	all, err := i.Resources()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range all {
		got = append(got, r.ID)
	}
	if diff := cmp.Diff([]string{"Table", "Authorizer", "List", "Api"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestParameters(t *testing.T) {
	const text = `
Parameters:
  Name: { Type: String, MinLength: 2, MaxLength: 5 }
  Stage: { Type: String, AllowedValues: [test, live], Default: test }
  Colour: { Type: String, AllowedPattern: "[a-z]+", ConstraintDescription: lower case only, Default: red }
  Days: { Type: Number, MinValue: 1, MaxValue: 10, Default: 5 }
  Ports: { Type: List<Number>, Default: "1,2" }
Rules:
  LiveIsShort:
    RuleCondition: !Equals [!Ref Stage, live]
    Assertions:
      - Assert: !Contains [[ab, cd], !Ref Name]
        AssertDescription: Name must be ab or cd when live.
  LiveHasOnePort:
    RuleCondition: !Equals [!Ref Stage, live]
    Assertions:
      - Assert: !EachMemberEquals [!Ref Ports, "3"]
        AssertDescription: Ports must all be 3 when live.
Resources: { Table: { Type: T } }
`
	for name, test := range map[string]struct {
		given map[string]string
		want  []string // what the error says; none if there is to be none
	}{
		"defaults":         {map[string]string{"Name": "abc"}, nil},
		"all given":        {map[string]string{"Name": "ab", "Stage": "live", "Colour": "blue", "Days": "10", "Ports": "3"}, nil},
		"none given":       {nil, []string{"parameter Name is not given and has no default"}},
		"unknown":          {map[string]string{"Name": "abc", "Nom": "x"}, []string{"there is no parameter Nom; there are: Name, Stage, Colour, Days, Ports"}},
		"too short":        {map[string]string{"Name": "a"}, []string{`parameter Name is "a": MinLength is 2`}},
		"too long":         {map[string]string{"Name": "abcdef"}, []string{"MaxLength is 5"}},
		"not allowed":      {map[string]string{"Name": "abc", "Stage": "prod"}, []string{"must be one of test, live"}},
		"part of it fits":  {map[string]string{"Name": "abc", "Colour": "red1"}, []string{`parameter Colour is "red1": lower case only`}},
		"too large":        {map[string]string{"Name": "abc", "Days": "11"}, []string{"MaxValue is 10"}},
		"no number":        {map[string]string{"Name": "abc", "Days": "soon"}, []string{"must be a number"}},
		"a wrong element":  {map[string]string{"Name": "abc", "Ports": "1,x"}, []string{`parameter Ports is "x"`}},
		"several at once":  {map[string]string{"Name": "a", "Days": "0"}, []string{"MinLength is 2", "MinValue is 1"}},
		"not each":         {map[string]string{"Name": "ab", "Stage": "live", "Ports": "3,4"}, []string{"rule LiveHasOnePort: Ports must all be 3 when live."}},
		"a rule is broken": {map[string]string{"Name": "xyz", "Stage": "live"}, []string{"rule LiveIsShort: Name must be ab or cd when live."}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, text).Instantiate("app", environment, test.given)
			if test.want == nil && err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				wantError(t, err, want)
			}
		})
	}
}

// sam is a small application.
const sam = `
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: provided.al2023
    Handler: bootstrap
    MemorySize: 256
    Environment: { Variables: { TABLE: !Ref Table, LEVEL: low } }
Resources:
  Table: { Type: T }
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      CorsConfiguration: { AllowOrigins: ["*"], AllowMethods: [GET], MaxAge: 600 }
      Auth:
        DefaultAuthorizer: Callers
        Authorizers:
          Callers:
            FunctionArn: !GetAtt Authorizer.Arn
            AuthorizerPayloadFormatVersion: "2.0"
            EnableSimpleResponses: true
            EnableFunctionDefaultPermissions: true
            Identity: { Headers: [Authorization], ReauthorizeEvery: 60 }
  Authorizer: { Type: AWS::Serverless::Function, Properties: { CodeUri: functions/authorizer/ } }
  ThingGet:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/thing-get/
      Timeout: 7
      Environment: { Variables: { LEVEL: high } }
      Policies: [{ Statement: [] }]
      Events:
        Call: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: get, Path: "/things/{id}" } }
        Public: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: POST, Path: /things, Auth: { Authorizer: NONE } } }
        Rest: { Type: HttpApi, Properties: { ApiId: !Ref Api } }
        Minute: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 minute), Input: '{"a":1}', FlexibleTimeWindow: { Mode: "OFF" } } }
        Paused: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 hour), State: DISABLED } }
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub ${AWS::StackName}-machine
      DefinitionUri: machine.json
      DefinitionSubstitutions: { ThingGet: !GetAtt ThingGet.Arn }
`

// samInstance makes the stack of sam, with its functions created.
func samInstance(t *testing.T, changes ...string) *template.Instance {
	t.Helper()
	root, err := template.Load(write(t, map[string]string{
		"template.yaml": strings.NewReplacer(changes...).Replace(sam),
		"machine.json":  `{"Resource":"${ThingGet}"}`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	i, err := root.Instantiate("app", environment, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"Table", "Authorizer", "ThingGet"} {
		i.Created(resource(t, i, id), template.Attributes{Ref: "app-" + id, Values: map[string]string{"Arn": "arn:" + id}})
	}
	return i
}

func TestFunction(t *testing.T) {
	i := samInstance(t)
	got, err := i.Function(resource(t, i, "ThingGet"))
	if err != nil {
		t.Fatal(err)
	}
	want := template.Function{
		ID:          "ThingGet",
		Name:        "app-ThingGet",
		Dir:         "functions/thing-get",
		Environment: map[string]string{"TABLE": "app-Table", "LEVEL": "high"},
		Timeout:     7 * time.Second,
		MemoryMB:    256,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("function (-want +got):\n%s", diff)
	}
}

func TestFunctionRefuses(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"a property":       {"Timeout: 7", "Patience: 7", `the property "Patience" is not understood`},
		"no number":        {"Timeout: 7", "Timeout: soon", `Timeout is "soon", which is no int`},
		"a nested member":  {"Environment: { Variables: { LEVEL: high } }", "Environment: { Values: {} }", "Environment.Values is not understood"},
		"another runtime":  {"Timeout: 7", "Runtime: python3.12", "a function is a Go program"},
		"a list for a map": {"Environment: { Variables: { LEVEL: high } }", "Environment: []", "Environment must be a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			i := samInstance(t, test.old, test.new)
			_, err := i.Function(resource(t, i, "ThingGet"))
			wantError(t, err, test.want)
		})
	}
}

func TestAPI(t *testing.T) {
	i := samInstance(t)
	got, err := i.API(resource(t, i, "Api"))
	if err != nil {
		t.Fatal(err)
	}
	want := template.API{
		ID:         "Api",
		Authorizer: &template.Authorizer{Name: "Callers", FunctionARN: "arn:Authorizer", Headers: []string{"Authorization"}, TTL: time.Minute},
		CORS:       &template.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"GET"}, MaxAge: 10 * time.Minute},
		Routes: []template.Route{
			{API: "Api", Method: "GET", Path: "/things/{id}", Function: "ThingGet"},
			{API: "Api", Method: "POST", Path: "/things", Function: "ThingGet", Authorizer: "NONE"},
			{API: "Api", Path: "$default", Function: "ThingGet"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("API (-want +got):\n%s", diff)
	}
}

func TestAPIRefuses(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"no right to call":   {"            EnableFunctionDefaultPermissions: true\n", "", "the API may not call it"},
		"another format":     {`AuthorizerPayloadFormatVersion: "2.0"`, `AuthorizerPayloadFormatVersion: "1.0"`, "only the payload format 2.0"},
		"no identity":        {"Identity: { Headers: [Authorization], ReauthorizeEvery: 60 }", "Identity: {}", "must name Headers"},
		"unknown default":    {"DefaultAuthorizer: Callers", "DefaultAuthorizer: Nobody", "exactly one is understood"},
		"unknown authorizer": {"Auth: { Authorizer: NONE }", "Auth: { Authorizer: Nobody }", `there is no authorizer "Nobody"`},
	} {
		t.Run(name, func(t *testing.T) {
			i := samInstance(t, test.old, test.new)
			_, err := i.API(resource(t, i, "Api"))
			wantError(t, err, test.want)
		})
	}
}

func TestRoutesRefuse(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"no path":         {", Path: /things", "", "needs both Method and Path"},
		"another API":     {"ApiId: !Ref Api, Method: POST", "ApiId: !Ref Table, Method: POST", "ApiId must be a Ref to an API"},
		"a computed path": {"Path: /things,", "Path: !Sub /things,", "must be written out"},
		"an auth setting": {"Auth: { Authorizer: NONE }", "Auth: { AuthorizationScopes: [a] }", "only Authorizer is understood"},
		"an event type":   {"Type: ScheduleV2", "Type: SQS", `the type "SQS" is not understood`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := template.Load(write(t, map[string]string{"template.yaml": strings.Replace(sam, test.old, test.new, 1)}))
			wantError(t, err, test.want)
		})
	}
}

func TestSchedules(t *testing.T) {
	i := samInstance(t)
	got, err := i.Schedules(resource(t, i, "ThingGet"))
	want := []template.Schedule{{Name: "ThingGetMinute", Expression: "rate(1 minute)", Input: `{"a":1}`, Function: "ThingGet"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v; schedules (-want +got):\n%s", err, diff)
	}
}

func TestSchedulesRefuse(t *testing.T) {
	i := samInstance(t, "State: DISABLED", "State: PAUSED")
	_, err := i.Schedules(resource(t, i, "ThingGet"))
	wantError(t, err, `not "PAUSED"`)
}

func TestStateMachine(t *testing.T) {
	i := samInstance(t)
	got, err := i.StateMachine(resource(t, i, "Machine"))
	want := template.StateMachine{Name: "app-machine", Type: "STANDARD", Definition: `{"Resource":"arn:ThingGet"}`}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v; state machine (-want +got):\n%s", err, diff)
	}
}

func TestStateMachineRefuses(t *testing.T) {
	for name, test := range map[string]struct{ new, want string }{
		"missing": {"{}", "there is no substitution for ${ThingGet}"},
		"unused":  {"{ ThingGet: a, Other: b }", "the substitution Other is not used"},
	} {
		t.Run(name, func(t *testing.T) {
			i := samInstance(t, "{ ThingGet: !GetAtt ThingGet.Arn }", test.new)
			_, err := i.StateMachine(resource(t, i, "Machine"))
			wantError(t, err, test.want)
		})
	}
}

func TestNested(t *testing.T) {
	root, err := template.Load(write(t, map[string]string{
		"template.yaml": `
Resources:
  Data:
    Type: AWS::CloudFormation::Stack
    Properties: { TemplateURL: nested/data.yaml, Parameters: { Name: !Ref AWS::StackName } }`,
		"nested/data.yaml": `
Parameters: { Name: { Type: String } }
Conditions: { IsOther: !Equals [!Ref Name, other] }
Resources: { Table: { Type: T } }
Outputs:
  Table: { Value: !Sub "${AWS::StackName} ${Name}" }
  None: { Value: x, Condition: IsOther }`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	i, err := root.Instantiate("app", environment, nil)
	if err != nil {
		t.Fatal(err)
	}
	nested, err := i.Nest(resource(t, i, "Data"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := nested.Outputs()
	if want := map[string]string{"Table": "app-Data app"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestNotCreated(t *testing.T) {
	i := instantiate(t, "Resources: { A: { Type: T } }\nOutputs: { O: { Value: !Ref A } }")
	_, err := i.Outputs()
	wantError(t, err, "A does not exist")

	i = instantiate(t, "Resources: { A: { Type: T } }\nOutputs: { O: { Value: !GetAtt A.Colour } }")
	i.Created(resource(t, i, "A"), template.Attributes{Ref: "a"})
	_, err = i.Outputs()
	wantError(t, err, `A, a T, has no attribute "Colour"`)
}
