package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/jobfile"
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
	cmd.Flags().BoolVar(&body, "body", false, "print the job's bytes and nothing else, to correct them in a file")
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
				_, err := cmd.OutOrStdout().Write(l.Body)
				return err
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

func (d *dlqCmd) show(w io.Writer, l deadletter.Message, done deadletter.Resolution) {
	fmt.Fprintf(w, "letter   %d, stored %s UTC\n", l.Seq, l.Stored.UTC().Format(showTime))
	fmt.Fprintf(w, "reason   %s\n", l.Reason)
	fmt.Fprintf(w, "what     %s\n", history.Detail(l))
	fmt.Fprintf(w, "came     on %s, sequence %d of stream %s\n", l.Subject, l.Sequence, l.Stream)
	if job, err := d.job(l); err != nil {
		fmt.Fprintf(w, "today    still unreadable: %s\n", jobfile.Reason(err))
		if trade, order := d.dec.Hint(l.Header, l.Body); trade != "" || order != "" {
			fmt.Fprintf(w, "about    probably trade %s, order %s\n", orDash(trade), orDash(order))
		}
	} else {
		fmt.Fprintf(w, "today    a valid job for trade %s, %s\n", job.TradeID, job.Amount)
	}
	if r := done.Republished; r != nil {
		fmt.Fprintf(w, "done     republished %s UTC by %s (%s): trade %s, %s %s, sequence %d of stream %s\n",
			r.Time.UTC().Format(showTime), r.By, r.Note, r.TradeID, r.Amount, r.Money, r.Seq, r.Stream)
	}
	if r := done.Dismissed; r != nil {
		fmt.Fprintf(w, "done     dismissed %s UTC by %s (%s)\n", r.Time.UTC().Format(showTime), r.By, r.Note)
	}
	for _, name := range slices.Sorted(maps.Keys(l.Header)) {
		fmt.Fprintf(w, "header   %s: %s\n", printable([]byte(name)), printable([]byte(strings.Join(l.Header[name], ", "))))
	}
	fmt.Fprintf(w, "\n%s\n", printable(l.Body))
}

// printable quotes text that contains control characters: the bytes come from
// untrusted clients and would control the terminal.
func printable(b []byte) string {
	if utf8.Valid(b) && !slices.ContainsFunc([]rune(string(b)), func(r rune) bool {
		return !unicode.IsGraphic(r) && r != '\n' && r != '\t' && r != '\r'
	}) {
		return string(b)
	}
	return fmt.Sprintf("%q", b)
}
