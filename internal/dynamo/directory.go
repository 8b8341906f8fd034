package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	// maxParallel is how many partitions of an index are read at once.
	maxParallel = 16
	// maxPartitions is how many partitions are enough for a page. Numbers are lost, and
	// tenants deleted, so that there may be any number of empty ones in a row.
	maxPartitions = 512
)

// List returns a part of the tenants with a status, newest first; or, where the
// status is "", of all that are not deleted. It leaves out their meta_data and
// secret.
//
// A position is a number in the directory, which a tenant keeps: what is there
// throughout is neither missed nor repeated. The indexes that it reads are
// eventually consistent: a tenant that was made or changed a moment ago may be
// missing, or as it was before.
func (s *Tenants) List(ctx context.Context, status tenant.Status, w page.Window) (page.Page[tenant.Tenant], error) {
	below, err := s.firstBelow(ctx, w.From)
	if err != nil {
		return page.Page[tenant.Tenant]{}, err
	}
	l := &listing{table: s.Table, index: indexOf(status), skip: w.Skip, wanted: w.Limit + 1, full: w.Full}
	next, err := l.walk(ctx, below)
	if err != nil {
		return page.Page[tenant.Tenant]{}, fmt.Errorf("list tenants: %w", err)
	}
	return l.page(w.Limit, next), nil
}

// firstBelow returns the number below which the list goes on at a position.
func (s *Tenants) firstBelow(ctx context.Context, from page.Position) (int64, error) {
	if from != "" {
		n, err := strconv.ParseInt(string(from), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no position in the directory", from)
		}
		return n, nil
	}
	var counter counterItem
	err := s.get(ctx, directoryCounterKey(), &counter)
	if errors.Is(err, errNoItem) {
		return 0, nil
	}
	return counter.N + 1, err
}

func positionBelow(n int64) page.Position { return page.Position(strconv.FormatInt(n, 10)) }

// A numberIndex holds tenants by their number, in partitions of as many numbers.
type numberIndex struct {
	name      string
	attribute string // that names the partition
	size      int64
	partition func(int64) any
	deleted   bool // whether deleted tenants are wanted, where there are any
}

// indexOf returns the index to read for a status, or for "".
func indexOf(status tenant.Status) numberIndex {
	if status == "" {
		return numberIndex{"directory", "bucket", bucketSize, func(p int64) any { return p }, false}
	}
	return numberIndex{"status", "status_group", groupSize, func(p int64) any { return statusGroup(status, p*groupSize) }, true}
}

// A listing is one walk down an index.
type listing struct {
	table  *Table
	index  numberIndex
	skip   int
	wanted int
	full   bool // whether the walk goes on until it has as many as are wanted
	found  []tenantItem
}

// walk gathers tenants whose number is below the one given, until it has as many
// as are wanted, or has read enough. It returns the number below which it did not
// look, or 0 if there is nothing more.
func (l *listing) walk(ctx context.Context, below int64) (int64, error) {
	partition := (below - 1) / l.index.size
	width := min(int64(l.wanted)/l.index.size+1, maxParallel)
	for read := int64(0); below > 1 && partition >= 0 && len(l.found) < l.wanted; read += width {
		if read >= maxPartitions && !l.full {
			return (partition + 1) * l.index.size, nil
		}
		if read > 0 {
			width = min(2*width, maxParallel)
		}
		if err := l.read(ctx, partition, width, below); err != nil {
			return 0, err
		}
		partition -= width
	}
	return 0, nil
}

// read reads some partitions at once, from the one given downwards.
func (l *listing) read(ctx context.Context, partition, width, below int64) error {
	wanted := l.skip + l.wanted - len(l.found)
	results := make([][]tenantItem, min(width, partition+1))
	group, ctx := errgroup.WithContext(ctx)
	for i := range results {
		group.Go(func() (err error) {
			results[i], err = l.readOne(ctx, partition-int64(i), below, wanted)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, items := range results {
		skipped := min(l.skip, len(items))
		l.skip -= skipped
		l.found = append(l.found, items[skipped:]...)
	}
	return nil
}

func (l *listing) readOne(ctx context.Context, partition, below int64, wanted int) ([]tenantItem, error) {
	in := dynamodb.QueryInput{
		IndexName:                &l.index.name,
		KeyConditionExpression:   new("#partition = :partition AND n < :below"),
		ExpressionAttributeNames: map[string]string{"#partition": l.index.attribute},
		ScanIndexForward:         new(false),
	}
	v := map[string]any{":partition": l.index.partition(partition), ":below": below}
	if !l.index.deleted {
		in.FilterExpression = new("profile.#status <> :deleted")
		in.ExpressionAttributeNames["#status"] = "status"
		v[":deleted"] = tenant.Deleted
	}
	return query[tenantItem](ctx, l.table, in, v, wanted)
}

// page returns what was found, up to a limit. Next is the number below which the
// walk did not look.
func (l *listing) page(limit int, next int64) page.Page[tenant.Tenant] {
	var p page.Page[tenant.Tenant]
	for _, item := range l.found[:min(limit, len(l.found))] {
		p.Entries = append(p.Entries, page.Entry[tenant.Tenant]{Value: item.tenant(), After: positionBelow(item.N)})
	}
	switch {
	case len(l.found) > limit:
		p.Next = p.Entries[limit-1].After
	case next > 0:
		p.Next = positionBelow(next)
	}
	return p
}
