package rig

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the program when this one is killed.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
