package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

// log is a Server that writes down what it is asked. Its database has a tag, and the
// collections that it is given.
type log struct {
	Server
	calls []string
	tag   Tag
	names []string
}

func (l *log) note(format string, args ...any) error {
	l.calls = append(l.calls, fmt.Sprintf(format, args...))
	return nil
}

func (l *log) Collections(context.Context, string) ([]string, error) { return l.names, nil }
func (l *log) Tag(context.Context, string) (Tag, error)              { return l.tag, nil }
func (l *log) Claim(context.Context, string, Tag) (Tag, error)       { return l.tag, nil }
func (l *log) SetSchemaVersion(_ context.Context, _ string, v int) error {
	return l.note("version %d", v)
}

func (l *log) CreateCollection(_ context.Context, _, name string) error {
	return l.note("collection %s", name)
}

func (l *log) CreateIndexes(_ context.Context, _, collection string, indexes []Index) error {
	return l.note("%d indexes of %s", len(indexes), collection)
}

func (l *log) CreateUser(_ context.Context, database, name, password string) error {
	return l.note("user %s of %s: %s", name, database, password)
}

func (l *log) DropUser(_ context.Context, _, name string) error { return l.note("drop user %s", name) }

func (l *log) DropCollection(_ context.Context, _, name string) error { return l.note("drop %s", name) }

func (l *log) DropDatabase(context.Context, string) error { return l.note("drop database") }

var (
	acme = tenant.Tenant{ID: "5c9e4b0a-7d24-4f7b-b1f5-2f6a0c8d1e93", Slug: "acme", SchemaVersion: 1}
	made = Tag{Tenant: string(acme.ID), Operation: "o", Attempt: 1}
)

// TestName looks at names at the limits of stacks and slugs.
func TestName(t *testing.T) {
	for _, test := range []struct{ stack, slug, want string }{
		{"tenantry-local", "acme", "tenantry-local_acme_5c9e4b0a"},
		{"Prod", "acme-2", "prod_acme-2_5c9e4b0a"},
		{"s", strings.Repeat("x", 63), "s_" + strings.Repeat("x", 52) + "_5c9e4b0a"},
		{strings.Repeat("S", 128), "acme", strings.Repeat("s", 54) + "_5c9e4b0a"},
	} {
		got := NewDatabases(nil, test.stack).Name(tenant.Tenant{ID: acme.ID, Slug: test.slug})
		if got != test.want || len(got) > 63 || strings.ContainsAny(got, `/\. "$*<>:|?`) {
			t.Errorf("%s, %s: got %q, want %q", test.stack, test.slug, got, test.want)
		}
	}
}

// TestMigrate takes a database through the versions of a schema that it does not have
// yet, and writes down each.
func TestMigrate(t *testing.T) {
	versions := [][]collection{
		{{"a", []Index{{Name: "i"}}}, {"b", []Index{{Name: "i"}}}},
		{{"a", []Index{{Name: "j"}, {Name: "k"}}}},
		{{"c", []Index{{Name: "i"}}}},
	}
	user := "user tenant of s_acme_5c9e4b0a: p"
	all := []string{
		"collection a", "1 indexes of a", "collection b", "1 indexes of b", "version 1",
		"collection a", "2 indexes of a", "version 2",
		"collection c", "1 indexes of c", "version 3",
		user,
	}
	for _, test := range []struct {
		from, to int
		want     []string
	}{
		{0, 3, all},
		{1, 3, all[5:]},
		{2, 2, []string{user}},
		{3, 1, []string{user}}, // made by a later release
		{0, 1, append(all[:5:5], user)},
	} {
		l := &log{tag: made}
		l.tag.SchemaVersion = test.from
		to := acme
		to.SchemaVersion = test.to
		s := NewDatabases(l, "s")
		s.schema = versions
		if err := s.Create(t.Context(), to, operation.Operation{ID: "o", Attempt: 1}, "p"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, l.calls); diff != "" {
			t.Errorf("from %d to %d (-want +got):\n%s", test.from, test.to, diff)
		}
	}
	for _, test := range []struct {
		from, to int
		want     []string
	}{{1, 3, all[5:11]}, {2, 3, all[8:11]}, {3, 3, nil}, {3, 1, nil}} {
		l := &log{tag: made}
		l.tag.SchemaVersion, l.tag.Operation = test.from, "another" // of the same tenant
		s := NewDatabases(l, "s")
		s.schema = versions
		if err := s.Migrate(t.Context(), acme, test.to); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, l.calls); diff != "" {
			t.Errorf("migrated from %d to %d (-want +got):\n%s", test.from, test.to, diff)
		}
	}
	l := &log{tag: made}
	beyond := acme
	beyond.SchemaVersion = len(schema) + 1
	if err := NewDatabases(l, "s").Create(t.Context(), beyond, operation.Operation{ID: "o", Attempt: 1}, "p"); err == nil || l.calls != nil {
		t.Errorf("a version that there is not: got %v, after %q", err, l.calls)
	}
}

// TestSchema sees to it that a version can be applied twice: MongoDB tells indexes of
// a collection apart by their names and keys.
func TestSchema(t *testing.T) {
	if len(schema) != tenant.LatestSchemaVersion {
		t.Errorf("there are %d versions, and tenants get %d", len(schema), tenant.LatestSchemaVersion)
	}
	seen := map[string]bool{}
	for _, version := range schema {
		for _, c := range version {
			if c.name == tagCollection {
				t.Errorf("collection %s is the tag's", c.name)
			}
			for _, index := range c.indexes {
				for _, name := range []string{c.name + " " + index.Name, c.name + fmt.Sprint(index.Keys)} {
					if seen[name] {
						t.Errorf("index %s is there twice", name)
					}
					seen[name] = true
				}
			}
		}
	}
}

// TestDropOrder drops the user first and the tag last, and leaves to MongoDB what is
// its own.
func TestDropOrder(t *testing.T) {
	l := &log{tag: made, names: []string{"contacts", "system.views", "tenantry", "theirs"}}
	if err := NewDatabases(l, "s").Remove(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"drop user tenant", "drop contacts", "drop theirs", "drop database"}, l.calls); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDeleteOfEarlierAttempt has the undo of an attempt come late: what the retry has
// made stays.
func TestDeleteOfEarlierAttempt(t *testing.T) {
	for attempt, want := range map[int]bool{1: false, 2: true, 3: true} {
		l := &log{tag: made}
		l.tag.Attempt = 2
		err := NewDatabases(l, "s").Delete(t.Context(), acme, operation.Operation{ID: "o", Attempt: attempt})
		if dropped := slices.Contains(l.calls, "drop database"); dropped != want || (err == nil) != want {
			t.Errorf("attempt %d: dropped is %v, %v", attempt, dropped, err)
		}
	}
	l := &log{tag: made}
	if err := NewDatabases(l, "s").Delete(t.Context(), acme, operation.Operation{ID: "another", Attempt: 9}); err != nil || l.calls != nil {
		t.Errorf("another operation: got %v, after %q", err, l.calls)
	}
}
