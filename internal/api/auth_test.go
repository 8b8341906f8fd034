package api

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tenantry/tenantry/internal/account"
	"github.com/tenantry/tenantry/internal/attempt"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
)

var errBroken = errors.New("a secret detail")

// allowed is limits that nobody reaches.
type allowed struct{}

func (allowed) Admit(context.Context, attempt.Attempt) error { return nil }

type signUpFunc func(account.Draft) (identity.UserID, bool, error)

func (f signUpFunc) SignUp(_ context.Context, d account.Draft) (identity.UserID, bool, error) {
	return f(d)
}

func TestSignUp(t *testing.T) {
	signUp := func(d account.Draft) (identity.UserID, bool, error) {
		switch d.Username {
		case "taken":
			return "", false, account.ErrUsernameTaken(nil)
		case "broken":
			return "", false, errBroken
		case "named":
			if d.OrganizationName == nil || *d.OrganizationName != "Nusantara" {
				return "", false, errBroken
			}
		}
		return "U1", d.Username == "at-once", nil
	}
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"waits for the code": {
			`{"username":"dewi","email":"dewi@example.com","password":"correct horse"}`, 201,
			`{"user_id":"U1","username":"dewi","email":"dewi@example.com","role":"business","message":"The account is made. Enter the code that we sent to the e-mail address."}`,
		},
		"confirmed at once, a developer": {
			`{"username":"at-once","email":"dewi@example.com","password":"correct horse","role":"developer","organization_name":null}`, 201,
			`{"user_id":"U1","username":"at-once","email":"dewi@example.com","role":"developer","message":"The account is made. Sign in with POST /auth/token."}`,
		},
		"organization": {
			`{"username":"named","email":"dewi@example.com","password":"correct horse","organization_name":" Nusantara "}`, 201,
			`{"user_id":"U1","username":"named","email":"dewi@example.com","role":"business","message":"The account is made. Enter the code that we sent to the e-mail address."}`,
		},
		"role admin": {
			`{"username":"dewi","email":"dewi@example.com","password":"correct horse","role":"admin"}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/signup","request_id":"R1",` +
				`"errors":[{"pointer":"#/role","detail":"must be business or developer"}]}`,
		},
		"everything wrong": {
			`{"username":"a@b","email":7,"password":"short","role":null,"organization_name":" "}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/signup","request_id":"R1",` +
				`"errors":[{"pointer":"#/email","detail":"must be a string"},{"pointer":"#/role","detail":"must not be null"},` +
				`{"pointer":"#/username","detail":"must be 3 to 50 letters (a to z), digits, dots, hyphens and underscores, the first a letter or digit"},` +
				`{"pointer":"#/organization_name","detail":"must be 1 to 255 characters after trimming"},` +
				`{"pointer":"#/password","detail":"must be 8 to 72 characters"}]}`,
		},
		"unknown member": {
			`{"username":"dewi","email":"dewi@example.com","password":"correct horse","is_admin":true}`, 400,
			`{"type":"/docs/problems/malformed","title":"The request cannot be read","status":400,"detail":"the body holds what this operation does not take","instance":"/auth/signup","request_id":"R1",` +
				`"errors":[{"pointer":"#/is_admin","detail":"is not a member of this resource"}]}`,
		},
		"taken": {
			`{"username":"taken","email":"dewi@example.com","password":"correct horse"}`, 409,
			`{"type":"/docs/problems/username-taken","title":"The user name is taken","status":409,"detail":"the user name belongs to another account","instance":"/auth/signup","request_id":"R1",` +
				`"errors":[{"pointer":"#/username","detail":"is taken"}]}`,
		},
		"broken": {
			`{"username":"broken","email":"dewi@example.com","password":"correct horse"}`, 500,
			`{"type":"/docs/problems/internal","title":"Something failed that is ours to mend","status":500,"instance":"/auth/signup","request_id":"R1"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, SignUp(signUpFunc(signUp), allowed{}), sent{path: "/auth/signup", body: test.body}).check(t, test.status, test.want)
		})
	}
}

type confirmFunc func(account.Confirmation) error

func (f confirmFunc) Confirm(_ context.Context, c account.Confirmation) error { return f(c) }

func TestConfirmSignUp(t *testing.T) {
	confirm := func(c account.Confirmation) error {
		switch c {
		case account.Confirmation{Username: "dewi", Code: "123456"}:
			return nil
		case account.Confirmation{Username: "late", Code: "123456"}:
			return fault.New(fault.EmailTaken, "the e-mail address belongs to another account")
		}
		return errBroken
	}
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"good": {`{"username":"dewi","code":"123456"}`, 200, `{"message":"The account is confirmed. Sign in with POST /auth/token."}`},
		"not valid": {
			`{"username":"dewi@example.com","code":123456}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/confirm","request_id":"R1",` +
				`"errors":[{"pointer":"#/code","detail":"must be a string"},{"pointer":"#/username","detail":"must be the user name of the account"}]}`,
		},
		"second with the address": {
			`{"username":"late","code":"123456"}`, 409,
			`{"type":"/docs/problems/email-taken","title":"The e-mail address is taken","status":409,"detail":"the e-mail address belongs to another account","instance":"/auth/confirm","request_id":"R1"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, ConfirmSignUp(confirmFunc(confirm), allowed{}), sent{path: "/auth/confirm", body: test.body}).check(t, test.status, test.want)
		})
	}
}

type resendFunc func(username string) error

func (f resendFunc) ResendCode(_ context.Context, username string) error { return f(username) }

func TestResendConfirmation(t *testing.T) {
	resend := func(username string) error {
		if username == "dewi" {
			return nil
		}
		return &fault.Error{Kind: fault.TooManyRequests, Detail: "there were too many attempts; try again later", RetryAfter: 90 * time.Second}
	}
	for name, test := range map[string]struct {
		body       string
		status     int
		retryAfter string
		want       string
	}{
		"sent": {`{"username":"dewi"}`, 202, "", `{"message":"If the account waits to be confirmed, a new code is on its way."}`},
		"too often": {
			`{"username":"linus"}`, 429, "90",
			`{"type":"/docs/problems/too-many-requests","title":"Too many requests","status":429,"detail":"there were too many attempts; try again later","instance":"/auth/confirm/resend","request_id":"R1"}`,
		},
		"nobody": {
			`{}`, 422, "",
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/confirm/resend","request_id":"R1",` +
				`"errors":[{"pointer":"#/username","detail":"must be the user name of the account"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := serve(t, ResendConfirmation(resendFunc(resend), allowed{}), sent{path: "/auth/confirm/resend", body: test.body})
			got.check(t, test.status, test.want)
			if got.Headers["retry-after"] != test.retryAfter {
				t.Errorf("got Retry-After %q, want %q", got.Headers["retry-after"], test.retryAfter)
			}
		})
	}
}

type signInFunc func(account.Credentials) (account.Session, error)

func (f signInFunc) SignIn(_ context.Context, _ string, c account.Credentials) (account.Session, error) {
	return f(c)
}

func TestCreateToken(t *testing.T) {
	signIn := func(c account.Credentials) (account.Session, error) {
		s := account.Session{AccessToken: "A", RefreshToken: "R", ExpiresIn: time.Hour}
		switch {
		case c.NewPassword != nil && *c.NewPassword == "battery staple", c.Login == "dewi":
			s.TenantID = "T1"
			return s, nil
		case c.Login == "linus":
			return s, nil
		case c.Login == "budi":
			return s, fault.New(fault.NewPasswordRequired, "send the request again with new_password, which becomes your password")
		}
		return s, fault.New(fault.InvalidCredentials, "the user name or the password is wrong")
	}
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"owner": {
			`{"username":"dewi","password":"correct horse"}`, 200,
			`{"access_token":"A","refresh_token":"R","token_type":"Bearer","expires_in":3600,"tenant_id":"T1"}`,
		},
		"developer": {
			`{"username":"linus","password":"correct horse"}`, 200,
			`{"access_token":"A","refresh_token":"R","token_type":"Bearer","expires_in":3600,"tenant_id":null}`,
		},
		"invited": {
			`{"username":"budi","password":"Kx7mPq2v"}`, 403,
			`{"type":"/docs/problems/new-password-required","title":"A new password is due","status":403,"detail":"send the request again with new_password, which becomes your password","instance":"/auth/token","request_id":"R1"}`,
		},
		"invited, with a password": {
			`{"username":"budi","password":"Kx7mPq2v","new_password":"battery staple"}`, 200,
			`{"access_token":"A","refresh_token":"R","token_type":"Bearer","expires_in":3600,"tenant_id":"T1"}`,
		},
		"wrong": {
			`{"username":"nobody","password":"wrong"}`, 401,
			`{"type":"/docs/problems/invalid-credentials","title":"User name or password is wrong","status":401,"detail":"the user name or the password is wrong","instance":"/auth/token","request_id":"R1"}`,
		},
		"not valid": {
			`{"new_password":""}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/token","request_id":"R1",` +
				`"errors":[{"pointer":"#/username","detail":"must be the user name or the e-mail address"},{"pointer":"#/password","detail":"must be the password"},{"pointer":"#/new_password","detail":"must be 8 to 72 characters"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, CreateToken(signInFunc(signIn), allowed{}), sent{path: "/auth/token", body: test.body}).check(t, test.status, test.want)
		})
	}
}

type refreshFunc func(token string) (account.Session, error)

func (f refreshFunc) Refresh(_ context.Context, token string) (account.Session, error) {
	return f(token)
}

func TestRefreshToken(t *testing.T) {
	refresh := func(token string) (account.Session, error) {
		if token == "R" {
			return account.Session{AccessToken: "A2", RefreshToken: "R", ExpiresIn: time.Hour, TenantID: "T1"}, nil
		}
		return account.Session{}, fault.New(fault.TokenExpired, "the refresh token has expired; sign in again")
	}
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"good": {`{"refresh_token":"R"}`, 200, `{"access_token":"A2","refresh_token":"R","token_type":"Bearer","expires_in":3600,"tenant_id":"T1"}`},
		"expired": {
			`{"refresh_token":"old"}`, 401,
			`{"type":"/docs/problems/token-expired","title":"The token has expired","status":401,"detail":"the refresh token has expired; sign in again","instance":"/auth/refresh","request_id":"R1"}`,
		},
		"none": {
			`{}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/refresh","request_id":"R1",` +
				`"errors":[{"pointer":"#/refresh_token","detail":"must be the refresh token of a sign-in"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, RefreshToken(refreshFunc(refresh), allowed{}), sent{path: "/auth/refresh", body: test.body}).check(t, test.status, test.want)
		})
	}
}

type logoutFunc func(identity.UserID) error

func (f logoutFunc) Logout(_ context.Context, c identity.Caller) error { return f(c.Subject) }

func TestLogout(t *testing.T) {
	logout := func(id identity.UserID) error {
		if id == "U1" {
			return nil
		}
		return account.ErrNoUser(nil)
	}
	for name, test := range map[string]struct {
		caller AuthorizerContext
		status int
		want   string
	}{
		"owner": {AuthorizerContext{Subject: "U1", TenantID: "T1", Role: identity.Owner}, 204, ""},
		"no user any more": {
			AuthorizerContext{Subject: "U2", Role: identity.Applicant},
			401,
			`{"type":"/docs/problems/token-invalid","title":"The token is not good","status":401,"detail":"the account has no place on the platform; sign in again","instance":"/auth/logout","request_id":"R1"}`,
		},
		"expired token": {
			AuthorizerContext{Problem: fault.TokenExpired},
			401,
			`{"type":"/docs/problems/token-expired","title":"The token has expired","status":401,"detail":"the token has expired; get a new one from POST /auth/token or POST /auth/refresh; a service needs another key","instance":"/auth/logout","request_id":"R1"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, Logout(logoutFunc(logout)), sent{path: "/auth/logout", caller: test.caller}).check(t, test.status, test.want)
		})
	}
}

