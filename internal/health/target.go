package health

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/tenantry/tenantry/internal/fault"
)

// A Kind is what a component is, and so how it is probed.
type Kind string

// The kinds of components. The first are those that the platform is built on.
const (
	DynamoDB       Kind = "dynamodb"
	Cognito        Kind = "cognito"
	SecretsManager Kind = "secretsmanager"
	StepFunctions  Kind = "stepfunctions"
	Lambda         Kind = "lambda" // what probes the targets

	Postgres Kind = "postgres"
	MongoDB  Kind = "mongodb"
	Redis    Kind = "redis"
	Kafka    Kind = "kafka"
	MinIO    Kind = "minio"
	S3       Kind = "s3"
	HTTP     Kind = "http"
	// Integration is a service of others, which is probed as HTTP is.
	Integration Kind = "integration"
)

// integration reports whether components of the kind are others'.
func (k Kind) integration() bool { return k == Integration }

// isStore reports whether targets of the kind are stores of buckets, which are listed
// whatever path an address has.
func (k Kind) isStore() bool { return k == MinIO || k == S3 }

// hasURL reports whether the address of a target of the kind is a URL.
func (k Kind) hasURL() bool { return k == HTTP || k == Integration || k.isStore() }

// targetKinds is the kinds that a target may have.
var targetKinds = []Kind{Postgres, MongoDB, Redis, Kafka, MinIO, S3, HTTP, Integration}

const (
	maxTargets = 50
	maxName    = 64
	maxAddress = 1024
)

// A Target is something that an operator wants to be probed. Its address holds no
// secret; what is needed to get in is in Secrets Manager.
type Target struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Address is a URL for http, integration, minio and s3, and otherwise a host with
	// a port; for kafka several, parted by commas.
	Address string `json:"address"`
	// SecretARN names a secret: a JSON object with what the kind of target takes of
	// username, password and database. "" is none.
	SecretARN string `json:"secret_arn,omitempty"`
}

// The patterns are compiled when they are first used: most functions start without
// need of them.
var (
	targetName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`) })
	secretARN  = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$`)
	})
)

// ParseTargets reads the parameter HealthTargets, a JSON array of targets. "" is
// none. It fails with fault.Invalid, and all that is wrong.
func ParseTargets(text string) ([]Target, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var targets []Target
	if err := json.Unmarshal([]byte(text), &targets, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "HealthTargets must be a JSON array of objects with name, kind, address and, if need be, secret_arn")
	}
	var f fault.Fields
	if len(targets) > maxTargets {
		f.Add("#", "must be at most %d targets", maxTargets)
	}
	names := map[string]bool{}
	for i, t := range targets {
		f = append(f, t.faults(fmt.Sprintf("#/%d", i))...)
		if names[t.Name] {
			f.Add(fmt.Sprintf("#/%d/name", i), "is that of another target too")
		}
		names[t.Name] = true
	}
	return targets, f.Err()
}

func (t Target) faults(at string) fault.Fields {
	var f fault.Fields
	if len(t.Name) > maxName || !targetName().MatchString(t.Name) {
		f.Add(at+"/name", "must be 1 to %d letters, digits, points, hyphens and underscores", maxName)
	}
	if !slices.Contains(targetKinds, t.Kind) {
		f.Add(at+"/kind", "must be one of %v", targetKinds)
	} else if detail := t.addressFault(); detail != "" {
		f.Add(at+"/address", "%s", detail)
	}
	if t.SecretARN != "" && !secretARN().MatchString(t.SecretARN) {
		f.Add(at+"/secret_arn", "must be the ARN of a secret in Secrets Manager")
	}
	return f
}

// addressFault returns what is wrong with the address, or "".
func (t Target) addressFault() string {
	if len(t.Address) > maxAddress {
		return fmt.Sprintf("must be at most %d characters", maxAddress)
	}
	switch {
	case t.Kind.hasURL():
		u, err := url.Parse(t.Address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return "must be a URL that begins with http:// or https://"
		}
		if u.User != nil {
			return "must hold no user name or password; name a secret in secret_arn"
		}
		if t.Kind.isStore() && strings.TrimSuffix(u.Path, "/")+u.RawQuery+u.Fragment != "" {
			return "must end with the host and port, as all buckets are listed"
		}
	case t.Kind == Kafka:
		for broker := range strings.SplitSeq(t.Address, ",") {
			if !isHostPort(broker) {
				return "must be hosts with ports, as in kafka-1:9092,kafka-2:9092"
			}
		}
	case !isHostPort(t.Address):
		return "must be a host with a port, as in db.internal:5432"
	}
	return ""
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && host != "" && port != "" && !strings.ContainsAny(host, "/@ ")
}

// Credentials is what a secret holds of what is needed to get in.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Database string `json:"database"`
	// TLS asks for an encrypted connection, where the address does not say.
	TLS bool `json:"tls"`
}

// Nobody reports whether there is neither a user name nor a password.
func (c Credentials) Nobody() bool { return c.Username == "" && c.Password == "" }
