package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/internal/printable"
)

// showTime is the layout of times in what is shown of a dead letter.
const showTime = "2006-01-02 15:04:05.000"

func newDLQShowCmd(a *app) *cobra.Command {
	var body bool
	cmd := &cobra.Command{
		Use:   "show SEQ",
		Short: "Show a dead letter: the job as received, and what is wrong with it",
		Example: `  capture-worker dlq show 1
  capture-worker dlq show 1 --body`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&body, "body", false, "print only the job's bytes, to correct them in a file")
	addSettings(cmd, "nats", "jobs", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		seqs, err := sequences(args)
		if err != nil {
			return err
		}
		return a.withDLQ(cmd, func(ctx context.Context, d *dlqCmd) error {
			l, err := d.store.Get(ctx, seqs[0])
			if err != nil {
				return err
			}
			if body {
				return writeBody(cmd.OutOrStdout(), l.Body)
			}
			done, err := d.store.Resolutions(ctx)
			if err != nil {
				return err
			}
			d.show(cmd.OutOrStdout(), l, done[l.Seq])
			return nil
		})
	})
	return cmd
}

// writeBody writes the job's bytes unchanged, except to a terminal, which they
// could control.
func writeBody(w io.Writer, body []byte) error {
	if !isTerminal(w) {
		w = printable.Unwrap(w)
	}
	_, err := w.Write(body)
	return err
}

// bodyMark begins each line of a job, so that it differs from the lines of the
// command.
const bodyMark = "  | "

func (d *dlqCmd) show(w io.Writer, l deadletter.Message, done deadletter.Resolution) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-8s %s\n", name, printable.Line(fmt.Sprintf(format, args...)))
	}
	line("letter", "%d, stored %s UTC", l.Seq, l.Stored.UTC().Format(showTime))
	line("reason", "%s", l.Reason)
	line("what", "%s", history.Detail(l))
	line("came", "on %s, sequence %d of stream %s", l.Subject, l.Sequence, l.Stream)
	if d.withdrawal(l) {
		line("today", "a withdrawal, not a job: withdraw again with `capture-worker withdraw`, then dismiss it")
	} else if job, err := d.job(l); err != nil {
		line("today", "still unreadable: %s", jobfile.Reason(err))
		if trade, order := d.dec.Hint(l.Header, l.Body); trade != "" || order != "" {
			line("about", "probably trade %s, order %s", orDash(trade), orDash(order))
		}
	} else {
		line("today", "a valid job for trade %s, %s", job.TradeID, job.Amount)
	}
	if r := done.Republished; r != nil {
		approved := ""
		if r.ApprovedBy != "" {
			approved = ", approved by " + r.ApprovedBy
		}
		line("done", "republished %s UTC by %s%s (%s): trade %s, %s %s, sequence %d of stream %s",
			r.Time.UTC().Format(showTime), r.By, approved, r.Note, r.TradeID, r.Amount, r.Money, r.Seq, r.Stream)
	}
	if r := done.Dismissed; r != nil {
		line("done", "dismissed %s UTC by %s (%s)", r.Time.UTC().Format(showTime), r.By, r.Note)
	}
	for _, name := range slices.Sorted(maps.Keys(l.Header)) {
		line("header", "%s: %s", name, strings.Join(l.Header[name], ", "))
	}
	fmt.Fprintf(w, "\n%s", printable.Block(l.Body, bodyMark))
}
