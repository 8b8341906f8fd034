package engines

import (
	"os/exec"
	"syscall"
)

// endWithParent gives the command a process group of its own, and has the
// kernel end it when the thread that starts it is gone.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
