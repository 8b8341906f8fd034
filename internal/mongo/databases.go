// Package mongo makes and removes the MongoDB databases of dedicated tenants.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

const (
	// maxName is how many bytes MongoDB takes for the name of a database.
	maxName = 63
	shortID = 8
)

// tagCollection is the collection that says whose a database is. It is the first
// that is made and the last that is dropped.
const tagCollection = "tenantry"

// A Tag says whose a database is, and what has become of it.
type Tag struct {
	Tenant        string
	Operation     string
	Attempt       int // the last that made it, or adopted it
	SchemaVersion int // how far it is migrated; 0 is not at all
}

// What a Server answers that is no failure of it.
var (
	ErrNoTag = errors.New("the database has no tag")
	ErrTaken = errors.New("the name is taken")
)

// A Server is what Databases uses of a MongoDB server. Doing something again is no
// error, unless it says so.
type Server interface {
	// Collections returns the names of the collections of a database, or none if
	// there is no such database.
	Collections(ctx context.Context, database string) ([]string, error)
	// Tag returns the tag of a database, or ErrNoTag.
	Tag(ctx context.Context, database string) (Tag, error)
	// Claim gives a database a tag, unless it has one of the same tenant and
	// operation, of which it raises the attempt to that of t. It returns the tag as
	// it is then. It fails with ErrTaken if the tag is another's.
	Claim(ctx context.Context, database string, t Tag) (Tag, error)
	// SetSchemaVersion writes into the tag how far the database is migrated.
	SetSchemaVersion(ctx context.Context, database string, version int) error
	CreateCollection(ctx context.Context, database, name string) error
	CreateIndexes(ctx context.Context, database, collection string, indexes []Index) error
	// CreateUser makes a user who may read and write the database, and nothing else.
	// It fails with ErrTaken if the database has the user.
	CreateUser(ctx context.Context, database, name, password string) error
	// UpdateUser gives a user what CreateUser gives.
	UpdateUser(ctx context.Context, database, name, password string) error
	DropUser(ctx context.Context, database, name string) error
	DropCollection(ctx context.Context, database, name string) error
	DropDatabase(ctx context.Context, database string) error
}

// Databases makes and removes the databases of a stack's tenants.
type Databases struct {
	server Server
	stack  string
	schema [][]collection
}

// NewDatabases returns the databases that a stack has on a server.
func NewDatabases(server Server, stack string) *Databases { return &Databases{server, stack, schema} }

// Name returns the name of the tenant's database. Names that differ in their case
// only exclude each other in MongoDB.
func (s *Databases) Name(t tenant.Tenant) string {
	id := strings.ReplaceAll(string(t.ID), "-", "")
	name := strings.ToLower(s.stack) + "_" + t.Slug
	if room := maxName - shortID - 1; len(name) > room {
		name = name[:room]
	}
	return name + "_" + id[:shortID]
}

// Create makes the tenant's database on behalf of an operation's attempt, or adopts
// the one that the operation made, brings it to the tenant's schema version, and
// gives its user the password. It fails with fault.Conflict if somebody else's has
// the name.
func (s *Databases) Create(ctx context.Context, t tenant.Tenant, o operation.Operation, password string) error {
	name := s.Name(t)
	tag, err := s.claim(ctx, name, Tag{Tenant: string(t.ID), Operation: string(o.ID), Attempt: o.Attempt})
	if err != nil {
		return err
	}
	if err := s.migrate(ctx, name, tag.SchemaVersion, t.SchemaVersion); err != nil {
		return err
	}
	err = s.server.CreateUser(ctx, name, tenant.MongoUsername, password)
	if errors.Is(err, ErrTaken) {
		return s.server.UpdateUser(ctx, name, tenant.MongoUsername, password)
	}
	return err
}

// claim tags a database that is new, or that the operation made.
func (s *Databases) claim(ctx context.Context, name string, t Tag) (Tag, error) {
	there, err := s.server.Collections(ctx, name)
	if err != nil {
		return t, err
	}
	if len(there) > 0 && !slices.Contains(there, tagCollection) {
		return t, taken(name)
	}
	tag, err := s.server.Claim(ctx, name, t)
	if errors.Is(err, ErrTaken) {
		return t, taken(name)
	}
	return tag, err
}

