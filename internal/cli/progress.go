package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// newProgress shows how much of the work is done, where w is a terminal. step
// may be called by many at a time; finish takes the bar away.
func newProgress(w io.Writer, total int, what string) (step, finish func()) {
	if !isTerminal(w) {
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

// ownLine writes a line to w, below a progress bar that may be there.
func ownLine(w io.Writer, text string) {
	if isTerminal(w) {
		text = "\n" + text
	}
	fmt.Fprintln(w, text)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
