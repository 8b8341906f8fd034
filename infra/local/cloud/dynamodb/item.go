package dynamodb

import (
	"encoding/json"
	"math/big"
	"strings"
)

// An item maps the names of attributes to their values, as they are on the
// wire.
type item map[string]json.RawMessage

// maxDepth is how deep attributes may be nested.
const maxDepth = 32

// A value is an attribute's value, of which one member is set.
type value struct {
	S, N, B    *string
	BOOL, NULL *bool
	SS, NS, BS []string
	L          []value
	M          map[string]value
}

// depth returns how many lists and maps are nested in one another.
func (v value) depth() int {
	deepest := 0
	for _, child := range v.L {
		deepest = max(deepest, child.depth())
	}
	for _, child := range v.M {
		deepest = max(deepest, child.depth())
	}
	if v.L == nil && v.M == nil {
		return 0
	}
	return 1 + deepest
}

// size returns how many bytes DynamoDB counts for the value.
func (v value) size() int {
	switch {
	case v.S != nil:
		return len(*v.S)
	case v.N != nil:
		return numberSize(*v.N)
	case v.B != nil:
		return binarySize(*v.B)
	case v.L != nil || v.M != nil:
		size := 3
		for _, child := range v.L {
			size += 1 + child.size()
		}
		for name, child := range v.M {
			size += 1 + len(name) + child.size()
		}
		return size
	}
	size := 0
	for _, s := range v.SS {
		size += len(s)
	}
	for _, n := range v.NS {
		size += numberSize(n)
	}
	for _, b := range v.BS {
		size += binarySize(b)
	}
	return max(1, size)
}

func numberSize(n string) int { return 1 + (len(strings.Trim(n, "+-0."))+1)/2 }

func binarySize(base64 string) int { return len(base64) / 4 * 3 }

// tooDeep says whether an attribute is nested deeper than DynamoDB allows. Of
// what is no value dynalite will say so.
func (i item) tooDeep() bool {
	for _, raw := range i {
		// A level of nesting takes two brackets.
		if strings.Count(string(raw), "{")+strings.Count(string(raw), "[") <= maxDepth {
			continue
		}
		var v value
		if json.Unmarshal(raw, &v) == nil && v.depth() > maxDepth {
			return true
		}
	}
	return false
}

// size returns how many bytes DynamoDB counts for the item.
func (i item) size() int {
	size := 0
	for name, raw := range i {
		var v value
		if json.Unmarshal(raw, &v) == nil {
			size += len(name) + v.size()
		}
	}
	return size
}

// errTooDeep is what DynamoDB says of attributes nested too deep.
func errTooDeep() *apiError {
	return failure(validation, "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit")
}

// A keyAttribute is an attribute of a table's primary key.
type keyAttribute struct {
	name, kind string
}

// An itemID tells an item from all others, of whatever table. It begins with
// the table's name and idSeparator, which no name has.
type itemID string

const idSeparator = "\x00"

// id returns the identity of the item, and its key alone. It is not ok if the
// item does not have the table's key, which dynalite will refuse.
func (t *table) id(i item) (id itemID, key item, ok bool) {
	parts := []string{t.name}
	key = item{}
	for _, attribute := range t.keys {
		raw := i[attribute.name]
		var v value
		if raw == nil || json.Unmarshal(raw, &v) != nil {
			return "", nil, false
		}
		part, ok := v.scalar(attribute.kind)
		if !ok {
			return "", nil, false
		}
		key[attribute.name] = raw
		parts = append(parts, part)
	}
	return itemID(strings.Join(parts, idSeparator)), key, true
}

// scalar returns the value if it is of the given kind, in the one form that
// equal values share.
func (v value) scalar(kind string) (s string, ok bool) {
	p := map[string]*string{"S": v.S, "N": v.N, "B": v.B}[kind]
	if p == nil || *p == "" {
		return "", false
	}
	if kind != "N" {
		return *p, true
	}
	// 38 digits are all that a number has, and 200 bits are enough for them.
	f, _, err := big.ParseFloat(*p, 10, 200, big.ToNearestEven)
	if err != nil {
		return "", false
	}
	return f.Text('e', 40), true
}
