package user_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// A world keeps users and tenants in maps, as the stores do, and the accounts of
// the users by their user names.
type world struct {
	users    map[identity.UserID]user.User
	tenants  map[identity.TenantID]tenant.Tenant
	accounts map[string]string // whose e-mail address
	held     map[string]user.Invitation
	noted    map[user.Account]bool
	told     []audit.Action
	recorded bool // whether the receipt is there already
	mails    []string

	// before, where it is set, happens before a change is written.
	before func()
	// fails is what the directory fails with.
	fails error
	// dies is what the store fails with, as if the process ended.
	dies error
}

const (
	acme  = identity.TenantID("acme")
	other = identity.TenantID("other")
)

var (
	platformAdmin = identity.Caller{Subject: "root", Role: identity.PlatformAdmin}
	errDown       = errors.New("down")
)

// newWorld has one user of each role in the tenant acme, whose id is the role,
// and a second owner; two platform admins and a developer.
func newWorld() *world {
	w := &world{
		users: map[identity.UserID]user.User{}, accounts: map[string]string{}, held: map[string]user.Invitation{}, noted: map[user.Account]bool{},
		tenants: map[identity.TenantID]tenant.Tenant{
			acme:  {ID: acme, Status: tenant.Active, OwnerID: new(identity.UserID("owner")), Version: 1},
			other: {ID: other, Status: tenant.Active, Version: 1},
		},
	}
	add := func(id identity.UserID, role identity.Role, of identity.TenantID) {
		username := "name of " + string(id)
		w.users[id] = user.User{ID: id, Username: username, Email: string(id) + "@example.com", FullName: "Dewi", Role: role, TenantID: of, Version: 1, Number: int64(len(w.users))}
		w.accounts[username] = string(id) + "@example.com"
	}
	for _, role := range identity.TenantRoles() {
		add(identity.UserID(role), role, acme)
	}
	add("second", identity.Owner, acme)
	add("root", identity.PlatformAdmin, "")
	add("root2", identity.PlatformAdmin, "")
	add("linus", identity.Developer, "")
	add("stranger", identity.Owner, other)
	return w
}

// as returns the user as a caller.
func (w *world) as(id identity.UserID) identity.Caller {
	u := w.users[id]
	return identity.Caller{Subject: id, Role: u.Role, TenantID: u.TenantID}
}

func (w *world) Get(_ context.Context, id identity.UserID) (user.User, error) {
	u, ok := w.users[id]
	if !ok {
		return u, user.NotFound(id)
	}
	return u, nil
}

// tenantsOf is the tenants of a world.
type tenantsOf struct{ *world }

func (w tenantsOf) Get(_ context.Context, id identity.TenantID) (tenant.Tenant, error) {
	t, ok := w.tenants[id]
	if !ok {
		return t, tenant.NotFound(id)
	}
	return t, nil
}

func (w *world) OtherOwner(_ context.Context, id identity.TenantID, than identity.UserID) (identity.UserID, error) {
	for _, u := range slices.SortedFunc(maps.Values(w.users), func(a, b user.User) int { return int(a.Number - b.Number) }) {
		if u.TenantID == id && u.OwnerCount() > 0 && u.ID != than {
			return u.ID, nil
		}
	}
	return "", fault.New(fault.NotFound, "no other owner")
}

var errChanged = fault.New(fault.Conflict, "changed meanwhile")

func (w *world) meanwhile() {
	if w.before != nil {
		happens := w.before
		w.before = nil
		happens()
	}
}

// stands fails unless somebody still may do what they do.
func (w *world) stands(s user.Standing) error {
	if by := w.users[s.ID]; s.ID != "" && (by.Role != s.Role || by.Disabled) {
		return fault.New(fault.Forbidden, "no %s any more", s.Role)
	}
	return nil
}

