package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/tenantry/tenantry/infra/local/cloud/keycondition"
)

// known reads a request, and returns the table whose name it has. It is nil where
// there is none or the request cannot be read, which is left for dynalite to say.
func (l *Layer) known(body []byte, in any, name *string) (*table, error) {
	if decode(body, in) != nil {
		return nil, nil
	}
	return l.tables.usable(*name)
}

// get is GetItem.
func (l *Layer) get(ctx context.Context, name string, body []byte) (*reply, error) {
	var in struct {
		TableName string
		Key       item
	}
	t, err := l.known(body, &in, &in.TableName)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return l.upstream.send(ctx, name, body)
	}
	id, _, ok := t.id(in.Key)
	if !ok {
		return l.upstream.send(ctx, name, body)
	}
	defer l.order.items(looking, id)()
	return l.upstream.send(ctx, name, body)
}

// A listRequest is a Query or a Scan.
type listRequest struct {
	TableName, IndexName      string
	KeyConditionExpression    string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues item
}

// list is Query and Scan.
func (l *Layer) list(ctx context.Context, name string, body []byte) (*reply, error) {
	var in listRequest
	t, err := l.known(body, &in, &in.TableName)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return l.upstream.send(ctx, name, body)
	}
	if id, ok := in.partition(t); ok {
		defer l.order.partition(id)()
		return l.upstream.send(ctx, name, body)
	}
	defer l.order.content(t.name)()
	if t.replica != nil && t.globals[in.IndexName] {
		return t.replica.query(ctx, name, body)
	}
	return l.upstream.send(ctx, name, body)
}

// partition returns an identity with the one partition that is read, if that can
// be told: not that of an index, and not by the conditions of old.
func (r *listRequest) partition(t *table) (id itemID, ok bool) {
	if r.IndexName != "" || len(t.keys) == 0 {
		return "", false
	}
	hash := t.keys[0]
	placeholder, ok := keycondition.Equal(r.KeyConditionExpression, r.ExpressionAttributeNames)[hash.name]
	if !ok {
		return "", false
	}
	only := table{name: t.name, keys: []keyAttribute{hash}}
	id, _, ok = only.id(item{hash.name: r.ExpressionAttributeValues[placeholder]})
	return id, ok
}

// batchGet is BatchGetItem.
func (l *Layer) batchGet(ctx context.Context, name string, body []byte) (*reply, error) {
	var in struct {
		RequestItems map[string]struct{ Keys []item }
	}
	if decode(body, &in) != nil {
		return l.upstream.send(ctx, name, body)
	}
	var ids []itemID
	for name, request := range in.RequestItems {
		t, err := l.tables.usable(name)
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue
		}
		for _, key := range request.Keys {
			if id, _, ok := t.id(key); ok {
				ids = append(ids, id)
			}
		}
	}
	defer l.order.items(looking, ids...)()
	return l.upstream.send(ctx, name, body)
}

// A writeRequest is a PutItem, an UpdateItem or a DeleteItem.
type writeRequest struct {
	TableName                           string
	Item, Key                           item
	ExpressionAttributeValues           item
	ReturnValuesOnConditionCheckFailure string
}

// write is PutItem, UpdateItem and DeleteItem. What is wrong with a request is
// left for dynalite to say.
func (l *Layer) write(ctx context.Context, name string, body []byte) (*reply, error) {
	var in writeRequest
	t, err := l.known(body, &in, &in.TableName)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return l.upstream.send(ctx, name, body)
	}
	target := in.Key
	if name == "PutItem" {
		target = in.Item
	}
	id, key, ok := t.id(target)
	if !ok {
		return l.upstream.send(ctx, name, body)
	}
	if l.options.Strict {
		if in.Item.tooDeep() || in.ExpressionAttributeValues.tooDeep() {
			return nil, errTooDeep()
		}
		inConflict, done := l.running.beginWrite([]itemID{id})
		defer done()
		if len(inConflict) > 0 {
			return nil, errConflict()
		}
	}
	answer, err := l.writeTogether(ctx, name, body, id)
	if err == nil && answer.failed(conditionFailed) && in.ReturnValuesOnConditionCheckFailure == "ALL_OLD" {
		answer, err = l.writeAlone(ctx, name, body, id, in.TableName, key)
	}
	if mayHaveWritten(answer, err) {
		t.replica.touch(id, key)
	}
	return answer, err
}

// mayHaveWritten says whether a write may have taken effect.
func mayHaveWritten(answer *reply, err error) bool {
	if err != nil {
		_, refused := errors.AsType[*apiError](err)
		return !refused
	}
	return answer.status != http.StatusBadRequest
}

// writeTogether writes items at the same time as others do.
func (l *Layer) writeTogether(ctx context.Context, name string, body []byte, ids ...itemID) (*reply, error) {
	defer l.order.items(changing, ids...)()
	return l.upstream.send(ctx, name, body)
}

