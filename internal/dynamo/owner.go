package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// Create writes a user who belongs to no tenant. It fails with fault.Conflict if
// the user is there already, and with fault.EmailTaken, which is also what an
// account gets that was rejected.
func (s *Users) Create(ctx context.Context, u user.User, r audit.Record) error {
	tx := s.begin()
	tx.putUser(u)
	tx.checkNotRejected(u)
	tx.record(r)
	return tx.run(ctx)
}

// CreateOwner writes the user that a tenant was provisioned for, binds the
// e-mail address that was reserved for the operation, and makes the user the
// tenant's owner, as long as the attempt of the operation is under way. Doing it
// again changes nothing.
func (s *Users) CreateOwner(ctx context.Context, o operation.Operation, u user.User, r audit.Record) error {
	before, err := NewTenants(s.Table).Get(ctx, u.TenantID)
	if err != nil {
		return err
	}
	if before.OwnerID != nil && *before.OwnerID == u.ID {
		return nil
	}
	return s.withRoster(ctx, u.TenantID, 0, func(tx *transaction, p *rosterPage) {
		tx.checkUnderWay(o)
		joined := u
		p.add(&joined)
		tx.put(newUserItem(joined), fault.New(fault.Conflict, "there is a user %q already", u.ID))
		tx.write(emailItem{key: emailKey(u.Email), UserID: u.ID, Username: u.Username}, "operation_id = :o",
			map[string]any{":o": o.ID}, fault.New(fault.EmailTaken, "the e-mail address of the owner belongs to another account"))
		tx.setOwner(before, &u.ID, 1)
		tx.record(r)
	})
}

// DeleteOwner takes back what CreateOwner did, as long as the attempt is under
// way. The e-mail address stays reserved for the operation. It is no error if the
// tenant has no owner.
func (s *Users) DeleteOwner(ctx context.Context, o operation.Operation, by audit.Origin) error {
	before, err := NewTenants(s.Table).Get(ctx, o.TenantID)
	if err != nil {
		return err
	}
	if before.OwnerID == nil {
		return nil
	}
	owner, err := s.Get(ctx, *before.OwnerID)
	if errors.Is(err, fault.NotFound) {
		return errLost(o.TenantID, "owner")
	}
	if err != nil {
		return err
	}
	return s.withRoster(ctx, o.TenantID, owner.Number, func(tx *transaction, p *rosterPage) {
		tx.checkUnderWay(o)
		tx.remove(userKey(owner.ID), "tenant_id = :t", map[string]any{":t": o.TenantID}, errLost(o.TenantID, "owner"))
		tx.write(emailItem{key: emailKey(o.AdminEmail), OperationID: o.ID}, "user_id = :u",
			map[string]any{":u": owner.ID}, errLost(o.TenantID, "e-mail address"))
		tx.setOwner(before, nil, -1)
		p.set(owner.Number, nil)
		tx.record(by.Did(audit.UserDeleted, o.TenantID, user.Target(owner.ID)))
	})
}

// checkUnderWay requires that an attempt of an operation is neither over nor
// given up for another.
func (tx *transaction) checkUnderWay(o operation.Operation) {
	tx.check(operationKey(o.ID), "attempt = :a AND attribute_not_exists(ended_at)", map[string]any{":a": o.Attempt}, nil,
		fmt.Errorf("attempt %d of operation %s is over", o.Attempt, o.ID))
}

// setOwner adds the writes that give a tenant its first owner, or take it away.
func (tx *transaction) setOwner(before tenant.Tenant, owner *identity.UserID, count int) {
	after := before
	after.OwnerID = owner
	after.Version++
	tx.replaceTenant(before, after)
	tx.countUsers(before.ID, count, count)
}

// Reject notes that an account is to be removed, since another with its e-mail
// address was confirmed first. The sweeper removes it. From then on it cannot
// become a user.
func (s *Users) Reject(ctx context.Context, id identity.UserID, username string) error {
	return s.put(ctx, newRejectedItem(id, username), nil)
}

// checkNotRejected requires that the account of a user is not on its way out.
func (tx *transaction) checkNotRejected(u user.User) {
	tx.check(rejectedKey(u.ID), "attribute_not_exists(pk)", nil, nil,
		fault.New(fault.EmailTaken, "the e-mail address belonged to another account when this one was confirmed; sign up again in a few minutes"))
}

// A rejectedItem notes that an account is to be removed.
type rejectedItem struct {
	key
	Username string `dynamodbav:"username"`
	Due      string `dynamodbav:"due"`
	DueAt    string `dynamodbav:"due_at"`
}

func newRejectedItem(id identity.UserID, username string) rejectedItem {
	return rejectedItem{
		key:      rejectedKey(id),
		Username: username,
		Due:      dueKey(dueAccount, shardOf(string(id))),
		DueAt:    sortable(time.Now()),
	}
}
