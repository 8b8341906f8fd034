package stack_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// children returns the processes that this one has started, by their IDs.
func children(t *testing.T) map[int]string {
	t.Helper()
	cmd := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=,args=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		if pid != cmd.Process.Pid {
			all[pid] = strings.Join(fields[2:], " ")
		}
	}
	return all
}

// killEngine kills the engine of that name.
func killEngine(t *testing.T, name string) {
	t.Helper()
	for pid, args := range children(t) {
		if strings.Contains(args, name) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("there is no process %s", name)
}

// secretHash is what Cognito wants from those who know a client's secret.
func secretHash(username, clientID, secret string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(username + clientID))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
