package processtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dieWithUs ends a process when the test program dies without cleanup, as at the
// test timeout.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// stopped reports whether every thread of a process is stopped. On a busy machine
// some continue for a while after SIGSTOP.
func stopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		text, readErr := os.ReadFile(thread)
		if readErr != nil {
			return false
		}
		// 123 (a name, with ) in it) T …
		if end := bytes.LastIndexByte(text, ')'); end < 0 || !bytes.HasPrefix(text[end+1:], []byte(" T")) {
			return false
		}
	}
	return err == nil && len(threads) > 0
}
