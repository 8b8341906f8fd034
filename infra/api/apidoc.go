// Package apidoc holds the OpenAPI document, for the function that serves it and
// the tests that compare what the API answers with it. It knows nothing of what
// the document says.
package apidoc

import (
	"bytes"
	_ "embed" // the document
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v4"
)

// YAML is the document as it is written. It must not be changed.
//
//go:embed openapi.yaml
var YAML []byte

// JSON returns the document as JSON, its members in the order in which they are
// written.
func JSON() ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(YAML, &doc); err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	var out bytes.Buffer
	if err := WriteJSON(jsontext.NewEncoder(&out), &doc); err != nil {
		return nil, fmt.Errorf("write openapi.yaml as JSON: %w", err)
	}
	return out.Bytes(), nil
}

// WriteJSON writes n, a part of the document. It refuses what JSON cannot say: a
// member that comes twice, a name that is not text, or an alias.
func WriteJSON(enc *jsontext.Encoder, n *yaml.Node) error {
	switch n.Kind {
	case yaml.DocumentNode:
		return WriteJSON(enc, n.Content[0])
	case yaml.MappingNode:
		return writeAll(enc, jsontext.BeginObject, n.Content, jsontext.EndObject)
	case yaml.SequenceNode:
		return writeAll(enc, jsontext.BeginArray, n.Content, jsontext.EndArray)
	case yaml.ScalarNode:
		if err := enc.WriteToken(scalar(n)); err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		return nil
	case yaml.AliasNode, yaml.StreamNode:
	}
	return fmt.Errorf("line %d: neither a value, a list nor a mapping", n.Line)
}

func writeAll(enc *jsontext.Encoder, begin jsontext.Token, content []*yaml.Node, end jsontext.Token) error {
	if err := enc.WriteToken(begin); err != nil {
		return err
	}
	for _, n := range content {
		if err := WriteJSON(enc, n); err != nil {
			return err
		}
	}
	return enc.WriteToken(end)
}

// scalar returns a single value. What is no number, truth value or null, such as
// a date, is text.
func scalar(n *yaml.Node) jsontext.Token {
	var value any
	if err := n.Decode(&value); err != nil {
		return jsontext.String(n.Value)
	}
	switch v := value.(type) {
	case nil:
		return jsontext.Null
	case bool:
		return jsontext.Bool(v)
	case int:
		return jsontext.Int(int64(v))
	case float64:
		return jsontext.Float(v)
	}
	return jsontext.String(n.Value)
}
