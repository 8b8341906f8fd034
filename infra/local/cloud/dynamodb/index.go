package dynamodb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A replica is a second table in dynalite, with the same keys and indexes as
// the first, that follows it at a distance. In strict mode it answers what is
// asked of a global index: expressions, order and pages stay dynalite's work,
// and each item is as old as its last change that the replica has followed.
//
// A change is followed after a delay of its own, between nothing and the lag.
// What is copied is the item as it then is, so that the index never goes back
// in time; and every read of the index first follows what is due, so that it is
// never behind by more than the lag.
type replica struct {
	name   string
	source *table
	layer  *Layer

	// following is held while changes are copied.
	following sync.Mutex

	mu      sync.Mutex
	pending map[itemID]change
	awake   bool // a goroutine follows
	closed  bool
}

// A change is an item that is to be copied.
type change struct {
	key item
	due time.Time
}

// followPause is how often changes are followed while nobody reads.
const followPause = 250 * time.Millisecond

func newReplica(source *table, l *Layer) *replica {
	hash := sha256.Sum256([]byte(source.name))
	return &replica{
		name:    "indexes-of-" + hex.EncodeToString(hash[:16]),
		source:  source,
		layer:   l,
		pending: map[itemID]change{},
	}
}

// touch says that an item may have changed. It has to be called after the
// change took effect and before that is answered. A nil replica does nothing.
func (r *replica) touch(id itemID, key item) {
	if r == nil {
		return
	}
	due := time.Now().Add(rand.N(r.layer.options.IndexLag)) //nolint:gosec // it is a delay, not a secret
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(id, change{key, due})
	if !r.awake && !r.closed {
		r.awake = true
		go r.follow()
	}
}

// add enters a change, unless an earlier one of the same item is due before.
func (r *replica) add(id itemID, c change) {
	if before, ok := r.pending[id]; !ok || c.due.Before(before.due) {
		r.pending[id] = c
	}
}

// close ends the following. Changes are not followed any more.
func (r *replica) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	clear(r.pending)
}

// follow copies what is due, until nothing is left to be copied.
func (r *replica) follow() {
	for {
		time.Sleep(followPause)
		leave := r.layer.order.content(r.source.name)
		err := r.settle(context.Background())
		leave()
		if r.rest(err) {
			return
		}
	}
}

// rest says whether follow is to end. The next change starts it again.
func (r *replica) rest(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.awake = err == nil && len(r.pending) > 0
	return !r.awake
}

// settle copies all that is due. The caller has entered the content
// of the table.
func (r *replica) settle(ctx context.Context) error {
	r.following.Lock()
	defer r.following.Unlock()
	due := r.takeDue()
	const most = 25 // items in one BatchWriteItem
	for chunk := range slices.Chunk(due, most) {
		if err := r.copy(ctx, chunk); err != nil {
			r.putBack(due)
			return failure(internalError, "bring the indexes of %s up to date: %v", r.source.name, err)
		}
	}
	return nil
}

// A dueChange is a change with the item it is of.
type dueChange struct {
	id itemID
	change
}

func (r *replica) takeDue() []dueChange {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	var due []dueChange
	for id, c := range r.pending {
		if !c.due.After(now) {
			due = append(due, dueChange{id, c})
			delete(r.pending, id)
		}
	}
	return due
}

func (r *replica) putBack(due []dueChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for _, d := range due {
		r.add(d.id, d.change)
	}
}

// copy makes items of the replica equal to those of the table.
func (r *replica) copy(ctx context.Context, due []dueChange) error {
	current, err := r.read(ctx, due)
	if err != nil {
		return err
	}
	writes := make([]any, len(due))
	for i, d := range due {
		if found, ok := current[d.id]; ok {
			writes[i] = map[string]any{"PutRequest": map[string]any{"Item": found}}
		} else {
			writes[i] = map[string]any{"DeleteRequest": map[string]any{"Key": d.key}}
		}
	}
	return r.layer.upstream.call(ctx, "BatchWriteItem", map[string]any{"RequestItems": map[string]any{r.name: writes}}, nil)
}

// read returns those of the items that are in the table.
func (r *replica) read(ctx context.Context, due []dueChange) (map[itemID]item, error) {
	keys := make([]item, len(due))
	for i, d := range due {
		keys[i] = d.key
	}
	found := map[itemID]item{}
	for len(keys) > 0 {
		type wanted struct {
			Keys           []item
			ConsistentRead bool
		}
		var out struct {
			Responses       map[string][]item
			UnprocessedKeys map[string]wanted
		}
		in := map[string]any{"RequestItems": map[string]wanted{r.source.name: {keys, true}}}
		if err := r.layer.upstream.call(ctx, "BatchGetItem", in, &out); err != nil {
			return nil, err
		}
		for _, i := range out.Responses[r.source.name] {
			if id, _, ok := r.source.id(i); ok {
				found[id] = i
			}
		}
		keys = out.UnprocessedKeys[r.source.name].Keys
	}
	return found, nil
}

// query has the replica answer a Query or a Scan of a global index.
func (r *replica) query(ctx context.Context, name string, body []byte) (*reply, error) {
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	in, err := withTable(body, r.name)
	if err != nil {
		return nil, err
	}
	request, err := encode(in)
	if err != nil {
		return nil, err
	}
	answer, err := r.layer.upstream.send(ctx, name, request)
	if err != nil || !answer.ok() || in["ReturnConsumedCapacity"] == nil {
		return answer, err
	}
	return withCapacityOf(answer, r.source.name)
}

// withTable returns a request with another table's name.
func withTable(body []byte, name string) (map[string]json.RawMessage, error) {
	var in map[string]json.RawMessage
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	var err error
	in["TableName"], err = encode(name)
	return in, err
}

// withCapacityOf returns an answer with the table's name in its
// ConsumedCapacity, if it has one.
func withCapacityOf(answer *reply, name string) (*reply, error) {
	var out map[string]json.RawMessage
	if err := decode(answer.body, &out); err != nil {
		return nil, err
	}
	if out["ConsumedCapacity"] == nil {
		return answer, nil
	}
	capacity, err := withTable(out["ConsumedCapacity"], name)
	if err != nil {
		return nil, err
	}
	if out["ConsumedCapacity"], err = encode(capacity); err != nil {
		return nil, err
	}
	return success(out)
}
