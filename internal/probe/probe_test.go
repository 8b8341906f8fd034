package probe_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tenantry/tenantry/internal/health"
	"github.com/tenantry/tenantry/internal/probe"
)

// marker is a password that nothing may repeat.
const marker = "correct-horse-battery"

// A vault holds one secret.
type vault struct {
	credentials health.Credentials
	err         error
}

func (v vault) Credentials(context.Context, string) (health.Credentials, error) {
	return v.credentials, v.err
}

// probed returns what becomes of a target that is got into by credentials.
func probed(t *testing.T, kind health.Kind, address string, c health.Credentials) health.Component {
	t.Helper()
	target := health.Target{Name: "target", Kind: kind, Address: address, SecretARN: "arn"}
	got := health.Run(t.Context(), []health.Probe{probe.New(target, vault{credentials: c})})[0]
	if got.Name != "target" || got.Kind != kind || strings.Contains(got.Error+got.Version, marker) {
		t.Errorf("got %+v", got)
	}
	return got
}

// listen answers connections by f until the test ends, and returns where.
func listen(t *testing.T, f func(net.Conn)) string {
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
			go f(conn)
		}
	}()
	return l.Addr().String()
}

// as returns an address in the form that the kind has.
func as(kind health.Kind, address string) string {
	switch kind { //nolint:exhaustive // the rest are hosts with ports
	case health.HTTP, health.Integration, health.MinIO, health.S3:
		return "http://" + address
	}
	return address
}

// Whatever the kind, a target that is not there, does not answer, or answers
// strangely is down, and the report says why in words of ours.
func TestTargetsThatAreDown(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	hung := listen(t, func(conn net.Conn) {
		<-done
		_ = conn.Close()
	})
	garbage := listen(t, func(conn net.Conn) {
		_, _ = conn.Write([]byte(strings.Repeat("what is this? "+marker+"\n", 20)))
		_ = conn.Close()
	})
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	_ = l.Close()
	for _, kind := range []health.Kind{health.Postgres, health.MongoDB, health.Redis, health.Kafka, health.MinIO, health.S3, health.HTTP, health.Integration} {
		for what, test := range map[string]struct {
			address string
			want    []string // one of these
		}{
			"hung":    {hung, []string{"no answer within 2s"}},
			"gone":    {gone, []string{"the connection is refused"}},
			"garbage": {garbage, []string{"it does not answer as " + string(kind) + " does", "it closes the connection", "no answer within 2s"}},
			"no host": {"host.invalid:1", []string{"there is no such host", "no answer within 2s"}},
		} {
			t.Run(string(kind)+" "+what, func(t *testing.T) {
				t.Parallel()
				got := probed(t, kind, as(kind, test.address), health.Credentials{Username: "me", Password: marker})
				found := false
				for _, want := range test.want {
					found = found || got.Error == want
				}
				if got.Status != health.Down || !found {
					t.Errorf("got %s: %s, want one of %q", got.Status, got.Error, test.want)
				}
			})
		}
	}
}

func TestSecretThatCannotBeRead(t *testing.T) {
	target := health.Target{Name: "target", Kind: health.Redis, Address: "127.0.0.1:1", SecretARN: "arn"}
	got := health.Run(t.Context(), []health.Probe{probe.New(target, vault{err: errors.New(marker)})})[0]
	if got.Status != health.Down || got.Error != "the secret that secret_arn names cannot be read" {
		t.Errorf("got %+v", got)
	}
}

func TestService(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/version":
			_, _ = w.Write([]byte(`{"status":"ok","version":"1.4.2"}`))
		case "/tale":
			_, _ = w.Write([]byte(`{"version":"once upon a time, ` + marker + `"}`))
		case "/moved":
			http.Redirect(w, r, "http://host.invalid/", http.StatusFound)
		case "/guarded":
			if r.Header.Get("Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:"+marker)) {
				w.WriteHeader(http.StatusUnauthorized)
			}
		case "/forbidden":
			w.WriteHeader(http.StatusForbidden)
		case "/broken":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/none":
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	encrypted := httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of us
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	for name, test := range map[string]struct {
		address     string
		credentials health.Credentials
		want        health.Component
	}{
		"nothing more":             {server.URL, health.Credentials{}, health.Component{Status: health.Up}},
		"a version":                {server.URL + "/version", health.Credentials{}, health.Component{Status: health.Up, Version: "1.4.2"}},
		"no version":               {server.URL + "/tale", health.Credentials{}, health.Component{Status: health.Up}},
		"elsewhere":                {server.URL + "/moved", health.Credentials{}, health.Component{Status: health.Up}},
		"a good password":          {server.URL + "/guarded", health.Credentials{Username: "me", Password: marker}, health.Component{Status: health.Up}},
		"a wrong password":         {server.URL + "/guarded", health.Credentials{Username: "me", Password: "x" + marker}, health.Component{Status: health.Down, Error: "it does not let us in by this user name and password"}},
		"a password is not enough": {server.URL + "/forbidden", health.Credentials{Username: "me", Password: marker}, health.Component{Status: health.Down, Error: "it does not let us in by this user name and password"}},
		"no password":              {server.URL + "/guarded", health.Credentials{}, health.Component{Status: health.Down, Error: "it answers with the status 401"}},
		"forbidden to all":         {server.URL + "/forbidden", health.Credentials{}, health.Component{Status: health.Down, Error: "it answers with the status 403"}},
		"broken":                   {server.URL + "/broken", health.Credentials{}, health.Component{Status: health.Down, Error: "it answers with the status 503"}},
		"not there":                {server.URL + "/none", health.Credentials{}, health.Component{Status: health.Down, Error: "it answers with the status 404"}},
		"a bad certificate":        {encrypted.URL, health.Credentials{}, health.Component{Status: health.Down, Error: "no TLS connection can be made, or its certificate is not good"}},
		"TLS where there is none":  {strings.Replace(server.URL, "http", "https", 1), health.Credentials{}, health.Component{Status: health.Down, Error: "no TLS connection can be made, or its certificate is not good"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := probed(t, health.HTTP, test.address, test.credentials)
			if got.Status != test.want.Status || got.Version != test.want.Version || got.Error != test.want.Error {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestRedis(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireUserAuth("me", marker)
	if got := probed(t, health.Redis, server.Addr(), health.Credentials{Username: "me", Password: marker}); got.Status != health.Up {
		t.Errorf("got %+v", got)
	}
	for wrong, want := range map[health.Credentials]string{
		{}:                                       "it does not let us in without a user name and password",
		{Username: "me", Password: "x" + marker}: "it does not let us in by this user name and password",
	} {
		if got := probed(t, health.Redis, server.Addr(), wrong); got.Status != health.Down || got.Error != want {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
}

func TestKafka(t *testing.T) {
	t.Parallel()
	for n, version := range map[int]string{1: "1 broker", 3: "3 brokers"} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(n), kfake.EnableSASL(), kfake.Superuser("PLAIN", "me", marker))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		brokers := strings.Join(cluster.ListenAddrs(), ",")
		if got := probed(t, health.Kafka, brokers, health.Credentials{Username: "me", Password: marker}); got.Status != health.Up || got.Version != version {
			t.Errorf("got %+v, want %s", got, version)
		}
		if got := probed(t, health.Kafka, brokers, health.Credentials{Username: "me", Password: "x" + marker}); got.Status != health.Down || got.Error != "it does not let us in by this user name and password" {
			t.Errorf("got %+v", got)
		}
	}
}
