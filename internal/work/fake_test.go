package work_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/provisioning"
	"github.com/tenantry/tenantry/internal/sweep"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A fate is what becomes of a call.
type fate string

const (
	refused fate = "refused" // nothing is done
	lost    fate = "lost"    // it is done, and the answer is lost
	killed  fate = "killed"  // it is done, and the process dies
	unmade  fate = "unmade"  // the process dies before
	slowed  fate = "slowed"  // nothing is done, as there were too many such calls
)

var errInjected = errors.New("injected: arn:aws:secret")

// A process makes calls, of which some fail.
type process struct {
	mu    sync.Mutex
	fakes sync.Mutex // one call of them at a time
	calls []string
	// at is what the process does, and places what it did at each of the calls.
	at     string
	places []string
	// decide says what becomes of a call by its name and its number, which counts
	// from 1; nil lets all pass.
	decide func(name string, n int) fate
	kill   context.CancelFunc
}

// start returns the context of a new process that does something, and what ends
// it.
func (p *process) start(ctx context.Context, at string) (context.Context, context.CancelFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = at
	ctx, p.kill = context.WithCancel(ctx)
	return ctx, p.kill
}

// call makes a call, as far as it gets.
func (p *process) call(ctx context.Context, name string, do func() error) error {
	p.mu.Lock()
	p.calls, p.places = append(p.calls, name), append(p.places, p.at)
	end, kill := fate(""), p.kill
	if p.decide != nil {
		end = p.decide(name, len(p.calls))
	}
	p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	switch end {
	case refused:
		return errInjected
	case slowed:
		return fault.New(fault.TooManyRequests, "too many requests; try again later")
	case lost:
		_ = do()
		return errInjected
	case unmade:
		kill()
		return ctx.Err()
	case killed:
		_ = do()
		kill()
		return ctx.Err()
	}
	return do()
}

// fake makes a call of a fake, one at a time.
func (p *process) fake(ctx context.Context, name string, do func() error) error {
	return p.call(ctx, name, func() error {
		p.fakes.Lock()
		defer p.fakes.Unlock()
		return do()
	})
}

// weakPassword is one that the directory does not take.
const weakPassword = "passwordpassword"

// directory is accounts by their user names.
type directory struct {
	*process
	accounts map[string]*account
}

type account struct {
	id              identity.UserID
	email, password string
}

func (d *directory) AdminCreate(ctx context.Context, username, email, password string) (id identity.UserID, err error) {
	err = d.fake(ctx, "AdminCreateUser", func() error {
		if d.accounts[username] == nil {
			d.accounts[username] = &account{id: identity.UserID(uuid.NewString()), email: email}
		}
		id = d.accounts[username].id
		return nil
	})
	if err != nil || password == "" {
		return id, err
	}
	return id, d.fake(ctx, "AdminSetUserPassword", func() error {
		if password == weakPassword {
			return fault.Fields{{Pointer: "#/password", Detail: "must be as the password policy asks"}}.Err()
		}
		d.accounts[username].password = password
		return nil
	})
}

func (d *directory) AdminDelete(ctx context.Context, username string) error {
	return d.fake(ctx, "AdminDeleteUser", func() error {
		delete(d.accounts, username)
		return nil
	})
}

// Remove makes the calls that the adapter makes.
func (d *directory) Remove(ctx context.Context, a sweep.RejectedAccount) error {
	var ours bool
	err := d.fake(ctx, "AdminGetUser", func() error {
		found := d.accounts[a.Username]
		ours = found != nil && found.id == a.ID
		return nil
	})
	if err != nil || !ours {
		return err
	}
	if err := d.fake(ctx, "AdminUserGlobalSignOut", func() error { return nil }); err != nil {
		return err
	}
	return d.AdminDelete(ctx, a.Username)
}

// credentials is the secrets of tenants, whose names do not come back.
type credentials struct {
	*process
	secrets map[string]tenant.Secrets
	used    map[string]bool
}

func (c *credentials) name(id identity.TenantID, attempt string) string {
	return string(id) + "/" + attempt
}

func (c *credentials) Create(ctx context.Context, id identity.TenantID, attempt string, s tenant.Secrets) (tenant.SecretRef, error) {
	name := c.name(id, attempt)
	return tenant.SecretRef{Name: name, Version: "1"}, c.fake(ctx, "CreateTenantSecret", func() error {
		if old, there := c.secrets[name]; there && !reflect.DeepEqual(old, s) || !there && c.used[name] {
			return fmt.Errorf("the name %s is taken", name)
		}
		c.secrets[name], c.used[name] = s, true
		return nil
	})
}

