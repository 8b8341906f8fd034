package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
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
		return user.User{}, user.NotFound(id)
	}
	if err != nil {
		return user.User{}, err
	}
	return item.user(time.Now()), nil
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
	missing := user.NotFound(id)
	tx := s.begin()
	tx.update(userKey(id), "SET sessions_ended_at = :at ADD version :one", map[string]any{":at": at, ":one": 1}, nil, missing)
	tx.record(r)
	return tx.run(ctx)
}

// changeWithin is how long a change of a password may take: longer than a request.
const changeWithin = 30 * time.Second

// BeginChange marks a user whose password is about to be changed. Unless the mark
// is taken away within changeWithin, the sessions that began until then are over. It
// fails with fault.NotFound if there is no such user.
func (s *Users) BeginChange(ctx context.Context, id identity.UserID, at time.Time) (user.ChangeMark, error) {
	m := user.ChangeMark(sortable(at.Add(changeWithin)) + "#" + rand.Text())
	return m, s.update(ctx, userKey(id), "ADD changing :mark", map[string]any{":mark": onlyMark(m)}, user.NotFound(id))
}

// EndChange takes a mark away, and ends the sessions of a user that began at the
// time given or before. It fails with fault.NotFound if there is no such user.
func (s *Users) EndChange(ctx context.Context, id identity.UserID, m user.ChangeMark, at time.Time, r audit.Record) error {
	v := map[string]any{":mark": onlyMark(m), ":at": at, ":one": 1}
	tx := s.begin()
	tx.update(userKey(id), "SET sessions_ended_at = :at ADD version :one DELETE changing :mark", v, nil, user.NotFound(id))
	tx.record(r)
	return tx.run(ctx)
}

// DropChange takes the mark of a change away that did not come about.
func (s *Users) DropChange(ctx context.Context, id identity.UserID, m user.ChangeMark) error {
	return s.update(ctx, userKey(id), "DELETE changing :mark", map[string]any{":mark": onlyMark(m)}, user.NotFound(id))
}

// onlyMark is a mark as a set, which marks are added to others and taken away by.
type onlyMark user.ChangeMark

// MarshalDynamoDBAttributeValue implements attributevalue.Marshaler.
func (m onlyMark) MarshalDynamoDBAttributeValue() (types.AttributeValue, error) {
	return &types.AttributeValueMemberSS{Value: []string{string(m)}}, nil
}

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
	return s.withRoster(ctx, u.TenantID, u.Number, func(tx *transaction, p *rosterPage) {
		tx.removeUser(u)
		tx.countUsers(u.TenantID, -1, -u.OwnerCount())
		p.set(u.Number, nil)
		tx.record(r)
	})
}

// countUsers adds the write that keeps a tenant's count of its users, and of its
// owners who are not disabled.
func (tx *transaction) countUsers(id identity.TenantID, users, owners int) {
	tx.update(countersKey(id), countUsers, map[string]any{":users": users, ":owners": owners},
		map[string]string{"#users": "users"}, errLost(id, "counters"))
}

const countUsers = "ADD #users :users, owners :owners"

// removeUser adds the writes that take a user away: the row goes, the e-mail
// address is free, and the account is noted to be removed, so that nobody comes
// in by it again. Whoever calls it counts the users, and sees to the roster.
func (tx *transaction) removeUser(u user.User) {
	tx.remove(userKey(u.ID), "version = :before", map[string]any{":before": u.Version}, errUserChanged)
	tx.remove(emailKey(u.Email), "user_id = :u", map[string]any{":u": u.ID},
		errors.New("the e-mail address of user "+string(u.ID)+" is not as its last transaction left it"))
	tx.write(newRejectedItem(u.ID, u.Username), "attribute_not_exists(pk) OR username = :name", map[string]any{":name": u.Username},
		errors.New("another account with the id is noted already"))
}

var errUserChanged = fault.New(fault.Conflict, "the user was changed by another request meanwhile")

// Change makes a change, all of it or nothing. It fails with fault.Conflict if
// user or tenant are not as the change takes them to be, or if it would leave the
// tenant without an owner, and with fault.Forbidden if whoever makes it has lost
// their standing.
func (s *Users) Change(ctx context.Context, c user.Change) error {
	if c.Tenant == nil {
		tx := s.begin()
		tx.changeUser(c)
		tx.checkStanding(c.By)
		return tx.run(ctx)
	}
	return s.withRoster(ctx, c.Before.TenantID, c.Before.Number, func(tx *transaction, p *rosterPage) {
		tx.changeUser(c)
		users, owners := 0, c.After.OwnerCount()-c.Before.OwnerCount()
		if c.After == (user.User{}) {
			users = -1
			p.set(c.Before.Number, nil)
		} else {
			p.set(c.Before.Number, &c.After)
		}
		tx.changeMembers(*c.Tenant, users, owners)
		tx.checkStanding(c.By)
	})
}

// changeUser adds the writes that change a user, or take one away, and tell of it.
func (tx *transaction) changeUser(c user.Change) {
	if c.After == (user.User{}) {
		tx.removeUser(c.Before)
	} else {
		tx.updateUser(c.Before, c.After)
	}
	tx.record(c.Records...)
}

