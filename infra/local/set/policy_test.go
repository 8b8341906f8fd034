package set

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenantry/tenantry/infra/local/cloud/iam"
	"github.com/tenantry/tenantry/infra/local/template"
)

// usage is what all stacks needed of the template's policies.
var usage iam.Usage

// spared are the parts of policies that need not be needed by any test here, as
// Unused calls them, each with the reason.
var spared = map[string]string{
	"Sweeper/LeftSecrets": "it lists secrets at a full hour only, which no test waits for; what it finds is removed by other statements, which tests need",
}

// removals is how many statements are tried to be done without.
const removals = 5

var seed = flag.Uint64("policy-seed", rand.Uint64(), "what chooses the statements that are tried to be done without") //nolint:gosec // nothing secret

// isWhole says whether all tests of the package are to run.
func isWhole() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

// checkPolicies fails if a call was refused for want of a permission. After all
// tests it fails too if something of the template's policies was needed for none of
// their calls, or if one that needed a statement is not refused without it.
func checkPolicies(out io.Writer, whole bool) error {
	var errs []error
	for _, refusal := range distinct(usage.Refusals()) {
		errs = append(errs, fmt.Errorf("refused: %s", refusal))
	}
	if !whole {
		return errors.Join(errs...)
	}
	errs = append(errs, unused(), notEnforced(out))
	return errors.Join(errs...)
}

func distinct(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// unused fails with what was needed for no call, and is not spared.
func unused() error {
	declared, err := statements()
	if err != nil {
		return err
	}
	found := usage.Unused()
	var errs []error
	for part := range spared {
		if id, _, _ := strings.Cut(part, " "); !declared[id] {
			errs = append(errs, fmt.Errorf("spared, but not there: %s", part))
		}
	}
	for _, s := range usage.Statements() {
		delete(declared, s.ID)
	}
	found = append(found, slices.Sorted(maps.Keys(declared))...) // that were in no stack
	for _, part := range found {
		if spared[part] == "" && !readWhenMet(part) {
			errs = append(errs, fmt.Errorf("needed for no call: %s", part))
		}
	}
	return errors.Join(errs...)
}

// readWhenMet says whether a part, as Unused calls it, allows a function to read items
// that it puts. It does where its transaction meets another on one of them, which not
// every test brings about for every kind of item.
func readWhenMet(part string) bool {
	id, key, ok := strings.Cut(part, " key ")
	if !ok {
		return false
	}
	role, _, _ := strings.Cut(id, "/")
	reads, puts := false, false
	for _, s := range usage.Statements() {
		_, gets := s.Actions["dynamodb:GetItem"]
		reads = reads || s.ID == id && gets && len(s.Actions) == 1
		puts = puts || strings.HasPrefix(s.ID, role+"/") && s.Actions["dynamodb:PutItem"] > 0 && s.Keys[key] > 0
	}
	return reads && puts
}

// statements returns the IDs of all that the templates declare, under whatever
// condition.
func statements() (map[string]bool, error) {
	loaded, err := template.Load(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	var errs []error
	loaded.All(func(t *template.Template) {
		for _, r := range t.Resources() {
			if r.Type != template.FunctionType && r.Type != template.StateMachineType {
				continue
			}
			all, err := t.Statements(r)
			errs = append(errs, err)
			for _, s := range all {
				ids[s.ID] = true
			}
		}
	})
	return ids, errors.Join(errs...)
}

// notEnforced chooses statements, and fails with those without which a call that
// needed them is not refused.
func notEnforced(out io.Writer) error {
	all := usage.Statements()
	roles, actions, resources := map[string]bool{}, 0, 0
	var needed []iam.StatementUsage
	for _, s := range all {
		role, _, _ := strings.Cut(s.ID, "/")
		roles[role] = true
		actions += len(s.Actions)
		resources += len(s.Resources)
		if s.Ask != nil {
			needed = append(needed, s)
		}
	}
	_, _ = fmt.Fprintf(out, "policies of %d functions and state machines: %d statements with %d actions on %d resources\n", len(roles), len(all), actions, resources)
	r := rand.New(rand.NewPCG(*seed, 0)) //nolint:gosec // as above
	r.Shuffle(len(needed), func(i, k int) { needed[i], needed[k] = needed[k], needed[i] })
	var errs []error
	for _, s := range needed[:min(removals, len(needed))] {
		err := s.Ask()
		_, _ = fmt.Fprintf(out, "without %s (-policy-seed=%d): refused is %v\n", s.ID, *seed, err == nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
