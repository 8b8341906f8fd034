package services

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/mongo"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
)

// A mongoUser is one as commands make it.
type mongoUser struct {
	Name, Password string
	Roles          []mongoRole
}

type mongoRole struct{ Role, DB string }

// userKeeper stands before mongo-java-server, which has no users, and answers the
// commands about them itself, as MongoDB's manual says. It lets nobody in who gives a
// password; whether MongoDB lets such a user in it cannot tell.
type userKeeper struct {
	address string
	server  string

	mu    sync.Mutex
	users map[string]mongoUser // by the database
}

func startUserKeeper(t *testing.T, server string) *userKeeper {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &userKeeper{address: l.Addr().String(), server: server, users: map[string]mongoUser{}}
	var connections sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	connections.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { k.serve(ctx, client) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		connections.Wait()
	})
	return k
}

func (k *userKeeper) uri() string { return "mongodb://" + k.address + "/?directConnection=true" }

func (k *userKeeper) user(database string) mongoUser {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.users[database]
}

func (k *userKeeper) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.users)
}

// serve answers one client until it goes.
func (k *userKeeper) serve(ctx context.Context, client net.Conn) {
	defer client.Close() //nolint:errcheck // it was answered
	server, err := new(net.Dialer).DialContext(ctx, "tcp", k.server)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // as above
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	for {
		message, err := readMessage(client)
		if err != nil {
			return
		}
		if answer := k.answer(message); answer != nil {
			if _, err := client.Write(answer); err != nil {
				return
			}
			continue
		}
		if _, err := server.Write(message); err != nil {
			return
		}
		if message, err = readMessage(server); err != nil {
			return
		}
		if _, err := client.Write(message); err != nil {
			return
		}
	}
}

// What a message begins with: four numbers, the first its length and the last what
// it is; then, if that is OP_MSG, flags and the kind of the first section.
const (
	messageHead = 16
	messageBody = messageHead + 5
	opMsg       = 2013
)

