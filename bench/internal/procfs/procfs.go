// Package procfs reads from Linux what processes cost and what the machine is:
// the memory and the machine from /proc, the CPU time from the process's clock.
package procfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is what /proc/stat counts in: 1/100 s on every Linux that Go
// runs on (USER_HZ).
const clockTick = 10 * time.Millisecond

// Memory is the resident memory of a process, in bytes.
type Memory struct {
	Now, Peak int64
}

// ReadMemory reads the memory of a process.
func ReadMemory(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, err
	}
	return ParseStatus(string(text))
}

// ParseStatus reads the memory out of the text of /proc/PID/status.
func ParseStatus(text string) (m Memory, err error) {
	if m.Now, err = kilobytes(text, "VmRSS"); err != nil {
		return Memory{}, err
	}
	m.Peak, err = kilobytes(text, "VmHWM")
	return m, err
}

func kilobytes(text, name string) (int64, error) {
	value, found := Field(text, name)
	number, unit, _ := strings.Cut(value, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil || unit != "kB" {
		return 0, fmt.Errorf("/proc status: %s is %q, not a number of kB", name, value)
	}
	return n << 10, nil
}

// Field returns the value of the first line "name: value".
func Field(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}
