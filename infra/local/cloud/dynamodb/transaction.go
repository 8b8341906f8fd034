package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"golang.org/x/sync/errgroup"
)

const (
	maxActions          = 100
	maxTransactionBytes = 4 << 20
	maxTokenLength      = 36

	// parallelActions is how many actions of a transaction dynalite is given at
	// once.
	parallelActions = 8
)

// A transactWriteRequest is a TransactWriteItems.
type transactWriteRequest struct {
	TransactItems          json.RawMessage
	ClientRequestToken     *string
	ReturnConsumedCapacity string
}

// An action is one of the actions of a transaction. It is sent to dynalite as
// it is here, which does not mind members that it does not know.
type action struct {
	TableName                 string
	Item                      item            `json:",omitempty"`
	Key                       item            `json:",omitempty"`
	ConditionExpression       string          `json:",omitempty"`
	UpdateExpression          string          `json:",omitempty"`
	ProjectionExpression      string          `json:",omitempty"`
	ExpressionAttributeNames  json.RawMessage `json:",omitempty"`
	ExpressionAttributeValues item            `json:",omitempty"`

	ReturnValuesOnConditionCheckFailure string `json:",omitempty"`

	// What follows is not the client's.

	ReturnConsumedCapacity string `json:",omitempty"`
	ReturnValues           string `json:",omitempty"`
	ConsistentRead         bool   `json:",omitempty"`
}

// A step is an action that is carried out, and what became of it.
type step struct {
	action

	kind  string // Put, Update, Delete, ConditionCheck or Get
	table *table
	id    itemID
	key   item

	before   item // the item before the step, if there was one
	after    item // the item that was read
	applied  bool // the step took effect
	capacity float64
	failure  *apiError
}

// transactWrite is TransactWriteItems.
func (l *Layer) transactWrite(ctx context.Context, _ string, body []byte) (*reply, error) {
	var in transactWriteRequest
	if err := decode(body, &in); err != nil {
		return nil, failure(validation, "%v", err)
	}
	steps, err := l.steps(in.TransactItems, in.ReturnConsumedCapacity, "Put", "Update", "Delete", "ConditionCheck")
	if err != nil {
		return nil, err
	}
	if in.ClientRequestToken == nil {
		return l.transact(ctx, steps, in.ReturnConsumedCapacity)
	}
	if n := len(*in.ClientRequestToken); n < 1 || n > maxTokenLength {
		return nil, failure(validation, "1 validation error detected: Value at 'clientRequestToken' failed to satisfy constraint: Member must have length between 1 and %d", maxTokenLength)
	}
	ticket, answer, err := l.tokens.begin(ctx, *in.ClientRequestToken, in.TransactItems, !l.options.Strict)
	if answer != nil || err != nil {
		return answer, err
	}
	answer, err = l.transact(ctx, steps, in.ReturnConsumedCapacity)
	ticket.end(answer)
	return answer, err
}

// transact carries out a transaction that writes. It returns an answer if the
// transaction took effect, and an error if it had none.
func (l *Layer) transact(ctx context.Context, steps []*step, capacity string) (*reply, error) {
	if l.options.Strict {
		inConflict, done := l.running.beginTransaction(ids(steps))
		defer done()
		if len(inConflict) > 0 {
			return nil, canceled(conflicts(len(steps), func(i int) bool { return inConflict[steps[i].id] }))
		}
	}
	if err := l.applyAll(ctx, steps); err != nil {
		return nil, err
	}
	for _, s := range steps {
		if s.kind != "ConditionCheck" {
			s.table.replica.touch(s.id, s.key)
		}
	}
	return success(transactReply{ConsumedCapacity: consumed(steps, capacity, true)})
}

// applyAll applies all steps or none. Nothing else sees less than all of it.
func (l *Layer) applyAll(ctx context.Context, steps []*step) error {
	defer l.order.transaction(ids(steps))()
	err := each(steps, func(s *step) error { return l.apply(ctx, s) })
	if err == nil {
		err = outcome(steps)
	}
	if err == nil {
		return nil
	}
	if undo := each(steps, func(s *step) error { return l.undo(ctx, s) }); undo != nil {
		return failure(internalError, "undo a transaction that failed (%v): %v", err, undo)
	}
	return err
}

