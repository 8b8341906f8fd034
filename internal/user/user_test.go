package user_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/user"
)

func TestEnded(t *testing.T) {
	second := time.Unix(1_800_000_000, 0)
	for name, test := range map[string]struct {
		endedAt  time.Time
		authTime time.Time
		want     bool
	}{
		"never":                  {time.Time{}, second, false},
		"a second later":         {second.Add(time.Second), second, true},
		"within that second":     {second.Add(999 * time.Millisecond), second, true},
		"as it began":            {second, second, true},
		"in the second before":   {second.Add(-time.Millisecond), second, false},
		"long before the signin": {second.Add(-time.Hour), second, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (user.User{SessionsEndedAt: test.endedAt}).Ended(test.authTime); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestPasswordFault(t *testing.T) {
	for name, test := range map[string]struct {
		password string
		good     bool
	}{
		"shortest":          {"12345678", true},
		"too short":         {"1234567", false},
		"short, many bytes": {"öööööö1", false},
		"longest":           {strings.Repeat("ö", 72), true},
		"too long":          {strings.Repeat("a", 73), false},
		"spaces within":     {"correct horse battery", true},
		"space at the end":  {"correct horse ", false},
		"tab within":        {"correct\thorse", false},
	} {
		t.Run(name, func(t *testing.T) {
			var f fault.Fields
			user.PasswordFault(&f, "#/password", test.password)
			if good := len(f) == 0; good != test.good {
				t.Errorf("got %v, want good %v", f, test.good)
			}
		})
	}
}
