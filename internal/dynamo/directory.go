package dynamo

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/directory"
	"github.com/tenantry/tenantry/internal/page"
	"github.com/tenantry/tenantry/internal/tenant"
)

// maxParallel is how many partitions of an index are read at once.
const maxParallel = 16

// List returns a part of the tenants with a status, newest first; or, where the
// status is "", of all that are not deleted. It leaves out their meta_data and
// secret.
//
// A position is a number in the directory, which a tenant keeps: what is there
// throughout is neither missed nor repeated. What it reads is eventually
// consistent: a tenant that was made or changed a moment ago may be missing, or as
// it was before, and not be counted yet.
func (s *Tenants) List(ctx context.Context, status tenant.Status, w page.Window) (page.Page[tenant.Tenant], error) {
	p, err := s.list(ctx, status, w)
	if err != nil {
		return page.Page[tenant.Tenant]{}, fmt.Errorf("list tenants: %w", err)
	}
	return p, nil
}

func (s *Tenants) list(ctx context.Context, status tenant.Status, w page.Window) (page.Page[tenant.Tenant], error) {
	tree, err := NewCounts(s.Table).tree(ctx)
	if err != nil {
		return page.Page[tenant.Tenant]{}, err
	}
	l := &listing{table: s.Table, tree: tree, filter: directory.Filter(status), index: indexOf(status), wanted: w.Limit + 1}
	from, err := l.place(ctx, w)
	if err != nil {
		return page.Page[tenant.Tenant]{}, err
	}
	if err := l.gather(ctx, from); err != nil {
		return page.Page[tenant.Tenant]{}, err
	}
	return l.page(w.Limit), nil
}

// A numberIndex holds tenants by their number, in partitions of as many numbers.
type numberIndex struct {
	name      string
	attribute string // that names the partition
	size      int64
	partition func(int64) any
}

// indexOf returns the index to read for a status, or for "".
func indexOf(status tenant.Status) numberIndex {
	if status == "" {
		return numberIndex{"directory", "bucket", bucketSize, func(p int64) any { return p }}
	}
	return numberIndex{"status", "status_group", statusGroupSize, func(p int64) any { return statusGroup(status, p*statusGroupSize) }}
}

// A listing is one walk down an index, along the partitions that hold tenants by
// the counts.
type listing struct {
	table  *Table
	tree   *directory.Tree
	filter directory.Filter
	index  numberIndex
	wanted int
	found  []tenantItem
}

// place returns where a window begins.
func (l *listing) place(ctx context.Context, w page.Window) (directory.Place, error) {
	if w.From == "" {
		return l.tree.Find(ctx, l.filter, int64(w.Skip), int64(l.wanted))
	}
	n, err := strconv.ParseInt(string(w.From), 10, 64)
	if err != nil {
		return directory.Place{}, fmt.Errorf("%q is no position in the directory", w.From)
	}
	return l.tree.After(ctx, l.filter, n, int64(l.wanted))
}

func positionBelow(n int64) page.Position { return page.Position(strconv.FormatInt(n, 10)) }

// gather finds tenants from a place downwards, until it has as many as are wanted
// or there are no more.
func (l *listing) gather(ctx context.Context, from directory.Place) error {
	for {
		parts, err := l.plan(ctx, from)
		if err != nil || parts == nil {
			return err
		}
		if err := l.read(ctx, parts); err != nil {
			return err
		}
		below := l.add(parts)
		if len(l.found) >= l.wanted {
			return nil
		}
		if from, err = l.tree.After(ctx, l.filter, below, int64(l.wanted-len(l.found))); err != nil {
			return err
		}
	}
}

// A part is what is to be read of one partition.
type part struct {
	group  int64
	below  int64
	wanted int
	items  []tenantItem
}

// plan returns the next parts that are to be read: as many as hold what is still
// wanted, by the counts.
func (l *listing) plan(ctx context.Context, from directory.Place) ([]part, error) {
	groups := l.tree.Groups(l.filter, l.index.size, from)
	var parts []part
	for wanted := l.wanted - len(l.found); wanted > 0 && len(parts) < maxParallel; {
		group, ok, err := groups.Next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		parts = append(parts, part{group: group.Number, below: min(from.Below, (group.Number+1)*l.index.size), wanted: wanted})
		wanted -= int(min(group.Count, int64(wanted)))
	}
	return parts, nil
}

// read reads parts at once.
func (l *listing) read(ctx context.Context, parts []part) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		group.Go(func() (err error) {
			parts[i].items, err = l.readOne(ctx, parts[i])
			return err
		})
	}
	return group.Wait()
}

// add takes what parts hold, and returns the number below which the walk goes on.
// The counts may have said that fewer were wanted of a part than are now.
func (l *listing) add(parts []part) int64 {
	var below int64
	for _, p := range parts {
		l.found = append(l.found, p.items...)
		if n := len(p.items); n == p.wanted {
			return p.items[n-1].N
		}
		below = p.group * l.index.size
	}
	return below
}

func (l *listing) readOne(ctx context.Context, p part) ([]tenantItem, error) {
	in := dynamodb.QueryInput{
		IndexName:                &l.index.name,
		KeyConditionExpression:   new("#partition = :partition AND n < :below"),
		ExpressionAttributeNames: map[string]string{"#partition": l.index.attribute},
		ScanIndexForward:         new(false),
	}
	v := map[string]any{":partition": l.index.partition(p.group), ":below": p.below}
	items, err := query[tenantItem](ctx, l.table, in, v, p.wanted)
	return items[:min(p.wanted, len(items))], err
}

// page returns what was found, up to a limit.
func (l *listing) page(limit int) page.Page[tenant.Tenant] {
	p := page.Page[tenant.Tenant]{Total: l.tree.Total(l.filter)}
	for _, item := range l.found[:min(limit, len(l.found))] {
		p.Entries = append(p.Entries, page.Entry[tenant.Tenant]{Value: item.tenant(), After: positionBelow(item.N)})
	}
	if len(l.found) > limit {
		p.Next = p.Entries[limit-1].After
	}
	return p
}
