package dynamodb

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"
)

// A table is what the layer knows of a table beyond what dynalite does.
type table struct {
	name    string
	keys    []keyAttribute
	globals map[string]bool // the names of its global indexes
	replica *replica        // answers the global indexes in strict mode; else nil
	kms     bool            // it says that a key of KMS encrypts it

	// What follows is guarded by tables.mu.

	made      bool // dynalite has it, with all that belongs to it
	ready     time.Time
	gone      time.Time       // zero until it is deleted
	last      json.RawMessage // its description when it was deleted
	protected bool
	expiry    timeToLive
	backups   continuousBackups
}

// tables are the tables that were made through the layer.
type tables struct {
	mu     sync.Mutex
	byName map[string]*table
}

// A tableState is where a table is in its life.
type tableState int

const (
	absent tableState = iota
	creating
	active
	deleting
)

// get returns a table and its state; the table is nil if there is none.
func (t *tables) get(name string) (*table, tableState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := t.byName[name]
	now := time.Now()
	switch {
	case found == nil:
		return nil, absent
	case !found.made || now.Before(found.ready):
		return found, creating
	case found.gone.IsZero():
		return found, active
	case now.Before(found.gone):
		return found, deleting
	}
	delete(t.byName, name)
	return nil, absent
}

func (t *tables) put(added *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName == nil {
		t.byName = map[string]*table{}
	}
	t.byName[added.name] = added
}

func (t *tables) remove(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byName, name)
}

// change lets f change the part of a table that is guarded.
func (t *tables) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

// usable returns the table whose items an operation is about. It is nil if
// there is none, which dynalite will report.
func (t *tables) usable(name string) (*table, error) {
	found, state := t.get(name)
	if state == creating {
		return nil, failure(resourceNotFound, "Requested resource not found")
	}
	return found, nil
}

// existing returns a table for an operation on the table itself, which fails
// while it is CREATING or DELETING.
func (t *tables) existing(name string) (*table, error) {
	found, state := t.get(name)
	switch state {
	case absent:
		return nil, errNoTable(name)
	case creating:
		return nil, failure(resourceInUse, "Attempt to change a resource which is still in use: Table is being created: %s", name)
	case deleting:
		return nil, failure(resourceInUse, "Attempt to change a resource which is still in use: Table is being deleted: %s", name)
	case active:
	}
	return found, nil
}

func errNoTable(name string) *apiError {
	return failure(resourceNotFound, "Requested resource not found: Table: %s not found", name)
}

// A tableRequest is a request to create or change a table.
type tableRequest struct {
	TableName                 string
	DeletionProtectionEnabled *bool
	SSESpecification          *struct{ Enabled bool }
	Tags                      []tag
	KeySchema                 []struct{ AttributeName string }
	AttributeDefinitions      []struct{ AttributeName, AttributeType string }
	GlobalSecondaryIndexes    []struct{ IndexName string }
}

// A tag is a tag of a table.
type tag struct {
	Key   *string `json:",omitempty"`
	Value *string `json:",omitempty"`
}

// checkTags refuses what DynamoDB refuses and dynalite takes, or ends at.
func checkTags(tags []tag) error {
	const mostTags, longestKey, longestValue = 50, 128, 256
	if len(tags) > mostTags {
		return failure(validation, "Too many tags: %d, at most %d are allowed", len(tags), mostTags)
	}
	for i, t := range tags {
		if t.Key == nil || t.Value == nil || *t.Key == "" || len(*t.Key) > longestKey || len(*t.Value) > longestValue {
			return failure(validation, "1 validation error detected: Value at 'tags.%d.member' failed to satisfy constraint: Member must have a key of 1 to %d characters and a value of at most %d", i+1, longestKey, longestValue)
		}
	}
	return nil
}

