package jobfile

import (
	"context"
	"errors"
	"fmt"
)

var (
	errInterrupted = errors.New("interrupted")
	// ErrNoRows is returned for an input without rows: it is probably a failed
	// export, and must not count as a success.
	ErrNoRows = errors.New("the input has no rows")
)

// Interruptible returns the rows, which end with an error once ctx has ended.
func Interruptible(ctx context.Context, in Rows) Rows {
	return func(yield func(Row, error) bool) {
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

// Tally counts the rows of a file. Good, Bad and Skipped always add up to Read.
type Tally struct{ Read, Good, Bad, Skipped int }

// String returns the counts in words.
func (t Tally) String() string {
	return fmt.Sprintf("%d read: %d good, %d bad, %d skipped", t.Read, t.Good, t.Bad, t.Skipped)
}

// Found is the result of a check of a whole file.
type Found struct {
	Tally
	Sums   Sums // the sums of the good rows
	faults faults
	// long counts rows over several lines, first is the place of the first one.
	long  int
	first string
}

// String returns the counts in words, with the rows over several lines.
func (f *Found) String() string {
	text := f.Tally.String()
	if f.long > 0 {
		text += fmt.Sprintf(" (%d over several lines, first %s)", f.long, f.first)
	}
	if !f.Sums.Empty() {
		text += "; " + f.Sums.String()
	}
	return text
}

// count counts one row.
func (f *Found) count(r Row) {
	f.Read++
	if r.Lines > 1 && r.Item == 0 {
		if f.long++; f.long == 1 {
			f.first = r.Place()
		}
	}
	switch {
	case r.Err == nil:
		f.Good++
		f.Sums.Add(r.Job.Amount, 1)
	case isSkipped(r.Err):
		f.Skipped++
		if !errors.Is(r.Err, errEmptyRow) {
			f.faults.skipped(r)
		}
	default:
		f.Bad++
		f.faults.add(r)
	}
}
