//go:build unix && !linux

package processtest

import "syscall"

// dieWithUs has no means here: after a test timeout, processes may be left.
func dieWithUs() *syscall.SysProcAttr { return nil }

// stopped cannot be told here.
func stopped(int) bool { return true }
