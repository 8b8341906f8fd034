package dynamodb

import (
	"slices"
	"strings"
	"sync"
)

// order lets operations pass side by side as long as none can see what it must
// not, or spoil what another does:
//
//   - An operation on items enters them, and a transaction that writes has its
//     items alone until it is applied or undone.
//   - What reads more than it names watches a partition, or all that is in a
//     table; a transaction that writes changes those of its items.
//   - Whatever passes is in the tables it is about; one that is deleted is
//     entered alone.
//
// Nobody waits for ever, as everybody enters in one order: tables, items, and
// what is watched or changed last, so that nobody holds that up while waiting
// for an item.
type order struct {
	mu     sync.Mutex
	places map[string]*place // those that somebody is in, or waits for
}

// A place is what can be entered, by its name: its kind and what it is.
type place struct {
	gate
	users int // who is in it, or waits for it; guarded by order.mu
}

// The kinds of places, in the order in which they are entered.
const (
	tableOf     = "1"
	itemOf      = "2"
	contentOf   = "3" // a table's
	partitionOf = "4" // a partition
)

// table returns the name of the item's table.
func (id itemID) table() string {
	table, _, _ := strings.Cut(string(id), idSeparator)
	return table
}

// partition returns what tells the item's partition from others. A key with a
// separator in it shares that of another, which does no harm.
func (id itemID) partition() string {
	parts := strings.SplitN(string(id), idSeparator, 3)
	return strings.Join(parts[:2], idSeparator)
}

// items enters items.
func (o *order) items(how passage, ids ...itemID) (leave func()) {
	entries := map[string]passage{}
	for _, id := range ids {
		entries[tableOf+id.table()] = looking
		entries[itemOf+string(id)] = how
	}
	return o.enter(entries)
}

// transaction enters the items of a transaction that writes, and where they are.
func (o *order) transaction(ids []itemID) (leave func()) {
	entries := map[string]passage{}
	for _, id := range ids {
		entries[tableOf+id.table()] = looking
		entries[itemOf+string(id)] = alone
		entries[contentOf+id.table()] = changing
		entries[partitionOf+id.partition()] = changing
	}
	return o.enter(entries)
}

// partition enters the partition of an item to read from it whatever there is.
func (o *order) partition(id itemID) (leave func()) {
	return o.enter(map[string]passage{tableOf + id.table(): looking, partitionOf + id.partition(): watching})
}

// content enters a table to read from it whatever there is.
func (o *order) content(table string) (leave func()) {
	return o.enter(map[string]passage{tableOf + table: looking, contentOf + table: watching})
}

// table enters a table to delete it.
func (o *order) table(name string) (leave func()) {
	return o.enter(map[string]passage{tableOf + name: alone})
}

// enter enters places one after the other.
func (o *order) enter(entries map[string]passage) (leave func()) {
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	entered := make([]*place, len(names))
	for i, name := range names {
		entered[i] = o.use(name)
		entered[i].enter(entries[name])
	}
	return func() {
		for i, name := range slices.Backward(names) {
			entered[i].leave(entries[name])
			o.disuse(name)
		}
	}
}

// use returns the place of a name, which is there until it is disused as often.
func (o *order) use(name string) *place {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.places == nil {
		o.places = map[string]*place{}
	}
	p := o.places[name]
	if p == nil {
		p = new(place)
		o.places[name] = p
	}
	p.users++
	return p
}

func (o *order) disuse(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.places[name]
	if p.users--; p.users == 0 {
		delete(o.places, name)
	}
}

// A passage is how an operation is inside a gate.
type passage int

const (
	looking  passage = iota // beside anything but what is alone
	changing                // not beside what watches
	watching                // not beside what changes
	alone
	passages // how many there are
)

// beside says whether two operations may be inside at once.
func (p passage) beside(q passage) bool {
	switch {
	case p == alone || q == alone:
		return false
	case p == looking || q == looking:
		return true
	}
	return p == q
}

// A gate lets in at once all that may be inside together. Once somebody waits
// everybody does, so that nobody is passed over for ever: when the first of the
// line fits in, so does everybody in the line who fits in beside.
type gate struct {
	mu     sync.Mutex
	inside [passages]int
	line   []waiter
}

// A waiter waits to be let in.
type waiter struct {
	how passage
	in  chan struct{} // closed when it is inside
}

// enter waits until the caller is inside.
func (g *gate) enter(how passage) {
	g.mu.Lock()
	if len(g.line) == 0 && g.fits(how) {
		g.inside[how]++
		g.mu.Unlock()
		return
	}
	w := waiter{how, make(chan struct{})}
	g.line = append(g.line, w)
	g.mu.Unlock()
	<-w.in
}

// leave ends what enter began.
func (g *gate) leave(how passage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside[how]--
	if len(g.line) == 0 || !g.fits(g.line[0].how) {
		return
	}
	g.line = slices.DeleteFunc(g.line, func(w waiter) bool {
		if !g.fits(w.how) {
			return false
		}
		g.inside[w.how]++
		close(w.in)
		return true
	})
}

// fits says whether somebody may be inside beside all who are. The mutex has to
// be held.
func (g *gate) fits(how passage) bool {
	for other, n := range g.inside {
		if n > 0 && !how.beside(passage(other)) {
			return false
		}
	}
	return true
}
