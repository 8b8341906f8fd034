package cognito

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/tenantry/tenantry/infra/local/cloud/awsjson"
)

// delivery tells where a code went.
type delivery struct {
	AttributeName  string
	DeliveryMedium string
	Destination    string
}

// deliveredTo returns the delivery to an e-mail address, which it masks.
func deliveredTo(email string) *delivery {
	masked := []byte{}
	for i := range email {
		if i == 0 || email[i-1] == '@' {
			masked = append(masked, email[i], '*', '*', '*')
		}
		if email[i] == '@' {
			masked = append(masked, '@')
		}
	}
	return &delivery{"email", "EMAIL", string(masked)}
}

type signUpInput struct {
	ClientID       string `json:"ClientId"`
	SecretHash     string
	Username       string
	Password       string
	UserAttributes attributes
	ValidationData attributes
	ClientMetadata map[string]string
}

type signUpOutput struct {
	CodeDeliveryDetails *delivery `json:",omitempty"`
	UserConfirmed       bool
	UserSub             string
}

func (f *Front) signUp(ctx context.Context, in signUpInput) (any, error) {
	client, err := f.client(in.ClientID, in.Username, in.SecretHash)
	if err != nil {
		return nil, err
	}
	if err := client.checkSignUp(in); err != nil {
		return nil, err
	}
	p := client.pool
	var decision preSignUpResponse
	if err := f.triggers.fire(ctx, trigger{
		function: p.LambdaConfig.PreSignUp,
		source:   preSignUp,
		pool:     p,
		clientID: client.ClientID,
		username: p.canonical(in.Username),
		request:  preSignUpRequest{in.UserAttributes.byName(), dataByName(in.ValidationData), in.ClientMetadata},
		response: &decision,
	}); err != nil {
		return nil, err
	}
	u, err := f.addUser(ctx, p, in, decision)
	if err != nil {
		return nil, err
	}
	out := signUpOutput{UserConfirmed: decision.AutoConfirmUser, UserSub: u.sub()}
	if decision.AutoConfirmUser {
		return out, f.confirmed(ctx, p, u, client.ClientID, postConfirmation, in.ClientMetadata)
	}
	if p.verifiesEmail() && u.email() != "" {
		out.CodeDeliveryDetails, err = f.sendCode(p, u, confirmation, "sign_up")
	}
	return out, err
}

// client returns a client to a caller who knows its secret.
func (f *Front) client(id, username, secretHash string) (*client, error) {
	client, err := f.pools.client(id)
	if err != nil {
		return nil, err
	}
	if err := checkUsername(username); err != nil {
		return nil, err
	}
	return client, client.checkSecret(username, secretHash)
}

// checkSignUp refuses a sign-up for what can be seen in it.
func (c *client) checkSignUp(in signUpInput) error {
	if c.pool.AdminCreateUserConfig.AllowAdminCreateUserOnly {
		return awsjson.Errorf("NotAuthorizedException", "SignUp is not permitted for this user pool")
	}
	if err := c.pool.Policies.PasswordPolicy.check(in.Password); err != nil {
		return err
	}
	if err := c.checkWritable(in.UserAttributes); err != nil {
		return err
	}
	return c.pool.checkAttributes(in.UserAttributes, true)
}

// addUser makes the account, as the trigger decided.
func (f *Front) addUser(ctx context.Context, p *pool, in signUpInput, decision preSignUpResponse) (*user, error) {
	u := &user{Username: p.canonical(in.Username), UserStatus: unconfirmed, Enabled: true, UserAttributes: in.UserAttributes}
	if u.email() != "" {
		u.UserAttributes = append(u.UserAttributes, attribute{"email_verified", strconv.FormatBool(decision.AutoVerifyEmail)})
	}
	defer f.users.lock(p.key(u.Username))()
	var made signUpOutput
	if err := f.call(ctx, p.region, "SignUp", signUpInput{
		ClientID:       in.ClientID,
		Username:       u.Username,
		Password:       in.Password,
		UserAttributes: append(attributes{}, u.UserAttributes...),
	}, &made); err != nil {
		return nil, err
	}
	u.UserAttributes = append(attributes{{"sub", made.UserSub}}, u.UserAttributes...)
	if !decision.AutoConfirmUser {
		return u, nil
	}
	u.UserStatus = confirmed
	return u, f.call(ctx, p.region, "AdminConfirmSignUp", named{p.ID, u.Username}, nil)
}

