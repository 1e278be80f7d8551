//go:build unix && !linux

package processtest

import "syscall"

// dieWithUs does nothing on this system: after a test timeout, processes may be
// left.
func dieWithUs() *syscall.SysProcAttr { return nil }

// stopped returns true, because this system does not show it.
func stopped(int) bool { return true }
