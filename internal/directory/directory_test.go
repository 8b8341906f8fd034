package directory_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tenantry/tenantry/internal/directory"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A world is the codes of numbers, as they were counted and as they are.
type world struct {
	counted, now map[int64]directory.Code
	reads        atomic.Int64
	broken       error
}

func (w *world) Leaf(_ context.Context, number int64) (directory.Leaf, error) {
	w.reads.Add(1)
	return w.leaf(number), w.broken
}

func (w *world) leaf(number int64) directory.Leaf {
	var changes []directory.Change
	for n, code := range w.counted {
		if n/directory.LeafSize == number {
			changes = append(changes, directory.Change{Number: n, To: code})
		}
	}
	return directory.Leaf(nil).With(changes)
}

func (w *world) Branch(_ context.Context, number int64) (directory.Sums, error) {
	w.reads.Add(1)
	return w.branch(number), w.broken
}

func (w *world) branch(number int64) directory.Sums {
	var s directory.Sums
	for n := range w.counted {
		if n/directory.BranchSize == number {
			s = s.With(n%directory.BranchSize/directory.LeafSize, w.leaf(n/directory.LeafSize).Counts())
		}
	}
	return s
}

// tree returns the tree of the world, with its first branch read.
func (w *world) tree() *directory.Tree {
	var root directory.Sums
	for n := range w.counted {
		number := n / directory.BranchSize
		root = root.With(number, w.branch(number).Total())
	}
	var changes []directory.Change
	for n, code := range w.now {
		if w.counted[n] != code {
			changes = append(changes, directory.Change{Number: n, From: w.counted[n], To: code})
		}
	}
	return directory.NewTree(w, root, map[int64]directory.Sums{0: w.branch(0)}, changes)
}

