// Package user holds the people who sign in: their tenant, their role, and what
// ends their sessions. It knows neither HTTP nor AWS.
package user

import (
	"strings"
	"time"

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
	Version         int64
}

// Ended reports whether a session that began at authTime, which is in whole
// seconds, is over.
func (u User) Ended(authTime time.Time) bool {
	return authTime.Unix() <= u.SessionsEndedAt.Unix()
}

// FoldEmail returns the form in which an e-mail address is unique.
func FoldEmail(email string) string { return strings.ToLower(email) }
