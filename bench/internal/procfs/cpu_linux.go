package procfs

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the time that a process has spent on processors, in user and in
// kernel mode, its threads included. It is exact to the nanosecond:
// /proc/PID/stat counts in hundredths of a second, in which a short round of a
// cheap candidate is nothing at all.
func CPU(pid int) (time.Duration, error) {
	// The clock of a process: clock_getcpuclockid(3) makes it of the pid so.
	const scheduled = 2
	clock := int32(^pid)<<3 | scheduled
	var spent unix.Timespec
	if err := unix.ClockGettime(clock, &spent); err != nil {
		return 0, fmt.Errorf("CPU time of process %d, which may have ended: %w", pid, err)
	}
	return time.Duration(spent.Nano()), nil
}
