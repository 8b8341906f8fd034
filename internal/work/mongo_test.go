package work_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/infra/local/enginetest"
	"github.com/tenantry/tenantry/internal/mongo"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/work"
)

// mongoServer is a MongoDB server of databases and, apart from those, their users.
type mongoServer struct {
	*process
	databases map[string]*mongoDatabase
	users     map[string]string // their passwords, by the database
}

// A mongoDatabase is there as long as it has a collection.
type mongoDatabase struct {
	tag         *mongo.Tag
	collections map[string][]string // the names of their indexes
}

// mongoName returns the name of the tenant's MongoDB database.
func (w *world) mongoName() string {
	return mongo.NewDatabases(w.mongo, "test").Name(tenant.Tenant{ID: w.tenantID, Slug: w.slug})
}

// database returns a database, which it makes unless it is there.
func (m *mongoServer) database(name string) *mongoDatabase {
	if m.databases[name] == nil {
		m.databases[name] = &mongoDatabase{collections: map[string][]string{}}
	}
	return m.databases[name]
}

// claim has a database be that of a tenant, by an operation of its own.
func (m *mongoServer) claim(database, tenant string) {
	m.database(database).tag = &mongo.Tag{Tenant: tenant, Operation: "another", Attempt: 1}
	m.database(database).collections["tenantry"] = nil
}

func (m *mongoServer) Collections(ctx context.Context, database string) (names []string, err error) {
	return names, m.fake(ctx, "ListCollections", func() error {
		if found := m.databases[database]; found != nil {
			names = slices.Sorted(maps.Keys(found.collections))
		}
		return nil
	})
}

func (m *mongoServer) Tag(ctx context.Context, database string) (tag mongo.Tag, err error) {
	return tag, m.fake(ctx, "GetTag", func() error {
		if found := m.databases[database]; found != nil && found.tag != nil {
			tag = *found.tag
			return nil
		}
		return mongo.ErrNoTag
	})
}

func (m *mongoServer) Claim(ctx context.Context, database string, t mongo.Tag) (mongo.Tag, error) {
	return t, m.fake(ctx, "FindAndModify", func() error {
		found := m.database(database)
		if old := found.tag; old != nil {
			if old.Tenant != t.Tenant || old.Operation != t.Operation {
				return mongo.ErrTaken
			}
			t.Attempt, t.SchemaVersion = max(t.Attempt, old.Attempt), old.SchemaVersion
		}
		found.tag, found.collections["tenantry"] = &t, nil
		return nil
	})
}

func (m *mongoServer) SetSchemaVersion(ctx context.Context, database string, version int) error {
	return m.fake(ctx, "Update", func() error {
		m.database(database).tag.SchemaVersion = version
		return nil
	})
}

func (m *mongoServer) CreateCollection(ctx context.Context, database, name string) error {
	return m.fake(ctx, "CreateCollection", func() error {
		if found := m.database(database); found.collections[name] == nil {
			found.collections[name] = []string{}
		}
		return nil
	})
}

func (m *mongoServer) CreateIndexes(ctx context.Context, database, collection string, indexes []mongo.Index) error {
	return m.fake(ctx, "CreateIndexes", func() error {
		names := m.database(database).collections[collection]
		for _, index := range indexes {
			if !slices.Contains(names, index.Name) {
				names = append(names, index.Name)
			}
		}
		m.database(database).collections[collection] = names
		return nil
	})
}

func (m *mongoServer) CreateUser(ctx context.Context, database, _, password string) error {
	return m.fake(ctx, "CreateUser", func() error {
		if _, there := m.users[database]; there {
			return mongo.ErrTaken
		}
		m.users[database] = password
		return nil
	})
}

func (m *mongoServer) UpdateUser(ctx context.Context, database, _, password string) error {
	return m.fake(ctx, "UpdateUser", func() error {
		m.users[database] = password
		return nil
	})
}

func (m *mongoServer) DropUser(ctx context.Context, database, _ string) error {
	return m.fake(ctx, "DropUser", func() error {
		delete(m.users, database)
		return nil
	})
}

func (m *mongoServer) DropCollection(ctx context.Context, database, name string) error {
	return m.fake(ctx, "DropCollection", func() error {
		delete(m.database(database).collections, name)
		return nil
	})
}

func (m *mongoServer) DropDatabase(ctx context.Context, database string) error {
	return m.fake(ctx, "DropDatabase", func() error {
		delete(m.databases, database)
		return nil
	})
}

// mongoFunction is the function of the step, as the sweeper calls it.
type mongoFunction struct {
	*world
	step work.TwoWayStep
}

func (f mongoFunction) Undo(ctx context.Context, o operation.Operation) error {
	return f.call(ctx, "Invoke", func() error {
		return f.runner.Undo(ctx, f.step, work.Task{OperationID: o.ID, Attempt: o.Attempt})
	})
}

