package cognito

import (
	"context"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

// The states of an account.
const (
	unconfirmed         = "UNCONFIRMED"
	confirmed           = "CONFIRMED"
	forceChangePassword = "FORCE_CHANGE_PASSWORD"
	resetRequired       = "RESET_REQUIRED"
)

// A user is an account as moto has it.
type user struct {
	Username       string
	UserStatus     string
	Enabled        bool
	UserAttributes attributes
}

func (u *user) sub() string { return u.UserAttributes.get("sub") }

func (u *user) email() string { return u.UserAttributes.get("email") }

func (u *user) emailVerified() bool { return u.UserAttributes.get("email_verified") == "true" }

// claims returns the attributes as an ID token has them.
func (u *user) claims() jwt.MapClaims {
	claims := jwt.MapClaims{}
	for _, a := range u.UserAttributes {
		if strings.HasSuffix(a.Name, "_verified") {
			claims[a.Name] = a.Value == "true"
			continue
		}
		claims[a.Name] = a.Value
	}
	return claims
}

// triggerAttributes returns the attributes as a trigger gets them.
func (u *user) triggerAttributes() map[string]string {
	m := u.UserAttributes.byName()
	m["cognito:user_status"] = u.UserStatus
	return m
}

// A named is a request to do something with a pool's user.
type named struct {
	UserPoolID string `json:"UserPoolId"`
	Username   string
}

var errUserNotFound = awsjson.Errorf("UserNotFoundException", "User does not exist.")

// user reads a user. It fails with UserNotFoundException.
func (f *Front) user(ctx context.Context, p *pool, name string) (*user, error) {
	u := new(user)
	err := f.call(ctx, p.region, "AdminGetUser", named{p.ID, p.canonical(name)}, u)
	if awsjson.HasCode(err, errUserNotFound.Code) {
		return nil, errUserNotFound
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

// groups returns the names of a user's groups.
func (f *Front) groups(ctx context.Context, p *pool, name string) ([]string, error) {
	var out struct {
		Groups []struct{ GroupName string }
	}
	if err := f.call(ctx, p.region, "AdminListGroupsForUser", named{p.ID, name}, &out); err != nil {
		return nil, err
	}
	var names []string
	for _, g := range out.Groups {
		names = append(names, g.GroupName)
	}
	slices.Sort(names)
	return names, nil
}

// setAttributes changes attributes of a user.
func (f *Front) setAttributes(ctx context.Context, p *pool, name string, a attributes) error {
	return f.call(ctx, p.region, "AdminUpdateUserAttributes", struct {
		named
		UserAttributes attributes
	}{named{p.ID, p.canonical(name)}, a}, nil)
}

// setPassword changes a user's password, and makes the account CONFIRMED or,
// if it is not permanent, FORCE_CHANGE_PASSWORD.
func (f *Front) setPassword(ctx context.Context, p *pool, name, password string, permanent bool) error {
	return f.call(ctx, p.region, "AdminSetUserPassword", struct {
		named
		Password  string
		Permanent bool
	}{named{p.ID, p.canonical(name)}, password, permanent}, nil)
}

// empty is the answer of an operation that says nothing.
type empty struct{}

func (f *Front) adminDeleteUser(ctx context.Context, in named) (any, error) {
	p, err := f.pools.poolOf(in.UserPoolID)
	if err != nil {
		return nil, err
	}
	return empty{}, f.removeUser(ctx, p, in.Username)
}

// removeUser removes a user and whatever is kept for that name.
func (f *Front) removeUser(ctx context.Context, p *pool, name string) error {
	k := p.key(name)
	defer f.users.lock(k)()
	if err := f.call(ctx, p.region, "AdminDeleteUser", named{p.ID, k.name}, nil); err != nil {
		return err
	}
	f.sessions.revokeAll(k)
	f.codes.drop(k, confirmation)
	f.codes.drop(k, reset)
	return nil
}

// adminDisableUser disables a user and, as Cognito does, ends the sessions.
func (f *Front) adminDisableUser(ctx context.Context, in named) (any, error) {
	p, err := f.pools.poolOf(in.UserPoolID)
	if err != nil {
		return nil, err
	}
	k := p.key(in.Username)
	if err := f.call(ctx, p.region, "AdminDisableUser", named{p.ID, k.name}, nil); err != nil {
		return nil, err
	}
	f.sessions.revokeAll(k)
	return empty{}, nil
}

type attributeChange struct {
	named
	AccessToken    string
	UserAttributes attributes
}

func (f *Front) adminUpdateAttributes(ctx context.Context, in attributeChange) (any, error) {
	p, err := f.pools.poolOf(in.UserPoolID)
	if err != nil {
		return nil, err
	}
	return empty{}, f.changeAttributes(ctx, p, in.Username, in.UserAttributes)
}

// updateAttributes lets a user change their own attributes.
func (f *Front) updateAttributes(ctx context.Context, in attributeChange) (any, error) {
	p, s, err := f.bearer(in.AccessToken)
	if err != nil {
		return nil, err
	}
	client, err := f.pools.client(s.clientID)
	if err != nil {
		return nil, err
	}
	if err := client.checkWritable(in.UserAttributes); err != nil {
		return nil, err
	}
	return empty{}, f.changeAttributes(ctx, p, s.user.name, in.UserAttributes)
}

func (f *Front) changeAttributes(ctx context.Context, p *pool, name string, change attributes) error {
	if err := p.checkAttributes(change, false); err != nil {
		return err
	}
	if err := p.checkMutable(change); err != nil {
		return err
	}
	if change.get("email") != "" && change.get("email_verified") == "" {
		change = append(change, attribute{"email_verified", "false"})
	}
	defer f.users.lock(p.key(name))()
	return f.setAttributes(ctx, p, name, change)
}

func (f *Front) adminSignOut(ctx context.Context, in named) (any, error) {
	p, err := f.pools.poolOf(in.UserPoolID)
	if err != nil {
		return nil, err
	}
	if _, err := f.user(ctx, p, in.Username); err != nil {
		return nil, err
	}
	f.sessions.revokeAll(p.key(in.Username))
	return empty{}, nil
}

type withToken struct{ AccessToken string }

func (f *Front) globalSignOut(_ context.Context, in withToken) (any, error) {
	_, s, err := f.bearer(in.AccessToken)
	if err != nil {
		return nil, err
	}
	f.sessions.revokeAll(s.user)
	return empty{}, nil
}

func (f *Front) deleteUser(ctx context.Context, in withToken) (any, error) {
	p, s, err := f.bearer(in.AccessToken)
	if err != nil {
		return nil, err
	}
	return empty{}, f.removeUser(ctx, p, s.user.name)
}

func (f *Front) getUser(ctx context.Context, in withToken) (any, error) {
	p, s, err := f.bearer(in.AccessToken)
	if err != nil {
		return nil, err
	}
	u, err := f.user(ctx, p, s.user.name)
	if err != nil {
		return nil, err
	}
	return struct {
		Username       string
		UserAttributes attributes
	}{u.Username, u.UserAttributes}, nil
}
