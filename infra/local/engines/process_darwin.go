package engines

import (
	"os/exec"
	"syscall"
)

// endWithParent gives the command a process group of its own.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