type forgotFunc func(login string) error

func (f forgotFunc) Forgot(_ context.Context, login string) error { return f(login) }

func TestForgetPassword(t *testing.T) {
	forgot := func(login string) error {
		if login == "broken" {
			return errBroken
		}
		return nil
	}
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"by name or address": {
			`{"username":"dewi@example.com"}`, 202,
			`{"message":"If there is such an account, a code is on its way to its e-mail address. Choose a new password with it: POST /auth/password/reset."}`,
		},
		"nobody": {
			`{}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/password/forgot","request_id":"R1",` +
				`"errors":[{"pointer":"#/username","detail":"must be the user name or the e-mail address"}]}`,
		},
		"broken": {
			`{"username":"broken"}`, 500,
			`{"type":"/docs/problems/internal","title":"Something failed that is ours to mend","status":500,"instance":"/auth/password/forgot","request_id":"R1"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, ForgetPassword(forgotFunc(forgot), allowed{}), sent{path: "/auth/password/forgot", body: test.body}).check(t, test.status, test.want)
		})
	}
}

type resetFunc func(account.PasswordReset) error

func (f resetFunc) Reset(_ context.Context, _ string, p account.PasswordReset) error { return f(p) }

func TestResetPassword(t *testing.T) {
	reset := func(p account.PasswordReset) error {
		if p == (account.PasswordReset{Login: "dewi", Code: "123456", NewPassword: "battery staple"}) {
			return nil
		}
		return fault.Fields{{Pointer: "#/code", Detail: "is not the code that was sent, or has expired"}}.Err()
	}
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"good": {
			`{"username":"dewi","code":"123456","new_password":"battery staple"}`, 200,
			`{"message":"The password is changed, and all sessions are ended. Sign in with POST /auth/token."}`,
		},
		"wrong code": {
			`{"username":"dewi","code":"654321","new_password":"battery staple"}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/password/reset","request_id":"R1",` +
				`"errors":[{"pointer":"#/code","detail":"is not the code that was sent, or has expired"}]}`,
		},
		"not valid": {
			`{"code":123456,"new_password":"short"}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/password/reset","request_id":"R1",` +
				`"errors":[{"pointer":"#/code","detail":"must be a string"},{"pointer":"#/username","detail":"must be the user name or the e-mail address"},{"pointer":"#/new_password","detail":"must be 8 to 72 characters"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, ResetPassword(resetFunc(reset), allowed{}), sent{path: "/auth/password/reset", body: test.body}).check(t, test.status, test.want)
		})
	}
}

type changeFunc func(c identity.Caller, accessToken string, p account.PasswordChange) error

func (f changeFunc) Change(_ context.Context, c identity.Caller, accessToken string, p account.PasswordChange) error {
	return f(c, accessToken, p)
}

func TestChangePassword(t *testing.T) {
	change := func(c identity.Caller, accessToken string, p account.PasswordChange) error {
		if c.Subject != "U1" || accessToken != "the token" || p.New != "battery staple" {
			return errBroken
		}
		if p.Old == "correct horse" {
			return nil
		}
		return fault.Fields{{Pointer: "#/old_password", Detail: "is not the present password"}}.Err()
	}
	developer := AuthorizerContext{Subject: "U1", Role: identity.Developer}
	impersonated := AuthorizerContext{Subject: "U1", TenantID: "T1", Role: identity.Owner, ImpersonationID: "I1", Actor: "P1", Mode: identity.Full}
	good := `{"old_password":"correct horse","new_password":"battery staple"}`
	for name, test := range map[string]struct {
		caller AuthorizerContext
		body   string
		status int
		want   string
	}{
		"good": {developer, good, 204, ""},
		"wrong password": {
			developer, `{"old_password":"wrong","new_password":"battery staple"}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/password/change","request_id":"R1",` +
				`"errors":[{"pointer":"#/old_password","detail":"is not the present password"}]}`,
		},
		"not valid": {
			developer, `{"new_password":7}`, 422,
			`{"type":"/docs/problems/invalid","title":"The request breaks rules","status":422,"detail":"the request breaks a rule; errors lists each","instance":"/auth/password/change","request_id":"R1",` +
				`"errors":[{"pointer":"#/new_password","detail":"must be a string"},{"pointer":"#/old_password","detail":"must be the present password"}]}`,
		},
		"a service": {
			AuthorizerContext{Subject: "K1", Role: identity.Service, Scopes: identity.Scopes()},
			good, 403,
			`{"type":"/docs/problems/forbidden","title":"The caller may not do this","status":403,"detail":"your role, service, may not do this","instance":"/auth/password/change","request_id":"R1"}`,
		},
		"an impersonation": {
			impersonated, good, 403,
			`{"type":"/docs/problems/impersonation-denied","title":"The impersonation does not allow it","status":403,"detail":"the operation is not for an impersonation","instance":"/auth/password/change","request_id":"R1"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, ChangePassword(changeFunc(change), allowed{}), sent{
				path: "/auth/password/change", body: test.body, caller: test.caller, headers: map[string]string{"authorization": "bearer the token"},
			}).check(t, test.status, test.want)
		})
	}
}

type getUserFunc func(identity.UserID) (user.User, error)

func (f getUserFunc) Get(_ context.Context, id identity.UserID) (user.User, error) { return f(id) }

type getTenantFunc func(identity.TenantID) (tenant.Tenant, error)

func (f getTenantFunc) Get(_ context.Context, id identity.TenantID) (tenant.Tenant, error) {
	return f(id)
}

func TestGetMe(t *testing.T) {
	getUser := func(id identity.UserID) (user.User, error) {
		u := user.User{ID: id, Username: "dewi", Email: "dewi@example.com", Role: identity.Agent, TenantID: "T1"}
		switch id {
		case "admin":
			u.Role, u.TenantID = identity.PlatformAdmin, ""
		case "ownerless", "broken", "locked":
			u.TenantID = identity.TenantID(id)
		case "nobody":
			return user.User{}, fault.New(fault.NotFound, "there is no user %q", id)
		}
		return u, nil
	}
	getTenant := func(id identity.TenantID) (tenant.Tenant, error) {
		switch id {
		case "ownerless":
			return tenant.Tenant{ID: id}, nil
		case "broken":
			return tenant.Tenant{}, errBroken
		case "locked":
			return tenant.Tenant{ID: id, Status: tenant.Deleting}, nil
		}
		return tenant.Tenant{ID: id, OwnerID: new(identity.UserID("O1"))}, nil
	}
	for name, test := range map[string]struct {
		caller identity.UserID
		status int
		want   string
	}{
		"member":         {"U1", 200, `{"user_id":"U1","username":"dewi","email":"dewi@example.com","owner_id":"O1","tenant_id":"T1","role":"agent","impersonation":null}`},
		"platform admin": {"admin", 200, `{"user_id":"admin","username":"dewi","email":"dewi@example.com","owner_id":null,"tenant_id":null,"role":"platform_admin","impersonation":null}`},
		"without owner":  {"ownerless", 200, `{"user_id":"ownerless","username":"dewi","email":"dewi@example.com","owner_id":null,"tenant_id":"ownerless","role":"agent","impersonation":null}`},
		"no user any more": {
			"nobody", 401,
			`{"type":"/docs/problems/token-invalid","title":"The token is not good","status":401,"detail":"the account has no place on the platform; sign in again","instance":"/auth/me","request_id":"R1"}`,
		},
		"of a tenant that is being deleted": {
			"locked", 403,
			`{"type":"/docs/problems/tenant-deleting","title":"The tenant is being deleted","status":403,"detail":"the tenant is being deleted; a platform admin can restore it while its status is deleting","instance":"/auth/me","request_id":"R1"}`,
		},
		"broken": {"broken", 500, `{"type":"/docs/problems/internal","title":"Something failed that is ours to mend","status":500,"instance":"/auth/me","request_id":"R1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			caller := AuthorizerContext{Subject: test.caller, Role: identity.Agent} // the row decides
			serve(t, GetMe(getUserFunc(getUser), getTenantFunc(getTenant)), sent{method: "GET", path: "/auth/me", caller: caller}).check(t, test.status, test.want)
		})
	}
}

