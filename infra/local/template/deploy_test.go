package template

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	apidoc "github.com/tenantry/tenantry/infra/api"
)

var deployed = Environment{Region: "us-east-1", AccountID: "123456789012"}

// stages returns the parameters of each stage that samconfig.toml deploys.
func stages(t *testing.T) map[string]map[string]string {
	t.Helper()
	var config map[string]any
	if _, err := toml.DecodeFile(filepath.Join(projectRoot, "samconfig.toml"), &config); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{}
	for stage := range config {
		pairs, ok := under(config, stage, "global", "parameters", "parameter_overrides").([]any)
		if !ok {
			continue
		}
		if command := under(config, stage, "deploy", "parameters", "parameter_overrides"); command != nil {
			t.Errorf("sam build does not see the parameters that %s has for deploy", stage)
		}
		all[stage] = map[string]string{}
		for _, pair := range pairs {
			name, v, _ := strings.Cut(pair.(string), "=")
			all[stage][name] = v
		}
	}
	return all
}

// under gives what is found in v by the keys of path.
func under(v any, path ...string) any {
	for _, key := range path {
		table, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = table[key]
	}
	return v
}

func TestStagesHaveValidParameters(t *testing.T) {
	all := stages(t)
	for _, stage := range []string{"dev", "staging", "prod"} {
		if _, ok := all[stage]; !ok {
			t.Errorf("samconfig.toml does not deploy %s", stage)
		}
	}
	for stage, parameters := range all {
		for _, name := range []string{"Architecture", "Paused"} { // whose defaults a stack that has others would not get back
			if parameters[name] == "" {
				t.Errorf("%s does not say its %s", stage, name)
			}
		}
		if _, err := project(t).Instantiate("app", deployed, with(operators, parameters)); err != nil {
			t.Errorf("%s: %v", stage, err)
		}
	}
}

// operators is what only they know who deploy, so that samconfig.toml cannot have it.
var operators = map[string]string{
	"AlarmEmail":      "ops@example.com",
	"MailFrom":        "Example <no-reply@example.com>",
	"MailIdentityArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com",
}

// with returns parameters over others.
func with(others, parameters map[string]string) map[string]string {
	all := maps.Clone(others)
	maps.Copy(all, parameters)
	return all
}

// TestUnsafeForProduction tries what is refused for production alone, and what
// is refused everywhere.
func TestUnsafeForProduction(t *testing.T) {
	for name, test := range map[string]struct {
		parameters  string
		want        string // of the error
		development bool   // may have it
	}{
		"unconfirmed accounts":     {"AutoConfirm=true", "AutoConfirm must be false", true},
		"keys from elsewhere":      {"JwksBaseUrl=http://127.0.0.1", "JwksBaseUrl must be empty", true},
		"any origin":               {"CorsOrigins=*", "CorsOrigins must name each origin", true},
		"any origin besides":       {"CorsOrigins=https://a.example.com,*", "CorsOrigins must name each origin", true},
		"logs for days":            {"LogRetentionDays=14", "LogRetentionDays must be 30 or more", true},
		"no time to restore":       {"DeletionGraceSeconds=1", "DeletionGraceSeconds must be 1, 2, 3,", true},
		"tokens for a day":         {"AccessTokenMinutes=1440", "AccessTokenMinutes must be 5, 10, 15, 30 or 60", true},
		"attempts at an account":   {"AuthAccountLimit=101", "AuthAccountLimit must be", true},
		"attempts from anywhere":   {"AuthAddressLimit=1000000", "AuthAddressLimit must be", true},
		"attempts after seconds":   {"AuthLimitSeconds=10", "AuthLimitSeconds must be", true},
		"alarms that nobody hears": {"AlarmEmail=", "AlarmEmail must say", true},
		"fifty mails a day":        {"MailFrom= MailIdentityArn=", "MailFrom must say", true},
		"a name without proof":     {"DomainName=api.example.com", "DomainName and CertificateArn go together", false},
		"proof without a name":     {"CertificateArn=arn:aws:acm:us-east-1:123456789012:certificate/1", "DomainName and CertificateArn go together", false},
		"a record without a name":  {"HostedZoneId=Z1", "DomainName and CertificateArn go together", false},
		"a sender without proof":   {"MailIdentityArn=", "MailFrom and MailIdentityArn go together", false},
		"an identity without mail": {"MailFrom=", "MailFrom and MailIdentityArn go together", false},
		"a sender that is none":    {"MailFrom=somebody", "parameter MailFrom is", false},
		"an origin without TLS":    {"CorsOrigins=http://a.example.com", "parameter CorsOrigins is", false},
		"keys from nowhere":        {"JwksBaseUrl=x", "parameter JwksBaseUrl is", false},
		"targets that are no list": {"HealthTargets={}", "parameter HealthTargets is", false},
		"any secret":               {"HealthSecretArns=*", "parameter HealthSecretArns is", false},
		"any secrets":              {"MongoDbSecretArn=arn:aws:secretsmanager:us-east-1:123456789012:secret:*", "parameter MongoDbSecretArn is", false},
		"health without groups":    {"HealthSubnetIds=subnet-1", "HealthSubnetIds and HealthSecurityGroupIds go together", false},
		"health without subnets":   {"HealthSecurityGroupIds=sg-1,sg-2", "HealthSubnetIds and HealthSecurityGroupIds go together", false},
		"MongoDB without groups":   {"MongoDbSubnetIds=subnet-1,subnet-2", "MongoDbSubnetIds and MongoDbSecurityGroupIds go together", false},
		"MongoDB without subnets":  {"MongoDbSecurityGroupIds=sg-1", "MongoDbSubnetIds and MongoDbSecurityGroupIds go together", false},
		"a subnet that is none":    {"MongoDbSubnetIds=vpc-1 MongoDbSecurityGroupIds=sg-1", "parameter MongoDbSubnetIds is", false},
		"a group that is none":     {"HealthSubnetIds=subnet-1 HealthSecurityGroupIds=default", "parameter HealthSecurityGroupIds is", false},
	} {
		t.Run(name, func(t *testing.T) {
			given := map[string]string{}
			for pair := range strings.FieldsSeq(test.parameters) {
				name, v, _ := strings.Cut(pair, "=")
				given[name] = v
			}
			given = with(operators, given)
			_, err := project(t).Instantiate("app", deployed, given)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("in production: got %v, want %q", err, test.want)
			}
			_, err = project(t).Instantiate("app", deployed, with(given, map[string]string{"Production": "false"}))
			if (err == nil) != test.development {
				t.Errorf("in development: got %v, want it allowed: %v", err, test.development)
			}
		})
	}
}

