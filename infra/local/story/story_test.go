package story

import (
	"strings"
	"testing"
)

// TestCheck holds good output, and output that lacks one thing, against the check.
func TestCheck(t *testing.T) {
	good := strings.Join(shown, "\n") + "\nop-1\nop-1\nop-1\n"
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"the story does not show":      "",
		"is refused":                   "/docs/problems/invalid\n" + good,
		`does not show "voice":"nova"`: strings.Replace(good, `"voice":"nova"`, "", 1),
		"one key gave":                 good + "op-2\n",
	} {
		err := check(bad)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the check finds %v", name, err)
		}
	}
}