// apply carries out one step of a transaction. It keeps what undoing it takes.
func (l *Layer) apply(ctx context.Context, s *step) error {
	request, name := s.action, s.kind+"Item"
	if s.kind == "ConditionCheck" {
		before, err := l.item(ctx, s.TableName, s.key)
		if why, ok := errors.AsType[*apiError](err); ok {
			s.failure = why
			return nil
		}
		if err != nil {
			return err
		}
		// Nothing changes, but the condition is checked.
		if name = "DeleteItem"; before != nil {
			name, request.Item = "PutItem", before
		}
		s.before = before
	}
	request.ReturnValues = "ALL_OLD"
	body, err := encode(request)
	if err != nil {
		return err
	}
	answer, err := l.upstream.send(ctx, name, body)
	if err != nil {
		return err
	}
	if !answer.ok() {
		return l.fail(ctx, s, answer.apiError())
	}
	var out struct {
		Attributes       item
		ConsumedCapacity struct{ CapacityUnits float64 }
	}
	if err := decode(answer.body, &out); err != nil {
		return err
	}
	s.applied = s.kind != "ConditionCheck"
	s.before = out.Attributes
	s.capacity = out.ConsumedCapacity.CapacityUnits
	return nil
}

// fail keeps why a step failed, with the item that did not meet its condition
// if that is wanted.
func (l *Layer) fail(ctx context.Context, s *step, why *apiError) error {
	if why.code() == conditionFailed && s.ReturnValuesOnConditionCheckFailure == "ALL_OLD" {
		before, err := l.item(ctx, s.TableName, s.key)
		if err != nil {
			return err
		}
		why.Item = before
	}
	s.failure = why
	return nil
}

// undo takes back what a step did.
func (l *Layer) undo(ctx context.Context, s *step) error {
	switch {
	case !s.applied:
		return nil
	case s.before == nil:
		return l.upstream.call(ctx, "DeleteItem", action{TableName: s.TableName, Key: s.key}, nil)
	default:
		return l.upstream.call(ctx, "PutItem", action{TableName: s.TableName, Item: s.before}, nil)
	}
}

// outcome returns why the transaction of the steps fails, if it does.
func outcome(steps []*step) error {
	reasons, failed := noReasons(len(steps)), false
	total := 0
	for i, s := range steps {
		total += max(s.Item.size(), s.before.size(), s.after.size())
		switch {
		case s.failure == nil:
			continue
		case s.failure.code() == conditionFailed:
			reasons[i] = reason{"ConditionalCheckFailed", s.failure.Message, s.failure.Item}
		case s.failure.code() == validation && !malformed(s.failure.Message):
			reasons[i] = reason{Code: "ValidationError", Message: s.failure.Message}
		default:
			return s.failure
		}
		failed = true
	}
	if failed {
		return canceled(reasons)
	}
	if total > maxTransactionBytes {
		return failure(validation, "Transaction items cannot exceed 4 MB in total")
	}
	return nil
}

// malformed says whether a validation failure is about a request that is wrong
// whatever the items are. Such a failure is the whole transaction's, not one
// action's.
func malformed(message string) bool {
	for _, prefix := range []string{"Invalid ", "ExpressionAttribute", "Value provided in ", "The parameter ", "Supplied AttributeValue "} {
		if strings.HasPrefix(message, prefix) {
			return true
		}
	}
	return strings.Contains(message, "validation error detected") || strings.Contains(message, "validation errors detected")
}

// A transactReply is the answer to a transaction.
type transactReply struct {
	Responses        []getResponse   `json:",omitempty"`
	ConsumedCapacity []tableCapacity `json:",omitempty"`
}

type getResponse struct {
	Item item `json:",omitempty"`
}

// A tableCapacity is what an operation consumed of one table.
type tableCapacity struct {
	TableName          string
	CapacityUnits      float64
	ReadCapacityUnits  float64 `json:",omitempty"`
	WriteCapacityUnits float64 `json:",omitempty"`

	Table *struct{ CapacityUnits float64 } `json:",omitempty"`
}

// consumed returns what the steps consumed, by table. In a transaction it is
// twice as much as elsewhere.
func consumed(steps []*step, detail string, write bool) []tableCapacity {
	if detail != "TOTAL" && detail != "INDEXES" {
		return nil
	}
	var all []tableCapacity
	position := map[string]int{}
	for _, s := range steps {
		if _, ok := position[s.TableName]; !ok {
			position[s.TableName] = len(all)
			all = append(all, tableCapacity{TableName: s.TableName})
		}
		all[position[s.TableName]].CapacityUnits += 2 * s.capacity
	}
	for i := range all {
		c := &all[i]
		if write {
			c.WriteCapacityUnits = c.CapacityUnits
		} else {
			c.ReadCapacityUnits = c.CapacityUnits
		}
		if detail == "INDEXES" {
			c.Table = &struct{ CapacityUnits float64 }{c.CapacityUnits}
		}
	}
	return all
}

