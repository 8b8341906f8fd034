package work

import (
	"context"

	"github.com/tenantry/tenantry/internal/operation"
)

// A Dropper removes secrets.
type Dropper interface {
	// Drop removes a secret. It is no error if it is gone.
	Drop(ctx context.Context, secret string) error
}

// Discard removes the passwords of an operation that has no more use for them.
// The operation names them until they are gone.
func Discard(ctx context.Context, operations Operations, vault Dropper, o operation.Operation) error {
	if o.Secret == "" {
		return nil
	}
	if err := vault.Drop(ctx, o.Secret); err != nil {
		return err
	}
	after := o
	after.Secret = ""
	after.Version++
	return operations.Save(ctx, o, after)
}
