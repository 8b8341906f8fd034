package boot

import (
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// TestPrime has a client of DynamoDB use the connection that prime opened.
func TestPrime(t *testing.T) {
	var mu sync.Mutex
	var requests []string
	connections := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		signed := " unsigned"
		if r.Header.Get("Authorization") != "" {
			signed = " signed"
		}
		requests = append(requests, r.Method+signed)
		_, _ = w.Write([]byte("{}")) // a client that left has failed its test
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if s == http.StateNew {
			connections++
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	bundle := filepath.Join(t.TempDir(), "own.pem")
	writeFile(t, bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	setenv(t, map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": server.URL})
	env := new(Env)
	cfg := env.config(env.client(bundle))
	if err := env.Err(); err != nil {
		t.Fatal(err)
	}

	prime(cfg)
	if _, err := dynamodb.NewFromConfig(cfg).ListTables(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"GET unsigned", "POST signed"}; !slices.Equal(requests, want) || connections != 1 {
		t.Errorf("got %v by %d connections, want %v by 1", requests, connections, want)
	}
}

// doFunc is an HTTP client.
type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// TestPrimeBounded waits for half a second at most, and takes no for an answer.
func TestPrimeBounded(t *testing.T) {
	asked := 0
	client := doFunc(func(r *http.Request) (*http.Response, error) {
		asked++
		if by, ok := r.Context().Deadline(); !ok || time.Until(by) > 500*time.Millisecond {
			t.Errorf("it may take until %v", by)
		}
		return nil, errors.New("nobody is there")
	})
	prime(aws.Config{Region: "eu-west-1", HTTPClient: client})
	plain := "http://127.0.0.1:4566"
	prime(aws.Config{BaseEndpoint: &plain, HTTPClient: client})
	if asked != 1 {
		t.Errorf("it asked %d times, want once, and not without TLS", asked)
	}
}

// TestPrimed holds that only functions that use the table open a connection to it.
func TestPrimed(t *testing.T) {
	env := new(Env)
	if env.String("STACK_NAME"); env.table {
		t.Error("it wants to know the table, without having asked")
	}
	if env.String("TABLE_NAME"); !env.table {
		t.Error("it asked for the table, and does not want to know it")
	}
}
