package cli

import (
	"os"
	"runtime"
	"runtime/debug"

	"github.com/capture-worker/capture-worker/config"
)

// A worker with few slots has a live heap of a few megabytes. By default Go would
// collect it, and scan every stack, thirty times a second to keep it that small.
// The heap may grow to about that of a worker with usualSlots.
const (
	usualSlots   = 256
	usualPercent = 110
	minPercent   = 100 // Go's default
	maxPercent   = 400
)

// tuneGC sets up the memory of a process that only runs a worker: how much the
// heap may grow between two collections, unless GOGC sets it (GOMEMLIMIT stays a
// limit), and no allocation samples if no profile can be requested.
func tuneGC(c config.Config) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth(c.Worker.Concurrency))
	}
	if !c.Admin.Pprof {
		runtime.MemProfileRate = 0
	}
}

func heapGrowth(slots int) (percent int) {
	return min(max(usualPercent*usualSlots/max(slots, 1), minPercent), maxPercent)
}
