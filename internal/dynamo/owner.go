package dynamo

import (
	"context"
	"errors"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// Create writes a user who belongs to no tenant. It fails with fault.Conflict if
// the user is there already, and with fault.EmailTaken.
func (s *Users) Create(ctx context.Context, u user.User) error {
	tx := s.begin()
	tx.putUser(u)
	return tx.run(ctx)
}

// CreateOwner writes the user that a tenant was provisioned for, binds the
// e-mail address that was reserved for the operation, and makes the user the
// tenant's owner. Doing it again changes nothing.
func (s *Users) CreateOwner(ctx context.Context, id operation.ID, u user.User) error {
	before, err := NewTenants(s.Table).Get(ctx, u.TenantID)
	if err != nil {
		return err
	}
	if before.OwnerID != nil && *before.OwnerID == u.ID {
		return nil
	}
	tx := s.begin()
	tx.put(newUserItem(u), fault.New(fault.Conflict, "there is a user %q already", u.ID))
	tx.write(emailItem{key: emailKey(u.Email), UserID: u.ID, Username: u.Username}, "operation_id = :o",
		map[string]any{":o": id}, fault.New(fault.EmailTaken, "the e-mail address of the owner belongs to another account"))
	tx.setOwner(before, &u.ID, 1)
	return tx.run(ctx)
}

// DeleteOwner takes back what CreateOwner did. The e-mail address stays reserved
// for the operation. It is no error if the tenant has no owner.
func (s *Users) DeleteOwner(ctx context.Context, id operation.ID, tenantID identity.TenantID, email string) error {
	before, err := NewTenants(s.Table).Get(ctx, tenantID)
	if err != nil {
		return err
	}
	if before.OwnerID == nil {
		return nil
	}
	owner := *before.OwnerID
	tx := s.begin()
	tx.remove(userKey(owner), "tenant_id = :t", map[string]any{":t": tenantID}, errLost(tenantID, "owner"))
	tx.write(emailItem{key: emailKey(email), OperationID: id}, "user_id = :u",
		map[string]any{":u": owner}, errLost(tenantID, "e-mail address"))
	tx.setOwner(before, nil, -1)
	return tx.run(ctx)
}

// setOwner adds the writes that give a tenant its first owner, or take it away.
func (tx *transaction) setOwner(before tenant.Tenant, owner *identity.UserID, count int) {
	after := before
	after.OwnerID = owner
	after.Version++
	tx.replaceTenant(before, after)
	tx.update(countersKey(before.ID), "ADD owners :one", map[string]any{":one": count}, nil, errLost(before.ID, "counters"))
}

// Reject notes that an account is to be removed, since another with its e-mail
// address was confirmed first. The sweeper removes it.
func (s *Users) Reject(ctx context.Context, id identity.UserID, username string) error {
	err := s.put(ctx, rejectedItem{
		key:      accountKey(username),
		UserID:   id,
		Username: username,
		Due:      dueKey(dueAccount, shardOf(username)),
		DueAt:    sortable(time.Now()),
	}, errNoted)
	if errors.Is(err, errNoted) {
		return nil
	}
	return err
}

var errNoted = errors.New("the account is noted already")

// A rejectedItem names an account that is to be removed.
type rejectedItem struct {
	key
	UserID   identity.UserID `dynamodbav:"user_id"`
	Username string          `dynamodbav:"username"`
	Due      string          `dynamodbav:"due"`
	DueAt    string          `dynamodbav:"due_at"`
}
