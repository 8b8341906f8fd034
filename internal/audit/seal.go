package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/fault"
)

const (
	// settle is how old a record is before it is sealed. A transaction takes a
	// while, and what it records should come before what was recorded later.
	settle = 3 * time.Second
	// sealFor is how long a sealer takes up streams, and sealWithin how long it may
	// take in all.
	sealFor    = 20 * time.Second
	sealWithin = 30 * time.Second
	// sealParallel is how many streams are sealed at once.
	sealParallel = 8
	// maxSealed is how many records are sealed by one transaction of DynamoDB, which
	// takes 100 actions, and the head is one; and maxSealedBytes how large they may
	// be together.
	maxSealed      = 99
	maxSealedBytes = 2 << 20
)

// A Reference names a record in its stream. Only the store that made it can read
// it. References sort as the records came about.
type Reference string

// A Backlog is records of one stream that are still to be sealed, oldest first.
type Backlog struct {
	Stream     Stream
	References []Reference
}

// A SealStore keeps records and heads.
type SealStore interface {
	// Unsealed returns the records that came about before a time and are not sealed,
	// or as many of them as it reads at once, the oldest. It is a little behind: some
	// may be sealed already, and new ones missing. What it returns beside an error is
	// good.
	Unsealed(ctx context.Context, before time.Time) ([]Backlog, error)
	// Read returns those of the records that are not sealed, as they are now and in
	// the order of the references.
	Read(ctx context.Context, stream Stream, references []Reference) ([]Record, error)
	// Head returns the head of a stream as it is now.
	Head(ctx context.Context, stream Stream) (Head, error)
	// Seal gives records their seals and replaces the head of their stream, or does
	// nothing of it. It fails with fault.Conflict if the head is not before, or one of
	// the records is sealed.
	Seal(ctx context.Context, before, after Head, events []Event) error
}

// A Signer signs.
type Signer interface {
	Sign(ctx context.Context, statement []byte) (Signature, error)
}

// A Sealer puts records into the chains of their streams. Two at once do no harm.
type Sealer struct {
	Store  SealStore
	Signer Signer
}

// Seal seals what has come about until a moment ago, as far as it gets. The next
// call goes on. What fails in one stream does not keep it from the others.
func (s *Sealer) Seal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sealWithin)
	defer cancel()
	now := time.Now()
	backlogs, err := s.Store.Unsealed(ctx, now.Add(-settle))
	errs := make([]error, len(backlogs))
	var group errgroup.Group
	group.SetLimit(sealParallel)
	for i, b := range backlogs {
		group.Go(func() error {
			if err := s.stream(ctx, b, now.Add(sealFor)); err != nil {
				errs[i] = fmt.Errorf("seal the audit of %s: %w", b.Stream, err)
			}
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	return errors.Join(append(errs, err)...)
}

// stream seals the backlog of one stream, in batches, until a time. A conflict
// says that another sealer is at the stream.
func (s *Sealer) stream(ctx context.Context, b Backlog, until time.Time) error {
	if time.Now().After(until) {
		return nil
	}
	head, err := s.Store.Head(ctx, b.Stream)
	if err != nil {
		return err
	}
	for references := range slices.Chunk(b.References, maxSealed) {
		records, err := s.Store.Read(ctx, b.Stream, references)
		for err == nil && len(records) > 0 {
			if time.Now().After(until) {
				return nil
			}
			head, records, err = s.batch(ctx, head, records)
		}
		if errors.Is(err, fault.Conflict) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// batch seals as many of the records as one transaction takes. It returns the head
// that the chain has then, and the records that are left.
func (s *Sealer) batch(ctx context.Context, before Head, records []Record) (Head, []Record, error) {
	events, err := link(before, records)
	if err != nil {
		return before, records, err
	}
	last := events[len(events)-1]
	after := Head{Stream: before.Stream, Seq: last.Seq, Hash: last.Hash, SealedAt: time.Now().UTC().Truncate(time.Millisecond)}
	text, err := after.Statement()
	if err != nil {
		return before, records, err
	}
	if after.Signature, err = s.Signer.Sign(ctx, text); err != nil {
		return before, records, fmt.Errorf("sign the head: %w", err)
	}
	return after, records[len(events):], s.Store.Seal(ctx, before, after, events)
}

// link returns the events that follow a head: of the records, in their order, as
// many as are sealed at once, and at least one.
func link(head Head, records []Record) ([]Event, error) {
	var events []Event
	size := 0
	for _, r := range records[:min(len(records), maxSealed)] {
		text, err := Canonical(NewDocument(Event{Record: r}))
		if err != nil {
			return nil, fmt.Errorf("audit record %s: %w", r.ID, err)
		}
		if size += len(text); size > maxSealedBytes && events != nil {
			break
		}
		seal, err := head.after(r)
		if err != nil {
			return nil, err
		}
		events = append(events, Event{r, seal})
		head.Seq, head.Hash = seal.Seq, seal.Hash
	}
	return events, nil
}