func readMessage(r io.Reader) ([]byte, error) {
	head := make([]byte, messageHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	message := slices.Grow(head, int(binary.LittleEndian.Uint32(head)))[:binary.LittleEndian.Uint32(head)]
	_, err := io.ReadFull(r, message[messageHead:])
	return message, err
}

// answer returns the answer to a command about users, or nil to any other.
func (k *userKeeper) answer(message []byte) []byte {
	if binary.LittleEndian.Uint32(message[12:]) != opMsg || message[messageBody-1] != 0 {
		return nil
	}
	var c struct {
		SignIn int    `bson:"saslStart"`
		Create string `bson:"createUser"`
		Update string `bson:"updateUser"`
		Drop   string `bson:"dropUser"`

		Password string `bson:"pwd"`
		Roles    []mongoRole
		Database string             `bson:"$db"`
		Concern  struct{ W string } `bson:"writeConcern"`
	}
	if bson.Unmarshal(message[messageBody:], &c) != nil || c.SignIn == 0 && c.Create+c.Update+c.Drop == "" {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, there := k.users[c.Database]
	reply := bson.D{{Key: "ok", Value: 1.0}}
	refuse := func(code int, message string) {
		reply = bson.D{{Key: "ok", Value: 0.0}, {Key: "code", Value: code}, {Key: "errmsg", Value: message}}
	}
	switch {
	case c.SignIn != 0:
		refuse(18, "Authentication failed.")
	case c.Concern.W != "majority":
		refuse(2, "a change of users that a failover forgets")
	case c.Create != "" && there:
		refuse(51003, "User \""+c.Create+"@"+c.Database+"\" already exists")
	case c.Create != "":
		k.users[c.Database] = mongoUser{c.Create, c.Password, c.Roles}
	case !there:
		refuse(11, "User '"+c.Update+c.Drop+"@"+c.Database+"' not found")
	case c.Update != "":
		k.users[c.Database] = mongoUser{c.Update, c.Password, c.Roles}
	default:
		delete(k.users, c.Database)
	}
	body, err := bson.Marshal(reply)
	if err != nil {
		return nil
	}
	answer := make([]byte, messageBody, messageBody+len(body))
	binary.LittleEndian.PutUint32(answer, uint32(messageBody+len(body)))               //nolint:gosec // a short one
	binary.LittleEndian.PutUint32(answer[8:], binary.LittleEndian.Uint32(message[4:])) // to which message it is
	binary.LittleEndian.PutUint32(answer[12:], opMsg)
	return append(answer, body...)
}

// connect returns the server as it is, past the product.
func connect(t *testing.T, address string) *driver.Client {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI("mongodb://" + address + "/?directConnection=true"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	eventually(t, "MongoDB was up", func() bool { return client.Ping(t.Context(), nil) == nil })
	return client
}

// A tenantDatabase is what is in one.
type tenantDatabase struct {
	Tag         map[string]any
	Collections map[string][]string // the names of their indexes
	User        mongoUser
}

func lookInto(t *testing.T, client *driver.Client, k *userKeeper, name string) tenantDatabase {
	t.Helper()
	db := client.Database(name)
	found := tenantDatabase{Collections: map[string][]string{}, User: k.user(name)}
	collections, err := db.ListCollectionNames(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	for _, collection := range collections {
		specs, err := db.Collection(collection).Indexes().ListSpecifications(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found.Collections[collection] = nil
		for _, spec := range specs {
			found.Collections[collection] = append(found.Collections[collection], spec.Name)
		}
		slices.Sort(found.Collections[collection])
	}
	err = db.Collection("tenantry").FindOne(t.Context(), bson.D{}).Decode(&found.Tag)
	if err != nil && !errors.Is(err, driver.ErrNoDocuments) {
		t.Fatal(err)
	}
	return found
}

// whole is a tenant's database as it is to be.
func whole(name, tenantID, operationID string, attempt int32, password string) tenantDatabase {
	return tenantDatabase{
		Tag: map[string]any{"_id": "database", "tenant": tenantID, "operation": operationID, "attempt": attempt, "schema_version": int32(tenant.LatestSchemaVersion)},
		Collections: map[string][]string{
			"tenantry":      {"_id_"},
			"contacts":      {"_id_", "emails", "phones", "updated"},
			"conversations": {"_id_", "contact", "inbox"},
			"messages":      {"_id_", "carrier", "conversation"},
			"call_records":  {"_id_", "agent", "call", "contact", "started"},
		},
		User: mongoUser{"tenant", password, []mongoRole{{"readWrite", name}}},
	}
}

// atFirst makes a tenant's database what it is at the first version of its schema.
func atFirst(t *testing.T, client *driver.Client, name string) {
	t.Helper()
	db := client.Database(name)
	if err := db.Collection("call_records").Indexes().DropOne(t.Context(), "agent"); err != nil {
		t.Fatal(err)
	}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "schema_version", Value: int32(1)}}}}
	if _, err := db.Collection("tenantry").UpdateByID(t.Context(), "database", set); err != nil {
		t.Fatal(err)
	}
}

// TestMongoDatabases makes, adopts and drops databases of tenants on a server.
func TestMongoDatabases(t *testing.T) {
	t.Parallel()
	server := startMongo(t)
	client := connect(t, server.address())
	k := startUserKeeper(t, server.address())
	databases := mongo.NewDatabases(mongo.NewDriver(func(context.Context) (string, error) { return k.uri(), nil }), "test")
	acme := tenant.Tenant{ID: identity.TenantID(uuid.NewString()), Slug: "acme", SchemaVersion: tenant.LatestSchemaVersion}
	first := operation.Operation{ID: operation.ID(uuid.NewString()), Attempt: 1}
	name := databases.Name(acme)
	check := func(want tenantDatabase) {
		t.Helper()
		if diff := cmp.Diff(want, lookInto(t, client, k, name)); diff != "" {
			t.Errorf("database %s (-want +got):\n%s", name, diff)
		}
	}
	nothing := tenantDatabase{Collections: map[string][]string{}}

	for range 2 {
		if err := databases.Delete(t.Context(), acme, first); err != nil {
			t.Fatal(err)
		}
		if err := databases.Remove(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		for _, password := range []string{"one", "two"} {
			if err := databases.Create(t.Context(), acme, first, password); err != nil {
				t.Fatal(err)
			}
			check(whole(name, string(acme.ID), string(first.ID), 1, password))
		}
		if err := databases.Delete(t.Context(), acme, first); err != nil {
			t.Fatal(err)
		}
		check(nothing)
	}

	// Of two at once, both are done, or one is to try again.
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = databases.Create(t.Context(), acme, first, "one") })
	}
	wg.Wait()
	for _, err := range errs {
		if fault.KindOf(err) != "" {
			t.Errorf("a duplicate failed for good: %v", err)
		}
	}
	second := first
	second.Attempt = 2
	if err := databases.Create(t.Context(), acme, second, "two"); err != nil {
		t.Fatal(err)
	}
	made := whole(name, string(acme.ID), string(first.ID), 2, "two")
	check(made)

	// A migration changes what is not there, and nothing else.
	if _, err := client.Database(name).Collection("call_records").InsertOne(t.Context(), bson.D{{Key: "call_id", Value: "call-1"}, {Key: "agent_id", Value: "agent-1"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		atFirst(t, client, name)
		for _, version := range []int{1, tenant.LatestSchemaVersion, 1, tenant.LatestSchemaVersion} {
			if err := databases.Migrate(t.Context(), acme, version); err != nil {
				t.Fatal(err)
			}
		}
		check(made)
	}
	if n, err := client.Database(name).Collection("call_records").CountDocuments(t.Context(), bson.D{}); err != nil || n != 1 {
		t.Errorf("%d call records are left, %v", n, err)
	}

	// What is another's stays as it is.
	other := operation.Operation{ID: operation.ID(uuid.NewString()), Attempt: 9}
	if err := databases.Create(t.Context(), acme, other, "three"); !errors.Is(err, fault.Conflict) {
		t.Errorf("another operation: got %v, want %v", err, fault.Conflict)
	}
	if err := databases.Delete(t.Context(), acme, other); err != nil {
		t.Errorf("another operation: %v", err)
	}
	if err := databases.Delete(t.Context(), acme, first); err == nil || fault.KindOf(err) != "" {
		t.Errorf("an earlier attempt: got %v", err)
	}
	namesake := acme
	namesake.ID = acme.ID[:8] + identity.TenantID(uuid.NewString())[8:]
	if err := databases.Remove(t.Context(), namesake); !errors.Is(err, fault.Conflict) {
		t.Errorf("another tenant: got %v, want %v", err, fault.Conflict)
	}
	if err := databases.Migrate(t.Context(), namesake, tenant.LatestSchemaVersion); !errors.Is(err, fault.Conflict) {
		t.Errorf("the migration of another tenant: got %v, want %v", err, fault.Conflict)
	}
	check(made)
	if _, err := client.Database(name).Collection("contacts").InsertOne(t.Context(), bson.D{{Key: "name", Value: "Grace"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := databases.Remove(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		check(nothing)
		if err := databases.Migrate(t.Context(), acme, tenant.LatestSchemaVersion); !errors.Is(err, fault.Conflict) {
			t.Errorf("the migration of nothing: got %v, want %v", err, fault.Conflict)
		}
		check(nothing)
	}
	if _, err := client.Database(name).Collection("theirs").InsertOne(t.Context(), bson.D{}); err != nil {
		t.Fatal(err)
	}
	if err := databases.Create(t.Context(), acme, first, "one"); !errors.Is(err, fault.Conflict) {
		t.Errorf("a database without a tag: got %v, want %v", err, fault.Conflict)
	}
	if err := databases.Delete(t.Context(), acme, first); err != nil {
		t.Error(err)
	}
	if err := databases.Remove(t.Context(), acme); !errors.Is(err, fault.Conflict) {
		t.Errorf("a database without a tag: got %v, want %v", err, fault.Conflict)
	}
	check(tenantDatabase{Collections: map[string][]string{"theirs": {"_id_"}}})
}

// TestMongoErrors has errors tell nothing of how we come in.
func TestMongoErrors(t *testing.T) {
	t.Parallel()
	acme := tenant.Tenant{ID: identity.TenantID(uuid.NewString()), Slug: "acme", SchemaVersion: 1}
	for _, uri := range []string{
		"mongodb://me:" + marker + "@127.0.0.1:1/?serverSelectionTimeoutMS=100",
		"mongodb://me:" + marker + "@127.0.0.1:1:2/%zz",
		"postgres://me:" + marker + "@127.0.0.1",
		marker,
	} {
		databases := mongo.NewDatabases(mongo.NewDriver(func(context.Context) (string, error) { return uri, nil }), "test")
		err := databases.Create(t.Context(), acme, operation.Operation{ID: "o", Attempt: 1}, "database-"+marker)
		if err == nil || strings.Contains(err.Error(), marker) || strings.Contains(err.Error(), "me:") {
			t.Errorf("%s: got %v", uri, err)
		}
	}
}

// aws calls the set's AWS endpoint.
func (s *set) aws(t *testing.T, target string, in map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.AWSEndpoint, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	service, _, _ := strings.Cut(target, ".")
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %d %v, %v", target, resp.StatusCode, out, err)
	}
	return out
}

// TestMongoTenant provisions a tenant by the functions themselves, where the stack
// has a MongoDB server, migrates it, and takes it apart.
func TestMongoTenant(t *testing.T) {
	t.Parallel()
	server := startMongo(t)
	client := connect(t, server.address())
	k := startUserKeeper(t, server.address())
	s := startSet(t, "MongoDbSecretArn=arn:aws:secretsmanager:us-east-1:123456789012:secret:mongodb-server", "DeletionGraceSeconds=0")
	uri, err := json.Marshal(map[string]string{"uri": k.uri()})
	if err != nil {
		t.Fatal(err)
	}
	s.aws(t, "secretsmanager.CreateSecret", map[string]any{"Name": "mongodb-server", "SecretString": string(uri), "ClientRequestToken": uuid.NewString()})
	admin := s.admin(t)
	ended := func(path string) map[string]any {
		t.Helper()
		var o map[string]any
		eventually(t, "the operation ended", func() bool {
			o = admin.do(t, "GET", path, nil, http.StatusOK)
			return o["ended_at"] != nil
		})
		return o
	}

	created := admin.do(t, "POST", "/tenants", map[string]any{"name": "Acme", "slug": "acme"}, http.StatusAccepted)
	id, operationID := created["id"].(string), created["operation_id"].(string)
	if o := ended("/operations/" + operationID); o["state"] != "succeeded" {
		t.Fatalf("the operation is %v", o)
	}
	name, _ := admin.do(t, "GET", "/tenants/"+id, nil, http.StatusOK)["mongo_database"].(string)
	if want := s.StackName + "_acme_" + id[:8]; name != want {
		t.Fatalf("the tenant's MongoDB database is %q, want %q", name, want)
	}
	value := s.aws(t, "secretsmanager.GetSecretValue", map[string]any{"SecretId": s.StackName + "/tenant/" + id + "/" + operationID + "-1"})
	var secret struct {
		MongoDB struct{ Username, Password string }
	}
	if err := json.Unmarshal([]byte(value["SecretString"].(string)), &secret); err != nil {
		t.Fatal(err)
	}
	if len(secret.MongoDB.Password) < 20 || secret.MongoDB.Username != "tenant" {
		t.Errorf("the tenant's secret is of %q", secret.MongoDB.Username)
	}
	if diff := cmp.Diff(whole(name, id, operationID, 1, secret.MongoDB.Password), lookInto(t, client, k, name)); diff != "" {
		t.Errorf("database %s (-want +got):\n%s", name, diff)
	}

	atFirst(t, client, name)
	s.aws(t, "DynamoDB_20120810.UpdateItem", map[string]any{
		"TableName": s.Table, "Key": map[string]any{"pk": map[string]string{"S": "TENANT#" + id}, "sk": map[string]string{"S": "TENANT"}},
		"UpdateExpression": "SET schema_version = :v", "ExpressionAttributeValues": map[string]any{":v": map[string]string{"N": "1"}},
	})
	migration := admin.do(t, "POST", "/tenants/"+id+"/migrate", nil, http.StatusAccepted)
	if o := ended("/operations/" + migration["id"].(string)); o["state"] != "succeeded" || o["kind"] != "migrate" {
		t.Errorf("the operation is %v", o)
	}
	if got := admin.do(t, "GET", "/tenants/"+id, nil, http.StatusOK); got["schema_version"] != float64(tenant.LatestSchemaVersion) || got["status"] != "active" {
		t.Errorf("the tenant is %v", got)
	}
	if diff := cmp.Diff(whole(name, id, operationID, 1, secret.MongoDB.Password), lookInto(t, client, k, name)); diff != "" {
		t.Errorf("database %s after its migration (-want +got):\n%s", name, diff)
	}

	pooled := admin.do(t, "POST", "/tenants", map[string]any{"name": "Pooled", "isolation": "pooled"}, http.StatusAccepted)
	if o := ended("/operations/" + pooled["operation_id"].(string)); o["state"] != "succeeded" {
		t.Errorf("the operation on a pooled tenant is %v", o)
	}
	if got := admin.do(t, "GET", "/tenants/"+pooled["id"].(string), nil, http.StatusOK)["mongo_database"]; got != nil || k.count() != 1 {
		t.Errorf("a pooled tenant has the MongoDB database %v", got)
	}

	deletion := admin.do(t, "DELETE", "/tenants/"+id, nil, http.StatusAccepted)
	if o := ended("/operations/" + deletion["id"].(string)); o["state"] != "succeeded" {
		t.Fatalf("the operation is %v", o)
	}
	if diff := cmp.Diff(tenantDatabase{Collections: map[string][]string{}}, lookInto(t, client, k, name)); diff != "" {
		t.Errorf("database %s of a tenant that is gone (-want +got):\n%s", name, diff)
	}
}
