package trail

import (
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/identity"
)

// A File is one page of an export.
type File struct {
	Name string
	Data io.Reader
}

// A place is a row of a file. The header is row 1.
type place struct {
	file string
	row  int
}

// A foundEvent is an event, and where it was found.
type foundEvent struct {
	place
	audit.Event
}

// A foundHead is the last row of a file, and the records above it. Head is nil where
// the file has none.
type foundHead struct {
	place
	head  *audit.Head
	above []foundEvent
}

// read reads a file. What is wrong with its content is a *Fault.
func read(f File) (foundHead, error) {
	r := csv.NewReader(f.Data)
	r.FieldsPerRecord = columnCount
	at := place{f.Name, 1}
	cells, err := r.Read()
	if err == nil && !slices.Equal(cells, columns()) {
		err = at.fault("is not the header of an export")
	}
	if err != nil {
		return foundHead{}, at.unread(err, "the file is empty")
	}
	var events []foundEvent
	for {
		at.row++
		if cells, err = r.Read(); err != nil {
			return foundHead{}, at.unread(err, "the file ends without its last row, the head")
		}
		for i := range cells {
			cells[i] = unescape(cells[i])
		}
		if cells[columnKind] != kindRecord {
			break
		}
		e, err := parseRecord(cells)
		if err != nil {
			return foundHead{}, at.faultOf(e, "%v", err)
		}
		events = append(events, foundEvent{at, e})
	}
	last := foundHead{place: at, above: events}
	if last.head, err = parseEnd(cells); err != nil {
		return last, at.fault("%v", err)
	}
	at.row++
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		return last, at.fault("stands behind the last row, the head")
	}
	return last, nil
}

// unread says what is wrong where a row cannot be read: that the file has ended,
// that it is no CSV, or that it could not be read at all, which is no fault of its
// content.
func (at place) unread(err error, ended string) error {
	if errors.Is(err, io.EOF) {
		return at.fault("is missing: %s", ended)
	}
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return at.fault("cannot be read: %v", e.Err)
	}
	if _, ok := errors.AsType[*Fault](err); ok {
		return err
	}
	return fmt.Errorf("read %s: %w", at.file, err)
}

// parseRecord returns the event that a row tells of. It takes a row only as this
// package writes it, so that no cell can be changed and still mean the same.
func parseRecord(cells []string) (audit.Event, error) {
	at, err := time.Parse(time.RFC3339, cells[columnTime])
	var changes []struct {
		Field    string         `json:"field"`
		From     jsontext.Value `json:"from"`
		To       jsontext.Value `json:"to"`
		Redacted bool           `json:"redacted"`
	}
	err2 := json.Unmarshal([]byte(cells[columnChanges]), &changes)
	seq, err3 := parseSeq(cells[columnSeq])
	e := audit.Event{
		Record: audit.Record{
			ID: cells[columnID], Time: at, TenantID: identity.TenantID(cells[columnTenantID]),
			Origin: audit.Origin{
				Actor:      audit.Actor{Kind: audit.ActorKind(cells[columnActorKind]), ID: cells[columnActorID]},
				OnBehalfOf: identity.UserID(cells[columnOnBehalfOf]),
				RequestID:  cells[columnRequestID], OperationID: cells[columnOperationID],
			},
			Action: audit.Action(cells[columnAction]),
			Target: audit.Target{Kind: cells[columnTargetKind], ID: cells[columnTargetID]},
		},
		Seal: audit.Seal{Seq: seq, PrevHash: audit.Hash(cells[columnPrevHash]), Hash: audit.Hash(cells[columnHash])},
	}
	if err := errors.Join(err, err2, err3); err != nil {
		return e, err
	}
	for _, c := range changes {
		e.Changes = append(e.Changes, audit.Change{Field: c.Field, From: c.From, To: c.To, Redacted: c.Redacted})
	}
	again, err := recordCells(e)
	if err != nil {
		return e, err
	}
	return e, compare(cells, again)
}

// parseEnd returns the head that the last row holds, or nil if it says that there
// is none.
func parseEnd(cells []string) (*audit.Head, error) {
	if cells[columnKind] == kindNoHead {
		none := make([]string, columnCount)
		none[columnKind] = kindNoHead
		return nil, compare(cells, none)
	}
	if cells[columnKind] != kindHead {
		return nil, fmt.Errorf("is of the kind %q, which there is not", cells[columnKind])
	}
	at, err := time.Parse(time.RFC3339, cells[columnTime])
	seq, err2 := parseSeq(cells[columnSeq])
	signature, err3 := base64.StdEncoding.DecodeString(cells[columnSignature])
	public, err4 := base64.StdEncoding.DecodeString(cells[columnPublicKey])
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return nil, err
	}
	h := audit.Head{
		Stream: audit.StreamOf(identity.TenantID(cells[columnTenantID])), Seq: seq, Hash: audit.Hash(cells[columnHash]), SealedAt: at,
		Signature: audit.Signature{Value: signature, PublicKey: public},
	}
	return &h, compare(cells, headCells(h))
}

func parseSeq(cell string) (int64, error) {
	if cell == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(cell, 10, 64)
	if err == nil && seq < 1 {
		err = fmt.Errorf("seq %d is below 1", seq)
	}
	return seq, err
}

// compare fails if a row is not as it would be written.
func compare(got, want []string) error {
	for i, name := range columns() {
		if got[i] != want[i] {
			return fmt.Errorf("%s is %q, which is written %q", name, got[i], want[i])
		}
	}
	return nil
}