func (w *world) Change(_ context.Context, c user.Change) error {
	w.meanwhile()
	if err := w.stands(c.By); err != nil {
		return err
	}
	if w.users[c.Before.ID].Version != c.Before.Version {
		return errChanged
	}
	if c.Tenant != nil {
		if err := w.changeTenant(*c.Tenant); err != nil {
			return err
		}
	}
	delete(w.users, c.Before.ID)
	if c.After == (user.User{}) {
		w.noted[user.Account{ID: c.Before.ID, Username: c.Before.Username}] = true
	} else {
		w.users[c.After.ID] = c.After
	}
	w.tell(c.Records...)
	return nil
}

func (w *world) changeTenant(c user.TenantChange) error {
	now := w.tenants[c.Before.ID]
	if now.Status != c.Before.Status || c.After.Version != c.Before.Version && now.Version != c.Before.Version {
		return errChanged
	}
	if heir := w.users[c.Heir]; c.Heir != "" && heir.OwnerCount() == 0 {
		return errChanged
	}
	w.tenants[c.After.ID] = c.After
	return nil
}

func (w *world) tell(records ...audit.Record) {
	for _, r := range records {
		w.told = append(w.told, r.Action)
	}
}

func (w *world) Reset(_ context.Context, r user.Reset) error {
	w.meanwhile()
	if w.recorded {
		return idempotency.ErrRecorded
	}
	if w.users[r.User.ID].Version != r.User.Version {
		return errChanged
	}
	u := r.User
	u.SessionsEndedAt = r.At
	u.Version++
	w.users[u.ID] = u
	w.tell(r.Record)
	return nil
}

func (w *world) Readmit(_ context.Context, username string) (bool, error) {
	if w.fails != nil {
		return false, w.fails
	}
	w.mails = append(w.mails, username)
	return username == "name of agent", nil
}

func (w *world) Remove(_ context.Context, a user.Account) error {
	if w.fails != nil {
		return w.fails
	}
	delete(w.accounts, a.Username)
	return nil
}

func (w *world) Forget(_ context.Context, a user.Account) error {
	delete(w.noted, a)
	return nil
}

func (w *world) Hold(_ context.Context, i user.Invitation) error {
	for _, u := range w.users {
		if u.Email == i.Email {
			return fault.New(fault.EmailTaken, "taken")
		}
	}
	held, ok := w.held[i.Email]
	switch {
	case ok && held.ID != i.ID:
		return fault.New(fault.EmailTaken, "taken")
	case ok && time.Now().Before(held.HeldUntil):
		return fault.New(fault.InProgress, "in progress")
	}
	w.held[i.Email] = i
	return nil
}

func (w *world) Release(_ context.Context, i user.Invitation) error {
	if w.held[i.Email] == i {
		delete(w.held, i.Email)
	}
	return nil
}

func (w *world) Join(_ context.Context, j user.Joining) error {
	w.meanwhile()
	switch {
	case w.dies != nil:
		return w.dies
	case w.recorded:
		return idempotency.ErrRecorded
	case w.held[j.Invitation.Email] != j.Invitation:
		return user.ErrHoldLost
	}
	if err := w.stands(j.By); err != nil {
		return err
	}
	if err := w.changeTenant(j.Tenant); err != nil {
		return err
	}
	delete(w.held, j.Invitation.Email)
	w.users[j.User.ID] = j.User
	w.tell(j.Records...)
	return nil
}

func (w *world) DeadInvitations(_ context.Context, now time.Time) ([]user.Invitation, error) {
	var dead []user.Invitation
	for _, i := range w.held {
		if !now.Before(i.DeadAt) {
			dead = append(dead, user.Invitation{ID: i.ID, Email: i.Email})
		}
	}
	return dead, nil
}

func (w *world) AdminCreate(_ context.Context, username, email, _ string) (identity.UserID, error) {
	if w.fails != nil {
		return "", w.fails
	}
	if _, ok := w.accounts[username]; !ok {
		w.mails = append(w.mails, email)
	}
	w.accounts[username] = email
	return identity.UserID("sub of " + username), nil
}

func (w *world) AdminDelete(_ context.Context, username string) error {
	delete(w.accounts, username)
	return nil
}
