package jobfile

import (
	"context"
	"errors"
	"fmt"
)

var (
	errInterrupted = errors.New("interrupted")
	// ErrNoRows: an export that went wrong looks like this, and must not look
	// like work well done.
	ErrNoRows = errors.New("the input has no rows")
)

// Interruptible ends rows with an error once ctx has ended.
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

// String says where the rows went.
func (t Tally) String() string {
	return fmt.Sprintf("%d read: %d good, %d bad, %d skipped", t.Read, t.Good, t.Bad, t.Skipped)
}

// Found is what a check of a whole file found.
type Found struct {
	Tally
	Sums   Sums // of the good rows
	faults faults
	// long counts rows that take several lines, first is where the first is.
	long  int
	first string
}

// String says where the rows went, and which took several lines.
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
