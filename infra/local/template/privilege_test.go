package template

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/tenantry/tenantry/infra/local/cloud/iam"
)

const (
	mainTable = "arn:aws:dynamodb:us-east-1:123456789012:table/main"
	tenants   = mainTable + "/index/tenant"
	due       = mainTable + "/index/due"
)

// roles returns what the policies of each function and state machine say, where
// MongoDB and targets of health are given.
func roles(t *testing.T) map[string]*iam.Role {
	t.Helper()
	root := project(t)
	arn := "arn:aws:secretsmanager:us-east-1:123456789012:secret:any-AbCdEf"
	i, err := root.Instantiate("app", deployed, with(operators, map[string]string{
		"HealthTargets": "[]", "HealthSecretArns": arn, "MongoDbSecretArn": arn,
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range root.Resources() {
		arn := "arn:aws:any:::" + r.ID
		i.Created(r, Attributes{Ref: r.ID, Values: map[string]string{
			"Arn": arn, "Outputs.TableArn": mainTable, "Outputs.HashKeyArn": arn, "Outputs.AuditKeyArn": arn,
			"Outputs.PoolArn": arn, "Outputs.ClientSecretArn": arn,
		}})
	}
	all := map[string]*iam.Role{}
	for _, r := range root.Resources() {
		if r.Type != FunctionType && r.Type != StateMachineType {
			continue
		}
		role := &iam.Role{}
		statements, err := i.Statements(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			parsed, err := iam.Parse(s.ID, s.Value)
			if err != nil {
				t.Fatal(err)
			}
			role.Statements = append(role.Statements, parsed)
		}
		all[r.ID] = role
	}
	return all
}

// TestKeysAndSessions says who may touch the items that let somebody in, and those
// that must not be changed.
func TestKeysAndSessions(t *testing.T) {
	read := []string{"GetItem", "BatchGetItem", "Query", "Scan"}
	write := []string{"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"}
	// What an impersonation may call.
	guarded := []string{
		"AgentCreate", "AgentDelete", "AgentGet", "AgentList", "AgentUpdate", "AuditEventList", "AuthMe", "CallList", "OperationGet",
		"OperationList", "SipCredentialsGet", "TenantGet", "TenantStats", "TenantUpdate", "UserCreate", "UserDelete", "UserGet",
		"UserHeartbeat", "UserList", "UserResetPassword", "UserUpdate",
	}
	all := roles(t)
	for name, test := range map[string]struct {
		actions []string
		on, key string
		want    []string
	}{
		"read keys":            {read, mainTable, "KEY#1", []string{"Authorizer"}},
		"write keys":           {write, mainTable, "KEY#1", []string{"ApiKeyCreate", "ApiKeyDelete"}},
		"read keys by id":      {read, mainTable, "KEYID#1", []string{"ApiKeyDelete"}},
		"write keys by id":     {write, mainTable, "KEYID#1", []string{"ApiKeyCreate", "ApiKeyDelete"}},
		"list keys":            {read, tenants, "PLATFORM#KEY", []string{"ApiKeyList"}},
		"read sessions":        {read, mainTable, "IMPERSONATION#1", append(guarded, "Authorizer", "ImpersonationDelete")},
		"write sessions":       {write, mainTable, "IMPERSONATION#1", []string{"ImpersonationCreate", "ImpersonationDelete"}},
		"read their tokens":    {read, mainTable, "IMPERSONATION-TOKEN#1", []string{"Authorizer"}},
		"write their tokens":   {write, mainTable, "IMPERSONATION-TOKEN#1", []string{"ImpersonationCreate"}},
		"list sessions":        {read, tenants, "PLATFORM#IMPERSONATION", []string{"ImpersonationList"}},
		"read the audit":       {read, mainTable, "AUDIT#1", []string{"AuditEventList", "AuditSeal"}},
		"change the audit":     {[]string{"UpdateItem"}, mainTable, "AUDIT#1", []string{"AuditSeal"}},
		"cut the audit":        {[]string{"DeleteItem", "BatchWriteItem"}, mainTable, "AUDIT#1", nil},
		"forget attempts":      {[]string{"PutItem", "DeleteItem", "BatchWriteItem"}, mainTable, "ATTEMPT#1", nil},
		"find dead calls":      {read, due, "DUE#call#1", []string{"HealthCheck", "Sweeper"}},
		"find dead accounts":   {read, due, "DUE#account#1", []string{"Sweeper"}},
		"find what to seal":    {read, due, "DUE#audit#1", []string{"AuditSeal"}},
		"write what is new":    {write, mainTable, "NEW#1", nil},
		"read what is new":     {read, mainTable, "NEW#1", nil},
		"list what is new":     {read, tenants, "NEW#1", nil},
		"read all of a table":  {[]string{"Scan"}, mainTable, "", nil},
		"read all of an index": {[]string{"Scan"}, tenants, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for id, role := range all {
				if slices.ContainsFunc(test.actions, func(action string) bool {
					return role.Decide(iam.Request{Action: "dynamodb:" + action, Resource: test.on, Keys: []string{test.key}}, "").Allowed
				}) {
					got = append(got, id)
				}
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("who may (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWildcardsHaveReasons finds resources and actions of policies with a * and no
// comment beside it.
func TestWildcardsHaveReasons(t *testing.T) {
	project(t).All(func(nested *Template) {
		for _, r := range nested.Resources() {
			if r.props != nil {
				unreasoned(r.props, func(n *yaml.Node) {
					t.Errorf("%s:%d: %s in a policy has no reason beside it", nested.Path, n.Line, n.Value)
				})
			}
		}
	})
}

// unreasoned calls found for each * of the statements in n that has no comment.
func unreasoned(n *yaml.Node, found func(*yaml.Node)) {
	if value(n, "Effect") != nil {
		for _, member := range []string{"Action", "NotAction", "Resource", "NotResource"} {
			if v := value(n, member); v != nil {
				stars(v, found)
			}
		}
		return
	}
	for _, child := range n.Content {
		unreasoned(child, found)
	}
}

func stars(n *yaml.Node, found func(*yaml.Node)) {
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "*") && n.LineComment == "" {
		found(n)
	}
	for _, child := range n.Content {
		stars(child, found)
	}
}
