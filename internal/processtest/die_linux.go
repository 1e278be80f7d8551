package processtest

import "syscall"

// dieWithUs ends a process when the test program dies without cleaning up, as
// it does at the test timeout.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
