// Package sweep finishes what was left undone: workflows that were not started,
// workflows that died, calls that nobody renews, accounts and secrets that nobody
// needs. It knows neither HTTP nor AWS.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/user"
	"github.com/tenantry/tenantry/internal/work"
)

// secretsAge is how long a secret may be there before a row names it: longer than
// any request takes.
const secretsAge = time.Hour

// A Workflow is that of one kind of operations.
type Workflow interface {
	work.Machine
	// Recover deals with an operation whose execution ended without ending it. It
	// fails with operation.ErrNotReady while the next sweep is to go on with that.
	Recover(ctx context.Context, o operation.Operation) error
}

// Accounts is the store of users.
type Accounts interface {
	Get(ctx context.Context, id identity.UserID) (user.User, error)
}

// A RejectedAccount is to be removed, since another with its e-mail address was
// confirmed first, or since its user was removed.
type RejectedAccount = user.Account

// DueWork is what is to be looked at.
type DueWork interface {
	// DueOperations returns the operations that were to be looked at by now.
	DueOperations(ctx context.Context, now time.Time) ([]operation.ID, error)
	// RejectedAccounts returns the accounts that are to be removed.
	RejectedAccounts(ctx context.Context, now time.Time) ([]RejectedAccount, error)
	// Forget notes that an account is gone.
	Forget(ctx context.Context, a RejectedAccount) error
}

// A Remover removes accounts.
type Remover interface {
	// Remove removes an account, but not another that has its user name by now. It
	// is no error if it is gone.
	Remove(ctx context.Context, a RejectedAccount) error
}

// An Inventory knows the secrets that there are.
type Inventory interface {
	// OperationSecrets calls use with each secret that was made for an operation
	// longer ago than age.
	OperationSecrets(ctx context.Context, age time.Duration, use func(id operation.ID, secret string) error) error
	// TenantSecrets is the same for the secrets of tenants. It may leave out those
	// that are older by more than a day.
	TenantSecrets(ctx context.Context, age time.Duration, use func(id identity.TenantID, secret string) error) error
	// Drop removes a secret. It is no error if it is gone.
	Drop(ctx context.Context, secret string) error
}

// CallExpirer gives back the slots of calls whose leases are over.
type CallExpirer interface {
	// ExpireDue gives back all whose leases were over at a time.
	ExpireDue(ctx context.Context, at time.Time) error
}

// A Sweeper looks at what is due. Two at once do no harm.
type Sweeper struct {
	Due        DueWork
	Operations work.Operations
	Tenants    tenant.Store
	Accounts   Accounts
	Calls      CallExpirer
	Directory  Remover
	Vault      work.Dropper
	Inventory  Inventory
	Workflows  map[operation.Kind]Workflow
}

// Sweep looks at everything that is due, and once an hour at all secrets. What
// fails does not keep it from the rest; the next sweep tries again.
func (s *Sweeper) Sweep(ctx context.Context) error {
	now := time.Now()
	parts := []func(context.Context, time.Time) error{s.Calls.ExpireDue, s.sweepOperations, s.sweepAccounts}
	if now.Minute() == 0 {
		parts = append(parts, func(ctx context.Context, _ time.Time) error { return s.SweepSecrets(ctx) })
	}
	var errs []error
	for _, part := range parts {
		errs = append(errs, within(ctx, now, part))
	}
	return errors.Join(errs...)
}

const (
	// partFor is how long a part of a sweep may take, so that it leaves the others
	// their time.
	partFor = 12 * time.Second
	// togetherFor is how long what is done at the same time may take: a little less
	// than the function, so that it ends by itself.
	togetherFor = 50 * time.Second
)

func within(ctx context.Context, now time.Time, part func(context.Context, time.Time) error) error {
	ctx, cancel := context.WithTimeout(ctx, partFor)
	defer cancel()
	return part(ctx, now)
}

// Together does things that do not need each other at the same time, and returns
// the errors of all. What takes too long is cut off.
func Together(ctx context.Context, things ...func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, togetherFor)
	defer cancel()
	errs := make([]error, len(things))
	var group sync.WaitGroup
	for i, do := range things {
		group.Go(func() { errs[i] = do(ctx) })
	}
	group.Wait()
	return errors.Join(errs...)
}

