// Package enginetest gives the tests of any package a DynamoDB to talk to.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tenantry/tenantry/infra/local/cloud/dynamodb"
	"github.com/tenantry/tenantry/infra/local/engines"
)

// DynamoDB returns the address of a DynamoDB in strict mode. The first call in a
// process installs and starts it; it ends with the process. All tests of a
// process share it, so each makes tables of its own.
func DynamoDB(tb testing.TB) string {
	tb.Helper()
	return shared(tb).url
}

// Inject lets f decide over all calls to the DynamoDB until tb ends. Tests may
// run at the same time, so f has to let pass what is not tb's own.
func Inject(tb testing.TB, f dynamodb.Fault) {
	tb.Helper()
	tb.Cleanup(shared(tb).layer.Inject(f))
}

// A database is a layer over a dynalite.
type database struct {
	url   string
	layer *dynamodb.Layer
}

// start starts the one database of the process.
var start = sync.OnceValues(func() (*database, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	dir := filepath.Join(root, ".tools", "engines")
	if err := engines.Install(ctx, dir, os.Stderr); err != nil {
		return nil, err
	}
	dynalite, err := engines.StartDynalite(ctx, dir, "", io.Discard)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve DynamoDB: %w", err), dynalite.Stop())
	}
	layer := dynamodb.New(dynamodb.Options{Upstream: dynalite.URL, Strict: true})
	server := &http.Server{Handler: layer, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return &database{"http://" + listener.Addr().String(), layer}, nil
})

func shared(tb testing.TB) *database {
	tb.Helper()
	db, err := start()
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

// moduleRoot returns the folder of the go.mod that the test belongs to.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the module: there is no go.mod above the test")
		}
		dir = parent
	}
}
