// Package directory counts the tenants by their numbers and their statuses, so
// that the place of any of them in the list of all is found by few small reads.
// It knows neither HTTP nor AWS.
//
// The counts are a tree. A leaf holds the status of each of 4096 numbers, a branch
// the counts of 256 leaves, and the root those of all branches. What has changed
// since they were counted lies beside the tree, and is laid over it.
package directory

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"github.com/tenantry/tenantry/internal/tenant"
)

// How many numbers a leaf and a branch are of.
const (
	LeafSize   = 4096
	BranchSize = 256 * LeafSize
)

// A Code is a status as the directory stores it. None is that of a number which no
// tenant has.
type Code uint8

// None is the status of no tenant.
const None Code = 0

// codes is the statuses by their code. It can be added to, and else stays as it
// is.
var codes = [...]tenant.Status{
	None: "",
	1:    tenant.Provisioning,
	2:    tenant.Active,
	3:    tenant.Inactive,
	4:    tenant.Suspended,
	5:    tenant.Failed,
	6:    tenant.Deleting,
	7:    tenant.Purging,
	8:    tenant.Deleted,
}

const maxCodes = 8 // of a tenant, so that a byte has a bit for each

// CodeOf returns the code of a status, or None if it has none.
func CodeOf(s tenant.Status) Code {
	for code, status := range codes {
		if status == s {
			return Code(code)
		}
	}
	return None
}

// A Filter says which tenants a list is of: those with a status, or, for "", those
// that are not deleted.
type Filter tenant.Status

// holds reports whether a list holds the tenants with a code.
func (f Filter) holds(code Code) bool {
	if code == None || f != "" {
		return code != None && codes[code] == tenant.Status(f)
	}
	return codes[code] != tenant.Deleted
}

// Counts is how many tenants have each status, in the order of their codes from 1
// on.
type Counts [maxCodes]int64

// Of returns how many of the tenants a list holds.
func (c Counts) Of(f Filter) int64 {
	var n int64
	for i, count := range c {
		if f.holds(Code(i + 1)) {
			n += count
		}
	}
	return n
}

// move counts a tenant under another status. What was read at the moment of a
// fold may not fit together, and no count is below zero.
func (c *Counts) move(from, to Code) {
	if from != None && c[from-1] > 0 {
		c[from-1]--
	}
	if to != None {
		c[to-1]++
	}
}

// Sums is the counts of the parts of something, from the first part on. Those that
// it does not hold are zero.
type Sums []Counts

// At returns the counts of one part.
func (s Sums) At(part int64) Counts {
	if part >= int64(len(s)) {
		return Counts{}
	}
	return s[part]
}

// With returns the sums with other counts of one part.
func (s Sums) With(part int64, c Counts) Sums {
	grown := make(Sums, max(int64(len(s)), part+1))
	copy(grown, s)
	grown[part] = c
	return grown
}

// moved returns the sums with changes made, of which each is of a part.
func (s Sums) moved(changes []Change, partOf func(Change) int64) Sums {
	after := slices.Clone(s)
	for _, c := range changes {
		part := partOf(c)
		if more := part + 1 - int64(len(after)); more > 0 {
			after = append(after, make(Sums, more)...)
		}
		after[part].move(c.From, c.To)
	}
	return after
}

// Total returns the counts of all parts together.
func (s Sums) Total() Counts {
	var total Counts
	for _, c := range s {
		for i, n := range c {
			total[i] += n
		}
	}
	return total
}

// find returns the part that holds the tenant which so many come before, from the
// last part to the first, and how many come before it in that part.
func (s Sums) find(f Filter, rank int64) (part, rest int64, ok bool) {
	for part = int64(len(s)) - 1; part >= 0; part-- {
		n := s[part].Of(f)
		if rank < n {
			return part, rank, true
		}
		rank -= n
	}
	return 0, 0, false
}

// errEncoding says that sums are not as Encode writes them.
var errEncoding = errors.New("the counts of the directory cannot be read")

// Encode writes sums as they are stored: for each part a byte whose bits say which
// counts are not zero, and those.
func (s Sums) Encode() []byte {
	var b []byte
	for _, c := range s {
		mask := len(b)
		b = append(b, 0)
		for i, n := range c {
			if n > 0 {
				b[mask] |= 1 << i
				b = binary.AppendUvarint(b, uint64(n))
			}
		}
	}
	return b
}

// DecodeSums reads what Encode wrote.
func DecodeSums(b []byte) (Sums, error) {
	var s Sums
	for len(b) > 0 {
		var c Counts
		mask := b[0]
		b = b[1:]
		for mask != 0 {
			n, size := binary.Uvarint(b)
			if size <= 0 || n > 1<<62 {
				return nil, errEncoding
			}
			i := bits.TrailingZeros8(mask)
			mask &^= 1 << i
			c[i] = int64(n)
			b = b[size:]
		}
		s = append(s, c)
	}
	return s, nil
}

// A Leaf holds the codes of LeafSize numbers, two in a byte. One that is shorter
// holds None for the rest.
type Leaf []byte

// At returns the code at a place, from 0 on.
func (l Leaf) At(place int64) Code {
	if place/2 >= int64(len(l)) {
		return None
	}
	return Code(l[place/2] >> (place % 2 * 4) & 0xf)
}

// With returns the leaf with changes made, of which none is of another leaf.
func (l Leaf) With(changes []Change) Leaf {
	leaf := make(Leaf, LeafSize/2)
	copy(leaf, l)
	for _, c := range changes {
		place := c.Number % LeafSize
		shift := place % 2 * 4
		leaf[place/2] = leaf[place/2]&^(0xf<<shift) | byte(c.To)<<shift
	}
	return leaf
}

// Counts returns how many tenants of the leaf have each status.
func (l Leaf) Counts() Counts {
	var c Counts
	for place := range int64(LeafSize) {
		c.move(None, l.At(place))
	}
	return c
}

// find returns the place of the tenant which so many come before, from the last
// place to the first.
func (l Leaf) find(f Filter, rank int64) (place int64, ok bool) {
	for place = LeafSize - 1; place >= 0; place-- {
		if !f.holds(l.At(place)) {
			continue
		}
		if rank == 0 {
			return place, true
		}
		rank--
	}
	return 0, false
}

// A Change is what a tenant's status was when it was last counted, and what it is.
type Change struct {
	Number   int64
	From, To Code
}

// Leaf returns the number of the leaf that the change is of.
func (c Change) Leaf() int64 { return c.Number / LeafSize }

// Branch returns the number of the branch that the change is of.
func (c Change) Branch() int64 { return c.Number / BranchSize }
