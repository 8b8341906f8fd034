package iam

import (
	"fmt"
	"slices"
	"strings"
)

// A Role is a function's, or a state machine's, with all statements of its
// policies.
type Role struct {
	Session    string // the ARN that a caller with the role goes by
	Statements []Statement
}

// A Request asks whether an action may be done on a resource. What AWS lets a
// caller do together may take several.
type Request struct {
	Action   string // service:Name
	Resource string // its ARN, or * where the action has none
	Keys     []string
}

// Kinds returns what the keys begin with, up to a #, each once: enough to find the
// patterns of a policy that they are to match.
func (q Request) Kinds() []string {
	var kinds []string
	for _, k := range q.Keys {
		kind, _, more := strings.Cut(k, "#")
		if more {
			kind += "#"
		}
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// A Decision is whether a role may do what a Request asks, and why.
type Decision struct {
	Allowed bool
	Denied  bool    // a statement says that it may not
	By      []Match // the statements that allow it
}

// A Match is a statement that applies to a request, and by which of its actions
// and resources.
type Match struct {
	Statement string
	Actions   []string
	Resources []int
}

// Decide says whether the role may do what q asks, as if it were without the
// statement of that ID, if any.
func (r *Role) Decide(q Request, without string) Decision {
	var d Decision
	for _, s := range r.Statements {
		m, ok := s.match(q)
		switch {
		case !ok || s.ID == without:
		case s.Deny:
			d.Denied = true
		default:
			d.By = append(d.By, m)
		}
	}
	d.Allowed = len(d.By) > 0 && !d.Denied
	return d
}

func (s *Statement) match(q Request) (Match, bool) {
	m := Match{Statement: s.ID}
	for _, action := range s.Actions {
		if glob(strings.ToLower(action), strings.ToLower(q.Action)) {
			m.Actions = append(m.Actions, action)
		}
	}
	for i, resource := range s.Resources {
		if glob(resource, q.Resource) {
			m.Resources = append(m.Resources, i)
		}
	}
	for _, c := range s.Conditions {
		if !c.holds(q.Keys) {
			return m, false
		}
	}
	return m, len(m.Actions) > 0 && len(m.Resources) > 0
}

// Refusal is what AWS tells a caller with the role that may not do what q asks.
func (r *Role) Refusal(q Request, d Decision) string {
	reason := "because no identity-based policy allows the " + q.Action + " action"
	if d.Denied {
		reason = "with an explicit deny in an identity-based policy"
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s", r.Session, q.Action, q.Resource, reason)
}