// list returns the numbers that a list holds, from the highest.
func (w *world) list(f directory.Filter) []int64 {
	var list []int64
	for n, code := range w.now {
		deleted := code == directory.CodeOf(tenant.Deleted)
		if f == "" && !deleted || f != "" && code == directory.CodeOf(tenant.Status(f)) {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list
}

// groups returns how many of a list are in each group.
func groups(list []int64, size int64) []directory.Group {
	var gs []directory.Group
	for _, n := range list {
		if len(gs) == 0 || gs[len(gs)-1].Number != n/size {
			gs = append(gs, directory.Group{Number: n / size})
		}
		gs[len(gs)-1].Count++
	}
	return gs
}

func filters() []directory.Filter {
	filters := []directory.Filter{""}
	for _, s := range tenant.Statuses() {
		filters = append(filters, directory.Filter(s))
	}
	return filters
}

// numbers draws numbers, near each other and far apart, around the ends of leaves
// and branches.
func numbers() *rapid.Generator[int64] {
	return rapid.Custom(func(t *rapid.T) int64 {
		start := rapid.SampledFrom([]int64{10, directory.LeafSize, 5 * directory.LeafSize, directory.BranchSize, 3*directory.BranchSize + directory.LeafSize}).Draw(t, "start")
		return start + rapid.Int64Range(-5, 5).Draw(t, "near")
	})
}

// worlds draws worlds in which some tenants were made or changed since they were
// counted.
func worlds() *rapid.Generator[*world] {
	codes := rapid.Map(rapid.SampledFrom(tenant.Statuses()), directory.CodeOf)
	return rapid.Custom(func(t *rapid.T) *world {
		counted := rapid.MapOfN(numbers(), codes, 0, 30).Draw(t, "counted")
		now := maps.Clone(counted)
		maps.Copy(now, rapid.MapOfN(numbers(), codes, 0, 10).Draw(t, "changed"))
		return &world{counted: counted, now: now}
	})
}

func walk(tb rapid.TB, groups *directory.Groups) []directory.Group {
	var found []directory.Group
	for {
		g, ok, err := groups.Next(context.Background())
		if err != nil {
			tb.Fatal(err)
		}
		if !ok {
			return found
		}
		found = append(found, g)
	}
}

// TestFind holds places by rank against a sorted list, and what lies ahead of them.
func TestFind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds().Draw(t, "world")
		f := rapid.SampledFrom(filters()).Draw(t, "filter")
		size := rapid.SampledFrom([]int64{directory.LeafSize, 16 * directory.LeafSize}).Draw(t, "size")
		list := w.list(f)
		rank := rapid.IntRange(0, len(list)+1).Draw(t, "rank")
		tree := w.tree()
		if got := tree.Total(f); got != int64(len(list)) {
			t.Fatalf("got a total of %d, want %d", got, len(list))
		}
		place, err := tree.Find(t.Context(), f, int64(rank), 3)
		if err != nil {
			t.Fatal(err)
		}
		ahead := list[min(rank, len(list)):]
		if len(ahead) == 0 && place.Below != 0 || len(ahead) > 0 && place.Below <= ahead[0] || rank > 0 && len(ahead) > 0 && place.Below != ahead[0]+1 {
			t.Fatalf("got the place %+v of %v", place, ahead)
		}
		if diff := cmp.Diff(groups(ahead, size), walk(t, tree.Groups(f, size, place))); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// TestAfter sees to it that no group below a number is left out, and that those
// are counted of which nothing lies above.
func TestAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds().Draw(t, "world")
		f := rapid.SampledFrom(filters()).Draw(t, "filter")
		below := rapid.OneOf(numbers(), rapid.Just(int64(1)<<40)).Draw(t, "below")
		list := slices.DeleteFunc(w.list(f), func(n int64) bool { return n >= below })
		tree := w.tree()
		place, err := tree.After(t.Context(), f, below, 3)
		if err != nil {
			t.Fatal(err)
		}
		got, want := walk(t, tree.Groups(f, directory.LeafSize, place)), groups(list, directory.LeafSize)
		// The leaf that the number is in may hold some, which are all above.
		if len(got) > 0 && got[0].Number == below/directory.LeafSize {
			if len(want) == 0 || want[0].Number != got[0].Number {
				want = slices.Insert(want, 0, got[0])
			}
			want[0].Count = got[0].Count
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// TestReads says how many parts are read: a leaf to find a rank, and each branch
// once, with those that the page needs.
func TestReads(t *testing.T) {
	w := &world{counted: map[int64]directory.Code{}}
	for branch := range int64(40) {
		w.counted[branch*directory.BranchSize+7] = 2
	}
	w.now = w.counted
	for name, test := range map[string]struct {
		place func(*directory.Tree) (directory.Place, error)
		want  int64
	}{
		"the top":            {func(t *directory.Tree) (directory.Place, error) { return t.Find(context.Background(), "", 0, 3) }, 3},
		"a rank":             {func(t *directory.Tree) (directory.Place, error) { return t.Find(context.Background(), "", 9, 3) }, 4},
		"the last rank":      {func(t *directory.Tree) (directory.Place, error) { return t.Find(context.Background(), "", 39, 3) }, 1},
		"beyond the end":     {func(t *directory.Tree) (directory.Place, error) { return t.Find(context.Background(), "", 40, 3) }, 0},
		"a status of nobody": {func(t *directory.Tree) (directory.Place, error) { return t.Find(context.Background(), "failed", 0, 3) }, 0},
		"a number": {func(t *directory.Tree) (directory.Place, error) {
			return t.After(context.Background(), "", 9*directory.BranchSize, 3)
		}, 4},
	} {
		w.reads.Store(0)
		tree := w.tree()
		place, err := test.place(tree)
		if err != nil {
			t.Fatal(err)
		}
		ahead := tree.Groups("", directory.LeafSize, place)
		for range 3 {
			if _, _, err := ahead.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if w.reads.Load() != test.want {
			t.Errorf("%s: got %d reads, want %d", name, w.reads.Load(), test.want)
		}
	}
}

// TestTorn reads parts that do not fit together, since a fold came in between: the
// place is one that is not above what was asked for.
func TestTorn(t *testing.T) {
	root := directory.Sums{{5, 5}, {5, 5}}
	for name, store := range map[string]directory.Store{
		"neither branch nor leaf": &world{},
		"no leaf":                 leafless{directory.Sums{{5, 5}}},
	} {
		tree := directory.NewTree(store, root, nil, nil)
		place, err := tree.Find(t.Context(), "", 3, 5)
		if err != nil || place.Below != directory.BranchSize {
			t.Errorf("%s: got %+v, %v, want the end of the second branch", name, place, err)
		}
	}
	changes := []directory.Change{{Number: 4, From: 2, To: 1}}
	tree := directory.NewTree(&world{}, nil, nil, changes)
	if active, made := tree.Total("active"), tree.Total("provisioning"); active != 0 || made != 1 {
		t.Errorf("a change of what is not counted: got %d and %d, want 0 and 1", active, made)
	}
}

// leafless is a store of branches which are all the same.
type leafless struct{ sums directory.Sums }

func (l leafless) Branch(context.Context, int64) (directory.Sums, error) { return l.sums, nil }
func (leafless) Leaf(context.Context, int64) (directory.Leaf, error)     { return nil, nil }

func TestBrokenStore(t *testing.T) {
	w := &world{counted: map[int64]directory.Code{5: 1, directory.BranchSize: 1}, broken: errors.New("broken")}
	w.now = w.counted
	for name, read := range map[string]func() error{
		"branch": func() error { _, err := w.tree().Find(t.Context(), "", 0, 1); return err },
		"leaf":   func() error { _, err := w.tree().Find(t.Context(), "", 1, 1); return err },
		"number": func() error { _, err := w.tree().After(t.Context(), "", directory.BranchSize+1, 1); return err },
		"ahead": func() error {
			tree := w.tree()
			_, _, err := tree.Groups("", directory.LeafSize, tree.Top()).Next(t.Context())
			return err
		},
	} {
		if err := read(); !errors.Is(err, w.broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s directory.Sums
		for range rapid.IntRange(0, 256).Draw(t, "parts") {
			var c directory.Counts
			for i := range c {
				c[i] = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 1<<20), rapid.Int64Range(0, 1<<50)).Draw(t, "count")
			}
			s = append(s, c)
		}
		got, err := directory.DecodeSums(s.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
	for _, b := range [][]byte{{1}, {1, 0x80}, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}} {
		if s, err := directory.DecodeSums(b); err == nil {
			t.Errorf("%v: got %v, want an error", b, s)
		}
	}
}

// A branch and a leaf fit into the 4 KB of one read.
func TestSize(t *testing.T) {
	var s directory.Sums
	for range directory.BranchSize / directory.LeafSize {
		s = append(s, directory.Counts{100, 2000, 127, 127, 127, 100, 100, 1000})
	}
	if n := len(s.Encode()); n > 3<<10 {
		t.Errorf("a branch of all statuses is %d bytes", n)
	}
	if n := len(directory.Leaf(nil).With(nil)); n != 2048 {
		t.Errorf("a leaf is %d bytes", n)
	}
}

// TestCodes holds what is stored for ever.
func TestCodes(t *testing.T) {
	for i, s := range tenant.Statuses() {
		if got := directory.CodeOf(s); got != directory.Code(i+1) {
			t.Errorf("%s: got the code %d, want %d", s, got, i+1)
		}
	}
	if got := directory.CodeOf("paused"); got != directory.None {
		t.Errorf("no status: got the code %d", got)
	}
}
