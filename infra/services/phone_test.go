package services

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// A phone registers with a user name and a password, and fails the test unless the
// registrar's last word has the status.
type phone func(t *testing.T, r *registrar, username, password string, status int)

//go:embed testdata/register.xml
var scenario string

// sipp is the phone that SIPp is (https://sipp.sourceforge.net). Its answers are by
// MD5.
func sipp(t *testing.T, r *registrar, username, password string, status int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "register.xml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(scenario, "STATUS", fmt.Sprint(status))), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sipp", r.addr.String(), //nolint:gosec // our own arguments
		"-sf", file, "-s", username, "-au", username, "-ap", password, "-i", r.addr.IP.String(), "-t", "u1",
		"-m", "1", "-nostdin", "-timeout", "20s", "-timeout_error")
	cmd.Dir = filepath.Dir(file) // where it leaves its logs
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("SIPp: %v, want %d\n%s", err, status, out)
	}
}

// softphone is the phone that sipgo is. Its answers are by the algorithm that it is
// asked for.
func softphone(t *testing.T, r *registrar, username, password string, status int) {
	t.Helper()
	agent, err := sipgo.NewUA(sipgo.WithUserAgent(username), sipgo.WithUserAgentHostname(r.realm))
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close() //nolint:errcheck // it has done its work
	c, err := sipgo.NewClient(agent, sipgo.WithClientConnectionAddr(r.addr.IP.String()+":0"))
	if err != nil {
		t.Fatal(err)
	}
	req := sip.NewRequest(sip.REGISTER, sip.Uri{Scheme: "sip", User: username, Host: r.addr.IP.String(), Port: r.addr.Port})
	res, err := c.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 401 {
		t.Fatalf("got %s, want a challenge", res.StartLine())
	}
	res, err = c.DoDigestAuth(t.Context(), req, res, sipgo.DigestAuth{Username: username, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status {
		t.Errorf("got %s, want %d", res.StartLine(), status)
	}
}

// needSIPp fails the test unless SIPp is installed.
func needSIPp(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sipp"); err != nil {
		t.Fatal("SIPp is not installed; it is in the package sip-tester of Debian and Ubuntu (apt-get install sip-tester), and sipp of Homebrew")
	}
}