// updateUser adds the write that changes a user's row. It leaves alone when the
// user was last seen, which is no part of the version.
func (tx *transaction) updateUser(before, after user.User) {
	tx.updateIf(userKey(after.ID),
		"SET full_name = :name, #role = :role, #disabled = :disabled, sessions_ended_at = :ended, version = :after",
		"version = :before",
		map[string]any{
			":name": after.FullName, ":role": after.Role, ":disabled": after.Disabled, ":ended": after.SessionsEndedAt,
			":before": before.Version, ":after": after.Version,
		},
		map[string]string{"#role": "role", "#disabled": "disabled"}, errUserChanged)
}

// changeMembers adds the writes that count the users of a tenant, whose status
// must still be the same, and that give it another owner.
func (tx *transaction) changeMembers(c user.TenantChange, users, owners int) {
	condition, v := "#status = :status", map[string]any{":status": c.Before.Status, ":users": users, ":owners": owners}
	if owners < 0 {
		condition += " AND owners > :least"
		v[":least"] = -owners
	}
	tx.updateIf(countersKey(c.Before.ID), countUsers, condition, v,
		map[string]string{"#users": "users", "#status": "status"}, errTenantChanged)
	if c.After.Version != c.Before.Version {
		tx.replaceTenant(c.Before, c.After)
	}
	if c.Heir != "" {
		tx.checkIs(c.Heir, identity.Owner, errTenantChanged)
	}
}

var errTenantChanged = fault.New(fault.Conflict, "the tenant was changed by another request meanwhile")

// checkIs requires that a user has a role and is not disabled.
func (tx *transaction) checkIs(id identity.UserID, role identity.Role, unmet error) {
	tx.check(userKey(id), "#role = :role AND #disabled = :no", map[string]any{":role": role, ":no": false},
		map[string]string{"#role": "role", "#disabled": "disabled"}, unmet)
}

// checkStanding requires that somebody still may do what they do.
func (tx *transaction) checkStanding(s user.Standing) {
	if s.ID != "" {
		tx.checkIs(s.ID, s.Role, fault.New(fault.Forbidden, "you are no %s any more, or disabled", strings.ReplaceAll(string(s.Role), "_", " ")))
	}
}

// Reset writes a reset. It fails with idempotency.ErrRecorded if the receipt is
// there already, and with fault.Conflict if user or tenant are not as the reset
// takes them to be.
func (s *Users) Reset(ctx context.Context, r user.Reset) error {
	tx := s.begin()
	if r.Receipt != nil {
		tx.put(newRecordItem(*r.Receipt), idempotency.ErrRecorded)
	}
	after := r.User
	after.SessionsEndedAt, after.Version = r.At, r.User.Version+1
	tx.updateUser(r.User, after)
	if r.Tenant != nil {
		tx.changeMembers(user.TenantChange{Before: *r.Tenant, After: *r.Tenant}, 0, 0)
	}
	tx.record(r.Record)
	return tx.run(ctx)
}

// Seen notes that a user is there. It fails with fault.NotFound if there is no such
// user any more.
func (s *Users) Seen(ctx context.Context, id identity.UserID, at time.Time) error {
	return s.update(ctx, userKey(id), "SET last_seen_at = :at", map[string]any{":at": at}, user.NotFound(id))
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
	LastSeenAt      *time.Time        `dynamodbav:"last_seen_at,omitempty"`
	Number          int64             `dynamodbav:"number,omitempty"`
	Version         int64             `dynamodbav:"version"`
	// Changing is the marks of changes of the password, which begin with when they
	// should have ended.
	Changing     []string `dynamodbav:"changing,stringset,omitempty"`
	OfTenant     string   `dynamodbav:"of_tenant,omitempty"`
	OfTenantSort string   `dynamodbav:"of_tenant_sort,omitempty"`
}

func newUserItem(u user.User) userItem {
	item := userItem{
		key: userKey(u.ID), ID: u.ID, Username: u.Username, Email: u.Email, FullName: u.FullName, Role: u.Role,
		TenantID: u.TenantID, Disabled: u.Disabled, CreatedAt: u.CreatedAt, SessionsEndedAt: u.SessionsEndedAt,
		Number: u.Number, Version: u.Version,
	}
	if u.TenantID != "" {
		item.OfTenant, item.OfTenantSort = usersOf(u.TenantID), inTime(u.CreatedAt, string(u.ID))
	}
	return item
}

func (i userItem) user(now time.Time) user.User {
	u := user.User{
		ID: i.ID, Username: i.Username, Email: i.Email, FullName: i.FullName, Role: i.Role, TenantID: i.TenantID,
		Disabled: i.Disabled, CreatedAt: i.CreatedAt, SessionsEndedAt: i.SessionsEndedAt,
		Number: i.Number, Version: i.Version,
	}
	if i.LastSeenAt != nil {
		u.LastSeenAt = *i.LastSeenAt
	}
	for _, mark := range i.Changing {
		if end := timeOf(mark); end.After(u.SessionsEndedAt) && !end.After(now) {
			u.SessionsEndedAt = end
		}
	}
	return u
}

// An emailItem reserves an e-mail address: for a user, or for the operation or the
// invitation that is to make one.
type emailItem struct {
	key
	UserID       identity.UserID `dynamodbav:"user_id,omitempty"`
	Username     string          `dynamodbav:"username,omitempty"`
	OperationID  operation.ID    `dynamodbav:"operation_id,omitempty"`
	InvitationID string          `dynamodbav:"invitation_id,omitempty"`
	HeldUntil    string          `dynamodbav:"held_until,omitempty"`
	HeldBy       string          `dynamodbav:"held_by,omitempty"`
	Due          string          `dynamodbav:"due,omitempty"`
	DueAt        string          `dynamodbav:"due_at,omitempty"`
}
