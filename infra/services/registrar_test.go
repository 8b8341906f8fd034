package services

import (
	"context"
	"crypto/md5" //nolint:gosec // SIP has it
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// hashes is the algorithms that SIP has (RFC 8760), by their names in a challenge.
var hashes = map[string]func(string) string{
	"MD5":     func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }, //nolint:gosec // as above
	"SHA-256": func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) },
}

// A registrar does what the telephony edge does: it challenges each REGISTER for
// one realm by one algorithm, and checks the answer with what the API says that the
// tenant's passwords are. It never sees a password.
type registrar struct {
	edge      client // with the key of a service
	route     string // of the digests
	realm     string
	algorithm string
	addr      *net.UDPAddr

	mu     sync.Mutex
	nonces map[string]bool // that were given out, and not used
}

// startRegistrar starts a registrar on loopback, and ends it with the test.
func startRegistrar(t *testing.T, r *registrar) *registrar {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r.addr, r.nonces = conn.LocalAddr().(*net.UDPAddr), map[string]bool{}
	agent, err := sipgo.NewUA(sipgo.WithUserAgent("registrar"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := sipgo.NewServer(agent)
	if err != nil {
		t.Fatal(err)
	}
	server.OnRegister(r.register)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ServeUDP(conn) // until it is closed
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
		_ = agent.Close()
	})
	return r
}

func (r *registrar) register(req *sip.Request, tx sip.ServerTransaction) {
	respond := func(status int, reason string, headers ...sip.Header) {
		res := sip.NewResponseFromRequest(req, status, reason, nil)
		for _, h := range headers {
			res.AppendHeader(h)
		}
		_ = tx.Respond(res) // a client that is gone asks again
	}
	authorization := req.GetHeader("Authorization")
	if authorization == nil {
		respond(401, "Unauthorized", sip.NewHeader("WWW-Authenticate", r.challenge()))
		return
	}
	ok, err := r.accepts(string(req.Method), authorization.Value())
	switch {
	case err != nil:
		respond(500, err.Error())
	case ok:
		respond(200, "OK")
	default:
		respond(403, "Forbidden")
	}
}

func (r *registrar) challenge() string {
	nonce := rand.Text()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nonces[nonce] = true
	return (&digest.Challenge{Realm: r.realm, Nonce: nonce, Algorithm: r.algorithm, QOP: []string{"auth"}}).String()
}

// accepts reports whether the answer to a challenge was made with a password that
// is valid (RFC 7616, section 3.4).
func (r *registrar) accepts(method, authorization string) (bool, error) {
	c, err := digest.ParseCredentials(authorization)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	fresh := r.nonces[c.Nonce]
	delete(r.nonces, c.Nonce)
	r.mu.Unlock()
	if !fresh || c.Realm != r.realm || c.Algorithm != r.algorithm || c.QOP != "auth" {
		return false, fmt.Errorf("the answer is not to the challenge: %s", authorization)
	}
	username, all, err := r.digests()
	if err != nil || c.Username != username {
		return false, err
	}
	hash := hashes[r.algorithm]
	for _, ha1 := range all {
		if hash(fmt.Sprintf("%s:%s:%08x:%s:auth:%s", ha1, c.Nonce, c.Nc, c.Cnonce, hash(method+":"+c.URI))) == c.Response {
			return true, nil
		}
	}
	return false, nil
}

// digests returns the user name of the realm, and H(A1) of each password that is
// valid now. Of a tenant that is not in service there are none.
func (r *registrar) digests() (username string, all []string, err error) {
	status, answer, err := r.edge.send(context.Background(), "GET", r.route, nil)
	switch {
	case err != nil:
		return "", nil, err
	case status == 403:
		return "", nil, nil
	case status != 200 || answer["sip_domain"] != r.realm:
		return "", nil, fmt.Errorf("the digests are %d %v", status, answer)
	}
	for _, each := range answer["credentials"].([]any) {
		ha1 := each.(map[string]any)["ha1"].(map[string]any)
		all = append(all, ha1[r.algorithm].(string))
	}
	return answer["sip_username"].(string), all, nil
}
