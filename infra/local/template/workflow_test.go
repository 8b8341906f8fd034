package template

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/fault"
)

// maxTransitions is how many states a provisioning may enter, retries aside.
const maxTransitions = 12

// A workflow is a state machine of the project: its definition, and the functions
// behind its tasks.
type workflow struct {
	StartAt   string
	States    map[string]state
	functions map[string]string // by the placeholder of their ARN
}

type state struct {
	Type           string
	Resource       string
	Parameters     map[string]any
	ResultPath     json.RawMessage
	TimeoutSeconds int
	Retry          []retrier
	Catch          []struct {
		ErrorEquals []string
		ResultPath  string
		Next        string
	}
	Next string
	End  bool
}

type retrier struct {
	ErrorEquals    []string
	BackoffRate    float64
	MaxAttempts    *int
	JitterStrategy string
}

func (s state) applies() bool { return s.Parameters["action"] == "apply" }

// provision returns the workflow that makes tenants.
func provision(t *testing.T) workflow {
	t.Helper()
	all := project(t).Resources()
	i := slices.IndexFunc(all, func(r *Resource) bool { return r.Type == StateMachineType && r.ID == "Provision" })
	if i < 0 {
		t.Fatal("there is no state machine Provision")
	}
	text, err := os.ReadFile(filepath.Join(projectRoot, value(all[i].props, "DefinitionUri").Value))
	if err != nil {
		t.Fatal(err)
	}
	w := workflow{functions: map[string]string{}}
	if err := json.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	substitutions, err := entries(value(all[i].props, "DefinitionSubstitutions"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range substitutions {
		w.functions["${"+s.key+"}"], _, _ = strings.Cut(s.value.Value, ".")
	}
	return w
}

// path returns the states from one on, as they follow when nothing fails.
func (w workflow) path(t *testing.T, from string) []string {
	t.Helper()
	var names []string
	for name := from; name != ""; name = w.States[name].Next {
		if _, ok := w.States[name]; !ok || slices.Contains(names, name) {
			t.Fatalf("state %s follows on %v", name, names)
		}
		names = append(names, name)
	}
	return names
}

// undoes reports whether there is a state in which a function undoes its step.
func (w workflow) undoes(function string) bool {
	for _, s := range w.States {
		if s.Resource == function && s.Parameters["action"] == "undo" {
			return true
		}
	}
	return false
}

// TestTasksOutlastTheirFunctions finds tasks that give up while their function
// still runs.
func TestTasksOutlastTheirFunctions(t *testing.T) {
	w, functions := provision(t), map[string]*Resource{}
	for _, r := range functionsByDir(t) {
		functions[r.ID] = r
	}
	for name, s := range w.States {
		if s.Type != "Task" {
			continue
		}
		f := functions[w.functions[s.Resource]]
		if f == nil {
			t.Errorf("%s calls %s, which stands for no function", name, s.Resource)
			continue
		}
		timeout, err := strconv.Atoi(value(f.props, "Timeout").Value)
		if err != nil {
			t.Fatal(err)
		}
		if s.TimeoutSeconds <= timeout {
			t.Errorf("%s waits %d s for %s, which may take %d s", name, s.TimeoutSeconds, f.ID, timeout)
		}
	}
}

// TestTasksAreRetried finds tasks that do not try again what may pass, or try at
// the same time as others, or try again what is final.
func TestTasksAreRetried(t *testing.T) {
	w := provision(t)
	for name, s := range w.States {
		if s.Type != "Task" {
			continue
		}
		if n := len(s.Retry); n == 0 || !slices.Equal(s.Retry[n-1].ErrorEquals, []string{"States.ALL"}) {
			t.Errorf("%s does not try again what is not named", name)
		}
		for _, r := range s.Retry {
			final := r.MaxAttempts != nil && *r.MaxAttempts == 0
			if !final && (r.JitterStrategy != "FULL" || r.BackoffRate <= 1) {
				t.Errorf("%s tries again after %v without jitter or backoff", name, r.ErrorEquals)
			}
			for _, kind := range r.ErrorEquals {
				if final && !fault.Kind(kind).Known() {
					t.Errorf("%s takes %s for final, which is no kind of failure", name, kind)
				}
			}
		}
	}
}

// TestProvisioningIsUndone finds steps whose failure does not lead back over all
// steps so far to a failed operation.
func TestProvisioningIsUndone(t *testing.T) {
	w := provision(t)
	path := w.path(t, w.StartAt)
	if !w.States[path[len(path)-1]].End {
		t.Errorf("%v does not end the workflow", path)
	}
	if len(path) > maxTransitions {
		t.Errorf("a provisioning enters %d states, more than %d", len(path), maxTransitions)
	}
	var done []string // the functions of the steps so far that can be undone, the last first
	for _, name := range path {
		s := w.States[name]
		if !s.applies() || string(s.ResultPath) != "null" {
			t.Errorf("%s is no step that is applied and leaves the input as it is", name)
		}
		if w.undoes(s.Resource) {
			done = append([]string{s.Resource}, done...)
		}
		if len(s.Catch) != 1 || !slices.Equal(s.Catch[0].ErrorEquals, []string{"States.ALL"}) || s.Catch[0].ResultPath != "$.failure" {
			t.Errorf("%s does not catch every error as $.failure", name)
			continue
		}
		var undone []string
		back := w.path(t, s.Catch[0].Next)
		for _, u := range back[:len(back)-1] {
			undone = append(undone, w.States[u].Resource)
		}
		if diff := cmp.Diff(append(slices.Clone(done), "${ProvisioningFail}"), undone); diff != "" {
			t.Errorf("what follows on a failure of %s (-want +got):\n%s", name, diff)
		}
		if last := w.States[back[len(back)-1]]; last.Type != "Fail" {
			t.Errorf("a failure of %s does not fail the workflow", name)
		}
	}
}
