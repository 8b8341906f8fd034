package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
)

const (
	// settle is how old a record is before it is sealed. A transaction takes a
	// while, and what it records should come before what was recorded later.
	settle = 3 * time.Second
	// findWithin is how long a sealer may look for records, sealFor how long it takes up
	// batches, and batchWithin how long it may take over one.
	findWithin  = 8 * time.Second
	sealFor     = 20 * time.Second
	batchWithin = 10 * time.Second
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
	// Unsealed returns the records that came about before a time and are not sealed:
	// of each stream all, or the oldest, and then it reports that there are more. It is
	// a little behind: some may be sealed already, and new ones missing. What it returns
	// beside an error is good.
	Unsealed(ctx context.Context, before time.Time) (backlogs []Backlog, more bool, err error)
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
// call goes on. A stream that it cannot seal is logged, and keeps no other waiting.
func (s *Sealer) Seal(ctx context.Context) error {
	now := time.Now()
	r := &run{Sealer: s, until: now.Add(sealFor), left: map[Stream]bool{}}
	var err error
	for goOn := true; goOn && err == nil; {
		var backlogs []Backlog
		backlogs, goOn, err = s.unsealed(ctx, now.Add(-settle))
		goOn = r.seal(ctx, backlogs) && goOn && time.Now().Before(r.until)
	}
	if r.failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d streams of the audit could not be sealed", r.failed))
	}
	return err
}

func (s *Sealer) unsealed(ctx context.Context, before time.Time) ([]Backlog, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, findWithin)
	defer cancel()
	return s.Store.Unsealed(ctx, before)
}

// A run is one call of Seal.
type run struct {
	*Sealer
	until time.Time

	mu     sync.Mutex
	queue  []*job
	left   map[Stream]bool // to the next call, by whoever failed or met another sealer
	failed int
	sealed bool
}

// A job is one stream whose turn comes batch by batch, so that none waits until
// another is done with.
type job struct {
	Backlog
	head    *Head    // nil before the first batch
	records []Record // the next of them, read
}

// seal seals backlogs, some at a time. It reports whether it got any further.
func (r *run) seal(ctx context.Context, backlogs []Backlog) bool {
	r.sealed = false
	for _, b := range backlogs {
		if !r.left[b.Stream] {
			r.queue = append(r.queue, &job{Backlog: b})
		}
	}
	var workers sync.WaitGroup
	for range sealParallel {
		workers.Go(func() {
			for j := r.next(); j != nil; j = r.next() {
				more, err := r.turn(ctx, j)
				r.done(ctx, j, more, err)
			}
		})
	}
	workers.Wait()
	return r.sealed
}

// next returns the stream whose turn it is, or nil if there is none, or no time.
func (r *run) next() *job {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 || time.Now().After(r.until) {
		return nil
	}
	j := r.queue[0]
	r.queue = r.queue[1:]
	return j
}

// done puts a stream that has more behind all others. A conflict says that another
// sealer is at the stream.
func (r *run) done(ctx context.Context, j *job, more bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.Is(err, fault.Conflict):
		r.left[j.Stream] = true
	case err != nil:
		r.left[j.Stream] = true
		r.failed++
		slog.ErrorContext(ctx, "audit not sealed", "tenant_id", j.Stream, "error", err)
	case more:
		r.queue = append(r.queue, j)
	}
}

// turn seals the next batch of a stream. It reports whether there are more.
func (r *run) turn(ctx context.Context, j *job) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchWithin)
	defer cancel()
	if j.head == nil {
		head, err := r.Store.Head(ctx, j.Stream)
		if err != nil {
			return false, err
		}
		j.head = &head
	}
	if len(j.records) == 0 {
		n := min(len(j.References), maxSealed)
		if j.records, err = r.Store.Read(ctx, j.Stream, j.References[:n]); err != nil {
			return false, err
		}
		j.References = j.References[n:]
	}
	if len(j.records) > 0 {
		if *j.head, j.records, err = r.batch(ctx, *j.head, j.records); err != nil {
			return false, err
		}
		r.mu.Lock()
		r.sealed = true
		r.mu.Unlock()
	}
	return len(j.records)+len(j.References) > 0, nil
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
