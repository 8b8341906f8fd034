// Package trail writes audit records as CSV files, and verifies such files without
// anything but them. It knows neither HTTP nor AWS.
package trail

import (
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	"github.com/tenantry/tenantry/internal/audit"
)

// The kinds of rows. The last row of a file is a head, or says that there is none.
const (
	kindRecord = "record"
	kindHead   = "head"
	kindNoHead = "no_head"
)

// The columns, in their order. They never change: people keep files.
const (
	columnKind = iota
	columnID
	columnTime
	columnTenantID
	columnActorKind
	columnActorID
	columnOnBehalfOf
	columnAction
	columnTargetKind
	columnTargetID
	columnChanges
	columnRequestID
	columnOperationID
	columnSeq
	columnPrevHash
	columnHash
	columnSignature
	columnPublicKey
	columnCount
)

func columns() []string {
	return []string{
		"kind", "id", "time", "tenant_id", "actor_kind", "actor_id", "on_behalf_of", "action", "target_kind", "target_id",
		"changes", "request_id", "operation_id", "seq", "prev_hash", "hash", "signature", "public_key",
	}
}

// Header returns the first row of a file.
func Header() string { return row(columns()) }

// Record returns the row of an event.
func Record(e audit.Event) (string, error) {
	cells, err := recordCells(e)
	return row(cells), err
}

// Head returns the last row of a file that holds records of one stream: its head.
func Head(h audit.Head) string { return row(headCells(h)) }

// NoHead returns the last row of any other file.
func NoHead() string {
	cells := make([]string, columnCount)
	cells[columnKind] = kindNoHead
	return row(cells)
}

func recordCells(e audit.Event) ([]string, error) {
	changes, err := audit.Canonical(audit.NewDocument(e).Changes)
	if err != nil {
		return nil, fmt.Errorf("write audit record %s: %w", e.ID, err)
	}
	cells := make([]string, columnCount)
	cells[columnKind] = kindRecord
	cells[columnID] = e.ID
	cells[columnTime] = audit.FormatTime(e.Time)
	cells[columnTenantID] = string(e.TenantID)
	cells[columnActorKind] = string(e.Actor.Kind)
	cells[columnActorID] = e.Actor.ID
	cells[columnOnBehalfOf] = string(e.OnBehalfOf)
	cells[columnAction] = string(e.Action)
	cells[columnTargetKind] = e.Target.Kind
	cells[columnTargetID] = e.Target.ID
	cells[columnChanges] = string(changes)
	cells[columnRequestID] = e.RequestID
	cells[columnOperationID] = e.OperationID
	if e.Sealed() {
		cells[columnSeq] = strconv.FormatInt(e.Seq, 10)
	}
	cells[columnPrevHash] = string(e.PrevHash)
	cells[columnHash] = string(e.Hash)
	return cells, nil
}

func headCells(h audit.Head) []string {
	cells := make([]string, columnCount)
	cells[columnKind] = kindHead
	cells[columnTime] = audit.FormatTime(h.SealedAt)
	cells[columnTenantID] = string(h.Stream.TenantID())
	cells[columnSeq] = strconv.FormatInt(h.Seq, 10)
	cells[columnHash] = string(h.Hash)
	cells[columnSignature] = base64.StdEncoding.EncodeToString(h.Value)
	cells[columnPublicKey] = base64.StdEncoding.EncodeToString(h.PublicKey)
	return cells
}

// row writes a row (RFC 4180).
func row(cells []string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	escaped := make([]string, len(cells))
	for i, cell := range cells {
		escaped[i] = escape(cell)
	}
	_ = w.Write(escaped) // a Builder does not fail
	w.Flush()
	return b.String()
}

// escape keeps a spreadsheet from taking a cell for a formula: a quote is put
// before what one would begin with, and before a quote, so that the first quote of
// a cell is always ours.
func escape(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r'", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func unescape(cell string) string { return strings.TrimPrefix(cell, "'") }