// tagResource is TagResource.
func (l *Layer) tagResource(ctx context.Context, name string, body []byte) (*reply, error) {
	var in tableRequest
	if err := decode(body, &in); err != nil {
		return nil, failure(validation, "%v", err)
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return l.upstream.send(ctx, name, body)
}

// table returns the table that the request describes.
func (r *tableRequest) table() *table {
	t := &table{name: r.TableName, globals: map[string]bool{}}
	for _, key := range r.KeySchema {
		for _, definition := range r.AttributeDefinitions {
			if definition.AttributeName == key.AttributeName {
				t.keys = append(t.keys, keyAttribute{definition.AttributeName, definition.AttributeType})
			}
		}
	}
	for _, index := range r.GlobalSecondaryIndexes {
		t.globals[index.IndexName] = true
	}
	t.protected = r.DeletionProtectionEnabled != nil && *r.DeletionProtectionEnabled
	t.kms = r.SSESpecification != nil && r.SSESpecification.Enabled
	return t
}

// createTable is CreateTable. The table is there, with its tags, before it is
// answered, but not usable before its delay is over.
func (l *Layer) createTable(ctx context.Context, name string, body []byte) (*reply, error) {
	var in tableRequest
	if decode(body, &in) != nil || in.TableName == "" {
		return l.upstream.send(ctx, name, body)
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	l.control.Lock()
	defer l.control.Unlock()
	switch _, state := l.tables.get(in.TableName); state {
	case deleting:
		return nil, failure(resourceInUse, "Attempt to change a resource which is still in use: Table is being deleted: %s", in.TableName)
	case creating, active:
		return nil, failure(resourceInUse, "Table already exists: %s", in.TableName)
	case absent:
	}
	t := in.table()
	l.tables.put(t)
	answer, err := l.makeTable(ctx, t, &in, body)
	if err != nil || !answer.ok() {
		l.tables.remove(t.name)
		return answer, err
	}
	l.tables.change(func() {
		t.made = true
		if l.options.Strict {
			t.ready = time.Now().Add(l.options.TableDelay)
		}
	})
	return l.describe(answer, t, "TableDescription", "CREATING")
}

// makeTable has dynalite make the table, and in strict mode its replica.
func (l *Layer) makeTable(ctx context.Context, t *table, in *tableRequest, body []byte) (*reply, error) {
	answer, err := l.upstream.send(ctx, "CreateTable", body)
	if err != nil || !answer.ok() {
		return answer, err
	}
	if err := l.awaitStatus(ctx, t.name, "ACTIVE"); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		arn := "arn:aws:dynamodb:us-east-1:123456789012:table/" + t.name
		if err := l.upstream.call(ctx, "TagResource", map[string]any{"ResourceArn": arn, "Tags": in.Tags}, nil); err != nil {
			return nil, err
		}
	}
	if !l.options.Strict || len(t.globals) == 0 {
		return answer, nil
	}
	t.replica = newReplica(t, l)
	copied, err := withTable(body, t.replica.name)
	if err != nil {
		return nil, err
	}
	if err := l.upstream.call(ctx, "CreateTable", copied, nil); err != nil {
		return nil, err
	}
	return answer, l.awaitStatus(ctx, t.replica.name, "ACTIVE")
}

// awaitStatus waits until dynalite gives a table the status, or has no such
// table if status is "". Dynalite has been told to take no time for it.
func (l *Layer) awaitStatus(ctx context.Context, name, status string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var out struct{ Table struct{ TableStatus string } }
		err := l.upstream.call(ctx, "DescribeTable", map[string]string{"TableName": name}, &out)
		if isFailure(err, resourceNotFound) {
			err = nil
		}
		if err != nil || out.Table.TableStatus == status {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// describeTable is DescribeTable.
func (l *Layer) describeTable(ctx context.Context, name string, body []byte) (*reply, error) {
	var in tableRequest
	if decode(body, &in) != nil {
		return l.upstream.send(ctx, name, body)
	}
	t, state := l.tables.get(in.TableName)
	if state == deleting {
		return success(map[string]json.RawMessage{"Table": t.last})
	}
	answer, err := l.upstream.send(ctx, name, body)
	if err != nil || !answer.ok() || t == nil {
		return answer, err
	}
	status := "ACTIVE"
	if state == creating {
		status = "CREATING"
	}
	return l.describe(answer, t, "Table", status)
}

// describe returns dynalite's description of a table, which stands under
// member, with what only the layer knows.
func (l *Layer) describe(answer *reply, t *table, member, status string) (*reply, error) {
	description, err := l.description(answer, t, member, status)
	if err != nil {
		return nil, err
	}
	return success(map[string]json.RawMessage{member: description})
}

func (l *Layer) description(answer *reply, t *table, member, status string) (json.RawMessage, error) {
	var out map[string]map[string]json.RawMessage
	if err := decode(answer.body, &out); err != nil {
		return nil, err
	}
	description := out[member]
	var protected bool
	l.tables.change(func() { protected = t.protected })
	description["DeletionProtectionEnabled"], _ = encode(protected)
	if t.kms {
		description["SSEDescription"], _ = encode(map[string]string{"Status": "ENABLED", "SSEType": "KMS"})
	}
	description["TableStatus"], _ = encode(status)
	if raw := description["GlobalSecondaryIndexes"]; raw != nil {
		var indexes []map[string]json.RawMessage
		if err := decode(raw, &indexes); err != nil {
			return nil, err
		}
		for _, index := range indexes {
			index["IndexStatus"] = description["TableStatus"]
		}
		var err error
		if description["GlobalSecondaryIndexes"], err = encode(indexes); err != nil {
			return nil, err
		}
	}
	return encode(description)
}

// updateTable is UpdateTable.
func (l *Layer) updateTable(ctx context.Context, name string, body []byte) (*reply, error) {
	var in tableRequest
	var rest map[string]json.RawMessage
	if decode(body, &in) != nil || decode(body, &rest) != nil || in.TableName == "" {
		return l.upstream.send(ctx, name, body)
	}
	l.control.Lock()
	defer l.control.Unlock()
	t, err := l.tables.existing(in.TableName)
	if err != nil {
		return nil, err
	}
	delete(rest, "DeletionProtectionEnabled")
	if in.DeletionProtectionEnabled == nil || len(rest) > 1 {
		body, err := encode(rest)
		if err != nil {
			return nil, err
		}
		answer, err := l.upstream.send(ctx, name, body)
		if err != nil || !answer.ok() {
			return answer, err
		}
		if err := l.awaitStatus(ctx, t.name, "ACTIVE"); err != nil {
			return nil, err
		}
	}
	if in.DeletionProtectionEnabled != nil {
		l.tables.change(func() { t.protected = *in.DeletionProtectionEnabled })
	}
	return l.current(ctx, t, "ACTIVE")
}

// current returns the reply that describes the table as it is.
func (l *Layer) current(ctx context.Context, t *table, status string) (*reply, error) {
	request, err := encode(map[string]string{"TableName": t.name})
	if err != nil {
		return nil, err
	}
	answer, err := l.upstream.send(ctx, "DescribeTable", request)
	if err != nil || !answer.ok() {
		return answer, err
	}
	description, err := l.description(answer, t, "Table", status)
	if err != nil {
		return nil, err
	}
	return success(map[string]json.RawMessage{"TableDescription": description})
}

// deleteTable is DeleteTable. No operation on the table passes while its items
// are deleted.
func (l *Layer) deleteTable(ctx context.Context, name string, body []byte) (*reply, error) {
	var in tableRequest
	if decode(body, &in) != nil {
		return l.upstream.send(ctx, name, body)
	}
	l.control.Lock()
	defer l.control.Unlock()
	t, state := l.tables.get(in.TableName)
	switch {
	case state == absent:
		return l.upstream.send(ctx, name, body)
	case state == deleting:
		return success(map[string]json.RawMessage{"TableDescription": t.last})
	case state == creating:
		return nil, failure(resourceInUse, "Attempt to change a resource which is still in use: Table is being created: %s", t.name)
	case t.protected:
		return nil, failure(validation, "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	defer l.order.table(t.name)()
	answer, err := l.current(ctx, t, "DELETING")
	if err != nil || !answer.ok() {
		return answer, err
	}
	if err := l.dropTable(ctx, t); err != nil {
		return nil, err
	}
	var out map[string]json.RawMessage
	if err := decode(answer.body, &out); err != nil {
		return nil, err
	}
	l.tables.change(func() {
		t.last = out["TableDescription"]
		t.gone = time.Now()
		if l.options.Strict {
			t.gone = t.gone.Add(l.options.TableDelay)
		}
	})
	return answer, nil
}

// dropTable has dynalite delete the table and its replica.
func (l *Layer) dropTable(ctx context.Context, t *table) error {
	names := []string{t.name}
	if t.replica != nil {
		t.replica.close()
		names = append(names, t.replica.name)
	}
	for _, name := range names {
		if err := l.upstream.call(ctx, "DeleteTable", map[string]string{"TableName": name}, nil); err != nil {
			return err
		}
		if err := l.awaitStatus(ctx, name, ""); err != nil {
			return err
		}
	}
	return nil
}

// listTables is ListTables.
func (l *Layer) listTables(ctx context.Context, name string, body []byte) (*reply, error) {
	in := struct {
		ExclusiveStartTableName string
		Limit                   int
	}{Limit: 100}
	if decode(body, &in) != nil || in.Limit < 1 || in.Limit > 100 {
		return l.upstream.send(ctx, name, body)
	}
	l.tables.mu.Lock()
	names := slices.Sorted(maps.Keys(l.tables.byName))
	l.tables.mu.Unlock()
	names = slices.DeleteFunc(names, func(name string) bool {
		_, state := l.tables.get(name)
		return name <= in.ExclusiveStartTableName || state == absent
	})
	out := struct {
		TableNames             []string
		LastEvaluatedTableName string `json:",omitempty"`
	}{TableNames: names}
	if len(names) > in.Limit {
		out.TableNames = names[:in.Limit]
		out.LastEvaluatedTableName = names[in.Limit-1]
	}
	return success(out)
}
