package iam

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A Usage is what decisions needed of the statements of all roles. Its zero value
// is empty; several endpoints may share one.
type Usage struct {
	mu         sync.Mutex
	statements map[string]*StatementUsage
	refusals   []string
}

// A StatementUsage tells how often a statement allowed a request, how often no
// other one did, and which of its parts were then the only ones to match.
type StatementUsage struct {
	ID        string
	Allowed   int
	Alone     int
	Actions   map[string]int // all that it has, by how often each was needed
	Resources []int          // how often each was needed, in their order
	Keys      map[string]int // the values of its conditions, likewise

	// Ask asks again for what no other statement allowed, as if there were not this
	// one, and fails unless that is refused. It is nil until there was such a request.
	Ask func() error `json:"-"`
}

// Declare makes the statements of a role known.
func (u *Usage) Declare(r *Role) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.statements == nil {
		u.statements = map[string]*StatementUsage{}
	}
	for _, s := range r.Statements {
		known := u.statements[s.ID]
		if known == nil {
			known = newStatementUsage(s)
			u.statements[s.ID] = known
		}
		if more := len(s.Resources) - len(known.Resources); more > 0 { // than where a parameter, a list, was shorter
			known.Resources = append(known.Resources, make([]int, more)...)
		}
	}
}

func newStatementUsage(s Statement) *StatementUsage {
	n := &StatementUsage{ID: s.ID, Actions: map[string]int{}, Resources: make([]int, len(s.Resources)), Keys: map[string]int{}}
	for _, a := range s.Actions {
		n.Actions[a] = 0
	}
	for _, c := range s.Conditions {
		for _, v := range c.Values {
			n.Keys[v] = 0
		}
	}
	return n
}

// Record counts a decision on q, which is asked again, as if there were no
// statement of an ID, by ask.
func (u *Usage) Record(q Request, d Decision, ask func(id string) error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, m := range d.By {
		s := u.statements[m.Statement]
		s.Allowed++
		if len(d.By) > 1 || d.Denied {
			continue
		}
		s.Alone++
		if s.Ask == nil {
			s.Ask = func() error { return ask(s.ID) }
		}
		if len(m.Actions) == 1 {
			s.Actions[m.Actions[0]]++
		}
		if len(m.Resources) == 1 {
			s.Resources[m.Resources[0]]++
		}
		for _, k := range q.Keys {
			for pattern := range s.Keys {
				if glob(pattern, k) {
					s.Keys[pattern]++
				}
			}
		}
	}
}

// Unused returns what no request needed: the statements that were never the only
// ones to allow one, and of the others the actions and resources that were never the
// only ones of theirs to match, and the keys that never did.
func (u *Usage) Unused() []string {
	var all []string
	for _, s := range u.Statements() {
		if s.Alone == 0 {
			all = append(all, s.ID)
			continue
		}
		for _, action := range slices.Sorted(maps.Keys(s.Actions)) {
			if s.Actions[action] == 0 {
				all = append(all, s.ID+" "+action)
			}
		}
		for i, n := range s.Resources {
			if n == 0 {
				all = append(all, fmt.Sprintf("%s resource %d", s.ID, i+1))
			}
		}
		for _, key := range slices.Sorted(maps.Keys(s.Keys)) {
			if s.Keys[key] == 0 {
				all = append(all, s.ID+" key "+key)
			}
		}
	}
	return all
}

// Refuse remembers a refusal.
func (u *Usage) Refuse(message string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.refusals = append(u.refusals, message)
}

// Refusals returns what was refused.
func (u *Usage) Refusals() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.refusals)
}

// Statements returns the usage of each statement, in the order of their IDs.
func (u *Usage) Statements() []StatementUsage {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []StatementUsage
	for _, s := range u.statements {
		c := *s
		c.Actions, c.Resources, c.Keys = maps.Clone(s.Actions), slices.Clone(s.Resources), maps.Clone(s.Keys)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b StatementUsage) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
