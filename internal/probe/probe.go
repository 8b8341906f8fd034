// Package probe finds out how databases, brokers, stores and services are doing
// that an operator lists. It is the only package that links their drivers.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"

	"github.com/tenantry/tenantry/internal/health"
)

// A Vault holds what is needed to get into targets.
type Vault interface {
	// Credentials returns what a secret holds.
	Credentials(ctx context.Context, arn string) (health.Credentials, error)
}

// A driver finds out how a target is doing.
type driver func(ctx context.Context, t health.Target, c health.Credentials) (health.Finding, error)

func driverOf(kind health.Kind) driver {
	switch kind { //nolint:exhaustive // what the platform is built on is no target
	case health.Postgres:
		return postgres
	case health.MongoDB:
		return mongoDB
	case health.Redis:
		return redisServer
	case health.Kafka:
		return kafka
	case health.MinIO, health.S3:
		return objectStore
	default:
		return service
	}
}

// New returns the probe of a target, which gets in by what vault holds.
func New(t health.Target, vault Vault) health.Probe {
	return health.Probe{Name: t.Name, Kind: t.Kind, Do: func(ctx context.Context) (health.Finding, error) {
		var c health.Credentials
		if t.SecretARN != "" {
			var err error
			if c, err = vault.Credentials(ctx, t.SecretARN); err != nil {
				slog.ErrorContext(ctx, "a secret cannot be read", "target", t.Name, "error", err)
				return health.Finding{}, errors.New("the secret that secret_arn names cannot be read")
			}
		}
		f, err := driverOf(t.Kind)(ctx, t, c)
		if errors.Is(err, errPassword) && c.Nobody() {
			err = errNobody
		}
		return f, plain(ctx, t.Kind, err)
	}}
}

// What may be wrong, in the words of a report. They hold nothing of what a driver
// says, which may repeat a password or an address.
var (
	errPassword = errors.New("it does not let us in by this user name and password")
	errNobody   = errors.New("it does not let us in without a user name and password")
	errRefused  = errors.New("the connection is refused")
	errNoHost   = errors.New("there is no such host")
	errTLS      = errors.New("no TLS connection can be made, or its certificate is not good")
	errClosed   = errors.New("it closes the connection")
)

// errStrange says that something does not answer as its kind does.
func errStrange(kind health.Kind) error {
	return errors.New("it does not answer as " + string(kind) + " does")
}

// plain returns what is wrong in words that tell nothing secret.
func plain(ctx context.Context, kind health.Kind, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	answer, answered := errors.AsType[statusError](err)
	switch known := network(err); {
	case errors.Is(err, errPassword):
		return errPassword
	case errors.Is(err, errNobody):
		return errNobody
	case answered:
		return answer
	case known != nil:
		return known
	}
	return errStrange(kind)
}

// network returns what is wrong with a connection, or nil if that is not it.
func network(err error) error {
	_, noHost := errors.AsType[*net.DNSError](err)
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknownAuthority := errors.AsType[x509.UnknownAuthorityError](err)
	_, badRecord := errors.AsType[tls.RecordHeaderError](err)
	timeout, slow := errors.AsType[net.Error](err)
	text := err.Error() // of drivers that do not wrap
	switch {
	case noHost, strings.Contains(text, "no such host"):
		return errNoHost
	case errors.Is(err, syscall.ECONNREFUSED), strings.Contains(text, "connection refused"):
		return errRefused
	case badCertificate, unknownAuthority, badRecord, strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return errTLS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return errClosed
	case errors.Is(err, context.DeadlineExceeded), slow && timeout.Timeout():
		return context.DeadlineExceeded
	}
	return nil
}

// tlsFor returns the settings of an encrypted connection, or nil if none is wanted.
func tlsFor(t health.Target, c health.Credentials) *tls.Config {
	if !c.TLS {
		return nil
	}
	host, _, _ := net.SplitHostPort(t.Address)
	return &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
}
