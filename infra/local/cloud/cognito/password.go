package cognito

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

// simulatedDelivery is what a caller is told of a user who is not there, or
// cannot get mail: the same at each try, and like the real thing.
func simulatedDelivery(username string) *delivery {
	sum := sha256.Sum256([]byte(username))
	letters := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))
	return deliveredTo(letters[:1] + "@" + letters[1:2])
}

func (f *Front) forgotPassword(ctx context.Context, in confirmInput) (any, error) {
	client, err := f.client(in.ClientID, in.Username, in.SecretHash)
	if err != nil {
		return nil, err
	}
	u, err := f.user(ctx, client.pool, in.Username)
	if err == nil {
		err = u.checkReset()
	}
	hidden := errors.Is(err, errUserNotFound) || errors.Is(err, errNoVerifiedAddress) || errors.Is(err, errDisabled)
	if hidden && client.hidesUsers() {
		return codeOutput{simulatedDelivery(in.Username)}, nil
	}
	if err != nil {
		return nil, err
	}
	sent, err := f.sendCode(client.pool, u, reset, "reset")
	if err != nil {
		return nil, err
	}
	return codeOutput{sent}, nil
}

var (
	errDisabled          = awsjson.Errorf("NotAuthorizedException", "User is disabled.")
	errNoVerifiedAddress = awsjson.Errorf("InvalidParameterException", "Cannot reset password for the user as there is no registered/verified email or phone_number")
)

// checkReset fails unless the user can reset the password by mail.
func (u *user) checkReset() error {
	switch {
	case !u.Enabled:
		return errDisabled
	case u.UserStatus == forceChangePassword:
		return awsjson.Errorf("NotAuthorizedException", "User password cannot be reset in the current state.")
	case u.email() == "" || !u.emailVerified():
		return errNoVerifiedAddress
	}
	return nil
}

func (f *Front) confirmForgotPassword(ctx context.Context, in confirmInput) (any, error) {
	client, err := f.client(in.ClientID, in.Username, in.SecretHash)
	if err != nil {
		return nil, err
	}
	if err := client.pool.Policies.PasswordPolicy.check(in.Password); err != nil {
		return nil, err
	}
	u, err := f.resetByCode(ctx, client, in)
	if err != nil {
		return nil, err
	}
	return empty{}, f.confirmed(ctx, client.pool, u, client.ClientID, postConfirmationReset, in.ClientMetadata)
}

// resetByCode sets a new password if the code is right.
func (f *Front) resetByCode(ctx context.Context, client *client, in confirmInput) (*user, error) {
	p := client.pool
	k := p.key(in.Username)
	defer f.users.lock(k)()
	u, err := f.user(ctx, p, in.Username)
	missing := errors.Is(err, errUserNotFound)
	switch {
	case client.hidesUsers() && (missing || err == nil && !u.Enabled):
		return nil, errCodeMismatch
	case err != nil:
		return nil, err
	case !u.Enabled:
		return nil, errDisabled
	}
	if err := f.codes.check(k, reset, in.ConfirmationCode); err != nil {
		return nil, err
	}
	if err := f.setPassword(ctx, p, k.name, in.Password, true); err != nil {
		return nil, err
	}
	f.codes.drop(k, reset)
	u.UserStatus = confirmed
	return u, nil
}

// adminResetPassword makes a user choose a new password by a code that is
// mailed.
func (f *Front) adminResetPassword(ctx context.Context, in named) (any, error) {
	p, err := f.pools.poolOf(in.UserPoolID)
	if err != nil {
		return nil, err
	}
	if err := f.call(ctx, p.region, "AdminResetUserPassword", named{p.ID, p.canonical(in.Username)}, nil); err != nil {
		return nil, err
	}
	u, err := f.user(ctx, p, in.Username)
	if err != nil {
		return nil, err
	}
	if _, err := f.sendCode(p, u, reset, "reset"); err != nil {
		return nil, err
	}
	return empty{}, nil
}

func (f *Front) adminSetPassword(ctx context.Context, in struct {
	named
	Password  string
	Permanent bool
},
) (any, error) {
	p, err := f.pools.poolOf(in.UserPoolID)
	if err != nil {
		return nil, err
	}
	if err := p.Policies.PasswordPolicy.check(in.Password); err != nil {
		return nil, err
	}
	defer f.users.lock(p.key(in.Username))()
	return empty{}, f.setPassword(ctx, p, in.Username, in.Password, in.Permanent)
}

// changePassword lets a user who knows the password choose another.
func (f *Front) changePassword(ctx context.Context, in struct {
	AccessToken      string
	PreviousPassword string
	ProposedPassword string
},
) (any, error) {
	p, s, err := f.bearer(in.AccessToken)
	if err != nil {
		return nil, err
	}
	if err := p.Policies.PasswordPolicy.check(in.ProposedPassword); err != nil {
		return nil, err
	}
	client, err := f.pools.client(s.clientID)
	if err != nil {
		return nil, err
	}
	defer f.users.lock(s.user)()
	u, err := f.user(ctx, p, s.user.name)
	if err != nil {
		return nil, err
	}
	if err := f.checkPassword(ctx, client, u, in.PreviousPassword); err != nil {
		return nil, err
	}
	return empty{}, f.setPassword(ctx, p, u.Username, in.ProposedPassword, true)
}

// newPassword returns a temporary password that satisfies any policy.
func newPassword() string {
	return "Aa1!" + base32.StdEncoding.EncodeToString(randomBytes(10))
}