func (c *credentials) Delete(ctx context.Context, id identity.TenantID, attempt string) error {
	return c.fake(ctx, "DeleteTenantSecret", func() error {
		delete(c.secrets, c.name(id, attempt))
		return nil
	})
}

// vault is passwords by the names of their secrets.
type vault struct {
	*process
	secrets map[string]provisioning.Passwords
}

func (v *vault) Keep(ctx context.Context, id operation.ID, p provisioning.Passwords) (string, error) {
	name := string(id) + "/" + uuid.NewString()
	return name, v.fake(ctx, "CreateSecret", func() error {
		v.secrets[name] = p
		return nil
	})
}

func (v *vault) Open(ctx context.Context, name string) (p provisioning.Passwords, err error) {
	return p, v.fake(ctx, "GetSecretValue", func() error {
		var there bool
		if p, there = v.secrets[name]; !there {
			return provisioning.ErrNoPasswords
		}
		return nil
	})
}

func (v *vault) Drop(ctx context.Context, name string) error {
	return v.fake(ctx, "DeleteSecret", func() error {
		delete(v.secrets, name)
		return nil
	})
}

// inventory takes every secret for one that is old.
type inventory struct {
	vault       *vault
	credentials *credentials
}

func (i inventory) OperationSecrets(_ context.Context, _ time.Duration, use func(operation.ID, string) error) error {
	for _, name := range slices.Sorted(maps.Keys(i.vault.secrets)) {
		id, _, _ := strings.Cut(name, "/")
		if err := use(operation.ID(id), name); err != nil {
			return err
		}
	}
	return nil
}

func (i inventory) TenantSecrets(_ context.Context, _ time.Duration, use func(identity.TenantID, string) error) error {
	for _, name := range slices.Sorted(maps.Keys(i.credentials.secrets)) {
		id, _, _ := strings.Cut(name, "/")
		if err := use(identity.TenantID(id), name); err != nil {
			return err
		}
	}
	return nil
}

func (i inventory) OfTenant(ctx context.Context, id identity.TenantID) (names []string, err error) {
	return names, i.vault.fake(ctx, "ListSecrets", func() error {
		for _, name := range slices.Sorted(maps.Keys(i.credentials.secrets)) {
			if strings.HasPrefix(name, string(id)+"/") {
				names = append(names, name)
			}
		}
		return nil
	})
}

func (i inventory) Drop(ctx context.Context, name string) error {
	return i.vault.fake(ctx, "DeleteSecret", func() error {
		delete(i.credentials.secrets, name)
		delete(i.vault.secrets, name)
		return nil
	})
}

// machine is executions by their names: whether they run.
type machine struct {
	*process
	running map[string]bool
}

func execution(o operation.Operation) string { return fmt.Sprintf("%s-%d", o.ID, o.Attempt) }

func (m *machine) Start(ctx context.Context, o operation.Operation) error {
	return m.fake(ctx, "StartExecution", func() error {
		if _, started := m.running[execution(o)]; !started {
			m.running[execution(o)] = true
		}
		return nil
	})
}

func (m *machine) State(ctx context.Context, o operation.Operation) (started, running bool, err error) {
	err = m.fake(ctx, "DescribeExecution", func() error {
		running, started = m.running[execution(o)]
		return nil
	})
	return started, running, err
}

func (m *machine) Stop(ctx context.Context, o operation.Operation) error {
	return m.fake(ctx, "StopExecution", func() error {
		if m.running[execution(o)] {
			m.running[execution(o)] = false
		}
		return nil
	})
}

// due is work that every sweep finds due.
type due struct {
	operations []operation.ID
	accounts   []sweep.RejectedAccount
}

func (d *due) DueOperations(context.Context, time.Time) ([]operation.ID, error) {
	return d.operations, nil
}

func (d *due) RejectedAccounts(context.Context, time.Time) ([]sweep.RejectedAccount, error) {
	return slices.Clone(d.accounts), nil
}

func (d *due) Forget(_ context.Context, a sweep.RejectedAccount) error {
	d.accounts = slices.DeleteFunc(d.accounts, func(b sweep.RejectedAccount) bool { return a == b })
	return nil
}
