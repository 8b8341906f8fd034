package sam

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/tenantry/tenantry/infra/local/stack"
)

func TestHostIn(t *testing.T) {
	own := []net.Addr{
		&net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(8, 32)},
		&net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)},
		&net.IPNet{IP: net.IPv4(172, 17, 0, 1), Mask: net.CIDRMask(16, 32)},
	}
	for subnets, want := range map[string]string{
		"172.17.0.0/16\n":             "172.17.0.1",
		"fd00::/64 172.17.0.0/16 \n":  "172.17.0.1",
		"172.18.0.0/16 \n":            "", // an engine in a machine of its own
		"\n":                          "",
		"172.17.0.0/24 172.18.0.0/16": "172.17.0.1",
	} {
		got, err := hostIn(subnets, own)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", subnets, got, err, want)
		}
	}
	if got, err := hostIn("bridge", own); err == nil {
		t.Errorf("got %q of what is no network", got)
	}
}

// TestDeclare holds that the variables are declared beside the template's own, and that
// nothing else is changed.
func TestDeclare(t *testing.T) {
	for name, test := range map[string]struct{ template, want string }{
		"variables": {
			"Globals: {Function: {Timeout: 10, Environment: {Variables: {TABLE: !Ref Table}}}}\nResources: {A: {Type: T}}\n",
			"Globals: {Function: {Timeout: 10, Environment: {Variables: {TABLE: !Ref Table, AWS_ENDPOINT_URL: '', AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: ''}}}}\nResources: {A: {Type: T}}\n",
		},
		"none": {
			"Resources: {A: {Type: T}}\n",
			"Resources: {A: {Type: T}}\nGlobals: {Function: {Environment: {Variables: {AWS_ENDPOINT_URL: '', AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: ''}}}}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(test.template), 0o600); err != nil {
				t.Fatal(err)
			}
			path, err := declare(dir)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path) //nolint:gosec // in the test's own folder
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tree(t, test.want), tree(t, string(text))); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := declare(t.TempDir()); err == nil {
		t.Error("there is a template where nothing was built")
	}
}

// tree reads YAML, tags included.
func tree(t *testing.T, text string) any {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	var plain func(*yaml.Node) any
	plain = func(n *yaml.Node) any {
		if n.Kind == yaml.DocumentNode {
			return plain(n.Content[0])
		}
		if n.Kind == yaml.MappingNode {
			m := map[string]any{}
			for i := 0; i < len(n.Content); i += 2 {
				m[n.Content[i].Value] = plain(n.Content[i+1])
			}
			return m
		}
		return n.Tag + " " + n.Value
	}
	return plain(&n)
}

func TestWriteEnvironments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env.json")
	environments := map[string]map[string]string{
		"Authorizer": {"JWKS_URL": "http://127.0.0.1:4566/keys", "TABLE": "t"},
		"HealthGet":  nil,
	}
	if err := writeEnvironments(path, environments, "http://127.0.0.1:4566", "http://inside:4566"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path) //nolint:gosec // in the test's own folder
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]string
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{
		"Authorizer": {"JWKS_URL": "http://inside:4566/keys", "TABLE": "t", endpointVariable: "http://inside:4566"},
		"HealthGet":  {endpointVariable: "http://inside:4566"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestArchitecture(t *testing.T) {
	for goarch, want := range map[string]string{"arm64": "arm64", "amd64": "x86_64"} {
		if got := architecture(goarch); got != want {
			t.Errorf("%s: got %s, want %s", goarch, got, want)
		}
	}
}

// TestEnvironment holds that sam gets none of the user's own account.
func TestEnvironment(t *testing.T) {
	got := environment([]string{"HOME=/h", "AWS_PROFILE=mine", "AWS_ACCESS_KEY_ID=theirs"}, stack.Info{AWSEndpoint: "http://127.0.0.1:1"})
	want := []string{
		"HOME=/h", "SAM_CLI_TELEMETRY=0", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
		"AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