// checkMongo fails the test unless the tenant's MongoDB database is there, once, and
// its user has the password that the tenant's secret tells.
func (w *world) checkMongo() {
	w.Helper()
	t, name := w.tenant(), w.mongoName()
	found := w.mongo.databases[name]
	if t.MongoDatabase == nil || *t.MongoDatabase != name || found == nil || len(w.mongo.databases) != 1 {
		w.Fatalf("the tenant names the MongoDB database %v, and there are %v", t.MongoDatabase, w.mongo.databases)
	}
	want := mongo.Tag{Tenant: string(w.tenantID), Operation: string(w.operationID), Attempt: w.operation().Attempt, SchemaVersion: tenant.LatestSchemaVersion}
	if found.tag == nil || *found.tag != want {
		w.Errorf("the tag is %+v, want %+v", found.tag, want)
	}
	for _, collection := range []string{"call_records", "contacts", "conversations", "messages"} {
		if len(found.collections[collection]) == 0 {
			w.Errorf("collection %s is not there, or without indexes", collection)
		}
	}
	if len(found.collections) != 5 {
		w.Errorf("the collections are %v", found.collections)
	}
	user := w.credentials.secrets[t.Secret.Name].MongoDB
	if user.Username != tenant.MongoUsername || len(user.Password) < 20 || len(w.mongo.users) != 1 || w.mongo.users[name] != user.Password {
		w.Errorf("the secret tells of %+v, and the users are %v", user, w.mongo.users)
	}
}

// TestMongoNotConfigured provisions tenants that get no MongoDB database, and takes
// one apart.
func TestMongoNotConfigured(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	for name, test := range map[string]struct {
		has       bool
		isolation tenant.Isolation
		want      []string
	}{
		"dedicated, without a server": {false, tenant.Dedicated, []string{"database", "identity", "sip", "activate"}},
		"pooled, with a server":       {true, tenant.Pooled, []string{"identity", "sip", "activate"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			w.service.WithMongoDB(test.has)
			r := w.everything()
			r.Draft.Isolation = patch.Of(test.isolation)
			if _, err := w.request(r); err != nil {
				t.Fatal(err)
			}
			if got := w.execute(); got != succeeded {
				t.Fatalf("the execution ended as %s", got)
			}
			if diff := cmp.Diff(test.want, names(w.operation())); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			got := w.tenant()
			if got.Status != tenant.Active || got.MongoDatabase != nil || w.credentials.secrets[got.Secret.Name].MongoDB != (tenant.DatabaseUser{}) {
				t.Errorf("the tenant is %+v", got)
			}
			if err := w.delete(); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(names(w.operation()), "mongodb") {
				t.Error("its deprovisioning is to remove a MongoDB database")
			}
			if slices.Contains(w.calls, "ListCollections") || slices.Contains(w.calls, "FindAndModify") {
				t.Error("the server was asked")
			}
		})
	}
}

// names returns the names of an operation's steps.
func names(o operation.Operation) []string {
	var all []string
	for _, step := range o.Steps {
		all = append(all, step.Name)
	}
	return all
}

// TestMongoTagLost takes a tenant apart whose database does not say that it is the
// tenant's. It is left alone, and the operation says so; when it is gone, a retry
// does the rest.
func TestMongoTagLost(t *testing.T) {
	t.Parallel()
	tableName := enginetest.Table(t)
	for name, lose := range map[string]func(*mongoDatabase){
		"none":      func(d *mongoDatabase) { d.tag = nil; delete(d.collections, "tenantry") },
		"another's": func(d *mongoDatabase) { d.tag.Tenant = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tableName)
			w.flourish()
			w.settled()
			found := w.mongo.databases[w.mongoName()]
			lose(found)
			collections := maps.Clone(found.collections)
			if err := w.delete(); err != nil {
				t.Fatal(err)
			}
			if got := w.execute(); got != failed {
				t.Fatalf("the execution ended as %s", got)
			}
			want := &operation.Failure{
				Step: "mongodb", Code: "conflict", Detail: "the MongoDB database " + w.mongoName() + " is not tagged as this tenant's",
				Hint: "see whose the database with the tenant's database name is; remove it if it is the tenant's, rename it if not, then POST /operations/{id}/retry",
			}
			if diff := cmp.Diff(want, w.operation().Failure); diff != "" {
				t.Errorf("the failure (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(collections, w.mongo.databases[w.mongoName()].collections); diff != "" || len(w.mongo.users) != 1 {
				t.Errorf("the users are %v; the collections (-want +got):\n%s", w.mongo.users, diff)
			}
			clear(w.mongo.databases)
			clear(w.mongo.users)
			if err := w.revive(work.NewPasswords{}); err != nil {
				t.Fatal(err)
			}
			w.execute()
			w.checkDeleted()
		})
	}
}
