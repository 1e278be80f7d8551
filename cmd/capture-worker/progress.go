package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// newProgress shows how much of the work is done, where w is a terminal. step
// may be called by many at a time; finish takes the bar away.
func newProgress(w io.Writer, total int, what string) (step, finish func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}, func() {}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	// An error of the bar is an error of the terminal: there is nobody to tell.
	return func() { _ = bar.Add(1) }, func() { _ = bar.Finish() }
}
