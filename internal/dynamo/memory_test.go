package dynamo_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/dynamo"
)

// A memory is a DynamoDB for tests of a million steps: it knows as much of it as
// the stores of calls and of use need. The tests beside it make sure on the real
// local one that their expressions mean what it takes them for.
type memory struct {
	dynamo.Client // what it does not know panics

	mu    sync.Mutex
	items map[string]row
	// lose is called with each transaction, and may lose its answer.
	lose func() error
}

type row = map[string]types.AttributeValue

func newMemory() *memory {
	return &memory{items: map[string]row{}, lose: func() error { return nil }}
}

func itemKey(i row) string { return text(i["pk"]) + "|" + text(i["sk"]) }

// text returns a value as a text that compares as the value does.
func text(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return "S" + v.Value
	case *types.AttributeValueMemberN:
		n, err := strconv.ParseInt(v.Value, 10, 64)
		if err != nil {
			panic(err)
		}
		return fmt.Sprintf("N%020d", n+1<<62)
	case *types.AttributeValueMemberBOOL:
		return fmt.Sprint("B", v.Value)
	case nil:
		return ""
	}
	panic(fmt.Sprintf("a value of type %T", v))
}

func (m *memory) GetItem(_ context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &dynamodb.GetItemOutput{Item: maps.Clone(m.items[itemKey(in.Key)])}, nil
}

func (m *memory) BatchGetItem(_ context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &dynamodb.BatchGetItemOutput{Responses: map[string][]row{}}
	for table, wanted := range in.RequestItems {
		for _, key := range wanted.Keys {
			if found := m.items[itemKey(key)]; found != nil {
				out.Responses[table] = append(out.Responses[table], maps.Clone(found))
			}
		}
	}
	return out, nil
}

// Query understands conditions of an equal partition, and of a range of the sort
// key.
func (m *memory) Query(_ context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sort := map[string]string{"": "sk", "tenant": "of_tenant_sort", "due": "due_at"}[aws.ToString(in.IndexName)]
	var found []row
	for _, i := range m.items {
		if i[sort] != nil && holds(i, *in.KeyConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues) {
			found = append(found, maps.Clone(i))
		}
	}
	slices.SortFunc(found, func(a, b row) int { return cmp.Compare(text(a[sort]), text(b[sort])) })
	if in.ScanIndexForward != nil && !*in.ScanIndexForward {
		slices.Reverse(found)
	}
	if in.Limit != nil && len(found) > int(*in.Limit) {
		found = found[:*in.Limit]
		return &dynamodb.QueryOutput{Items: found, LastEvaluatedKey: found[len(found)-1]}, nil
	}
	return &dynamodb.QueryOutput{Items: found}, nil
}

func (m *memory) TransactWriteItems(_ context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	canceled, after := false, map[string]row{}
	reasons := make([]types.CancellationReason, len(in.TransactItems))
	for n, w := range in.TransactItems {
		key, next, ok := m.write(w)
		if _, twice := after[key]; twice {
			return nil, errors.New("ValidationException: two writes of " + key)
		}
		after[key] = next
		reasons[n].Code = new("None")
		if !ok {
			canceled, reasons[n].Code = true, new("ConditionalCheckFailed")
		}
	}
	if canceled {
		return nil, &types.TransactionCanceledException{CancellationReasons: reasons}
	}
	maps.Copy(m.items, after)
	return &dynamodb.TransactWriteItemsOutput{}, m.lose()
}

// write returns what a write makes of a row, and whether its condition holds.
func (m *memory) write(w types.TransactWriteItem) (string, row, bool) {
	switch {
	case w.Put != nil:
		key := itemKey(w.Put.Item)
		return key, w.Put.Item, holds(m.items[key], aws.ToString(w.Put.ConditionExpression), w.Put.ExpressionAttributeNames, w.Put.ExpressionAttributeValues)
	case w.Update != nil:
		key := itemKey(w.Update.Key)
		before := m.items[key]
		ok := holds(before, aws.ToString(w.Update.ConditionExpression), w.Update.ExpressionAttributeNames, w.Update.ExpressionAttributeValues)
		return key, updated(before, w.Update), ok
	case w.ConditionCheck != nil:
		key := itemKey(w.ConditionCheck.Key)
		before := m.items[key]
		return key, before, holds(before, *w.ConditionCheck.ConditionExpression, w.ConditionCheck.ExpressionAttributeNames, w.ConditionCheck.ExpressionAttributeValues)
	}
	panic("a write that is none of Put, Update and ConditionCheck")
}

// holds reports whether a condition, of comparisons joined by AND or by OR, holds
// for a row.
func holds(i row, condition string, names map[string]string, values row) bool {
	if condition == "" {
		return true
	}
	for either := range strings.SplitSeq(condition, " OR ") {
		all := true
		for part := range strings.SplitSeq(either, " AND ") {
			all = all && compares(i, part, names, values)
		}
		if all {
			return true
		}
	}
	return false
}

func compares(i row, part string, names map[string]string, values row) bool {
	if part == "attribute_not_exists(pk)" {
		return i == nil
	}
	operand := func(word string) types.AttributeValue {
		if strings.HasPrefix(word, ":") {
			return values[word]
		}
		return i[cmp.Or(names[word], word)]
	}
	if arguments, ok := strings.CutPrefix(part, "begins_with("); ok {
		a, b, _ := strings.Cut(strings.TrimSuffix(arguments, ")"), ", ")
		return strings.HasPrefix(text(operand(a)), text(operand(b)))
	}
	words := strings.Fields(part)
	a, b := operand(words[0]), operand(words[2])
	if a == nil || b == nil {
		return false
	}
	c := strings.Compare(text(a), text(b))
	return map[string]bool{"=": c == 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[words[1]]
}

func updated(before row, u *types.Update) row {
	after := maps.Clone(u.Key)
	maps.Copy(after, before)
	clauses := strings.NewReplacer(" ADD ", "\nADD ", " REMOVE ", "\nREMOVE ").Replace(*u.UpdateExpression)
	for clause := range strings.SplitSeq(clauses, "\n") {
		word, list, _ := strings.Cut(clause, " ")
		for part := range strings.SplitSeq(list, ", ") {
			words := strings.Fields(part)
			name := u.ExpressionAttributeNames[words[0]]
			switch word {
			case "SET":
				after[name] = u.ExpressionAttributeValues[words[2]]
			case "ADD":
				after[name] = &types.AttributeValueMemberN{Value: strconv.FormatInt(number(after[name])+number(u.ExpressionAttributeValues[words[1]]), 10)}
			case "REMOVE":
				delete(after, name)
			}
		}
	}
	return after
}

func number(v types.AttributeValue) int64 {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		panic(err)
	}
	return i
}
