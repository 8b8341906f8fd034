// Package user holds the people who sign in: their tenant, their role, and what
// ends their sessions. It knows neither HTTP nor AWS.
package user

import (
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
)

// A User is a person with an account. The account itself, with its password, is
// kept elsewhere.
type User struct {
	ID        identity.UserID
	Username  string // of the account
	Email     string // as it was given
	FullName  string
	Role      identity.Role
	TenantID  identity.TenantID // "" for those who belong to no tenant
	Disabled  bool
	CreatedAt time.Time
	// SessionsEndedAt is when all the user's sessions were ended: tokens of an
	// authentication in that second or before are refused.
	SessionsEndedAt time.Time
	// LastSeenAt is when the user last said that they are there, or zero. It is no
	// part of the version.
	LastSeenAt time.Time
	Number     int64 // the user's place among those of the tenant
	Version    int64 // of the stored row; 1 when it is new
}

// onlineFor is how long a user is online who said that they are there.
const onlineFor = 2 * time.Minute

// Online reports whether the user is there.
func (u User) Online(now time.Time) bool {
	return !u.Disabled && now.Before(u.LastSeenAt.Add(onlineFor))
}

// An Account is what a user signs in to, as far as it is to be removed.
type Account struct {
	ID       identity.UserID
	Username string
}

// A ChangeMark stands for a change of a user's password that is under way.
type ChangeMark string

// NotFound says that there is no such user, or none that the caller may know of.
func NotFound(id identity.UserID) error { return fault.New(fault.NotFound, "there is no user %q", id) }

// Ended reports whether a session that began at authTime, which is in whole
// seconds, is over.
func (u User) Ended(authTime time.Time) bool {
	return authTime.Unix() <= u.SessionsEndedAt.Unix()
}

// OwnerCount returns how many of its tenant's owners the user is: none or one. One
// who is disabled does not count.
func (u User) OwnerCount() int {
	if u.Role == identity.Owner && !u.Disabled {
		return 1
	}
	return 0
}

// FoldEmail returns the form in which an e-mail address is unique.
func FoldEmail(email string) string { return strings.ToLower(email) }

// Target returns the user as the target of an action.
func Target(id identity.UserID) audit.Target { return audit.Of("user", id) }

// audited is the fields whose values the audit tells.
var audited = []audit.Field[User]{
	{Name: "email", Value: func(u User) any { return u.Email }},
	{Name: "full_name", Value: func(u User) any { return u.FullName }},
	{Name: "role", Value: func(u User) any { return u.Role }},
	{Name: "disabled", Value: func(u User) any { return u.Disabled }},
}

// Changes returns what is different between two versions of a user, as
// audit.Compare does.
func Changes(before, after User) []audit.Change { return audit.Compare(audited, before, after) }
