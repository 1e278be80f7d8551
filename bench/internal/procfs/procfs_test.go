package procfs_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/procfs"
)

func TestParseStatus(t *testing.T) {
	got, err := procfs.ParseStatus("Name:\tworker\nVmPeak:\t  900000 kB\nVmHWM:\t   48128 kB\nVmRSS:\t   40960 kB\nThreads:\t9\n")
	if want := (procfs.Memory{Now: 40 << 20, Peak: 47 << 20}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "VmHWM: 5 kB\n", "VmRSS: 5 kB\nVmHWM: 5 MB\n", "VmRSS: 5 kB\nVmHWM: x kB\n"} {
		if got, err := procfs.ParseStatus(bad); err == nil {
			t.Errorf("%q: %+v, want an error", bad, got)
		}
	}
}

func TestParseBusy(t *testing.T) {
	got, err := procfs.ParseBusy("cpu  100 20 30 1000 50 6 7 8 99 98\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	if want := (procfs.Busy{Worked: 1710 * time.Millisecond, Passed: 12210 * time.Millisecond}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9"} {
		if _, err := procfs.ParseBusy(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// The kernel's own words, whatever version it is.
func TestThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	before, err := procfs.CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var after time.Duration
	for err == nil && after-before < time.Millisecond { // work, and see less than a tick of it
		after, err = procfs.CPU(os.Getpid())
	}
	if err != nil || after-before > 5*time.Second {
		t.Errorf("from %s to %s, %v", before, after, err)
	}
	if got, err := procfs.CPU(1 << 22); err == nil { // the kernel's largest pid is one less
		t.Errorf("a process that cannot be took %s", got)
	}
	memory, err := procfs.ReadMemory(os.Getpid())
	if err != nil || memory.Now < 1<<20 || memory.Peak < memory.Now {
		t.Errorf("memory %+v, %v", memory, err)
	}
	busy, err := procfs.ReadBusy()
	if err != nil || busy.Worked <= 0 || busy.Passed < busy.Worked {
		t.Errorf("machine %+v, %v", busy, err)
	}
	if m := procfs.ReadMachine(); m.Cores < 1 || m.Memory == "" || m.Load == "" {
		t.Errorf("machine %+v", m)
	}
}
