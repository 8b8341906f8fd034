package provisioning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

// An Account is a confirmed account that asks for its place on the platform.
type Account struct {
	ID       identity.UserID
	Username string
	Email    string
	// Business accounts get a tenant of their own, developers none.
	Business bool
	// OrganizationName names the tenant; where it is "", the user name does.
	OrganizationName string
}

// Accounts is the store of users, as far as accounts become users.
type Accounts interface {
	Get(ctx context.Context, id identity.UserID) (user.User, error)
	// Create writes a user who belongs to no tenant. It fails with fault.Conflict
	// if the user is there already, and with fault.EmailTaken.
	Create(ctx context.Context, u user.User, r audit.Record) error
	// Reject notes that an account is to be removed, since another with its
	// e-mail address was confirmed first. From then on it cannot become a user.
	Reject(ctx context.Context, id identity.UserID, username string) error
}

// Onboard gives a confirmed account its user and, if it is a business, its
// tenant, whose id is the user's own. Doing it again changes nothing. It fails
// with fault.EmailTaken if another account with the same address was first, and
// with fault.Forbidden if the account had a tenant, and its user was removed.
func (s *Service) Onboard(ctx context.Context, a Account) error {
	_, err := s.accounts.Get(ctx, a.ID)
	if !errors.Is(err, fault.NotFound) {
		return err
	}
	if a.Business {
		_, err = s.Found(ctx, a, Request{Draft: tenant.Draft{Settings: tenant.Settings{Name: patch.Of(a.tenantName())}}}, nil)
	} else {
		u := a.user(identity.Developer, "")
		err = s.accounts.Create(ctx, u, audit.By(a.caller()).Did(audit.UserCreated, "", user.Target(u.ID), user.Changes(user.User{}, u)...))
	}
	switch {
	case errors.Is(err, fault.EmailTaken):
		if err2 := s.accounts.Reject(ctx, a.ID, a.Username); err2 != nil {
			return fmt.Errorf("reject account %s: %w", a.ID, err2)
		}
		return err
	case errors.Is(err, fault.Conflict):
		_, err = s.accounts.Get(ctx, a.ID) // another call of ours was first
		if errors.Is(err, fault.NotFound) {
			return fault.Wrap(err, fault.Forbidden, "the account's user was removed")
		}
		return err
	}
	return err
}

// Found makes the tenant of a business account as r asks for it, with the
// account as its owner. It fails as Request does.
func (s *Service) Found(ctx context.Context, a Account, r Request, receipt Receipt) (Result, error) {
	owner := a.user(identity.Owner, identity.TenantID(a.ID))
	r.Draft.ID = patch.Of(owner.TenantID)
	r.Draft.Isolation = patch.Of(tenant.Pooled)
	return s.request(ctx, a.caller(), r, &owner, receipt)
}

func (a Account) caller() identity.Caller {
	return identity.Caller{Subject: a.ID, Role: identity.Applicant}
}

func (a Account) tenantName() string {
	if a.OrganizationName != "" {
		return a.OrganizationName
	}
	return a.Username
}

func (a Account) user(role identity.Role, tenantID identity.TenantID) user.User {
	return user.User{
		ID:        a.ID,
		Username:  a.Username,
		Email:     a.Email,
		FullName:  a.Username,
		Role:      role,
		TenantID:  tenantID,
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
		Version:   1,
	}
}
