// Package engines installs, starts and stops the programs that stand in for
// AWS on one machine: dynalite for DynamoDB, and moto for Step Functions,
// Cognito and Secrets Manager. It knows nothing of how they are put together.
package engines

import (
	"context"
	"errors"
	"io"
	"net/url"
)

// Install puts the engines, at the versions of the lock files that are built
// into this package, into dir. When they are there already it does nothing. It
// reports to progress what takes long.
func Install(ctx context.Context, dir string, progress io.Writer) error {
	return errors.New("not built yet")
}

// An Engine is a running engine.
type Engine struct {
	// URL is where the engine answers.
	URL *url.URL

	done chan struct{}
}

// StartDynalite starts the DynamoDB engine that Install put into dir, and
// returns once it answers. It keeps its tables in the folder data, which it
// empties first, or in memory if data is empty. What it prints goes to log.
func StartDynalite(ctx context.Context, dir, data string, log io.Writer) (*Engine, error) {
	return nil, errors.New("not built yet")
}

// StartMoto starts the engine of all other services, and returns once it
// answers. The tasks of its state machines call Lambda at 127.0.0.1:awsPort.
func StartMoto(ctx context.Context, dir string, awsPort int, log io.Writer) (*Engine, error) {
	return nil, errors.New("not built yet")
}

// Stop ends the engine and waits until it is gone.
func (e *Engine) Stop() error { return nil }

// Done returns a channel that is closed when the engine has ended, for
// whatever reason.
func (e *Engine) Done() <-chan struct{} { return e.done }
