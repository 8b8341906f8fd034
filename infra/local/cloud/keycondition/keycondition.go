// Package keycondition reads the key conditions of DynamoDB's queries.
package keycondition

import (
	"cmp"
	"regexp"
)

var equality = regexp.MustCompile(`(#?[A-Za-z0-9_]+)\s*=\s*(:[A-Za-z0-9_]+)`)

// Equal returns the attributes that a KeyConditionExpression wants equal to a value,
// each with the placeholder of the value. Names is ExpressionAttributeNames.
func Equal(expression string, names map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range equality.FindAllStringSubmatch(expression, -1) {
		all[cmp.Or(names[m[1]], m[1])] = m[2]
	}
	return all
}
