package directory

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// maxParallel is how many branches are read at once.
const maxParallel = 16

// A Store keeps the parts of the tree. One that was never counted is empty.
type Store interface {
	// Branch returns the counts of the leaves of a branch.
	Branch(ctx context.Context, number int64) (Sums, error)
	Leaf(ctx context.Context, number int64) (Leaf, error)
}

// A Tree is the counts, and the changes that lie over them. It reads branches when
// they are needed. It is for one request.
type Tree struct {
	store    Store
	root     Sums
	branches map[int64]Sums
	changes  map[int64][]Change // by branch
}

// NewTree returns a tree of which the root, some branches and all changes have
// been read.
func NewTree(store Store, root Sums, branches map[int64]Sums, changes []Change) *Tree {
	t := &Tree{store: store, root: root.moved(changes, Change.Branch), branches: map[int64]Sums{}, changes: map[int64][]Change{}}
	for _, c := range changes {
		t.changes[c.Branch()] = append(t.changes[c.Branch()], c)
	}
	for number, sums := range branches {
		t.keep(number, sums)
	}
	return t
}

// keep lays the changes of a branch over it.
func (t *Tree) keep(number int64, sums Sums) {
	t.branches[number] = sums.moved(t.changes[number], func(c Change) int64 { return c.Leaf() % (BranchSize / LeafSize) })
}

// Total returns how many tenants a list holds.
func (t *Tree) Total(f Filter) int64 { return t.root.Total().Of(f) }

// A Place is where a part of a list begins: at the highest number below one.
type Place struct {
	Below int64
	// inLeaf is how many of the list are below in the same leaf. It is a guess if
	// the place came from a number, but never zero where there are any.
	inLeaf int64
}

// Top returns the place where every list begins.
func (t *Tree) Top() Place { return Place{Below: int64(len(t.root)) * BranchSize} }

// Find returns the place in a list that so many come before, and prepares for as
// many as are wanted from there on.
//
// Parts that were read at different moments may not fit together. Then the place
// is the next one that is sure.
func (t *Tree) Find(ctx context.Context, f Filter, rank, wanted int64) (Place, error) {
	number, rest, ok := t.root.find(f, rank)
	if !ok {
		return Place{}, nil
	}
	if err := t.fetch(ctx, f, number, rest+wanted); err != nil {
		return Place{}, err
	}
	if rank == 0 {
		return t.Top(), nil
	}
	start := number * BranchSize
	part, rest, ok := t.branches[number].find(f, rest)
	if !ok {
		return Place{Below: start}, nil
	}
	start += part * LeafSize
	leaf, err := t.leaf(ctx, start/LeafSize)
	if err != nil {
		return Place{}, err
	}
	place, ok := leaf.find(f, rest)
	if !ok {
		return Place{Below: start}, nil
	}
	return Place{start + place + 1, max(1, t.branches[number].At(part).Of(f)-rest)}, nil
}

// After returns the place in a list that is below a number, and prepares for as
// many as are wanted from there on.
func (t *Tree) After(ctx context.Context, f Filter, below, wanted int64) (Place, error) {
	if below >= t.Top().Below {
		return t.Find(ctx, f, 0, wanted)
	}
	number, leaves := below/BranchSize, below%BranchSize/LeafSize
	branch, err := t.branch(ctx, number)
	if err != nil {
		return Place{}, err
	}
	inLeaf := (branch.At(leaves).Of(f)*(below%LeafSize) + LeafSize - 1) / LeafSize
	sure := branch[:min(leaves, int64(len(branch)))].Total().Of(f)
	if err := t.fetch(ctx, f, number-1, wanted-sure); err != nil {
		return Place{}, err
	}
	return Place{below, inLeaf}, nil
}

func (t *Tree) branch(ctx context.Context, number int64) (Sums, error) {
	if sums, ok := t.branches[number]; ok {
		return sums, nil
	}
	sums, err := t.store.Branch(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("branch %d of the directory: %w", number, err)
	}
	t.keep(number, sums)
	return t.branches[number], nil
}

// fetch reads the branches, from one downwards, that hold as many of a list as are
// wanted.
func (t *Tree) fetch(ctx context.Context, f Filter, from, wanted int64) error {
	var numbers []int64
	for number := from; number >= 0 && wanted > 0; number-- {
		n := t.root.At(number).Of(f)
		if _, ok := t.branches[number]; !ok && n > 0 {
			numbers = append(numbers, number)
		}
		wanted -= n
	}
	read := make([]Sums, len(numbers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallel)
	for i, number := range numbers {
		group.Go(func() (err error) {
			if read[i], err = t.store.Branch(ctx, number); err != nil {
				err = fmt.Errorf("branch %d of the directory: %w", number, err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, number := range numbers {
		t.keep(number, read[i])
	}
	return nil
}

func (t *Tree) leaf(ctx context.Context, number int64) (Leaf, error) {
	leaf, err := t.store.Leaf(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("leaf %d of the directory: %w", number, err)
	}
	var changes []Change
	for _, c := range t.changes[number*LeafSize/BranchSize] {
		if c.Leaf() == number {
			changes = append(changes, c)
		}
	}
	return leaf.With(changes), nil
}

// A Group is numbers that lie together.
type Group struct {
	Number int64 // of the group
	Count  int64 // of those in it that a list holds: a guess where the place was one
}

// Groups goes through the groups of a list that hold any of it, from a place
// downwards.
type Groups struct {
	tree   *Tree
	filter Filter
	size   int64
	below  Place
}

// Groups returns the groups of so many numbers each, which is LeafSize or a
// multiple of that, and a part of BranchSize.
func (t *Tree) Groups(f Filter, size int64, from Place) *Groups {
	return &Groups{t, f, size, from}
}

// Next returns the next group, or false if there are no more.
func (g *Groups) Next(ctx context.Context) (Group, bool, error) {
	for g.below.Below > 0 {
		last := g.below.Below - 1
		if branch := last / BranchSize; g.tree.root.At(branch).Of(g.filter) == 0 {
			g.below = Place{Below: branch * BranchSize}
			continue
		}
		sums, err := g.tree.branch(ctx, last/BranchSize)
		if err != nil {
			return Group{}, false, err
		}
		group := Group{Number: last / g.size}
		start := group.Number * g.size
		if g.below.Below%LeafSize != 0 {
			group.Count = g.below.inLeaf
			last = last/LeafSize*LeafSize - 1
		}
		for ; last >= start; last -= LeafSize {
			group.Count += sums.At(last % BranchSize / LeafSize).Of(g.filter)
		}
		g.below = Place{Below: start}
		if group.Count > 0 {
			return group, true, nil
		}
	}
	return Group{}, false, nil
}