func taken(name string) error {
	return fault.New(fault.Conflict, "there is a MongoDB database %s already, and it was not made for this tenant", name)
}

// Migrate brings the tenant's database to a version of the schema, unless it has a
// later one, whatever operation made it. It fails with fault.Conflict if the database
// is not tagged as the tenant's.
func (s *Databases) Migrate(ctx context.Context, t tenant.Tenant, version int) error {
	name := s.Name(t)
	tag, err := s.server.Tag(ctx, name)
	if errors.Is(err, ErrNoTag) || err == nil && tag.Tenant != string(t.ID) {
		return untagged(name)
	}
	if err != nil {
		return err
	}
	return s.migrate(ctx, name, tag.SchemaVersion, version)
}

// Delete removes the tenant's database with its user if the operation made it, by
// the attempt or an earlier one; another's is left alone. It fails if a later attempt
// has made it anew.
func (s *Databases) Delete(ctx context.Context, t tenant.Tenant, o operation.Operation) error {
	name := s.Name(t)
	tag, err := s.server.Tag(ctx, name)
	if errors.Is(err, ErrNoTag) {
		return nil
	}
	if err != nil {
		return err
	}
	if tag.Tenant != string(t.ID) || tag.Operation != string(o.ID) {
		return nil
	}
	if tag.Attempt > o.Attempt {
		return fmt.Errorf("database %s is that of attempt %d of operation %s, not of attempt %d", name, tag.Attempt, o.ID, o.Attempt)
	}
	return s.drop(ctx, name)
}

// Remove removes the tenant's database with its user, whatever operation made it.
// It is no error if it is gone. It fails with fault.Conflict if the database of that
// name is not tagged as the tenant's: who takes a tenant apart is not to believe
// that its data is gone.
func (s *Databases) Remove(ctx context.Context, t tenant.Tenant) error {
	name := s.Name(t)
	tag, err := s.server.Tag(ctx, name)
	if errors.Is(err, ErrNoTag) {
		there, err := s.server.Collections(ctx, name)
		if err != nil || len(there) == 0 {
			return err
		}
		return untagged(name)
	}
	if err != nil {
		return err
	}
	if tag.Tenant != string(t.ID) {
		return untagged(name)
	}
	return s.drop(ctx, name)
}

func untagged(name string) error {
	return fault.New(fault.Conflict, "the MongoDB database %s is not tagged as this tenant's", name)
}

// drop removes a database, its tag last: as long as there is anything, whoever comes
// next knows whose it is. That of a user goes with no database.
func (s *Databases) drop(ctx context.Context, name string) error {
	if err := s.server.DropUser(ctx, name, tenant.MongoUsername); err != nil {
		return err
	}
	there, err := s.server.Collections(ctx, name)
	if err != nil {
		return err
	}
	for _, collection := range there {
		if collection == tagCollection || strings.HasPrefix(collection, "system.") {
			continue
		}
		if err := s.server.DropCollection(ctx, name, collection); err != nil {
			return err
		}
	}
	return s.server.DropDatabase(ctx, name)
}

// migrate takes a database through the versions of the schema after one, up to
// another.
func (s *Databases) migrate(ctx context.Context, name string, from, to int) error {
	if to > len(s.schema) {
		return fmt.Errorf("database %s is to have version %d of a schema of %d", name, to, len(s.schema))
	}
	for version := from + 1; version <= to; version++ {
		for _, c := range s.schema[version-1] {
			if err := s.server.CreateCollection(ctx, name, c.name); err != nil {
				return err
			}
			if err := s.server.CreateIndexes(ctx, name, c.name, c.indexes); err != nil {
				return err
			}
		}
		if err := s.server.SetSchemaVersion(ctx, name, version); err != nil {
			return err
		}
	}
	return nil
}