// transactGet is TransactGetItems.
func (l *Layer) transactGet(ctx context.Context, _ string, body []byte) (*reply, error) {
	var in transactWriteRequest
	if err := decode(body, &in); err != nil {
		return nil, failure(validation, "%v", err)
	}
	steps, err := l.steps(in.TransactItems, in.ReturnConsumedCapacity, "Get")
	if err != nil {
		return nil, err
	}
	if l.options.Strict {
		if inConflict := l.running.written(ids(steps)); len(inConflict) > 0 {
			return nil, canceled(conflicts(len(steps), func(i int) bool { return inConflict[steps[i].id] }))
		}
	}
	if err := l.readAll(ctx, steps); err != nil {
		return nil, err
	}
	out := transactReply{ConsumedCapacity: consumed(steps, in.ReturnConsumedCapacity, false)}
	for _, s := range steps {
		out.Responses = append(out.Responses, getResponse{s.after})
	}
	return success(out)
}

// readAll reads the items of all steps as they are at one moment.
func (l *Layer) readAll(ctx context.Context, steps []*step) error {
	defer l.order.items(watching, ids(steps)...)()
	err := each(steps, func(s *step) error {
		request := s.action
		request.ConsistentRead = true
		var out struct {
			Item             item
			ConsumedCapacity struct{ CapacityUnits float64 }
		}
		err := l.upstream.call(ctx, "GetItem", request, &out)
		if why, ok := errors.AsType[*apiError](err); ok {
			s.failure = why
			return nil
		}
		s.after, s.capacity = out.Item, out.ConsumedCapacity.CapacityUnits
		return err
	})
	if err != nil {
		return err
	}
	return outcome(steps)
}

// each calls f for every step, several at a time.
func each(steps []*step, f func(*step) error) error {
	var group errgroup.Group
	group.SetLimit(parallelActions)
	for _, s := range steps {
		group.Go(func() error { return f(s) })
	}
	return group.Wait()
}

func ids(steps []*step) []itemID {
	all := make([]itemID, len(steps))
	for i, s := range steps {
		all[i] = s.id
	}
	return all
}

// steps returns the steps of a transaction whose actions are of the given
// kinds, or what is wrong with the request.
func (l *Layer) steps(actions json.RawMessage, capacity string, kinds ...string) ([]*step, error) {
	var items []map[string]*action
	if actions == nil || decode(actions, &items) != nil {
		return nil, failure(validation, "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must be a list of actions")
	}
	if len(items) < 1 || len(items) > maxActions {
		return nil, failure(validation, "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length between 1 and %d", maxActions)
	}
	steps := make([]*step, len(items))
	for i, members := range items {
		s, err := newStep(members, kinds)
		if err != nil {
			return nil, err
		}
		s.ReturnConsumedCapacity = capacity
		if l.options.Strict && (s.Item.tooDeep() || s.ExpressionAttributeValues.tooDeep()) {
			return nil, errTooDeep()
		}
		steps[i] = s
	}
	return steps, l.identify(steps)
}

// newStep returns the step for the one action among the members.
func newStep(members map[string]*action, kinds []string) (*step, error) {
	var s *step
	for _, kind := range kinds {
		a := members[kind]
		if a == nil {
			continue
		}
		if s != nil {
			s = nil
			break
		}
		s = &step{action: *a, kind: kind}
	}
	switch {
	case s == nil:
		return nil, failure(validation, "TransactItems can only contain one of %s", strings.Join(kinds, ", "))
	case s.TableName == "":
		return nil, failure(validation, "The parameter 'TableName' is required but was not present in the request")
	case s.kind == "ConditionCheck" && s.ConditionExpression == "":
		return nil, failure(validation, "The parameter 'ConditionExpression' is required but was not present in the request")
	case s.kind == "Update" && s.UpdateExpression == "":
		return nil, failure(validation, "The parameter 'UpdateExpression' is required but was not present in the request")
	}
	return s, nil
}

// identify finds the tables and the identities of the steps. It fails if two
// are about one item.
func (l *Layer) identify(steps []*step) error {
	seen := map[itemID]bool{}
	reasons, failed := noReasons(len(steps)), false
	for i, s := range steps {
		t, err := l.tables.usable(s.TableName)
		if err != nil {
			return err
		}
		if t == nil {
			return failure(resourceNotFound, "Requested resource not found")
		}
		target := s.Key
		if s.kind == "Put" {
			target = s.Item
		}
		var ok bool
		if s.id, s.key, ok = t.id(target); !ok || s.kind != "Put" && len(s.Key) != len(s.key) {
			reasons[i] = reason{Code: "ValidationError", Message: "The provided key element does not match the schema"}
			failed = true
			continue
		}
		s.table = t
		if seen[s.id] {
			return failure(validation, "Transaction request cannot include multiple operations on one item")
		}
		seen[s.id] = true
	}
	if failed {
		return canceled(reasons)
	}
	return nil
}
