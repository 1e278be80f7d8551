package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/printable"
)

// letterFilter selects dead letters.
type letterFilter struct {
	reason, trade, order string
	all                  bool
}

func (f letterFilter) takes(l history.DeadLetter) bool {
	switch {
	case f.reason != "" && l.Reason != f.reason,
		f.trade != "" && !capture.SameTrade(l.Trade, f.trade),
		f.order != "" && l.Order != f.order,
		!l.Pending() && !f.all:
		return false
	}
	return true
}

// check returns an error for a reason that no dead letter has: with a mistyped one
// the list would be empty.
func (f letterFilter) check() error {
	reasons := deadletter.Reasons()
	if f.reason != "" && !slices.Contains(reasons, f.reason) {
		return usageError("--reason is %q: no dead letter has this reason; the reasons are %s", f.reason, strings.Join(reasons, ", "))
	}
	return nil
}

func newDLQListCmd(a *app) *cobra.Command {
	var output string
	var filter letterFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the dead letters that need an operator",
		Long: `Lists the dead letters that were neither republished nor dismissed. Trade and order
are read from the job as far as it can be read.`,
		Example: `  capture-worker dlq list
  capture-worker dlq list --order A-1001 --all
  capture-worker dlq list --reason conflict --all -o csv`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVarP(&output, "output", "o", "table", "`format`: table, csv or json")
	f.StringVar(&filter.reason, "reason", "", "only dead letters with this reason, such as conflict")
	f.StringVar(&filter.trade, "trade", "", "only dead letters about this trade")
	f.StringVar(&filter.order, "order", "", "only dead letters about this order")
	f.BoolVar(&filter.all, "all", false, "also those that were republished or dismissed")
	addSettings(cmd, "nats", "jobs", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		if err := filter.check(); err != nil {
			return err
		}
		return a.withDLQ(cmd, func(ctx context.Context, d *dlqCmd) error {
			list := newLetterList(cmd.OutOrStdout(), output)
			waiting := 0
			err := d.list(ctx, func(l history.DeadLetter) error {
				if l.Pending() {
					waiting++
				}
				if !filter.takes(l) {
					return nil
				}
				return list.add(l)
			})
			if noDLQ(err) {
				fmt.Fprintf(cmd.ErrOrStderr(), "there is no stream %s: no worker has run here yet\n", d.c.Jobs.DLQStream)
				err = nil
			}
			if err != nil {
				return err
			}
			return list.end(waiting)
		})
	})
	return cmd
}

func checkOutput(output string) error {
	switch output {
	case "table", "csv", "json":
		return nil
	}
	return usageError("--output is %q: must be table, csv or json", output)
}

// list calls each with every dead letter.
func (d *dlqCmd) list(ctx context.Context, each func(history.DeadLetter) error) error {
	return history.WalkDeadLetters(ctx, d.store, d.dec, each)
}

// letterList writes dead letters as they are read.
type letterList struct {
	add func(history.DeadLetter) error
	end func(waiting int) error // how many are pending, whatever the filter
}

func newLetterList(w io.Writer, output string) letterList {
	switch output {
	case "csv":
		return letterCSV(w)
	case "json":
		enc := jsonLines(w)
		return letterList{add: func(l history.DeadLetter) error { return enc.Encode(l) }, end: func(int) error { return nil }}
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	n := 0
	return letterList{
		add: func(l history.DeadLetter) error {
			if n++; n == 1 {
				fmt.Fprintln(t, "SEQ\tTIME (UTC)\tREASON\tTRADE\tORDER\tDONE\tWHAT")
			}
			_, err := fmt.Fprint(t, printable.Row(l.Seq, l.Time.Format(time.DateTime), l.Reason,
				orDash(l.Trade), orDash(l.Order), doneText(l), l.Detail))
			return err
		},
		end: func(waiting int) error {
			switch {
			case n == 0 && waiting > 0:
				fmt.Fprintf(t, "no dead letter matches the filter (pending: %d)\n", waiting)
			case n == 0:
				fmt.Fprintln(t, "no pending dead letters")
			}
			return t.Flush()
		},
	}
}

// doneText returns what was done about a dead letter, and by whom.
func doneText(l history.DeadLetter) string {
	switch {
	case l.Republished != nil:
		return "republished by " + l.Republished.By
	case l.Dismissed != nil:
		return "dismissed by " + l.Dismissed.By
	}
	return "-"
}

func letterCSV(w io.Writer) letterList {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"seq", "time", "reason", "trade_id", "order_id", "subject", "detail", "republished", "republished_by", "dismissed", "dismissed_by"}) // csv keeps the error
	return letterList{
		add: func(l history.DeadLetter) error {
			sent, sender, closed, closer := "", "", "", ""
			if r := l.Republished; r != nil {
				sent, sender = r.Time.UTC().Format(time.RFC3339), r.By
			}
			if d := l.Dismissed; d != nil {
				closed, closer = d.Time.UTC().Format(time.RFC3339), d.By
			}
			return out.Write(safeCells(strconv.FormatUint(l.Seq, 10), l.Time.Format(time.RFC3339), l.Reason, l.Trade, l.Order, l.Subject, l.Detail, sent, sender, closed, closer))
		},
		end: func(int) error { out.Flush(); return out.Error() },
	}
}
