package tenant

import (
	"slices"
	"strings"
	"time"

	"github.com/tenantry/tenantry/internal/fault"
)

// LatestSchemaVersion is the version of the schema that the databases of new tenants
// have, and that those of others can be brought to.
const LatestSchemaVersion = 2

// migratable is the statuses in which a tenant's databases are there, and stay.
var migratable = []string{string(Active), string(Inactive), string(Suspended)}

// AdmitMigration fails with fault.IllegalTransition unless the tenant's status lets
// its databases be brought to a later version of the schema.
func (t Tenant) AdmitMigration() error {
	if slices.Contains(migratable, string(t.Status)) {
		return nil
	}
	return &fault.Error{
		Kind:    fault.IllegalTransition,
		Detail:  "the databases of a tenant that is " + string(t.Status) + " cannot be migrated; only those of one that is " + strings.Join(migratable, ", ") + " can",
		Members: map[string]any{"status_from": string(t.Status), "allowed": t.Status.next()},
	}
}

// Migrate returns the tenant as it is when its databases have a version of the
// schema, or a later one.
func (t Tenant) Migrate(version int, now time.Time) Tenant {
	t.SchemaVersion = max(t.SchemaVersion, version)
	return t.Changed(now)
}
