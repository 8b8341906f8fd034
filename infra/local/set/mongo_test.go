package set

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/tenantry/tenantry/infra/local/cloud"
	"github.com/tenantry/tenantry/infra/local/stack"
)

// A mongoServer agrees to whatever it is asked for in MongoDB's protocol, and keeps
// nothing but the tags of databases. What becomes of a real server, the tests of
// infra/services tell.
type mongoServer struct {
	address string

	mu   sync.Mutex
	tags map[string]bson.D // by database
}

func startMongo(t *testing.T) *mongoServer {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mongoServer{address: l.Addr().String(), tags: map[string]bson.D{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { m.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait() // for the functions, which are their clients, have ended
	})
	return m
}

// uri is as for a server behind a load balancer: of others a driver first asks what
// they are, in an older form of the protocol.
func (m *mongoServer) uri() string { return "mongodb://" + m.address + "/?loadBalanced=true" }

// databases returns the names of the databases that have a tag.
func (m *mongoServer) databases() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for name := range m.tags {
		all = append(all, name)
	}
	return all
}

// A message begins with four numbers: its length, its id, that of the message that
// it answers, and what it is, OP_MSG. Flags and the kind of the first section follow.
const (
	messageHead = 16
	messageBody = messageHead + 5
	opMsg       = 2013
)

// serve answers one client until it goes.
func (m *mongoServer) serve(client net.Conn) {
	defer client.Close() //nolint:errcheck // it was answered
	for {
		head := make([]byte, messageHead)
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		rest := make([]byte, binary.LittleEndian.Uint32(head)-messageHead)
		if _, err := io.ReadFull(client, rest); err != nil {
			return
		}
		body, err := bson.Marshal(m.answer(rest[messageBody-messageHead:]))
		if err != nil {
			return
		}
		answer := make([]byte, messageBody, messageBody+len(body))
		binary.LittleEndian.PutUint32(answer, uint32(messageBody+len(body))) //nolint:gosec // a short one
		copy(answer[8:12], head[4:8])
		binary.LittleEndian.PutUint32(answer[12:], opMsg)
		if _, err := client.Write(append(answer, body...)); err != nil {
			return
		}
	}
}

// answer returns the answer to a command.
func (m *mongoServer) answer(command bson.Raw) bson.D {
	var c struct {
		Hello  any    `bson:"hello"`
		Claim  string `bson:"findAndModify"`
		Find   string `bson:"find"`
		List   any    `bson:"listCollections"`
		Drop   any    `bson:"dropDatabase"`
		Legacy any    `bson:"isMaster"`

		Database string `bson:"$db"`
		Query    struct{ Tenant, Operation string }
	}
	// Of what it cannot read it gives the answer to anything else.
	_ = bson.Unmarshal(command, &c)
	m.mu.Lock()
	defer m.mu.Unlock()
	answer := bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "nModified", Value: 1}}
	switch {
	case c.Hello != nil || c.Legacy != nil:
		return append(answer,
			bson.E{Key: "isWritablePrimary", Value: true}, bson.E{Key: "msg", Value: "isdbgrid"}, bson.E{Key: "serviceId", Value: bson.NewObjectID()},
			bson.E{Key: "minWireVersion", Value: 0}, bson.E{Key: "maxWireVersion", Value: 21},
			bson.E{Key: "maxBsonObjectSize", Value: 1 << 24}, bson.E{Key: "maxMessageSizeBytes", Value: 48_000_000}, bson.E{Key: "maxWriteBatchSize", Value: 100_000})
	case c.Claim != "":
		m.tags[c.Database] = bson.D{{Key: "tenant", Value: c.Query.Tenant}, {Key: "operation", Value: c.Query.Operation}, {Key: "attempt", Value: 1}, {Key: "schema_version", Value: 0}}
		return append(answer, bson.E{Key: "value", Value: m.tags[c.Database]})
	case c.Find != "" || c.List != nil:
		found := bson.A{}
		if tag := m.tags[c.Database]; tag != nil && c.Find != "" {
			found = append(found, tag)
		}
		return append(answer, bson.E{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: c.Database + ".x"}, {Key: "firstBatch", Value: found}}})
	case c.Drop != nil:
		delete(m.tags, c.Database)
	}
	return answer
}

// operatorsARN is the ARN of a secret of the operator, before it is made. One without
// what Secrets Manager adds to names is understood locally.
func operatorsARN(name string) string {
	return "arn:aws:secretsmanager:us-east-1:123456789012:secret:" + name
}

