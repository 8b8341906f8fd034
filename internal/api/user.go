package api

import (
	"context"
	"strconv"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/user"
)

// GetUser serves GET /users/{user_id}. It answers 304 to the version that the
// client has already.
func GetUser(users UserGetter, tenants TenantGetter) Operation {
	return Operation{
		Name:  "GetUser",
		Allow: identity.Managers(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			u, err := user.Find(ctx, users, tenants, r.Caller, r.userID())
			if err != nil {
				return nil, err
			}
			return describedUser(u), nil
		},
	}
}

// userID returns the user that the path names. What is not an id names no user.
func (r *Request) userID() identity.UserID { return identity.UserID(r.Path["user_id"]) }

// UserUpdater is what UpdateUser needs of a user.Editor.
type UserUpdater interface {
	Update(ctx context.Context, c identity.Caller, id identity.UserID, versions []int64, p user.Patch, faults fault.Fields) (user.User, error)
}

// UpdateUser serves PATCH /users/{user_id}. It answers 200 with the user as they
// are then. Who stands above the caller, and a role that does, is 403; the last
// owner of a tenant is 409; another version than that in If-Match is 412.
func UpdateUser(users UserUpdater, operations RunningFinder) Operation {
	return Operation{
		Name:  "UpdateUser",
		Allow: identity.Managers(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			in, faults, err := Decode[userPatch](r)
			if err != nil {
				return nil, err
			}
			u, err := users.Update(ctx, r.Caller, r.userID(), r.IfMatch(), user.Patch(in), faults)
			if err != nil {
				return nil, nameBusy(ctx, err, operations)
			}
			return describedUser(u), nil
		},
	}
}

// userPatch is the body of PATCH /users/{user_id}.
type userPatch struct {
	FullName patch.Field[string]        `json:"full_name,omitzero"`
	Role     patch.Field[identity.Role] `json:"role,omitzero"`
	Disabled patch.Field[bool]          `json:"disabled,omitzero"`
}

// UserRemover is what DeleteUser needs of a user.Remover.
type UserRemover interface {
	Remove(ctx context.Context, c identity.Caller, id identity.UserID, versions []int64) error
}

// DeleteUser serves DELETE /users/{user_id}. Whoever would delete themselves is
// answered 403, since nothing that they could change would make it right.
func DeleteUser(users UserRemover, operations RunningFinder) Operation {
	return Operation{
		Name:  "DeleteUser",
		Allow: identity.Managers(),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			if err := users.Remove(ctx, r.Caller, r.userID(), r.IfMatch()); err != nil {
				return nil, nameBusy(ctx, err, operations)
			}
			return NoContent(), nil
		},
	}
}

// describedUser answers with a user.
func describedUser(u user.User) *Response {
	view := newUserView(u)
	return OK(view).WithVersion(u.Version, view.presence()...)
}

// presence is what a view tells of a user that passes without a change.
func (v userView) presence() []string {
	if v.LastSeenAt == nil {
		return nil
	}
	return []string{v.LastSeenAt.mark(), strconv.FormatBool(v.IsOnline)}
}

// userView is a user as clients see them.
type userView struct {
	ID         identity.UserID `json:"id"`
	Email      string          `json:"email"`
	FullName   string          `json:"full_name"`
	Role       identity.Role   `json:"role"`
	IsOnline   bool            `json:"is_online"`
	LastSeenAt *timestamp      `json:"last_seen_at"`
	CreatedAt  timestamp       `json:"created_at"`
	Disabled   bool            `json:"disabled"`
}

func newUserView(u user.User) userView {
	view := userView{
		ID:        u.ID,
		Email:     u.Email,
		FullName:  u.FullName,
		Role:      u.Role,
		IsOnline:  u.Online(time.Now()),
		CreatedAt: timestamp(u.CreatedAt),
		Disabled:  u.Disabled,
	}
	if !u.LastSeenAt.IsZero() {
		view.LastSeenAt = (*timestamp)(&u.LastSeenAt)
	}
	return view
}
