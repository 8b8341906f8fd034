//go:build !linux

package lambda

import "syscall"

// sysProcAttr puts a process in a group of its own.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// maxMemoryMB returns 0: only Linux tells it cheaply.
func maxMemoryMB(int) int { return 0 }
