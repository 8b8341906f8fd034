package dynamo

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// An edit is a change of attributes of an item, of which there may be none yet,
// put together piece by piece.
type edit struct {
	sets, adds, removes, conditions []string

	values map[string]any
	names  map[string]string
}

// set gives an attribute a value.
func (e *edit) set(attribute string, value any) {
	e.sets = append(e.sets, e.name(attribute)+" = "+e.value(value))
}

// add adds n to an attribute, which is 0 if it is not there.
func (e *edit) add(attribute string, n any) {
	e.adds = append(e.adds, e.name(attribute)+" "+e.value(n))
}

// remove removes an attribute.
func (e *edit) remove(attribute string) { e.removes = append(e.removes, e.name(attribute)) }

// require adds a condition on an attribute: that it compares to a value.
func (e *edit) require(attribute, comparator string, value any) {
	e.conditions = append(e.conditions, e.name(attribute)+" "+comparator+" "+e.value(value))
}

// requireBelow adds the condition that an attribute is less than another.
func (e *edit) requireBelow(attribute, other string) {
	e.conditions = append(e.conditions, e.name(attribute)+" < "+e.name(other))
}

// empty reports whether the edit changes nothing.
func (e *edit) empty() bool { return len(e.sets)+len(e.adds)+len(e.removes) == 0 }

// name returns what stands for an attribute, whose name may be a reserved word.
func (e *edit) name(attribute string) string {
	if e.names == nil {
		e.names = map[string]string{}
	}
	e.names["#"+attribute] = attribute
	return "#" + attribute
}

func (e *edit) value(v any) string {
	if e.values == nil {
		e.values = map[string]any{}
	}
	name := fmt.Sprintf(":v%d", len(e.values))
	e.values[name] = v
	return name
}

// expression returns the update expression.
func (e *edit) expression() string {
	var clauses []string
	for _, clause := range []struct {
		word  string
		parts []string
	}{{"SET", e.sets}, {"ADD", e.adds}, {"REMOVE", e.removes}} {
		if len(clause.parts) > 0 {
			clauses = append(clauses, clause.word+" "+strings.Join(clause.parts, ", "))
		}
	}
	return strings.Join(clauses, " ")
}

// edit makes an edit, unless it is empty.
func (tx *transaction) edit(k key, e *edit, unmet error) {
	if e.empty() {
		return
	}
	av, err := attributevalue.MarshalMap(k)
	vs, err2 := values(e.values)
	update := &types.Update{
		TableName:                 &tx.table.name,
		Key:                       av,
		UpdateExpression:          new(e.expression()),
		ExpressionAttributeValues: vs,
		ExpressionAttributeNames:  e.names,
	}
	if len(e.conditions) > 0 {
		update.ConditionExpression = new(strings.Join(e.conditions, " AND "))
	}
	tx.add(types.TransactWriteItem{Update: update}, unmet, err, err2)
}
