package dynamodb

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestItemSize(t *testing.T) {
	for body, want := range map[string]int{
		`{}`:                               0,
		`{"a": {"S": "bcd"}}`:              4,
		`{"é": {"S": "é"}}`:                4,
		`{"a": {"N": "1"}}`:                3,
		`{"a": {"N": "-12.50"}}`:           4,
		`{"a": {"B": "AAAA"}}`:             4,
		`{"a": {"BOOL": true}}`:            2,
		`{"a": {"NULL": true}}`:            2,
		`{"a": {"SS": ["b", "cd"]}}`:       4,
		`{"a": {"NS": ["1", "22"]}}`:       5,
		`{"a": {"BS": ["AAAA"]}}`:          4,
		`{"a": {"L": [{"S": "b"}]}}`:       6,
		`{"a": {"M": {"bc": {"S": "d"}}}}`: 8,
		`{"a": {"L": []}}`:                 4,
	} {
		var i item
		if err := json.Unmarshal([]byte(body), &i); err != nil {
			t.Fatal(err)
		}
		if got := i.size(); got != want {
			t.Errorf("%s: got %d bytes, want %d", body, got, want)
		}
	}
}

func TestItemID(t *testing.T) {
	byNumber := &table{name: "t", keys: []keyAttribute{{"n", "N"}, {"b", "B"}}}
	id := func(body string) (itemID, bool) {
		var i item
		if err := json.Unmarshal([]byte(body), &i); err != nil {
			t.Fatal(err)
		}
		id, _, ok := byNumber.id(i)
		return id, ok
	}
	want, ok := id(`{"n": {"N": "100"}, "b": {"B": "AAAA"}}`)
	if !ok {
		t.Fatal("got no identity")
	}
	for body, same := range map[string]bool{
		`{"n": {"N": "1e2"}, "b": {"B": "AAAA"}, "more": {"S": "x"}}`: true,
		`{"n": {"N": "100.00"}, "b": {"B": "AAAA"}}`:                  true,
		`{"n": {"N": "100.01"}, "b": {"B": "AAAA"}}`:                  false,
		`{"n": {"N": "100"}, "b": {"B": "AAAB"}}`:                     false,
		`{"n": {"N": "1e-999999999"}, "b": {"B": "AAAA"}}`:            false,
	} {
		if got, ok := id(body); !ok || (got == want) != same {
			t.Errorf("%s: got the same identity %t, %t, want %t", body, got == want, ok, same)
		}
	}
	for _, body := range []string{
		`{}`, `{"n": {"N": "1"}}`, `{"n": {"S": "1"}, "b": {"B": "AAAA"}}`, `{"n": {"N": "one"}, "b": {"B": "AAAA"}}`,
		`{"n": {"N": "1"}, "b": {"B": ""}}`, `{"n": 1, "b": {"B": "AAAA"}}`,
	} {
		if got, ok := id(body); ok {
			t.Errorf("%s: got identity %q, want none", body, got)
		}
	}
}

func TestTooDeepLeavesWhatIsNoValue(t *testing.T) {
	i := item{"a": json.RawMessage(strings.Repeat("[", 50) + strings.Repeat("]", 50))}
	if i.tooDeep() {
		t.Error("got too deep for what is no value")
	}
}
