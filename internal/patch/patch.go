// Package patch tells a member that a client left out from one that it set.
package patch

// A Field is a member of an input. Where T is a pointer, null is a value (nil)
// like any other; where it is not, null is refused when the input is read.
type Field[T any] struct {
	Set   bool
	Value T
}

// Of returns a field that is set to v.
func Of[T any](v T) Field[T] { return Field[T]{Set: true, Value: v} }

// Or returns the field's value, or old if it was left out.
func (f Field[T]) Or(old T) T {
	if f.Set {
		return f.Value
	}
	return old
}

// Target marks the field as set and returns a pointer to its value, for whoever
// reads the input.
func (f *Field[T]) Target() any {
	f.Set = true
	return &f.Value
}

// IsZero reports whether the field was left out, so that omitzero leaves it out
// again.
func (f Field[T]) IsZero() bool { return !f.Set }
