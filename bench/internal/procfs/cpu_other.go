//go:build !linux

package procfs

import (
	"errors"
	"fmt"
	"time"
)

// CPU is not to be had here.
func CPU(pid int) (time.Duration, error) {
	return 0, fmt.Errorf("CPU time of process %d: %w", pid, errors.ErrUnsupported)
}
