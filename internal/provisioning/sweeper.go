package provisioning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
)

const (
	lookAgainIn = time.Minute
	// secretsAge is how long passwords may be there without an operation that
	// names them: longer than any request takes.
	secretsAge = time.Hour
)

// A Machine starts workflows, and knows what became of them.
type Machine interface {
	Starter
	// State says whether the workflow of an attempt was started, and whether it
	// still runs.
	State(ctx context.Context, id operation.ID, attempt int) (started, running bool, err error)
}

// A RejectedAccount is to be removed, since another with its e-mail address was
// confirmed first.
type RejectedAccount struct {
	ID       identity.UserID
	Username string
}

// DueWork is what is to be looked at.
type DueWork interface {
	// DueOperations returns the operations that were to be looked at by now.
	DueOperations(ctx context.Context, now time.Time) ([]operation.ID, error)
	// RejectedAccounts returns the accounts that are to be removed.
	RejectedAccounts(ctx context.Context, now time.Time) ([]RejectedAccount, error)
	// Forget notes that an account is gone.
	Forget(ctx context.Context, a RejectedAccount) error
}

// An AgingVault is a Vault that knows how long passwords have been there.
type AgingVault interface {
	Vault
	// OlderThan calls use with each operation that has had passwords for longer
	// than age.
	OlderThan(ctx context.Context, age time.Duration, use func(operation.ID) error) error
}

// A Sweeper finishes what was left undone: workflows that were not started,
// workflows that died, accounts and passwords that nobody needs. Two at once do
// no harm.
type Sweeper struct {
	Due        DueWork
	Operations Operations
	Accounts   Accounts
	Directory  Directory
	Vault      AgingVault
	Machine    Machine
	Runner     *Runner
	Steps      []Step // in their order
}

// Sweep looks at everything that is due. What fails does not keep it from the
// rest; the next sweep tries again.
func (s *Sweeper) Sweep(ctx context.Context) error {
	now := time.Now()
	errs := []error{s.sweepOperations(ctx, now), s.sweepAccounts(ctx, now)}
	if now.Minute() == 0 {
		errs = append(errs, s.sweepSecrets(ctx))
	}
	return errors.Join(errs...)
}

func (s *Sweeper) sweepOperations(ctx context.Context, now time.Time) error {
	ids, err := s.Due.DueOperations(ctx, now)
	errs := []error{err}
	for _, id := range ids {
		if err := s.operation(ctx, id, now); err != nil && !errors.Is(err, fault.Conflict) {
			errs = append(errs, fmt.Errorf("sweep operation %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// operation looks at one operation. The list it comes from is a little stale,
// so what counts is the operation itself.
func (s *Sweeper) operation(ctx context.Context, id operation.ID, now time.Time) error {
	o, err := s.Operations.Get(ctx, id)
	if err != nil || now.Before(o.DueAt) {
		return err
	}
	if o.Done() {
		return s.expireSecret(ctx, o)
	}
	started, running, err := s.Machine.State(ctx, o.ID, o.Attempt)
	if err != nil {
		return err
	}
	if started && !running {
		return s.Runner.Rollback(ctx, Task{o.ID, o.Attempt}, s.Steps...)
	}
	if !started {
		if err := s.Machine.Start(ctx, o.ID, o.Attempt); err != nil {
			return err
		}
	}
	after := o
	after.DueAt = now.Add(lookAgainIn)
	after.Version++
	return s.Operations.Save(ctx, o, after)
}

// expireSecret removes the passwords of a failed operation that nobody retried.
func (s *Sweeper) expireSecret(ctx context.Context, o operation.Operation) error {
	if o.Secret == "" {
		return nil
	}
	after := o
	after.Secret = ""
	after.Version++
	if err := s.Operations.Save(ctx, o, after); err != nil {
		return err
	}
	return s.Vault.Drop(ctx, o.ID)
}

func (s *Sweeper) sweepAccounts(ctx context.Context, now time.Time) error {
	accounts, err := s.Due.RejectedAccounts(ctx, now)
	errs := []error{err}
	for _, a := range accounts {
		if err := s.removeAccount(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("remove account %s: %w", a.ID, err))
		}
	}
	return errors.Join(errs...)
}

// removeAccount removes an account that has no user. One that came by a user
// after all, since the address became free, stays.
func (s *Sweeper) removeAccount(ctx context.Context, a RejectedAccount) error {
	_, err := s.Accounts.Get(ctx, a.ID)
	if errors.Is(err, fault.NotFound) {
		err = s.Directory.AdminDelete(ctx, a.Username)
	}
	if err != nil {
		return err
	}
	return s.Due.Forget(ctx, a)
}

// sweepSecrets removes passwords that no operation names.
func (s *Sweeper) sweepSecrets(ctx context.Context) error {
	return s.Vault.OlderThan(ctx, secretsAge, func(id operation.ID) error {
		o, err := s.Operations.Get(ctx, id)
		if err == nil && o.Secret != "" {
			return nil
		}
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		return s.Vault.Drop(ctx, id)
	})
}
