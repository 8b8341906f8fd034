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
//   - What reads more than it names enters the whole, which it watches; and a
//     transaction that writes enters the whole too, which it changes.
//   - Whatever passes enters the tables it is about; one that is deleted is
//     entered alone.
//
// Nobody waits for ever: everything is entered in one order, tables and items
// sorted, then the whole; and who is inside the whole waits for dynalite only.
type order struct {
	mu     sync.Mutex
	places map[string]*place // those that somebody is in, or waits for

	whole gate
}

// A place is a table or an item, by its name.
type place struct {
	gate
	users int // who is in it, or waits for it; guarded by order.mu
}

// items enters the items, and their tables.
func (o *order) items(how passage, ids ...itemID) (leave func()) {
	entries := map[string]passage{}
	for _, id := range ids {
		table, _, _ := strings.Cut(string(id), idSeparator)
		entries[table], entries[string(id)] = looking, how
	}
	return o.enter(entries)
}

// transaction enters the items of a transaction that writes, and the whole.
func (o *order) transaction(ids []itemID) (leave func()) {
	leaveItems := o.items(alone, ids...)
	o.whole.enter(changing)
	return func() {
		o.whole.leave(changing)
		leaveItems()
	}
}

// list enters the whole for an operation that reads from the tables whatever
// there is.
func (o *order) list(tables ...string) (leave func()) {
	entries := map[string]passage{}
	for _, table := range tables {
		entries[table] = looking
	}
	leaveTables := o.enter(entries)
	o.whole.enter(watching)
	return func() {
		o.whole.leave(watching)
		leaveTables()
	}
}

// table enters a table that is deleted.
func (o *order) table(name string) (leave func()) {
	return o.enter(map[string]passage{name: alone})
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
		for i, name := range names {
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
