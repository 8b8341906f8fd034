package user

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/fault"
)

const (
	minPassword = 8
	maxPassword = 72
)

// PasswordFault adds a fault unless an account may have the password. It counts
// characters (code points), as the user pool does, which takes no white space at
// either end.
func PasswordFault(f *fault.Fields, pointer, password string) {
	if n := utf8.RuneCountInString(password); n < minPassword || n > maxPassword {
		f.Add(pointer, "must be %d to %d characters", minPassword, maxPassword)
		return
	}
	if strings.TrimSpace(password) != password || strings.ContainsFunc(password, unicode.IsControl) {
		f.Add(pointer, "must neither begin nor end with white space, nor hold line breaks or tabs")
	}
}
