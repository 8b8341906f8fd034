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
	TimestampPath  string
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

// workflows returns the state machines by their logical ids.
func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	all := map[string]workflow{}
	for _, r := range project(t).Resources() {
		if r.Type == StateMachineType {
			all[r.ID] = readWorkflow(t, r)
		}
	}
	if len(all) == 0 {
		t.Fatal("there are no state machines")
	}
	return all
}

func readWorkflow(t *testing.T, r *Resource) workflow {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(projectRoot, value(r.props, "DefinitionUri").Value))
	if err != nil {
		t.Fatal(err)
	}
	w := workflow{functions: map[string]string{}}
	if err := json.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	substitutions, err := entries(value(r.props, "DefinitionSubstitutions"))
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
	functions := map[string]*Resource{}
	for _, r := range functionsByDir(t) {
		functions[r.ID] = r
	}
	for _, w := range workflows(t) {
		w.checkTimeouts(t, functions)
	}
}

func (w workflow) checkTimeouts(t *testing.T, functions map[string]*Resource) {
	t.Helper()
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
	for _, w := range workflows(t) {
		w.checkRetries(t)
	}
}

func (w workflow) checkRetries(t *testing.T) {
	t.Helper()
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
	w := workflows(t)["Provision"]
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

// TestDeprovisioningGoesOn finds steps whose failure does not lead to a failed
// operation; and the first, before which nothing is removed, must not give up.
func TestDeprovisioningGoesOn(t *testing.T) {
	w := workflows(t)["Deprovision"]
	path := w.path(t, w.StartAt)
	if diff := cmp.Diff([]string{"Wait", "Begin", "Agents", "Usage", "Credentials", "Accounts", "Database", "Mongodb", "Finish"}, path); diff != "" {
		t.Fatalf("the steps (-want +got):\n%s", diff)
	}
	if wait := w.States["Wait"]; wait.Type != "Wait" || wait.TimestampPath != "$.purge_at" {
		t.Errorf("it begins with %+v", wait)
	}
	begin := w.States["Begin"]
	if begin.Catch != nil {
		t.Errorf("Begin gives up for %+v", begin.Catch)
	}
	for _, r := range begin.Retry {
		if r.MaxAttempts == nil || *r.MaxAttempts != 99999999 { // as many as there may be
			t.Errorf("Begin gives up after %v: %+v", r.ErrorEquals, r)
		}
	}
	for _, name := range path[2:] {
		s := w.States[name]
		if len(s.Catch) != 1 || !slices.Equal(s.Catch[0].ErrorEquals, []string{"States.ALL"}) || s.Catch[0].ResultPath != "$.failure" || s.Catch[0].Next != "MarkFailed" {
			t.Errorf("%s does not catch every error as $.failure: %+v", name, s.Catch)
		}
	}
	if diff := cmp.Diff([]string{"MarkFailed", "Failed"}, w.path(t, "MarkFailed")); diff != "" || w.States["Failed"].Type != "Fail" {
		t.Errorf("what follows on a failure (-want +got):\n%s", diff)
	}
}
