package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
)

var (
	errInterrupted = errors.New("interrupted")
	// errNoRows: an export that went wrong looks like this, and must not look
	// like work well done.
	errNoRows = errors.New("the input has no rows")
)

// interruptible ends rows with an error once ctx has ended.
func interruptible(ctx context.Context, in rows) rows {
	return func(yield func(row, error) bool) {
		for r, err := range in {
			if err == nil && ctx.Err() != nil {
				err = errInterrupted
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// only hands on some rows, and the error that ends them.
func only(in rows, keep func(row) bool) rows {
	return func(yield func(row, error) bool) {
		for r, err := range in {
			if (err != nil || keep(r)) && !yield(r, err) {
				return
			}
		}
	}
}

// tally counts rows.
type tally struct{ good, bad int }

// turnBad tells that n rows that looked good are not.
func (t *tally) turnBad(n int) { t.good, t.bad = t.good-n, t.bad+n }

// checkRows reads the whole input and lists the bad rows.
func checkRows(in rows, list io.Writer) (tally, error) {
	var t tally
	for r, err := range in {
		switch {
		case err != nil:
			return t, err
		case r.err != nil:
			t.bad++
			fmt.Fprintf(list, "line %d: %s\n", r.line, reason(r.err))
		default:
			t.good++
		}
	}
	return t, nil
}
