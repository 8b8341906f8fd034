package template_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/template"
)

const policies = `
Transform: AWS::Serverless-2016-10-31
Parameters:
  Secret: { Type: String, Default: "" }
Conditions:
  HasSecret: !Not [!Equals [!Ref Secret, ""]]
Resources:
  Plain:
    Type: AWS::Serverless::Function
    Properties:
      Policies:
        - Version: "2012-10-17"
          Statement:
            - { Effect: Allow, Action: a:B, Resource: !Sub "arn:${AWS::AccountId}" }
            - !If
              - HasSecret
              - { Effect: Allow, Action: a:C, Resource: !Ref Secret }
              - !Ref AWS::NoValue
            - Sid: Named
              Effect: Allow
              Action: a:D
              Resource: [x, !Sub "${AWS::AccountId}"]
        - Statement: { Effect: Deny, Action: a:E, Resource: "*" }
  Guarded:
    Type: AWS::Serverless::Function
    Properties:
      Policies: !If
        - HasSecret
        - - Statement: [{ Effect: Allow, Action: a:F, Resource: !Ref Secret }]
        - []
  None: { Type: AWS::Serverless::Function, Properties: { Timeout: 3 } }
`

// TestStatements reads the same policies under either condition.
func TestStatements(t *testing.T) {
	type list []string
	for name, test := range map[string]struct {
		secret string
		want   map[string]map[string]any // by ID
	}{
		"without": {"", map[string]map[string]any{
			"Plain/1":     {"Effect": "Allow", "Action": "a:B", "Resource": "arn:123456789012"},
			"Plain/Named": {"Sid": "Named", "Effect": "Allow", "Action": "a:D", "Resource": []any{"x", "123456789012"}},
			"Plain/4":     {"Effect": "Deny", "Action": "a:E", "Resource": "*"},
		}},
		"with": {"s", map[string]map[string]any{
			"Plain/1":     {"Effect": "Allow", "Action": "a:B", "Resource": "arn:123456789012"},
			"Plain/2":     {"Effect": "Allow", "Action": "a:C", "Resource": "s"},
			"Plain/Named": {"Sid": "Named", "Effect": "Allow", "Action": "a:D", "Resource": []any{"x", "123456789012"}},
			"Plain/4":     {"Effect": "Deny", "Action": "a:E", "Resource": "*"},
			"Guarded/1":   {"Effect": "Allow", "Action": "a:F", "Resource": "s"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			root := load(t, policies)
			i, err := root.Instantiate("app", environment, map[string]string{"Secret": test.secret})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]map[string]any{}
			var declared list
			for _, r := range root.Resources() {
				statements, err := i.Statements(r)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range statements {
					got[s.ID] = s.Value
				}
				if statements, err = root.Statements(r); err != nil {
					t.Fatal(err)
				}
				for _, s := range statements {
					declared = append(declared, s.ID)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("statements (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(list{"Plain/1", "Plain/2", "Plain/Named", "Plain/4", "Guarded/1"}, declared); diff != "" {
				t.Errorf("declared (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatementsRefuse(t *testing.T) {
	for name, test := range map[string]struct{ policies, want string }{
		"a managed policy":    {`AWSLambdaExecute`, "must be a mapping"},
		"managed policies":    {`[arn:aws:iam::aws:policy/ReadOnlyAccess]`, "must be a mapping"},
		"a template of SAM":   {`[{ DynamoDBReadPolicy: { TableName: t } }]`, `the policy "DynamoDBReadPolicy" is not understood`},
		"a text":              {`[{ Statement: [x] }]`, "a statement must be a mapping"},
		"another's reference": {`[!Ref Other]`, "must be a mapping"},
		"a part of a statement": {
			`[{ Statement: { Effect: Allow, Action: a:B, Resource: [x, !If [Never, y, !Ref AWS::NoValue]] } }]`,
			"an If in a statement is not understood",
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := instantiate(t, `
Transform: AWS::Serverless-2016-10-31
Conditions:
  Never: !Equals [a, b]
Resources:
  Other: { Type: AWS::IAM::ManagedPolicy, Properties: {} }
  F: { Type: AWS::Serverless::Function, Properties: { Policies: `+test.policies+` } }`)
			i.Created(resource(t, i, "Other"), template.Attributes{Ref: "x"})
			_, err := i.Statements(resource(t, i, "F"))
			wantError(t, err, test.want)
		})
	}
}
