package services

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/probe"
)

// marker is a password that nothing may repeat.
const marker = "correct-horse-battery"

// vault is what all targets of a test are got into by.
type vault health.Credentials

func (v vault) Credentials(context.Context, string) (health.Credentials, error) {
	return health.Credentials(v), nil
}

// reported is how long a report may take, whatever its targets do.
const reported = 2500 * time.Millisecond

// probed returns what becomes of a target. It fails the test unless that is there in
// time.
func probed(t *testing.T, kind health.Kind, address string, c health.Credentials) health.Component {
	t.Helper()
	target := health.Target{Name: "target", Kind: kind, Address: address, SecretARN: "arn"}
	began := time.Now()
	got := health.Run(t.Context(), []health.Probe{probe.New(target, vault(c))})[0]
	if took := time.Since(began); took > reported {
		t.Errorf("%s: the report took %s", kind, took)
	}
	if strings.Contains(got.Error+got.Version, marker) {
		t.Errorf("%+v repeats the password", got)
	}
	return got
}

// up fails the test unless the target is up in the end, and returns its version.
func up(t *testing.T, kind health.Kind, address string, c health.Credentials) string {
	t.Helper()
	var got health.Component
	eventually(t, string(kind)+" was up", func() bool {
		got = probed(t, kind, address, c)
		return got.Status == health.Up
	})
	return got.Version
}

// down fails the test unless the target is down for one of some reasons.
func down(t *testing.T, kind health.Kind, address string, c health.Credentials, want ...string) {
	t.Helper()
	if got := probed(t, kind, address, c); got.Status != health.Down || !slices.Contains(want, got.Error) {
		t.Errorf("got %+v, want it down: one of %q", got, want)
	}
}

// hung stops the server's process, so that the system accepts connections which nobody
// answers, and lets it go on.
func hung(t *testing.T, kind health.Kind, s *server, address string, c health.Credentials) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Its threads may go on for a moment.
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("it did not stop: %v, %v", status, err)
	}
	down(t, kind, address, c, noAnswer)
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	up(t, kind, address, c)
}

// listen has each connection be served until the test is over, and returns where.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return l.Addr().String()
}

// silent accepts connections and never answers.
func silent(t *testing.T) string {
	t.Helper()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return listen(t, func(conn net.Conn) {
		<-over
		_ = conn.Close()
	})
}

// garbled fails the test unless a target that answers garbage is down, and says so:
// where that closes the connection, and where it goes on and on.
func garbled(t *testing.T, kind health.Kind, scheme string, c health.Credentials) {
	t.Helper()
	garbage := []byte(strings.Repeat("what is this? "+marker+"\n", 20))
	for _, goOn := range []bool{false, true} {
		address := listen(t, func(conn net.Conn) {
			for again := true; again; again = goOn {
				if _, err := conn.Write(garbage); err != nil {
					break
				}
			}
			_ = conn.Close()
		})
		down(t, kind, scheme+address, c, "it does not answer as "+string(kind)+" does", "it closes the connection", noAnswer)
	}
}

const (
	refusedPassword   = "it does not let us in by this user name and password"
	refusedNobody     = "it does not let us in without a user name and password"
	refusedConnection = "the connection is refused"
	noAnswer          = "no answer within 2s"
)

// A server is a program that a test runs.
type server struct {
	cmd  *exec.Cmd
	port int
}

// free returns a port that nobody listens at.
func free(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it is only for its port
	return l.Addr().(*net.TCPAddr).Port
}

// start runs a program until it is ended, or the test is over.
func start(t *testing.T, port int, as *syscall.Credential, name string, args ...string) *server {
	t.Helper()
	cmd := exec.Command(name, args...) //nolint:gosec // what a test names
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; the README says what make test-services needs", err)
	}
	s := &server{cmd, port}
	t.Cleanup(func() {
		s.end()
		if t.Failed() {
			t.Logf("%s:\n%s", name, &out)
		}
	})
	return s
}

// end ends the program, unless it has ended.
func (s *server) end() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Signal(syscall.SIGINT)
		_ = s.cmd.Wait()
	}
}

