// Package services holds the tests that need more than Go, Node and Python: real
// clients of other makers, against the set as make local runs it. make
// test-services runs them.
//
// It is a module of its own, so that go test ./... passes it by instead of skipping
// it, and so that nothing which only these tests need is in the product's go.mod.
package services