// sendCode makes a code for a user and mails it.
func (f *Front) sendCode(p *pool, u *user, why purpose, kind string) (*delivery, error) {
	code, err := f.codes.issue(p.key(u.Username), why)
	if err != nil {
		return nil, err
	}
	return deliveredTo(u.email()), f.outbox.send(Mail{
		Kind:     kind,
		To:       u.email(),
		Username: u.Username,
		Subject:  p.EmailVerificationSubject,
		Body:     fill(p.EmailVerificationMessage, u.Username, code),
		Code:     code,
	})
}

// confirmed fires the trigger of an account that is confirmed by now, and
// stays so if the trigger fails.
func (f *Front) confirmed(ctx context.Context, p *pool, u *user, clientID string, why source, metadata map[string]string) error {
	return f.triggers.fire(ctx, trigger{
		function: p.LambdaConfig.PostConfirmation,
		source:   why,
		pool:     p,
		clientID: clientID,
		username: u.Username,
		request:  postConfirmationRequest{u.triggerAttributes(), metadata},
		response: &empty{},
	})
}

type confirmInput struct {
	ClientID         string `json:"ClientId"`
	SecretHash       string
	Username         string
	ConfirmationCode string
	Password         string
	ClientMetadata   map[string]string
}

func (f *Front) confirmSignUp(ctx context.Context, in confirmInput) (any, error) {
	client, err := f.client(in.ClientID, in.Username, in.SecretHash)
	if err != nil {
		return nil, err
	}
	u, err := f.confirmByCode(ctx, client, in)
	if err != nil {
		return nil, err
	}
	return empty{}, f.confirmed(ctx, client.pool, u, client.ClientID, postConfirmation, in.ClientMetadata)
}

// confirmByCode makes an account CONFIRMED, and its address verified, if the
// code is right.
func (f *Front) confirmByCode(ctx context.Context, client *client, in confirmInput) (*user, error) {
	p := client.pool
	k := p.key(in.Username)
	defer f.users.lock(k)()
	u, err := f.user(ctx, p, in.Username)
	if errors.Is(err, errUserNotFound) && client.hidesUsers() {
		return nil, errExpiredCode
	}
	if err != nil {
		return nil, err
	}
	if u.UserStatus != unconfirmed {
		return nil, errCannotConfirm(u)
	}
	if err := f.codes.check(k, confirmation, in.ConfirmationCode); err != nil {
		return nil, err
	}
	if err := f.call(ctx, p.region, "AdminConfirmSignUp", named{p.ID, k.name}, nil); err != nil {
		return nil, err
	}
	f.codes.drop(k, confirmation)
	u.UserStatus = confirmed
	u.UserAttributes = u.UserAttributes.with("email_verified", "true")
	return u, f.setAttributes(ctx, p, k.name, attributes{{"email_verified", "true"}})
}

func errCannotConfirm(u *user) error {
	return awsjson.Errorf("NotAuthorizedException", "User cannot be confirmed. Current status is %s", u.UserStatus)
}

func (f *Front) adminConfirmSignUp(ctx context.Context, in struct {
	named
	ClientMetadata map[string]string
},
) (any, error) {
	p, err := f.pools.poolOf(in.UserPoolID)
	if err != nil {
		return nil, err
	}
	u, err := f.confirmByAdmin(ctx, p, in.Username)
	if err != nil {
		return nil, err
	}
	return empty{}, f.confirmed(ctx, p, u, noClient, postConfirmation, in.ClientMetadata)
}

func (f *Front) confirmByAdmin(ctx context.Context, p *pool, name string) (*user, error) {
	k := p.key(name)
	defer f.users.lock(k)()
	u, err := f.user(ctx, p, name)
	if err != nil {
		return nil, err
	}
	if u.UserStatus != unconfirmed {
		return nil, errCannotConfirm(u)
	}
	if err := f.call(ctx, p.region, "AdminConfirmSignUp", named{p.ID, k.name}, nil); err != nil {
		return nil, err
	}
	f.codes.drop(k, confirmation)
	u.UserStatus = confirmed
	return u, nil
}

type codeOutput struct{ CodeDeliveryDetails *delivery }

func (f *Front) resendCode(ctx context.Context, in confirmInput) (any, error) {
	client, err := f.client(in.ClientID, in.Username, in.SecretHash)
	if err != nil {
		return nil, err
	}
	p := client.pool
	u, err := f.user(ctx, p, in.Username)
	missing := errors.Is(err, errUserNotFound)
	switch {
	case client.hidesUsers() && (missing || err == nil && !u.Enabled):
		return codeOutput{simulatedDelivery(in.Username)}, nil
	case err != nil:
		return nil, err
	case u.UserStatus != unconfirmed:
		return nil, awsjson.Errorf("InvalidParameterException", "User is already confirmed.")
	case !p.verifiesEmail() || u.email() == "":
		return nil, awsjson.Errorf("InvalidParameterException", "Auto verification not turned on.")
	}
	sent, err := f.sendCode(p, u, confirmation, "resend")
	if err != nil {
		return nil, err
	}
	return codeOutput{sent}, nil
}