func (s *server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// servant returns who runs servers that root may not run, and a folder of theirs.
func servant(t *testing.T, name string) (*syscall.Credential, string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "services-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if os.Getuid() != 0 {
		return nil, folder
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(folder, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, folder
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || programs == nil {
		t.Fatal("PostgreSQL is not installed: apt-get install postgresql")
	}
	bin := programs[len(programs)-1]
	as, folder := servant(t, "postgres")
	password := filepath.Join(folder, "password")
	if err := os.WriteFile(password, []byte(marker), 0o644); err != nil { //nolint:gosec // the servant reads it
		t.Fatal(err)
	}
	data := filepath.Join(folder, "data")
	initialize := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "me", "--pwfile", password, "-A", "scram-sha-256", "--no-sync") //nolint:gosec // as above
	initialize.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := initialize.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port := free(t)
	s := start(t, port, as, filepath.Join(bin, "postgres"), "-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-k", folder)
	good := health.Credentials{Username: "me", Password: marker, Database: "postgres"}
	if version := up(t, health.Postgres, s.address(), good); !strings.Contains(version, ".") {
		t.Errorf("the version is %q", version)
	}
	down(t, health.Postgres, s.address(), health.Credentials{Username: "me", Password: "x" + marker, Database: "postgres"}, refusedPassword)
	hung(t, health.Postgres, s, s.address(), good)
	garbled(t, health.Postgres, "", good)
	s.end()
	down(t, health.Postgres, s.address(), good, refusedConnection)
}

func TestRedis(t *testing.T) {
	t.Parallel()
	port := free(t)
	s := start(t, port, nil, "redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", marker)
	good := health.Credentials{Password: marker}
	if version := up(t, health.Redis, s.address(), good); !strings.Contains(version, ".") {
		t.Errorf("the version is %q", version)
	}
	down(t, health.Redis, s.address(), health.Credentials{Password: "x" + marker}, refusedPassword)
	down(t, health.Redis, s.address(), health.Credentials{}, refusedNobody)
	hung(t, health.Redis, s, s.address(), good)
	garbled(t, health.Redis, "", good)
	s.end()
	down(t, health.Redis, s.address(), good, refusedConnection)
}

// TestMongoDB is against mongo-java-server, which knows no passwords, and says that
// it is a version which the driver talks to. What refuses them stands before it.
func TestMongoDB(t *testing.T) {
	t.Parallel()
	s := startMongo(t)
	if version := up(t, health.MongoDB, s.address(), health.Credentials{}); !strings.Contains(version, ".") {
		t.Errorf("the version is %q", version)
	}
	down(t, health.MongoDB, startUserKeeper(t, s.address()).address, health.Credentials{Username: "me", Password: "x" + marker}, refusedPassword)
	hung(t, health.MongoDB, s, s.address(), health.Credentials{})
	garbled(t, health.MongoDB, "", health.Credentials{Username: "me", Password: marker})
	s.end()
	down(t, health.MongoDB, s.address(), health.Credentials{}, refusedConnection)
}

// startMongo starts mongo-java-server.
func startMongo(t *testing.T) *server {
	t.Helper()
	port := free(t)
	return start(t, port, nil, "java", "-cp", libraries(t, "testdata/mongo"), "testdata/mongo/Server.java", strconv.Itoa(port))
}

// libraries returns the class path of what the pom.xml in a folder asks for.
func libraries(t *testing.T, folder string) string {
	t.Helper()
	into := t.TempDir()
	fetch := exec.Command("mvn", "-q", "-B", "-f", filepath.Join(folder, "pom.xml"), "dependency:copy-dependencies", "-DoutputDirectory="+into) //nolint:gosec // into the test's own folder
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Fatalf("mvn: %v\n%s", err, out)
	}
	return filepath.Join(into, "*")
}

