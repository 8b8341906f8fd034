package gateway

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A route is a Route, ready to be compared with requests.
type route struct {
	Route
	key      string // GET /tenants/{tenant_id}, or $default
	segments []segment
}

// A segment is a part of a route's path, between slashes.
type segment struct {
	kind kind
	name string // of the variable, or the literal text
}

type kind int

// Kinds of segment, the most specific first.
const (
	literal kind = iota
	variable
	greedy
)

const defaultKey = "$default"

// anyMethod matches every method that has no route of its own.
const anyMethod = "ANY"

var methods = []string{anyMethod, "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

func newRoute(r Route) (*route, error) {
	if r.Path == defaultKey {
		return &route{Route: r, key: defaultKey}, nil
	}
	key := r.Method + " " + r.Path
	if !slices.Contains(methods, r.Method) {
		return nil, fmt.Errorf("route %s: there is no method %q", key, r.Method)
	}
	rest, ok := strings.CutPrefix(r.Path, "/")
	if !ok {
		return nil, fmt.Errorf("route %s: the path does not begin with /", key)
	}
	compiled := &route{Route: r, key: key}
	texts := strings.Split(rest, "/")
	for i, text := range texts {
		s := newSegment(text)
		if s.kind == greedy && i < len(texts)-1 {
			return nil, fmt.Errorf("route %s: {%s+} is not at the end", key, s.name)
		}
		if s.kind == literal && strings.ContainsAny(text, "{}") {
			return nil, fmt.Errorf("route %s: %s is neither a variable nor a text", key, text)
		}
		compiled.segments = append(compiled.segments, s)
	}
	return compiled, nil
}

func newSegment(text string) segment {
	name, ok := strings.CutPrefix(text, "{")
	name, ok2 := strings.CutSuffix(name, "}")
	if !ok || !ok2 {
		return segment{literal, text}
	}
	if name, ok := strings.CutSuffix(name, "+"); ok {
		return segment{greedy, name}
	}
	return segment{variable, name}
}

// pattern returns what two routes may not have in common.
func (r *route) pattern() string {
	if r.key == defaultKey {
		return r.key
	}
	parts := []string{r.Method}
	for _, s := range r.segments {
		if s.kind == literal {
			parts = append(parts, s.name)
		} else {
			parts = append(parts, fmt.Sprintf("{%d}", s.kind))
		}
	}
	return strings.Join(parts, "/")
}

// find returns the most specific route for a request, with the values of its
// variables, or nil. In this order: a route without a greedy variable, one with,
// and $default; a literal segment before a variable, from left to right; a method
// before ANY.
func find(routes []*route, method string, u *url.URL) (*route, map[string]string) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), "/")
	if !ok {
		return nil, nil
	}
	path := strings.Split(rest, "/")
	for i, part := range path {
		if decoded, err := url.PathUnescape(part); err == nil {
			path[i] = decoded
		}
	}
	var best *route
	for _, r := range routes {
		if r.matches(method, path) && (best == nil || r.compare(best) < 0) {
			best = r
		}
	}
	if best == nil {
		return nil, nil
	}
	return best, best.values(path)
}

func (r *route) matches(method string, path []string) bool {
	if r.key == defaultKey {
		return true
	}
	if r.Method != method && r.Method != anyMethod {
		return false
	}
	if len(path) != len(r.segments) && (!r.greedy() || len(path) < len(r.segments)) {
		return false
	}
	for i, s := range r.segments {
		switch s.kind {
		case literal:
			if path[i] != s.name {
				return false
			}
		case variable, greedy:
			if path[i] == "" {
				return false
			}
		}
	}
	return true
}

func (r *route) greedy() bool {
	return len(r.segments) > 0 && r.segments[len(r.segments)-1].kind == greedy
}

// compare returns a negative number if r is more specific than s. Both match the
// same request.
func (r *route) compare(s *route) int {
	return cmp.Or(
		r.rank()-s.rank(),
		slices.CompareFunc(r.segments, s.segments, func(a, b segment) int { return cmp.Compare(a.kind, b.kind) }),
		r.methodRank()-s.methodRank(),
	)
}

func (r *route) rank() int {
	switch {
	case r.key == defaultKey:
		return 2
	case r.greedy():
		return 1
	default:
		return 0
	}
}

func (r *route) methodRank() int {
	if r.Method == anyMethod {
		return 1
	}
	return 0
}

// values returns the values of the variables of r in path, nil if it has none.
func (r *route) values(path []string) map[string]string {
	var values map[string]string
	for i, s := range r.segments {
		if s.kind == literal {
			continue
		}
		if values == nil {
			values = map[string]string{}
		}
		values[s.name] = path[i]
		if s.kind == greedy {
			values[s.name] = strings.Join(path[i:], "/")
		}
	}
	return values
}
