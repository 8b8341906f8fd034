package dynamo

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/user"
)

// Users keeps users, and the reservations of their e-mail addresses.
type Users struct{ *Table }

// NewUsers returns the users kept in table.
func NewUsers(table *Table) *Users { return &Users{table} }

// Get returns the user as it is now, or fault.NotFound.
func (s *Users) Get(ctx context.Context, id identity.UserID) (user.User, error) {
	var item userItem
	err := s.get(ctx, userKey(id), &item)
	if errors.Is(err, errNoItem) {
		return user.User{}, errNoUser(id)
	}
	if err != nil {
		return user.User{}, err
	}
	return item.user(), nil
}

// ByEmail returns the user name of the account that an e-mail address belongs to,
// or fault.NotFound. An address that is held for an account still to be made
// belongs to none yet.
func (s *Users) ByEmail(ctx context.Context, email string) (string, error) {
	var item emailItem
	err := s.get(ctx, emailKey(email), &item)
	if errors.Is(err, errNoItem) || err == nil && item.UserID == "" {
		return "", fault.New(fault.NotFound, "no account has the e-mail address")
	}
	return item.Username, err
}

// EmailHeld reports whether an e-mail address belongs to an account, or is held
// for one.
func (s *Users) EmailHeld(ctx context.Context, email string) (bool, error) {
	err := s.get(ctx, emailKey(email), &emailItem{})
	if errors.Is(err, errNoItem) {
		return false, nil
	}
	return err == nil, err
}

// EndSessions ends the sessions of a user that began at the time given or before.
// It fails with fault.NotFound if there is no such user.
func (s *Users) EndSessions(ctx context.Context, id identity.UserID, at time.Time, r audit.Record) error {
	missing := errNoUser(id)
	tx := s.begin()
	tx.update(userKey(id), "SET sessions_ended_at = :at ADD version :one", map[string]any{":at": at, ":one": 1}, nil, missing)
	tx.record(r)
	return tx.run(ctx)
}

func errNoUser(id identity.UserID) error { return fault.New(fault.NotFound, "there is no user %q", id) }

// putUser adds the writes that a new user is made of: the row, and the e-mail
// address bound to it.
func (tx *transaction) putUser(u user.User) {
	tx.put(newUserItem(u), fault.New(fault.Conflict, "there is a user %q already", u.ID))
	tx.put(emailItem{key: emailKey(u.Email), UserID: u.ID, Username: u.Username},
		fault.New(fault.EmailTaken, "the e-mail address belongs to another account"))
}

// Purge removes a user whose tenant is being taken apart, whatever that leaves the
// tenant without. It fails with fault.Conflict if the stored version is not that
// of u.
func (s *Users) Purge(ctx context.Context, u user.User, r audit.Record) error {
	tx := s.begin()
	tx.removeUser(u)
	tx.countUsers(u.TenantID, -1, -u.OwnerCount())
	tx.record(r)
	return tx.run(ctx)
}

// countUsers adds the write that keeps a tenant's count of its users, and of its
// owners who are not disabled.
func (tx *transaction) countUsers(id identity.TenantID, users, owners int) {
	tx.update(countersKey(id), "ADD #users :users, owners :owners", map[string]any{":users": users, ":owners": owners},
		map[string]string{"#users": "users"}, errLost(id, "counters"))
}

// removeUser adds the writes that take a user away: the row goes, the e-mail
// address is free, and the account is noted to be removed, so that nobody comes
// in by it again. Whoever calls it counts the users.
func (tx *transaction) removeUser(u user.User) {
	tx.remove(userKey(u.ID), "version = :before", map[string]any{":before": u.Version},
		fault.New(fault.Conflict, "the user was changed by another request meanwhile"))
	tx.remove(emailKey(u.Email), "user_id = :u", map[string]any{":u": u.ID},
		errors.New("the e-mail address of user "+string(u.ID)+" is not as its last transaction left it"))
	tx.put(newRejectedItem(u.ID, u.Username), errNoted)
}

// A userItem is a user as it is stored. Those of a tenant are in the index
// tenant.
type userItem struct {
	key
	ID              identity.UserID   `dynamodbav:"id"`
	Username        string            `dynamodbav:"username"`
	Email           string            `dynamodbav:"email"`
	FullName        string            `dynamodbav:"full_name"`
	Role            identity.Role     `dynamodbav:"role"`
	TenantID        identity.TenantID `dynamodbav:"tenant_id,omitempty"`
	Disabled        bool              `dynamodbav:"disabled"`
	CreatedAt       time.Time         `dynamodbav:"created_at"`
	SessionsEndedAt time.Time         `dynamodbav:"sessions_ended_at"`
	Version         int64             `dynamodbav:"version"`
	OfTenant        string            `dynamodbav:"of_tenant,omitempty"`
	OfTenantSort    string            `dynamodbav:"of_tenant_sort,omitempty"`
}

func newUserItem(u user.User) userItem {
	item := userItem{
		key: userKey(u.ID), ID: u.ID, Username: u.Username, Email: u.Email, FullName: u.FullName, Role: u.Role,
		TenantID: u.TenantID, Disabled: u.Disabled, CreatedAt: u.CreatedAt, SessionsEndedAt: u.SessionsEndedAt, Version: u.Version,
	}
	if u.TenantID != "" {
		item.OfTenant, item.OfTenantSort = usersOf(u.TenantID), inTime(u.CreatedAt, string(u.ID))
	}
	return item
}

func (i userItem) user() user.User {
	return user.User{
		ID: i.ID, Username: i.Username, Email: i.Email, FullName: i.FullName, Role: i.Role, TenantID: i.TenantID,
		Disabled: i.Disabled, CreatedAt: i.CreatedAt, SessionsEndedAt: i.SessionsEndedAt, Version: i.Version,
	}
}

// An emailItem reserves an e-mail address: for a user, or for the operation that
// is to make one.
type emailItem struct {
	key
	UserID      identity.UserID `dynamodbav:"user_id,omitempty"`
	Username    string          `dynamodbav:"username,omitempty"`
	OperationID operation.ID    `dynamodbav:"operation_id,omitempty"`
}