type createUserInput struct {
	named
	UserAttributes         attributes
	ValidationData         attributes
	TemporaryPassword      string
	MessageAction          string
	DesiredDeliveryMediums []string
	ClientMetadata         map[string]string
}

func (f *Front) adminCreateUser(ctx context.Context, in createUserInput) (any, error) {
	p, err := f.pools.poolOf(in.UserPoolID)
	if err != nil {
		return nil, err
	}
	if err := p.checkInvitation(&in); err != nil {
		return nil, err
	}
	var created any
	if in.MessageAction == "RESEND" {
		created, err = f.renewInvitation(ctx, p, in)
	} else {
		created, err = f.invite(ctx, p, in)
	}
	if err != nil {
		return nil, err
	}
	if err := f.sendInvitation(ctx, p, in); err != nil {
		return nil, err
	}
	return created, nil
}

// checkInvitation refuses what can be seen to be wrong, and makes a temporary
// password where there is none.
func (p *pool) checkInvitation(in *createUserInput) error {
	if err := checkUsername(in.Username); err != nil {
		return err
	}
	if in.TemporaryPassword == "" {
		in.TemporaryPassword = newPassword()
	}
	if err := p.Policies.PasswordPolicy.check(in.TemporaryPassword); err != nil {
		return err
	}
	if in.MessageAction == "RESEND" {
		return nil
	}
	return p.checkAttributes(in.UserAttributes, true)
}

// invite makes the account, if the trigger lets it. Its response is ignored, as
// Cognito does for this source.
func (f *Front) invite(ctx context.Context, p *pool, in createUserInput) (any, error) {
	name := p.canonical(in.Username)
	if err := f.triggers.fire(ctx, trigger{
		function: p.LambdaConfig.PreSignUp,
		source:   preSignUpByAdmin,
		pool:     p,
		clientID: noClient,
		username: name,
		request:  preSignUpRequest{in.UserAttributes.byName(), dataByName(in.ValidationData), in.ClientMetadata},
		response: &preSignUpResponse{},
	}); err != nil {
		return nil, err
	}
	defer f.users.lock(p.key(name))()
	var created json.RawMessage
	err := f.call(ctx, p.region, "AdminCreateUser", createUserInput{
		named:             named{p.ID, name},
		UserAttributes:    append(attributes{}, in.UserAttributes...),
		TemporaryPassword: in.TemporaryPassword,
	}, &created)
	return created, err
}

// renewInvitation gives an invited user a new temporary password. Moto would
// make a new account, with another sub.
func (f *Front) renewInvitation(ctx context.Context, p *pool, in createUserInput) (any, error) {
	defer f.users.lock(p.key(in.Username))()
	u, err := f.user(ctx, p, in.Username)
	if err != nil {
		return nil, err
	}
	if u.UserStatus != forceChangePassword {
		return nil, awsjson.Errorf("UnsupportedUserStateException", "Resend not possible. %s status is not FORCE_CHANGE_PASSWORD", u.Username)
	}
	if err := f.setPassword(ctx, p, u.Username, in.TemporaryPassword, false); err != nil {
		return nil, err
	}
	return map[string]any{"User": map[string]any{
		"Username": u.Username, "Attributes": u.UserAttributes, "Enabled": u.Enabled, "UserStatus": u.UserStatus,
	}}, nil
}

// sendInvitation mails the temporary password, where the caller wants a mail.
func (f *Front) sendInvitation(ctx context.Context, p *pool, in createUserInput) error {
	if in.MessageAction == "SUPPRESS" || !slices.Contains(in.DesiredDeliveryMediums, "EMAIL") {
		return nil
	}
	u, err := f.user(ctx, p, in.Username)
	if err != nil {
		return err
	}
	template := p.AdminCreateUserConfig.InviteMessageTemplate
	return f.outbox.send(Mail{
		Kind:     "invitation",
		To:       u.email(),
		Username: u.Username,
		Subject:  template.EmailSubject,
		Body:     fill(template.EmailMessage, u.Username, in.TemporaryPassword),
		Code:     in.TemporaryPassword,
	})
}

// dataByName is null where there are no data, as in Cognito's events.
func dataByName(a attributes) map[string]string {
	if len(a) == 0 {
		return nil
	}
	return a.byName()
}
