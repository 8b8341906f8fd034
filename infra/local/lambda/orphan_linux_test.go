package lambda_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOrphans kills the program around a Runtime, which has no time for Close.
func TestOrphans(t *testing.T) {
	host := filepath.Join(t.TempDir(), "host")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", host, "./testdata/host") //nolint:gosec // the path is ours
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	program := exec.CommandContext(t.Context(), host, binary) //nolint:gosec // the paths are ours
	output, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	var a answer
	err = json.NewDecoder(output).Decode(&a)
	if killErr := program.Process.Kill(); err != nil || killErr != nil {
		t.Fatal(err, killErr)
	}
	if err := program.Wait(); err == nil {
		t.Error("the program ended well")
	}
	if a.PID == 0 {
		t.Fatal("the function did not tell its process")
	}
	await(t, "the end of the function's process", func() bool { return syscall.Kill(a.PID, 0) != nil })
}
