package dynamo

import (
	"context"
	"errors"
	"time"

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
		return user.User{}, fault.New(fault.NotFound, "there is no user %q", id)
	}
	if err != nil {
		return user.User{}, err
	}
	return item.user(), nil
}

// putUser adds the writes that a new user is made of: the row, and the e-mail
// address bound to it.
func (tx *transaction) putUser(u user.User) {
	tx.put(newUserItem(u), fault.New(fault.Conflict, "there is a user %q already", u.ID))
	tx.put(emailItem{key: emailKey(u.Email), UserID: u.ID, Username: u.Username},
		fault.New(fault.EmailTaken, "the e-mail address %q belongs to another account", u.Email))
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
