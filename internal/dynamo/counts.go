package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/directory"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	// foldFor is how long one Fold goes on. The next goes on where it ended.
	foldFor = 20 * time.Second
	// maxFolded is how many changes one transaction counts, beside the root, the first
	// branch, another, and a leaf.
	maxFolded = maxActions - 4
	// treeTries is how often the counts are read before they are taken as they are.
	treeTries = 4
)

// errFoldLost says that something changed while it was being counted.
var errFoldLost = errors.New("the directory changed meanwhile")

// Counts keeps the counts of tenants by number and status. It is a directory.Store.
type Counts struct{ *Table }

// NewCounts returns the counts kept in table.
func NewCounts(table *Table) *Counts { return &Counts{table} }

// A countingItem is one of those that every list begins with, and that lie in one
// partition: the root, the first branch, and what has changed since they were
// written. Each has its attributes of these. The root and the first branch have the
// version of the last fold.
type countingItem struct {
	key
	Version int64          `dynamodbav:"version,omitempty"`
	Sums    []byte         `dynamodbav:"sums,omitempty"`
	Was     directory.Code `dynamodbav:"was"`
	Became  directory.Code `dynamodbav:"became"`
}

// A leafItem holds the statuses of numbers that lie together.
type leafItem struct {
	key
	Statuses []byte `dynamodbav:"statuses"`
}

// change returns the change that an item is.
func (i countingItem) change() (directory.Change, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(i.SK, changesOf), 10, 64)
	return directory.Change{Number: n, From: i.Was, To: i.Became}, err
}

// countNew has a new tenant counted.
func (tx *transaction) countNew(t tenant.Tenant) {
	tx.put(countingItem{key: changeKey(t.Number), Became: directory.CodeOf(t.Status)}, errLost(t.ID, "number"))
}

// countMoved has a tenant counted under another status. What it was when it was
// last counted stays noted.
func (tx *transaction) countMoved(before, after tenant.Tenant) {
	if after.Status != before.Status {
		v := map[string]any{":was": directory.CodeOf(before.Status), ":became": directory.CodeOf(after.Status)}
		tx.upsert(changeKey(after.Number), "SET was = if_not_exists(was, :was), became = :became", v)
	}
}

// tree reads the counts. They are a little behind what is stored. A query may see a
// fold in part, before the first branch, which it reads first, is written and after
// the root is, which it reads last. Then it is made again.
func (s *Counts) tree(ctx context.Context) (*directory.Tree, error) {
	for attempt := 1; ; attempt++ {
		tree, whole, err := s.treeOnce(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the counts: %w", err)
		}
		if whole || attempt == treeTries {
			return tree, nil
		}
	}
}

// treeOnce reads the counts, and reports whether they fit together.
func (s *Counts) treeOnce(ctx context.Context) (tree *directory.Tree, whole bool, err error) {
	items, err := s.counting(ctx)
	if err != nil {
		return nil, false, err
	}
	var root, first countingItem
	var changes []directory.Change
	for _, item := range items {
		switch item.key {
		case rootKey():
			root = item
		case branchKey(0):
			first = item
		default:
			c, err := item.change()
			if err != nil {
				return nil, false, err
			}
			changes = append(changes, c)
		}
	}
	sums, err := directory.DecodeSums(root.Sums)
	if err != nil {
		return nil, false, err
	}
	branch, err := directory.DecodeSums(first.Sums)
	if err != nil {
		return nil, false, err
	}
	return directory.NewTree(s, sums, map[int64]directory.Sums{0: branch}, changes), root.Version == first.Version, nil
}

// counting reads the root, the first branch and all changes. A request takes as
// many as it can, 1 MB, so that hardly ever anything is folded between two.
func (s *Counts) counting(ctx context.Context) ([]countingItem, error) {
	v, err := values(map[string]any{":pk": countsPartition})
	if err != nil {
		return nil, err
	}
	pages := dynamodb.NewQueryPaginator(s.db, &dynamodb.QueryInput{
		TableName: &s.name, KeyConditionExpression: new("pk = :pk"), ExpressionAttributeValues: v,
	})
	var all []countingItem
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		var items []countingItem
		if err := attributevalue.UnmarshalListOfMaps(page.Items, &items); err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	return all, nil
}

// Branch returns the counts of the leaves of a branch. They are a little behind
// what is stored.
func (s *Counts) Branch(ctx context.Context, number int64) (directory.Sums, error) {
	return s.sums(ctx, branchKey(number), s.getSoon)
}

