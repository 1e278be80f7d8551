package procfs

import (
	"fmt"
	"os"
	"runtime"
	"strings"
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