// TestS3 is against moto, which takes every password until it is told not to.
func TestS3(t *testing.T) {
	t.Parallel()
	port := free(t)
	program := filepath.Join("..", "..", ".tools", "engines", "venv", "bin", "moto_server")
	s := start(t, port, nil, program, "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	good := health.Credentials{Username: "me", Password: marker}
	up(t, health.MinIO, "http://"+s.address(), good)
	for _, kind := range []health.Kind{health.MinIO, health.S3} {
		hung(t, kind, s, "http://"+s.address(), good)
		garbled(t, kind, "http://", good)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address()+"/moto-api/reset-auth", strings.NewReader("0"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("moto is to look at passwords: %v, %v", resp, err)
	}
	down(t, health.S3, "http://"+s.address(), good, refusedPassword)
	down(t, health.MinIO, "http://"+s.address(), good, refusedPassword)
	s.end()
	down(t, health.S3, "http://"+s.address(), good, refusedConnection)
	down(t, health.MinIO, "http://"+s.address(), good, refusedConnection)
}

// TestService is against Go's own server.
func TestService(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, password, _ := r.BasicAuth(); {
		case r.URL.Path == "/hung":
			<-over
		case password != marker:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = w.Write([]byte(`{"version":"v1.2.3"}`))
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(over) })
	good := health.Credentials{Username: "me", Password: marker}
	for _, kind := range []health.Kind{health.HTTP, health.Integration} {
		if version := up(t, kind, server.URL, good); version != "v1.2.3" {
			t.Errorf("the version is %q", version)
		}
		down(t, kind, server.URL, health.Credentials{Username: "me", Password: "x" + marker}, refusedPassword)
		down(t, kind, server.URL+"/hung", good, noAnswer)
		garbled(t, kind, "http://", good)
		down(t, kind, "http://127.0.0.1:"+strconv.Itoa(free(t)), good, refusedConnection)
	}
}

// TestReportOfHung has all kinds be hung at once: their report takes no longer than
// that of one.
func TestReportOfHung(t *testing.T) {
	t.Parallel()
	address := silent(t)
	var probes []health.Probe
	for _, kind := range []health.Kind{health.Postgres, health.MongoDB, health.Redis, health.Kafka, health.MinIO, health.S3, health.HTTP, health.Integration} {
		target := health.Target{Name: string(kind), Kind: kind, Address: address, SecretARN: "arn"}
		switch kind { //nolint:exhaustive // the rest are hosts with ports
		case health.MinIO, health.S3, health.HTTP, health.Integration:
			target.Address = "http://" + address
		}
		probes = append(probes, probe.New(target, vault{Username: "me", Password: marker}))
	}
	began := time.Now()
	for _, got := range health.Run(t.Context(), probes) {
		if got.Status != health.Down || got.Error != noAnswer {
			t.Errorf("got %+v, want it down: %s", got, noAnswer)
		}
	}
	if took := time.Since(began); took > reported {
		t.Errorf("the report took %s", took)
	}
}

// TestKafka is against franz-go's own broker.
func TestKafka(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.EnableSASL(), kfake.Superuser("PLAIN", "me", marker))
	if err != nil {
		t.Fatal(err)
	}
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	good := health.Credentials{Username: "me", Password: marker}
	if version := up(t, health.Kafka, brokers, good); version != "2 brokers" {
		t.Errorf("the version is %q", version)
	}
	down(t, health.Kafka, brokers, health.Credentials{Username: "me", Password: "x" + marker}, refusedPassword)
	down(t, health.Kafka, silent(t), good, noAnswer)
	garbled(t, health.Kafka, "", good)
	cluster.Close()
	down(t, health.Kafka, brokers, good, refusedConnection)
}

// TestKafkaBroker is against a broker of Kafka itself, which is its own controller.
func TestKafkaBroker(t *testing.T) {
	t.Parallel()
	folder, port := t.TempDir(), free(t)
	settings := filepath.Join(folder, "server.properties")
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
listeners=CONTROLLER://127.0.0.1:%[1]d,BROKER://127.0.0.1:%[2]d,CLIENT://127.0.0.1:%[3]d
advertised.listeners=BROKER://127.0.0.1:%[2]d,CLIENT://127.0.0.1:%[3]d
listener.security.protocol.map=CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,CLIENT:SASL_PLAINTEXT
inter.broker.listener.name=BROKER
sasl.enabled.mechanisms=PLAIN
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_me="%[4]s";
log.dirs=%[5]s
`, free(t), free(t), port, marker, filepath.Join(folder, "data"))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	classes := libraries(t, "testdata/kafka")
	format := exec.Command("java", "-cp", classes, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", settings) //nolint:gosec // the test's own files
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	s := start(t, port, nil, "java", "-Xmx256m", "-cp", classes, "kafka.Kafka", settings)
	good := health.Credentials{Username: "me", Password: marker}
	if version := up(t, health.Kafka, s.address(), good); version != "1 broker" {
		t.Errorf("the version is %q", version)
	}
	down(t, health.Kafka, s.address(), health.Credentials{Username: "me", Password: "x" + marker}, refusedPassword)
	hung(t, health.Kafka, s, s.address(), good)
	s.end()
	down(t, health.Kafka, s.address(), good, refusedConnection)
}
