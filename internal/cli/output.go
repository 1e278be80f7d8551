package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/capture-worker/capture-worker/internal/printable"
)

// writeJSON writes one indented JSON document.
func writeJSON(w io.Writer, document any) error {
	enc := jsonLines(w)
	enc.SetIndent("", "  ")
	return enc.Encode(document)
}

// jsonLines returns an encoder that writes a line for each value, without the
// escapes for HTML.
func jsonLines(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// safeCells makes texts the cells of a CSV: none is treated as a formula, and each
// is one line.
func safeCells(cells ...string) []string {
	for i, cell := range cells {
		cells[i] = printable.Cell(cell)
	}
	return cells
}

// counted returns a number with its noun: "1 query", "2 queries".
func counted[N int | int64 | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, ok := strings.CutSuffix(one, "ry"); ok {
		return fmt.Sprintf("%d %sries", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// newProgress shows a progress bar if w is a terminal. step is safe for concurrent
// use; finish removes the bar.
func newProgress(w io.Writer, total int, what string) (step, finish func()) {
	if !isTerminal(w) {
		return func() {}, func() {}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(printable.Unwrap(w)),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	// An error of the bar is an error of the terminal, which cannot show it.
	return func() { _ = bar.Add(1) }, func() { _ = bar.Finish() }
}

// ownLine writes a line to w, after a progress bar if there is one.
func ownLine(w io.Writer, text string) {
	if isTerminal(w) {
		text = "\n" + text
	}
	fmt.Fprintln(w, text)
}

func isTerminal(w io.Writer) bool {
	f, ok := printable.Unwrap(w).(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
