//go:build unix && !linux

package e2e

import "syscall"

// dieWithUs has no means here: after a test timeout, processes may be left.
func dieWithUs() *syscall.SysProcAttr { return nil }
