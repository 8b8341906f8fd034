// Package page holds what the lists of all nouns have in common. It knows
// neither HTTP nor AWS.
package page

// A Position is a place in a list. Only the store that made it can read it. ""
// is where a list begins.
type Position string

// A Window says which part of a list is wanted.
type Window struct {
	From  Position
	Skip  int // how many entries to leave out where From is ""
	Limit int
}

// A Page is a part of a list.
type Page[T any] struct {
	Entries []Entry[T]
	// Next is where the list goes on, or "" if it ends with this page. A page that
	// need not be full may hold nothing, and the list go on all the same.
	Next Position
	// Total is how many entries the whole list has, where the store counts them.
	Total int64
}

// An Entry is one thing in a list.
type Entry[T any] struct {
	Value T
	After Position // where the list goes on after it
}
