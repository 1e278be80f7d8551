package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/internal/printable"
)

// fixedJob is a corrected job, as it is to be published.
type fixedJob struct {
	body   []byte
	header nats.Header // instead of that of the dead letter; nil: that one
}

// readFixed reads the file of corrected jobs: one for each dead letter that is
// named, in the forms that publish reads. Rows of a CSV are written in the shape
// that the workers read.
func (r *republishing) readFixed(ctx context.Context, stdin io.Reader, log io.Writer, want int) ([]fixedJob, error) {
	o, err := r.file.options(r.fixed, r.dlq.mapping)
	if err != nil {
		return nil, err
	}
	o.Note = func(text string) { fmt.Fprintln(log, text) }
	in, err := jobfile.Open(ctx, r.fixed, stdin)
	if err != nil {
		return nil, fmt.Errorf("the corrected jobs: %w", err)
	}
	defer in.Close()
	rows, err := jobfile.Read(in, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.fixed, err)
	}
	var jobs []fixedJob
	for row, err := range jobfile.Interruptible(ctx, rows) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.fixed, err)
		}
		if _, skipped := errors.AsType[*jobfile.SkipError](row.Err); skipped {
			continue
		}
		job, err := r.fixedJob(row, len(jobs))
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %s", r.fixed, row.Place(), jobfile.Reason(err))
		}
		if jobs = append(jobs, job); len(jobs) > want {
			break
		}
	}
	if len(jobs) != want {
		return nil, fmt.Errorf("%s holds %s for %s; it must hold one for each, in their order", r.fixed, jobsFound(len(jobs), want), counted(want, "dead letter"))
	}
	return jobs, nil
}

func jobsFound(n, want int) string {
	if n > want {
		return "more jobs"
	}
	return counted(n, "job")
}

// fixedJob returns the message of a row. One of JSON is a message as it is, and is
// decoded with the headers of its dead letter later.
func (r *republishing) fixedJob(row jobfile.Row, n int) (fixedJob, error) {
	switch {
	case !row.Table && row.Body != nil:
		return fixedJob{body: row.Body}, nil
	case row.Err != nil:
		return fixedJob{}, row.Err
	case len(r.dlq.mapping.Fields)+len(r.dlq.mapping.Match) == 0:
		return fixedJob{body: row.Body}, nil
	}
	header, body, err := r.dlq.mapping.Encode(row.Job, fmt.Sprintf("%s-%d", r.dlq.store.Stream, r.seqs[n]))
	return fixedJob{body: body, header: nats.Header(header)}, err
}

// maxShownField limits a value in a list of differences, in characters.
const maxShownField = 80

// writeDifference writes which fields of the job a correction changes.
func (r *republishing) writeDifference(l deadletter.Message, rep reply) {
	before, after := r.dlq.dec.HintFields(l.Header, l.Body), r.dlq.dec.HintFields(rep.header, rep.body)
	fmt.Fprintf(r.out, "dead letter %d: corrected\n", l.Seq)
	same := true
	for i, field := range capture.JobFields() {
		if before[i] != after[i] {
			same = false
			fmt.Fprintf(r.out, "  %-18s %s -> %s\n", field, fieldText(before[i]), fieldText(after[i]))
		}
	}
	if same {
		fmt.Fprintln(r.out, "  no field of the job differs")
	}
}

func fieldText(raw string) string {
	if raw == "" {
		return "(none)"
	}
	text := []rune(printable.Line(raw))
	if len(text) > maxShownField {
		return string(text[:maxShownField]) + "…"
	}
	return string(text)
}

// checkReplaced refuses a correction whose trade or order differs from the dead
// letter's. Corrections are matched to dead letters by position, so a file whose lines
// are sorted differently would capture the wrong trades.
func (r *republishing) checkReplaced(l deadletter.Message, job capture.Job) error {
	trade, order := r.dlq.dec.Hint(l.Header, l.Body)
	what := ""
	switch {
	case r.replaceTrade:
	case trade != "" && !capture.SameTrade(trade, job.TradeID):
		what = fmt.Sprintf("the corrected job names trade %s, and the dead letter names %s", job.TradeID, trade)
	case order != "" && job.OrderID != "" && order != job.OrderID:
		what = fmt.Sprintf("the corrected job names order %s, and the dead letter names %s", job.OrderID, order)
	}
	if what == "" {
		return nil
	}
	return fmt.Errorf("dead letter %d: %s; see that the file has the order of the sequences, or add --replace-trade", l.Seq, printable.Line(what))
}

// larger reports whether a correction asks for more than the dead letter did, or for
// a sum that cannot be compared.
func (r *republishing) larger(l deadletter.Message, job capture.Job) bool {
	more, err := job.Amount.Cmp(r.dlq.dec.HintAmount(l.Header, l.Body))
	return err != nil || more > 0
}
