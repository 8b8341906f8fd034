package api

import (
	"context"

	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/user"
)

// UserInviter is what CreateUser needs of a user.Inviter.
type UserInviter interface {
	Invite(ctx context.Context, c identity.Caller, id string, d user.Draft, receipt func(user.User) (*idempotency.Record, error)) (user.User, error)
}

// CreateUser serves POST /users: it invites somebody by mail. It answers 201 with
// the new user, and 409 if the e-mail address is taken.
func CreateUser(users UserInviter, operations RunningFinder, records RecordFinder, hashKey func(context.Context) ([]byte, error)) Operation {
	return Operation{
		Name:        "CreateUser",
		Allow:       identity.Managers(),
		Idempotency: &Idempotency{Records: records, Key: hashKey},
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[userDraft](r)
			if err != nil {
				return nil, err
			}
			d := in.draft()
			rules := d.Faults()
			if r.Caller.TenantID == "" && d.TenantID == "" {
				rules.Add("#/tenant_id", "is required of a platform admin")
			}
			if err := faults.And(rules).Err(); err != nil {
				return nil, err
			}
			u, err := users.Invite(ctx, r.Caller, r.effectID(), d, func(u user.User) (*idempotency.Record, error) {
				return r.Receipt(invited(u))
			})
			if err != nil {
				return nil, nameBusy(ctx, err, operations)
			}
			return invited(u), nil
		},
	}
}

// invited returns the answer to an invitation.
func invited(u user.User) *Response {
	view := newUserView(u)
	return Created("/users/"+string(u.ID), view).WithVersion(u.Version, view.presence()...)
}

// userDraft is the body of POST /users.
type userDraft struct {
	TenantID patch.Field[identity.TenantID] `json:"tenant_id"`
	Email    string                         `json:"email"`
	FullName string                         `json:"full_name"`
	Role     identity.Role                  `json:"role"`
}

func (d userDraft) draft() user.Draft {
	return user.Draft{Email: d.Email, FullName: d.FullName, Role: d.Role, TenantID: d.TenantID.Value}
}