func TestNobodyCalls(t *testing.T) {
	op := GetMe(getUserFunc(nil), getTenantFunc(nil))
	serve(t, op, sent{method: "GET", path: "/auth/me"}).check(t, 401,
		`{"type":"/docs/problems/unauthenticated","title":"There is no token","status":401,"detail":"send a token in the header Authorization: Bearer …","instance":"/auth/me","request_id":"R1"}`)
}

// refused is limits that everybody has reached. It notes who tried what.
type refused struct{ got attempt.Attempt }

func (r *refused) Admit(_ context.Context, a attempt.Attempt) error {
	r.got = a
	return &fault.Error{Kind: fault.TooManyRequests, Detail: "try again later", RetryAfter: 1500 * time.Millisecond}
}

// Each operation that tries an account is counted before the directory is asked, by
// the address and by what the request calls the account. The functions behind the
// operations are nil: asking one would fail the test.
func TestAttempts(t *testing.T) {
	for path, test := range map[string]struct {
		op      func(AttemptLimiter) Operation
		body    string
		account string
	}{
		"/auth/signup": {
			func(l AttemptLimiter) Operation { return SignUp(signUpFunc(nil), l) },
			`{"username":"dewi","email":"Dewi@example.com","password":"correct horse"}`, "Dewi@example.com",
		},
		"/auth/confirm": {
			func(l AttemptLimiter) Operation { return ConfirmSignUp(confirmFunc(nil), l) },
			`{"username":"dewi","code":"123456"}`, "dewi",
		},
		"/auth/confirm/resend": {
			func(l AttemptLimiter) Operation { return ResendConfirmation(resendFunc(nil), l) },
			`{"username":"dewi"}`, "dewi",
		},
		"/auth/token": {
			func(l AttemptLimiter) Operation { return CreateToken(signInFunc(nil), l) },
			`{"username":"dewi","password":"correct horse"}`, "dewi",
		},
		"/auth/refresh": {
			func(l AttemptLimiter) Operation { return RefreshToken(refreshFunc(nil), l) },
			`{"refresh_token":"any"}`, "",
		},
		"/auth/password/forgot": {
			func(l AttemptLimiter) Operation { return ForgetPassword(forgotFunc(nil), l) },
			`{"username":"dewi@example.com"}`, "dewi@example.com",
		},
		"/auth/password/reset": {
			func(l AttemptLimiter) Operation { return ResetPassword(resetFunc(nil), l) },
			`{"username":"dewi","code":"123456","new_password":"battery staple"}`, "dewi",
		},
		"/auth/password/change": {
			func(l AttemptLimiter) Operation { return ChangePassword(changeFunc(nil), l) },
			`{"old_password":"correct horse","new_password":"battery staple"}`, "U1",
		},
	} {
		t.Run(path, func(t *testing.T) {
			limits := new(refused)
			op := test.op(limits)
			got := serve(t, op, sent{path: path, body: test.body, address: "192.0.2.1", caller: AuthorizerContext{Subject: "U1", Role: identity.Owner}})
			got.check(t, 429, `{"type":"/docs/problems/too-many-requests","title":"Too many requests","status":429,"detail":"try again later","instance":"`+path+`","request_id":"R1"}`)
			if after := got.Headers["retry-after"]; after != "2" {
				t.Errorf("Retry-After is %q, want 2", after)
			}
			if want := (attempt.Attempt{Operation: op.Name, Address: "192.0.2.1", Account: test.account}); limits.got != want {
				t.Errorf("%+v was counted, want %+v", limits.got, want)
			}
		})
	}
}
