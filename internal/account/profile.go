package account

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

const (
	minUsername         = 3
	maxUsername         = 50
	maxOrganizationName = 255
)

// usernamePattern is compiled when it is first used: most functions start without
// need of it.
var usernamePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`) })

// A Profile is what an account is signed up with, besides its password.
type Profile struct {
	Username         string
	Email            string
	Role             Role
	OrganizationName *string
}

// A Draft is an account that is still to be made.
type Draft struct {
	Profile
	Password string
}

// Faults returns every rule that the draft breaks.
func (d Draft) Faults() fault.Fields {
	f := d.faults()
	user.PasswordFault(&f, "#/password", d.Password)
	return f
}

func (p Profile) faults() fault.Fields {
	var f fault.Fields
	n := len(p.Username)
	switch {
	case n < minUsername || n > maxUsername || !usernamePattern().MatchString(p.Username):
		f.Add("#/username", "must be %d to %d letters (a to z), digits, dots, hyphens and underscores, the first a letter or digit", minUsername, maxUsername)
	case uuid.Validate(p.Username) == nil:
		f.Add("#/username", "must not be a UUID") // the directory takes ids for user names
	}
	if !tenant.IsEmail(p.Email) {
		f.Add("#/email", "must be an e-mail address")
	}
	if p.Role != Business && p.Role != Developer {
		f.Add("#/role", "must be %s or %s", Business, Developer)
	}
	if p.OrganizationName != nil {
		if n := utf8.RuneCountInString(strings.TrimSpace(*p.OrganizationName)); n < 1 || n > maxOrganizationName {
			f.Add("#/organization_name", "must be 1 to %d characters after trimming", maxOrganizationName)
		}
	}
	return f
}

// An EmailHolder knows which e-mail addresses are taken.
type EmailHolder interface {
	// EmailHeld reports whether an address belongs to an account, or is held for
	// one.
	EmailHeld(ctx context.Context, email string) (bool, error)
}

// Admit fails unless an account may come about with the profile: with
// fault.Invalid if it breaks a rule, and with fault.EmailTaken.
func (p Profile) Admit(ctx context.Context, emails EmailHolder) error {
	if err := p.faults().Err(); err != nil {
		return err
	}
	held, err := emails.EmailHeld(ctx, p.Email)
	if err != nil {
		return err
	}
	if held {
		return &fault.Error{
			Kind:   fault.EmailTaken,
			Detail: "the e-mail address belongs to another account",
			Fields: fault.Fields{{Pointer: "#/email", Detail: "is taken"}},
		}
	}
	return nil
}