// TestSafeForProduction gives what an operator may want.
func TestSafeForProduction(t *testing.T) {
	for _, parameters := range []map[string]string{
		{"AuthAccountLimit": "100", "AuthAddressLimit": "3000", "AuthLimitSeconds": "900", "AccessTokenMinutes": "15"},
		{"CorsOrigins": "https://a.example.com,https://b.example.com:8443", "DeletionGraceSeconds": "86400"},
		{"MailFrom": "no-reply@example.com"},
		{"HealthSubnetIds": "subnet-0a1,subnet-0a2", "HealthSecurityGroupIds": "sg-0a1"},
		{ //nolint:gosec // the names of secrets
			"HealthTargets":    "[\n  {\"name\": \"db\"}\n]",
			"HealthSecretArns": "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf,arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a/b-AbCdEf",
		},
	} {
		if _, err := project(t).Instantiate("app", deployed, with(operators, parameters)); err != nil {
			t.Errorf("%v: %v", parameters, err)
		}
	}
}

// property returns the part of the API's properties that path leads to.
func property(t *testing.T, path ...string) *yaml.Node {
	t.Helper()
	n := project(t).byID["Api"].props
	for _, key := range path {
		n = value(n, key)
	}
	if n == nil {
		t.Fatalf("Api has no %v", path)
	}
	return n
}

