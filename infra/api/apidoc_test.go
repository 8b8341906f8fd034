package apidoc

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

func TestJSONSaysTheSame(t *testing.T) {
	text, err := JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(YAML, &want); err != nil {
		t.Fatal(err)
	}
	viaJSON, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(viaJSON, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the JSON says something else (-YAML +JSON):\n%s", diff)
	}
	if !bytes.HasPrefix(text, []byte(`{"openapi":"3.1.1","info":{"title":"Tenantry","version":"0.1.0"`)) {
		t.Errorf("the members are out of order: %.80s", text)
	}
}
