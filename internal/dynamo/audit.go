package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
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
	return s.put(ctx, newAuditItem(r), nil) // one that is there is this one, of an attempt whose answer was lost
}

// record adds the records of what a transaction changes.
func (tx *transaction) record(records ...audit.Record) {
	for _, r := range records {
		tx.write(newAuditItem(r), "attribute_not_exists(pk)", nil, errors.New("there is an audit record "+r.ID+" already"))
	}
}

// An auditItem is a record as it is stored, with its time and id in the sort key. It
// is in the index tenant by the hour in which it came about, and in the index due until
// it is sealed.
type auditItem struct {
	key
	TenantID     identity.TenantID `dynamodbav:"tenant_id,omitempty"`
	ActorKind    audit.ActorKind   `dynamodbav:"actor_kind"`
	ActorID      string            `dynamodbav:"actor_id"`
	OnBehalfOf   identity.UserID   `dynamodbav:"on_behalf_of,omitempty"`
	Action       audit.Action      `dynamodbav:"action"`
	TargetKind   string            `dynamodbav:"target_kind"`
	TargetID     string            `dynamodbav:"target_id"`
	Changes      auditChanges      `dynamodbav:"changes,omitempty"`
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

// auditChanges are stored as one JSON text, an array of [field, to], [field, from, to]
// or, where both are redacted, [field]. So values are read as they were written, and the
// record of a new tenant, which has most changes, is less than 1 KB.
type auditChanges []audit.Change

// MarshalDynamoDBAttributeValue implements attributevalue.Marshaler.
func (c auditChanges) MarshalDynamoDBAttributeValue() (types.AttributeValue, error) {
	var rows [][]any
	for _, change := range c {
		switch {
		case change.Redacted:
			rows = append(rows, []any{change.Field})
		case change.From == nil:
			rows = append(rows, []any{change.Field, change.To})
		default:
			rows = append(rows, []any{change.Field, change.From, change.To})
		}
	}
	text, err := json.Marshal(rows)
	return &types.AttributeValueMemberS{Value: string(text)}, err
}

// UnmarshalDynamoDBAttributeValue implements attributevalue.Unmarshaler.
func (c *auditChanges) UnmarshalDynamoDBAttributeValue(av types.AttributeValue) error {
	var text string
	if err := attributevalue.Unmarshal(av, &text); err != nil {
		return err
	}
	var rows [][]jsontext.Value
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return err
	}
	for _, row := range rows {
		change, err := parseChange(row)
		if err != nil {
			return err
		}
		*c = append(*c, change)
	}
	return nil
}

func parseChange(row []jsontext.Value) (audit.Change, error) {
	null := jsontext.Value("null")
	c := audit.Change{From: null, To: null}
	switch len(row) {
	case 1:
		c.Redacted = true
	case 2:
		c.To = row[1]
	case 3:
		c.From, c.To = row[1], row[2]
	default:
		return c, fmt.Errorf("a change of %d members", len(row))
	}
	return c, json.Unmarshal(row[0], &c.Field)
}

func newAuditItem(r audit.Record) auditItem {
	return auditItem{
		key: auditKey(r), TenantID: r.TenantID,
		ActorKind: r.Actor.Kind, ActorID: r.Actor.ID, OnBehalfOf: r.OnBehalfOf,
		Action: r.Action, TargetKind: r.Target.Kind, TargetID: r.Target.ID,
		RequestID: r.RequestID, OperationID: r.OperationID, Changes: r.Changes,
		OfTenant: auditHour(r.Time, shardOf(r.ID)), OfTenantSort: inTime(r.Time, r.ID),
		Due: dueKey(dueAudit, shardOf(auditPartition(r.Stream()))), DueAt: sortable(r.Time),
	}
}

func (i auditItem) event() audit.Event {
	_, id, _ := strings.Cut(i.SK, "#")
	return audit.Event{
		Record: audit.Record{
			ID: id, Time: timeOf(i.SK), TenantID: i.TenantID,
			Origin: audit.Origin{
				Actor: audit.Actor{Kind: i.ActorKind, ID: i.ActorID}, OnBehalfOf: i.OnBehalfOf,
				RequestID: i.RequestID, OperationID: i.OperationID,
			},
			Action: i.Action, Target: audit.Target{Kind: i.TargetKind, ID: i.TargetID}, Changes: i.Changes,
		},
		Seal: audit.Seal{Seq: i.Seq, PrevHash: i.PrevHash, Hash: i.Hash},
	}
}
