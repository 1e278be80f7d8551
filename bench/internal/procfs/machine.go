package procfs

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine describes where the benchmark ran.
type Machine struct {
	OS, Arch string
	CPU      string // the processor's name
	Cores    int    // that programs may use
	Memory   string
	Load     string // the load averages when it began
	Kernel   string
}

// ReadMachine describes this machine; what cannot be read is left empty.
func ReadMachine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU()}
	m.CPU, _ = Field(read("/proc/cpuinfo"), "model name")
	if bytes, err := kilobytes(read("/proc/meminfo"), "MemTotal"); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", float64(bytes)/(1<<30))
	}
	if load := strings.Fields(read("/proc/loadavg")); len(load) > 2 {
		m.Load = strings.Join(load[:3], " ")
	}
	m.Kernel = strings.TrimSpace(read("/proc/sys/kernel/osrelease"))
	return m
}

func read(path string) string {
	text, _ := os.ReadFile(path) // a missing file reads as nothing
	return string(text)
}

// Busy is the time that the machine's processors have worked for any program, and
// the time that passed on all of them, since it was started.
type Busy struct {
	Worked, Passed time.Duration
}

// ReadBusy reads the machine's counts.
func ReadBusy() (Busy, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Busy{}, err
	}
	return ParseBusy(string(text))
}

// ParseBusy reads the counts out of the text of /proc/stat. What another
// virtual machine took (steal) counts as worked: it was not to be had.
func ParseBusy(text string) (b Busy, err error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return Busy{}, fmt.Errorf("/proc/stat: no counts in %q", line)
	}
	// user nice system idle iowait irq softirq steal; guests are in user.
	const idle, iowait = 3, 4
	for i, field := range fields[1:9] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Busy{}, fmt.Errorf("/proc/stat: %w", err)
		}
		b.Passed += time.Duration(ticks) * clockTick
		if i != idle && i != iowait {
			b.Worked += time.Duration(ticks) * clockTick
		}
	}
	return b, nil
}