// writeAlone writes an item while nothing else does. If the condition is not
// met, the failure holds the item that it was not met by.
func (l *Layer) writeAlone(ctx context.Context, name string, body []byte, id itemID, table string, key item) (*reply, error) {
	defer l.order.items(alone, id)()
	answer, err := l.upstream.send(ctx, name, body)
	if err != nil || !answer.failed(conditionFailed) {
		return answer, err
	}
	e := answer.apiError()
	if e.Item, err = l.item(ctx, table, key); err != nil {
		return nil, err
	}
	return nil, e
}

// item returns an item, or nil if there is none.
func (l *Layer) item(ctx context.Context, table string, key item) (item, error) {
	var out struct{ Item item }
	in := map[string]any{"TableName": table, "Key": key, "ConsistentRead": true}
	err := l.upstream.call(ctx, "GetItem", in, &out)
	return out.Item, err
}

// A batchRequest is a BatchWriteItem.
type batchRequest struct {
	RequestItems map[string][]batchAction
}

type batchAction struct {
	PutRequest    *struct{ Item item } `json:",omitempty"`
	DeleteRequest *struct{ Key item }  `json:",omitempty"`
}

// item returns the item that the action writes, or the key of the one that it
// deletes.
func (a batchAction) item() item {
	switch {
	case a.PutRequest != nil:
		return a.PutRequest.Item
	case a.DeleteRequest != nil:
		return a.DeleteRequest.Key
	}
	return nil
}

// A touched item is one that a batch writes.
type touched struct {
	table *table
	id    itemID
	key   item
}

// batchWrite is BatchWriteItem.
func (l *Layer) batchWrite(ctx context.Context, name string, body []byte) (*reply, error) {
	var in batchRequest
	if decode(body, &in) != nil {
		return l.upstream.send(ctx, name, body)
	}
	items, err := l.touchedBy(in)
	if err != nil {
		return nil, err
	}
	answer, err := l.writeBatch(ctx, body, in, items)
	if mayHaveWritten(answer, err) {
		for _, i := range items {
			i.table.replica.touch(i.id, i.key)
		}
	}
	return answer, err
}

// writeBatch writes the items of a batch. In strict mode it leaves out those
// that a transaction is busy with.
func (l *Layer) writeBatch(ctx context.Context, body []byte, in batchRequest, items []touched) (*reply, error) {
	ids := make([]itemID, len(items))
	for i := range items {
		ids[i] = items[i].id
	}
	if !l.options.Strict {
		return l.writeTogether(ctx, "BatchWriteItem", body, ids...)
	}
	inConflict, done := l.running.beginWrite(ids)
	defer done()
	if len(inConflict) > 0 {
		return l.writeRest(ctx, body, in, ids, inConflict)
	}
	return l.writeTogether(ctx, "BatchWriteItem", body, ids...)
}

// touchedBy returns the items that a batch writes, as far as it is in order.
func (l *Layer) touchedBy(in batchRequest) ([]touched, error) {
	var items []touched
	for name, actions := range in.RequestItems {
		t, err := l.tables.usable(name)
		if err != nil {
			return nil, err
		}
		for _, action := range actions {
			if l.options.Strict && action.item().tooDeep() {
				return nil, errTooDeep()
			}
			if t == nil {
				continue
			}
			if id, key, ok := t.id(action.item()); ok {
				items = append(items, touched{t, id, key})
			}
		}
	}
	return items, nil
}

// writeRest writes those items of a batch that no transaction is busy with, and
// answers that the others are left.
func (l *Layer) writeRest(ctx context.Context, body []byte, in batchRequest, ids []itemID, inConflict map[itemID]bool) (*reply, error) {
	rest, left := batchRequest{map[string][]batchAction{}}, batchRequest{map[string][]batchAction{}}
	for name, actions := range in.RequestItems {
		t, _ := l.tables.get(name)
		for _, action := range actions {
			if id, _, ok := t.id(action.item()); ok && inConflict[id] {
				left.RequestItems[name] = append(left.RequestItems[name], action)
			} else {
				rest.RequestItems[name] = append(rest.RequestItems[name], action)
			}
		}
	}
	out := map[string]json.RawMessage{}
	if len(rest.RequestItems) > 0 {
		free := slices.DeleteFunc(slices.Clone(ids), func(id itemID) bool { return inConflict[id] })
		answer, err := l.writePart(ctx, body, rest, free)
		if err != nil || !answer.ok() {
			return answer, err
		}
		if err := decode(answer.body, &out); err != nil {
			return nil, err
		}
	}
	var err error
	if out["UnprocessedItems"], err = encode(left.RequestItems); err != nil {
		return nil, err
	}
	return success(out)
}

// writePart sends the batch in body with other items, which have the ids.
func (l *Layer) writePart(ctx context.Context, body []byte, part batchRequest, ids []itemID) (*reply, error) {
	var request map[string]json.RawMessage
	if err := decode(body, &request); err != nil {
		return nil, err
	}
	var err error
	if request["RequestItems"], err = encode(part.RequestItems); err != nil {
		return nil, err
	}
	if body, err = encode(request); err != nil {
		return nil, err
	}
	return l.writeTogether(ctx, "BatchWriteItem", body, ids...)
}