// TestAccountsAreThrottled finds routes below /auth/ that change or reveal
// something and have no bound of their own.
func TestAccountsAreThrottled(t *testing.T) {
	var want []string
	routes, err := project(t).Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Method == "POST" && strings.HasPrefix(r.Path, "/auth/") {
			want = append(want, r.Method+" "+r.Path)
		}
	}
	bounded, err := entries(property(t, "RouteSettings"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range bounded {
		got = append(got, b.key)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes with a bound of their own (-want +got):\n%s", diff)
	}
}

// TestPagesSeeOurHeaders compares the headers that CORS lets through with those
// of the OpenAPI document.
func TestPagesSeeOurHeaders(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal(apidoc.YAML, &doc); err != nil {
		t.Fatal(err)
	}
	taken, answered := map[string]bool{"Authorization": true, "Content-Type": true}, map[string]bool{}
	headers(&doc, taken, answered)
	delete(answered, "Cache-Control") // pages see it anyway (Fetch, CORS-safelisted response-header name)
	for name, want := range map[string]map[string]bool{"AllowHeaders": taken, "ExposeHeaders": answered} {
		got := map[string]bool{}
		for _, n := range property(t, "CorsConfiguration", name).Content {
			got[n.Value] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// headers collects the headers that the part n of the document says are taken,
// and those that are answered.
func headers(n *yaml.Node, taken, answered map[string]bool) {
	if in, name := value(n, "in"), value(n, "name"); in != nil && name != nil && in.Value == "header" {
		taken[name.Value] = true
	}
	if declared := value(n, "headers"); declared != nil && value(n, "description") != nil {
		for k := 0; k < len(declared.Content); k += 2 {
			answered[declared.Content[k].Value] = true
		}
	}
	for _, c := range n.Content {
		headers(c, taken, answered)
	}
}

// TestPausedRunsNothing counts what runs by the minute, by the parameter.
func TestPausedRunsNothing(t *testing.T) {
	for paused, want := range map[string]int{"false": 3, "true": 0} {
		i, err := project(t).Instantiate("app", deployed, with(operators, map[string]string{"Paused": paused}))
		if err != nil {
			t.Fatal(err)
		}
		var all []Schedule
		for _, r := range i.template.Resources() {
			schedules, err := i.Schedules(r)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, schedules...)
		}
		if len(all) != want {
			t.Errorf("with Paused=%s these run: %v; want %d", paused, all, want)
		}
	}
}

// A physicalName is one that nothing else of its kind in the account may have.
type physicalName struct{ kind, name string }

// TestStacksShareNoNames makes two stacks in one account, and looks for a name that
// what they make would have in both. (The export of an output is refused by Load.)
func TestStacksShareNoNames(t *testing.T) {
	named := map[physicalName]string{}
	for _, stack := range []string{"one", "two"} {
		i, err := project(t).Instantiate(stack, deployed, operators)
		if err != nil {
			t.Fatal(err)
		}
		for name, id := range physicalNames(t, i) {
			if other, ok := named[name]; ok {
				t.Errorf("%s of both stacks, like %s, has the %s %q", id, other, name.kind, name.name)
			}
			named[name] = id
		}
	}
	for _, id := range []string{"AccessLogs", "Provision", "Pool", "ApiFaults", "Dashboard"} {
		if !slices.Contains(slices.Collect(maps.Values(named)), id) {
			t.Errorf("no name of %s was found", id)
		}
	}
}

// physicalNames returns the names that the stack i and those in it give, with the
// resources that have them. What has no name is named by CloudFormation, uniquely.
func physicalNames(t *testing.T, i *Instance) map[physicalName]string {
	t.Helper()
	all := map[physicalName]string{}
	resources, err := i.Resources()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(i.template.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resources {
		for _, m := range namesOf(t, r) {
			v, err := i.eval(m.value)
			if err != nil {
				t.Fatal(err)
			}
			all[physicalName{r.Type + " " + m.key, fmt.Sprint(v)}] = r.ID
		}
		a := Attributes{Ref: i.Name + "-" + r.ID, Values: map[string]string{}}
		for _, match := range regexp.MustCompile(`\b`+r.ID+`\.([\w.]+)`).FindAllStringSubmatch(string(text), -1) {
			a.Values[match[1]] = a.Ref + "." + match[1]
		}
		if r.Nested != nil {
			nested, err := i.Nest(r)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(all, physicalNames(t, nested))
		}
		i.Created(r, a)
	}
	return all
}

// namesOf returns the properties of r that are names of it in its account, and those
// of its schedules: SAM names a schedule that does not ask it not to.
func namesOf(t *testing.T, r *Resource) []entry {
	t.Helper()
	properties, err := entries(r.props)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.DeleteFunc(properties, func(m entry) bool {
		within := r.Type == "AWS::Cognito::UserPoolGroup" // its name is one of its pool's
		isName := strings.HasSuffix(m.key, "Name") || r.Type == "AWS::Cognito::UserPoolDomain" && m.key == "Domain"
		return !isName || within || m.key == "MetricName" || m.key == "DisplayName"
	})
	for _, e := range r.events() {
		if e.kind != "ScheduleV2" || value(e.props, "OmitName") != nil {
			continue
		}
		name := value(e.props, "Name")
		if name == nil {
			name = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: r.ID + e.name}
		}
		all = append(all, entry{key: "schedule " + e.name, node: e.node, value: name})
	}
	return all
}