// keep makes a secret of the operator.
func keep(t *testing.T, s *stack.Stack, name, text string) {
	t.Helper()
	_, err := secretsmanager.NewFromConfig(awsConfig(s)).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text})
	if err != nil {
		t.Fatal(err)
	}
}

// TestServersOfTheOperator has a stack that makes tenants databases on a MongoDB
// server, and looks at a server that is not there.
func TestServersOfTheOperator(t *testing.T) {
	m := startMongo(t)
	s := startOwn(t, map[string]string{
		"DeletionGraceSeconds": "0",
		"MongoDbSecretArn":     operatorsARN("mongodb-server"),
		"HealthSecretArns":     operatorsARN("redis-server"),
		"HealthTargets":        `[{"name":"cache","kind":"redis","address":"127.0.0.1:1","secret_arn":"` + operatorsARN("redis-server") + `"}]`,
	})
	keep(t, s, "mongodb-server", `{"uri":"`+m.uri()+`"}`)
	keep(t, s, "redis-server", `{"password":"none"}`)
	admin := newClient(t, s).admin()

	w := want(admin)
	if op := w.operation(w.operationID); op.Body["state"] != "succeeded" {
		t.Fatalf("the operation ended as %s", op.Raw)
	}
	name := w.do("GET", "/tenants/"+w.id, nil).must(200).text("mongo_database")
	if diff := cmp.Diff([]string{name}, m.databases()); diff != "" || !strings.Contains(name, w.slug) {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
	keyed := w.with("Idempotency-Key", w.slug)
	migration := keyed.do("POST", "/tenants/"+w.id+"/migrate", nil).must(202)
	if again := keyed.do("POST", "/tenants/"+w.id+"/migrate", nil).must(202); again.Raw != migration.Raw {
		t.Errorf("one key gave %s and %s", migration.Raw, again.Raw)
	}
	if op := w.operation(migration.text("id")); op.Body["state"] != "succeeded" {
		t.Errorf("the migration ended as %s", op.Raw)
	}
	if op := w.operation(w.delete()); op.Body["state"] != "succeeded" || len(m.databases()) > 0 {
		t.Errorf("%v is left after %s", m.databases(), op.Raw)
	}

	dead(t, s, m)
	seen(t, s, admin)
}

// dead stops an execution before its last step. The sweeper takes back what there is,
// though it does not reach the MongoDB server itself, and in the end the passwords.
func dead(t *testing.T, s *stack.Stack, m *mongoServer) {
	t.Helper()
	var w *wanted
	ready := make(chan struct{})
	var once sync.Once
	s.Endpoint().SetFault(func(c cloud.Call) cloud.Fault {
		if c.Caller == s.Info().StackName+"-ProvisioningSip" && c.Name == "CreateSecret" {
			once.Do(func() {
				<-ready
				stop(t, s, "provision", w.operationID+"-1")
			})
		}
		return cloud.Fault{}
	})
	defer s.Endpoint().SetFault(nil)
	w = want(newClient(t, s).admin())
	close(ready)
	eventually(t, "the execution had stopped", func() bool { return state(t, s, "provision", w.operationID+"-1") == "ABORTED" })
	if n := len(m.databases()); n != 1 {
		t.Errorf("there are %d databases", n)
	}
	updateIn(t, s, "OPERATION#"+w.operationID, "due_at", "2026-01-01T00:00:00.000Z")
	var op *answer
	swept(t, s, func() bool {
		op = w.do("GET", "/operations/"+w.operationID, nil).must(200)
		return op.Body["ended_at"] != nil
	})
	w.checkFailed(op, "activate", "workflow-dead", "passwords")
	if left := m.databases(); left != nil {
		t.Errorf("the databases %v are left", left)
	}
	updateIn(t, s, "OPERATION#"+w.operationID, "due_at", "2026-01-01T00:00:00.000Z")
	swept(t, s, func() bool { return w.left() == nil })
}

// seen has the platform's health tell of the server that is not there.
func seen(t *testing.T, s *stack.Stack, admin *client) {
	t.Helper()
	var cache map[string]any
	fired(t, s, "HealthCheckEveryMinute", func() bool {
		report := admin.do("GET", "/system/health", nil).must(200)
		components, _ := report.Body["components"].([]any)
		for _, each := range components {
			if component, _ := each.(map[string]any); component["name"] == "cache" {
				cache = component
			}
		}
		return cache != nil
	})
	if cache["status"] != "down" || cache["error"] != "the connection is refused" {
		t.Errorf("the server that is not there is %v", cache)
	}
}