func (s *Sweeper) sweepOperations(ctx context.Context, now time.Time) error {
	ids, err := s.Due.DueOperations(ctx, now)
	errs := []error{err}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] }) //nolint:gosec // so that none always waits for the same others; keeps no secret
	for _, id := range ids {
		if err := s.operation(ctx, id, now); err != nil && !errors.Is(err, fault.Conflict) {
			errs = append(errs, fmt.Errorf("sweep operation %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// operation looks at one operation. The list it comes from is a little stale,
// so what counts is the operation itself. A conflict says that another sweeper,
// or the workflow, was first.
func (s *Sweeper) operation(ctx context.Context, id operation.ID, now time.Time) error {
	o, err := s.Operations.Get(ctx, id)
	if err != nil || now.Before(o.DueAt) {
		return err
	}
	if o.Done() {
		return s.dropPasswords(ctx, o)
	}
	workflow := s.Workflows[o.Kind]
	if workflow == nil {
		return errors.New("there is no workflow of kind " + string(o.Kind))
	}
	started, running, err := workflow.State(ctx, o)
	if err != nil {
		return err
	}
	if started && !running {
		return s.recover(ctx, workflow, o, now)
	}
	again := now.Add(work.LookAgainIn)
	if started && o.NotBefore.After(now) {
		again = o.NotBefore.Add(work.LookAgainIn) // it waits until then
	}
	if err := s.postpone(ctx, o, again); err != nil || started {
		return err
	}
	return workflow.Start(ctx, o)
}

// postpone notes when an operation is to be looked at again.
func (s *Sweeper) postpone(ctx context.Context, o operation.Operation, at time.Time) error {
	after := o
	after.DueAt = at
	after.Version++
	return s.Operations.Save(ctx, o, after)
}

// recover deals with an operation whose workflow is dead. It has the operation to
// itself for longer than it can take, so that a sweeper that is behind cannot
// undo what a retry did meanwhile.
func (s *Sweeper) recover(ctx context.Context, workflow Workflow, o operation.Operation, now time.Time) error {
	if err := s.postpone(ctx, o, now.Add(work.StepWithin)); err != nil {
		return err
	}
	err := workflow.Recover(ctx, o)
	if err == nil {
		return nil
	}
	if errors.Is(err, operation.ErrNotReady) {
		err = nil // the next sweep goes on
	}
	return errors.Join(err, s.release(ctx, o.ID, now))
}

// release lets the next sweep look at an operation.
func (s *Sweeper) release(ctx context.Context, id operation.ID, now time.Time) error {
	o, err := s.Operations.Get(ctx, id)
	if err != nil || o.Done() {
		return err
	}
	return work.Transient(s.postpone(ctx, o, now))
}

// dropPasswords removes the passwords of an operation that has ended, when it is
// time. Those that a retry may ask for are taken from the operation first.
func (s *Sweeper) dropPasswords(ctx context.Context, o operation.Operation) error {
	if o.Secret == "" {
		return nil
	}
	if o.State != operation.Failed {
		return work.Discard(ctx, s.Operations, s.Vault, o)
	}
	after := o
	after.Secret = ""
	after.Version++
	if err := s.Operations.Save(ctx, o, after); err != nil {
		return err
	}
	return s.Vault.Drop(ctx, o.Secret)
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
// just before it was rejected stays.
func (s *Sweeper) removeAccount(ctx context.Context, a RejectedAccount) error {
	_, err := s.Accounts.Get(ctx, a.ID)
	if errors.Is(err, fault.NotFound) {
		err = s.Directory.Remove(ctx, a)
	}
	if err != nil {
		return err
	}
	return s.Due.Forget(ctx, a)
}

// SweepSecrets removes the secrets that no row names.
func (s *Sweeper) SweepSecrets(ctx context.Context) error {
	return errors.Join(
		s.Inventory.OperationSecrets(ctx, secretsAge, s.sweepPasswords(ctx)),
		s.Inventory.TenantSecrets(ctx, secretsAge, s.sweepCredentials(ctx)),
	)
}

// sweepPasswords removes passwords that their operation does not name.
func (s *Sweeper) sweepPasswords(ctx context.Context) func(operation.ID, string) error {
	return func(id operation.ID, secret string) error {
		o, err := s.Operations.Get(ctx, id)
		switch {
		case err == nil && o.Secret == secret:
			return nil
		case err != nil && !errors.Is(err, fault.NotFound):
			return err
		}
		return s.Inventory.Drop(ctx, secret)
	}
}

// sweepCredentials removes secrets that their tenant does not name: a process
// died before it could write the tenant. While a tenant is provisioned, the
// steps of that look after them.
func (s *Sweeper) sweepCredentials(ctx context.Context) func(identity.TenantID, string) error {
	return func(id identity.TenantID, secret string) error {
		t, err := s.Tenants.Get(ctx, id)
		switch {
		case err == nil && (t.Status == tenant.Provisioning || t.Secret != nil && t.Secret.Name == secret):
			return nil
		case err != nil && !errors.Is(err, fault.NotFound):
			return err
		}
		return s.Inventory.Drop(ctx, secret)
	}
}