// Leaf returns a leaf. It is a little behind what is stored.
func (s *Counts) Leaf(ctx context.Context, number int64) (directory.Leaf, error) {
	return s.leaf(ctx, number, s.getSoon)
}

// A getter is Table.get, or Table.getSoon.
type getter func(ctx context.Context, k key, item any) error

func (s *Counts) sums(ctx context.Context, k key, get getter) (directory.Sums, error) {
	var item countingItem
	if err := get(ctx, k, &item); err != nil && !errors.Is(err, errNoItem) {
		return nil, err
	}
	return directory.DecodeSums(item.Sums)
}

func (s *Counts) leaf(ctx context.Context, number int64, get getter) (directory.Leaf, error) {
	var item leafItem
	if err := get(ctx, leafKey(number), &item); err != nil && !errors.Is(err, errNoItem) {
		return nil, err
	}
	return item.Statuses, nil
}

// Fold counts what has changed. Two at once do no harm: all that one transaction
// counts is as it was read, or none of it is counted.
func (s *Counts) Fold(ctx context.Context) error {
	until := time.Now().Add(foldFor)
	in := dynamodb.QueryInput{KeyConditionExpression: new("pk = :pk AND begins_with(sk, :change)"), ConsistentRead: new(true)}
	v := map[string]any{":pk": countsPartition, ":change": changesOf}
	for {
		items, _, err := queryOnce[countingItem](ctx, s.Table, in, v, maxQuery)
		if err != nil {
			return fmt.Errorf("count what has changed: %w", err)
		}
		any, err := s.foldAll(ctx, items, until)
		if err != nil {
			return fmt.Errorf("count what has changed: %w", err)
		}
		if !any {
			return nil
		}
	}
}

// foldAll counts changes, which are in the order of their numbers, until it is too
// late. It reports whether it counted any.
func (s *Counts) foldAll(ctx context.Context, items []countingItem, until time.Time) (any bool, err error) {
	for len(items) > 0 && time.Now().Before(until) {
		first, err := items[0].change()
		if err != nil {
			return any, err
		}
		n := slices.IndexFunc(items, func(i countingItem) bool { return i.SK >= changeKey((first.Leaf()+1)*directory.LeafSize).SK })
		if n < 0 {
			n = len(items)
		}
		n = min(n, maxFolded)
		err = s.fold(ctx, first.Leaf(), items[:n])
		if err != nil && !errors.Is(err, errFoldLost) {
			return any, err
		}
		any = any || err == nil
		items = items[n:]
	}
	return any, nil
}

// fold counts changes of one leaf. The root is read first, and moves with every
// fold, so that what is read after it and written with it is not counted twice.
func (s *Counts) fold(ctx context.Context, leafNumber int64, items []countingItem) error {
	var rootItem countingItem
	if err := s.get(ctx, rootKey(), &rootItem); err != nil && !errors.Is(err, errNoItem) {
		return err
	}
	root, err := directory.DecodeSums(rootItem.Sums)
	if err != nil {
		return err
	}
	branchNumber := leafNumber * directory.LeafSize / directory.BranchSize
	branch, err := s.sums(ctx, branchKey(branchNumber), s.get)
	if err != nil {
		return err
	}
	leaf, err := s.leaf(ctx, leafNumber, s.get)
	if err != nil {
		return err
	}
	var first countingItem
	if err := s.get(ctx, branchKey(0), &first); err != nil && !errors.Is(err, errNoItem) {
		return err
	}

	tx := s.begin()
	var changes []directory.Change
	for _, item := range items {
		c, err := item.change()
		if err != nil {
			return err
		}
		changes = append(changes, c)
		tx.remove(item.key, "was = :was AND became = :became", map[string]any{":was": item.Was, ":became": item.Became}, errFoldLost)
	}
	leaf = leaf.With(changes)
	branch = branch.With(leafNumber%(directory.BranchSize/directory.LeafSize), leaf.Counts())
	root = root.With(branchNumber, branch.Total())
	tx.overwrite(leafItem{leafKey(leafNumber), leaf})
	after := countingItem{key: rootKey(), Version: rootItem.Version + 1, Sums: root.Encode()}
	first.key, first.Version = branchKey(0), after.Version
	if branchNumber == 0 {
		first.Sums = branch.Encode()
	} else {
		tx.overwrite(countingItem{key: branchKey(branchNumber), Sums: branch.Encode()})
	}
	tx.overwrite(first)
	if rootItem.Version == 0 {
		tx.put(after, errFoldLost)
	} else {
		tx.replace(after, rootItem.Version, errFoldLost)
	}
	return tx.run(ctx)
}
