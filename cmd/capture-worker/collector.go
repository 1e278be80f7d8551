package main

import (
	"os"
	"runtime/debug"
)

// A worker with few slots has a live heap of a few megabytes, and Go would
// collect it, and go through every stack, thirty times a second to keep it that
// small. It may grow to about what a worker with usualSlots has anyway.
const (
	usualSlots   = 256
	usualPercent = 100 // Go's own
	mostPercent  = 400
)

// collectSeldom sets how much the heap may grow between two collections, unless
// the environment says it. GOMEMLIMIT is a limit all the same.
func collectSeldom(slots int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth(slots))
	}
}

func heapGrowth(slots int) (percent int) {
	return min(max(usualPercent*usualSlots/max(slots, 1), usualPercent), mostPercent)
}
