package dynamo

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/identity"
)

// Audit keeps the records of who changed what.
type Audit struct{ *Table }

// NewAudit returns the records kept in table.
func NewAudit(table *Table) *Audit { return &Audit{table} }

// Record writes a record of what changes nothing else in the table.
func (s *Audit) Record(ctx context.Context, r audit.Record) error {
	item, err := newAuditItem(r)
	if err != nil {
		return err
	}
	return s.put(ctx, item, nil) // one that is there is this one, of an attempt whose answer was lost
}

// record adds the records of what a transaction changes.
func (tx *transaction) record(records ...audit.Record) {
	for _, r := range records {
		item, err := newAuditItem(r)
		tx.err = errors.Join(tx.err, err)
		tx.write(item, "attribute_not_exists(pk)", nil, errors.New("there is an audit record "+r.ID+" already"))
	}
}

// An auditItem is a record as it is stored. It is in the index tenant by the hour
// in which it came about, and in the index due until it is sealed.
type auditItem struct {
	key
	ID           string            `dynamodbav:"id"`
	Time         time.Time         `dynamodbav:"time"`
	TenantID     identity.TenantID `dynamodbav:"tenant_id,omitempty"`
	ActorKind    audit.ActorKind   `dynamodbav:"actor_kind"`
	ActorID      string            `dynamodbav:"actor_id"`
	OnBehalfOf   identity.UserID   `dynamodbav:"on_behalf_of,omitempty"`
	Action       audit.Action      `dynamodbav:"action"`
	TargetKind   string            `dynamodbav:"target_kind"`
	TargetID     string            `dynamodbav:"target_id"`
	Changes      []changeItem      `dynamodbav:"changes,omitempty"`
	RequestID    string            `dynamodbav:"request_id,omitempty"`
	OperationID  string            `dynamodbav:"operation_id,omitempty"`
	OfTenant     string            `dynamodbav:"of_tenant"`
	OfTenantSort string            `dynamodbav:"of_tenant_sort"`
	Due          string            `dynamodbav:"due,omitempty"`
	DueAt        string            `dynamodbav:"due_at,omitempty"`
	Seq          int64             `dynamodbav:"seq,omitempty"`
	PrevHash     audit.Hash        `dynamodbav:"prev_hash,omitempty"`
	Hash         audit.Hash        `dynamodbav:"hash,omitempty"`
}

// A changeItem holds values as JSON, so that they are read as they were written.
type changeItem struct {
	Field    string `dynamodbav:"field"`
	From     string `dynamodbav:"from"`
	To       string `dynamodbav:"to"`
	Redacted bool   `dynamodbav:"redacted,omitempty"`
}

func newAuditItem(r audit.Record) (auditItem, error) {
	item := auditItem{
		key: auditKey(r), ID: r.ID, Time: r.Time, TenantID: r.TenantID,
		ActorKind: r.Actor.Kind, ActorID: r.Actor.ID, OnBehalfOf: r.OnBehalfOf,
		Action: r.Action, TargetKind: r.Target.Kind, TargetID: r.Target.ID,
		RequestID: r.RequestID, OperationID: r.OperationID,
		OfTenant: auditHour(r.Time, shardOf(r.ID)), OfTenantSort: inTime(r.Time, r.ID),
		Due: dueKey(dueAudit, shardOf(auditPartition(r.Stream()))), DueAt: sortable(r.Time),
	}
	for _, c := range r.Changes {
		from, err := json.Marshal(c.From)
		to, err2 := json.Marshal(c.To)
		if err := errors.Join(err, err2); err != nil {
			return item, err
		}
		item.Changes = append(item.Changes, changeItem{c.Field, string(from), string(to), c.Redacted})
	}
	return item, nil
}

func (i auditItem) event() audit.Event {
	e := audit.Event{
		Record: audit.Record{
			ID: i.ID, Time: i.Time, TenantID: i.TenantID,
			Origin: audit.Origin{
				Actor: audit.Actor{Kind: i.ActorKind, ID: i.ActorID}, OnBehalfOf: i.OnBehalfOf,
				RequestID: i.RequestID, OperationID: i.OperationID,
			},
			Action: i.Action, Target: audit.Target{Kind: i.TargetKind, ID: i.TargetID},
		},
		Seal: audit.Seal{Seq: i.Seq, PrevHash: i.PrevHash, Hash: i.Hash},
	}
	for _, c := range i.Changes {
		e.Changes = append(e.Changes, audit.Change{
			Field: c.Field, From: jsontext.Value(c.From), To: jsontext.Value(c.To), Redacted: c.Redacted,
		})
	}
	return e
}
