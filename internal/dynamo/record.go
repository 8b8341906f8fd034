package dynamo

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
)

// Records keeps what was answered to requests with an idempotency key. They are
// written in the transactions that take effect.
type Records struct{ *Table }

// NewRecords returns the records kept in table.
func NewRecords(table *Table) *Records { return &Records{table} }

// Find returns the record of the scope, or fault.NotFound. One that has expired
// is not found.
func (s *Records) Find(ctx context.Context, scope idempotency.Scope) (idempotency.Record, error) {
	var item recordItem
	err := s.get(ctx, recordKey(scope), &item)
	if errors.Is(err, errNoItem) || err == nil && item.ExpiresAt <= time.Now().Unix() {
		return idempotency.Record{}, fault.New(fault.NotFound, "the idempotency key is new")
	}
	if err != nil {
		return idempotency.Record{}, err
	}
	return item.record(scope), nil
}

// receipt adds the record of the answer, unless that is nil.
func (tx *transaction) receipt(r *idempotency.Record) {
	if r != nil {
		tx.put(newRecordItem(*r), idempotency.ErrRecorded)
	}
}

// A recordItem is an answer as it is stored. DynamoDB deletes it some time after
// it has expired.
type recordItem struct {
	key
	BodyHash  string            `dynamodbav:"body_hash"`
	Status    int               `dynamodbav:"status"`
	Header    map[string]string `dynamodbav:"header"`
	Body      string            `dynamodbav:"body"`
	ExpiresAt int64             `dynamodbav:"expires_at"`
}

func newRecordItem(r idempotency.Record) recordItem {
	return recordItem{recordKey(r.Scope), r.BodyHash, r.Status, r.Header, string(r.Body), r.ExpiresAt.Unix()}
}

func (i recordItem) record(scope idempotency.Scope) idempotency.Record {
	return idempotency.Record{
		Scope: scope, BodyHash: i.BodyHash, Status: i.Status, Header: i.Header,
		Body: []byte(i.Body), ExpiresAt: time.Unix(i.ExpiresAt, 0),
	}
}
