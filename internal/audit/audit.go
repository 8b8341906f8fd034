// Package audit holds the records of who changed what. A record is written in
// the transaction of the change that it tells of. The package knows neither HTTP
// nor AWS.
package audit

import (
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/tenantry/tenantry/internal/identity"
)

// An Action is what was done: a noun and what became of it. It is stored, so it
// never changes.
type Action string

// The actions.
const (
	TenantCreated         Action = "tenant.created"
	TenantUpdated         Action = "tenant.updated"
	TenantProvisioned     Action = "tenant.provisioned"
	TenantFailed          Action = "tenant.provisioning_failed"
	TenantDatabaseCreated Action = "tenant.database_created"
	TenantDatabaseRemoved Action = "tenant.database_removed"
	TenantMongoCreated    Action = "tenant.mongo_database_created"
	TenantMongoRemoved    Action = "tenant.mongo_database_removed"
	TenantSecretsStored   Action = "tenant.secrets_stored"
	TenantSecretsRemoved  Action = "tenant.secrets_removed"
	TenantAgentsRemoved   Action = "tenant.agents_removed"
	TenantEmailReleased   Action = "tenant.email_released"
	TenantMigrating       Action = "tenant.migrating"
	TenantMigrated        Action = "tenant.migrated"
	TenantDeleting        Action = "tenant.deleting"
	TenantRestored        Action = "tenant.restored"
	TenantPurging         Action = "tenant.purging"
	TenantDeleted         Action = "tenant.deleted"
	LimitReached          Action = "limit.reached" // 80 or 100 percent of it, for the first time in a month
	OperationRetried      Action = "operation.retried"
	OperationFailed       Action = "operation.failed"
	SIPRotated            Action = "sip_credentials.rotated"
	UserCreated           Action = "user.created"
	UserInvited           Action = "user.invited"
	UserUpdated           Action = "user.updated"
	UserDeleted           Action = "user.deleted"
	UserPasswordReset     Action = "user.password_reset"   // by somebody else, or by the code from a mail
	UserPasswordChanged   Action = "user.password_changed" // by the user, who knew the old one
	UserSignedIn          Action = "user.signed_in"
	UserSignedOut         Action = "user.signed_out"
	AgentCreated          Action = "agent.created"
	AgentUpdated          Action = "agent.updated"
	AgentDeleted          Action = "agent.deleted"
	KeyCreated            Action = "api_key.created"
	KeyRevoked            Action = "api_key.revoked"
	ImpersonationStarted  Action = "impersonation.started"
	ImpersonationEnded    Action = "impersonation.ended"
)

// A Target is the thing that was changed: its kind, which is the noun of the
// action, and its id.
type Target struct {
	Kind string
	ID   string
}

// Of returns the target of a kind.
func Of[ID ~string](kind string, id ID) Target { return Target{kind, string(id)} }

// A Change is one field that got another value. Nil stands for none. Of what is
// redacted, such as a secret, only that it changed is told.
type Change struct {
	Field    string
	From     any
	To       any
	Redacted bool
}

// A Field is one whose values the audit tells. Name is that on the wire, and Value
// returns nil or what can be compared.
type Field[T any] struct {
	Name  string
	Value func(T) any
}

// Compare returns the fields that are different between two versions of a thing.
// Of a thing that is new, before is the zero value, and nothing is told of that.
func Compare[T any](fields []Field[T], before, after T) []Change {
	isNew := reflect.ValueOf(before).IsZero()
	var changes []Change
	for _, field := range fields {
		from, to := field.Value(before), field.Value(after)
		if from == to {
			continue
		}
		if isNew {
			from = nil
		}
		changes = append(changes, Change{Field: field.Name, From: from, To: to})
	}
	return changes
}

// A Record says who did what, and to which tenant it belongs; those that belong
// to none are the platform's.
type Record struct {
	ID       string // a UUID
	Time     time.Time
	TenantID identity.TenantID // "" for the platform
	Origin
	Action  Action
	Target  Target
	Changes []Change
}

// An Origin is who brought a change about, and by what.
type Origin struct {
	// Actor is a user, a service's key, or a part of the platform by its name.
	Actor Actor
	// OnBehalfOf is the user whom the actor impersonated, or "".
	OnBehalfOf  identity.UserID
	RequestID   string
	OperationID string
}

// An Actor is who did something.
type Actor struct {
	Kind ActorKind
	ID   string
}

// An ActorKind is what an actor is.
type ActorKind string

// The kinds of actors.
const (
	User    ActorKind = "user"
	Service ActorKind = "service" // by its key
	System  ActorKind = "system"  // a part of the platform itself
)

// By returns the origin of what a caller does.
func By(c identity.Caller) Origin {
	o := Origin{Actor: Actor{User, string(c.Subject)}, RequestID: c.RequestID}
	switch {
	case c.Role == identity.Service:
		o.Actor.Kind = Service
	case c.Impersonation != nil:
		o.Actor.ID, o.OnBehalfOf = string(c.Impersonation.Actor), c.Subject
	}
	return o
}

// BySystem returns the origin of what a part of the platform does, for an
// operation unless that is "".
func BySystem[ID ~string](part string, operation ID) Origin {
	return Origin{Actor: Actor{System, part}, OperationID: string(operation)}
}

// For returns the origin with the operation that a change belongs to.
func For[ID ~string](o Origin, operation ID) Origin {
	o.OperationID = string(operation)
	return o
}

// Did returns the record of an action that happens now.
func (o Origin) Did(action Action, tenantID identity.TenantID, target Target, changes ...Change) Record {
	return Record{
		ID:       uuid.NewString(),
		Time:     time.Now().UTC().Truncate(time.Millisecond),
		TenantID: tenantID,
		Origin:   o,
		Action:   action,
		Target:   target,
		Changes:  changes,
	}
}
