package cli

import (
	"os"
	"runtime"
	"runtime/debug"

	"github.com/capture-worker/capture-worker/config"
)

// A worker with few slots has a live heap of a few megabytes, and Go would
// collect it, and go through every stack, thirty times a second to keep it that
// small. It may grow to about what a worker with usualSlots has anyway.
const (
	usualSlots   = 256
	usualPercent = 110
	leastPercent = 100 // Go's own
	mostPercent  = 400
)

// spare sets up the memory of a process that does nothing but `run`: how much
// the heap may grow between two collections, unless the environment says it
// (GOMEMLIMIT is a limit all the same), and samples of who allocates only where
// somebody can ask for them.
func spare(c config.Config) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth(c.Worker.Concurrency))
	}
	if !c.Admin.Pprof {
		runtime.MemProfileRate = 0
	}
}

func heapGrowth(slots int) (percent int) {
	return min(max(usualPercent*usualSlots/max(slots, 1), leastPercent), mostPercent)
}
