package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/internal/printable"
)

func newDLQListCmd(a *app) *cobra.Command {
	var output string
	var f letterFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the dead letters that need an operator",
		Long: `Lists the dead letters that were neither republished nor dismissed, the oldest
first. Trade, order and amount are read from the job as far as it can be read; an
amount that may be in either unit is not shown. With --limit the last line says how
to go on. With --order or --trade the records (records.dsn) are read, if there are
any.`,
		Example: `  capture-worker dlq list
  capture-worker dlq list --order A-1001 --all
  capture-worker dlq list --reason conflict --all -o csv
  capture-worker dlq list --currency EUR --amount-min 1000 --older-than 7d --limit 50`,
		Args: cobra.NoArgs,
	}
	fs := cmd.Flags()
	fs.StringVarP(&output, "output", "o", "table", "`format`: table, csv or json")
	f.add(cmd, "reason")
	fs.BoolVar(&f.cases.dismissed, "all", false, "also those that were republished or dismissed")
	addSettings(cmd, "nats", "jobs", "ledger", "records", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		filter, err := f.filter()
		if err != nil {
			return err
		}
		return a.withDLQ(cmd, func(ctx context.Context, d *dlqCmd) error {
			defer d.lettersOf(ctx, filter, func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) })()
			err := d.list(ctx, filter, newLetterList(cmd.OutOrStdout(), output), cmd.ErrOrStderr())
			if noDLQ(err) {
				fmt.Fprintf(cmd.ErrOrStderr(), "there is no stream %s: no worker has run here yet\n", d.c.Jobs.DLQStream)
				err = nil
			}
			return err
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

// list writes the dead letters of the filter.
func (d *dlqCmd) list(ctx context.Context, f letterFilter, list letterList, log io.Writer) error {
	n := 0
	next, err := d.walk(ctx, f, func(l history.DeadLetter) error { n++; return list.add(l) })
	if err != nil {
		return err
	}
	pending := 0
	if n == 0 { // whatever the filter
		if pending, err = d.store.Pending(ctx); err != nil {
			return err
		}
	}
	if err := list.end(pending); err != nil {
		return err
	}
	if next > 0 {
		fmt.Fprintf(log, "there are more: continue with --after %d\n", next)
	}
	return nil
}

// letterList writes dead letters as they are read.
type letterList struct {
	add func(history.DeadLetter) error
	// end takes how many are pending whatever the filter, if none was listed.
	end func(pending int) error
}

func newLetterList(w io.Writer, output string) letterList {
	switch output {
	case "csv":
		return letterCSV(w)
	case "json":
		enc := jsonLines(w)
		return letterList{add: func(l history.DeadLetter) error { return enc.Encode(l) }, end: func(int) error { return nil }}
	}
	return letterTable(w)
}

func letterTable(w io.Writer) letterList {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	n := 0
	var sums jobfile.Sums
	return letterList{
		add: func(l history.DeadLetter) error {
			if n++; n == 1 {
				fmt.Fprintln(t, "SEQ\tTIME (UTC)\tREASON\tTRADE\tORDER\tAMOUNT\tDONE\tWHAT")
			}
			sum := l.Sum()
			if !sum.IsZero() {
				sums.Add(sum, 1)
			}
			_, err := fmt.Fprint(t, printable.Row(l.Seq, l.Time.Format(time.DateTime), l.Reason,
				orDash(l.Trade), orDash(l.Order), amountOrDash(sum), doneText(l), l.Detail))
			return err
		},
		end: func(pending int) error {
			switch {
			case n == 0 && pending > 0:
				fmt.Fprintf(t, "no dead letter matches the filter (pending: %d)\n", pending)
			case n == 0:
				fmt.Fprintln(t, "no pending dead letters")
			}
			if err := t.Flush(); err != nil {
				return err
			}
			return printSums(w, &sums)
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
	_ = out.Write([]string{"seq", "time", "reason", "trade_id", "order_id", "amount", "currency", "subject", "detail",
		"republished", "republished_by", "dismissed", "dismissed_by"}) // csv keeps the error
	return letterList{
		add: func(l history.DeadLetter) error {
			sent, sender, closed, closer := "", "", "", ""
			if r := l.Republished; r != nil {
				sent, sender = r.Time.UTC().Format(time.RFC3339), r.By
			}
			if d := l.Dismissed; d != nil {
				closed, closer = d.Time.UTC().Format(time.RFC3339), d.By
			}
			return out.Write(safeCells(strconv.FormatUint(l.Seq, 10), l.Time.Format(time.RFC3339), l.Reason, l.Trade, l.Order,
				l.Amount, l.Currency, l.Subject, l.Detail, sent, sender, closed, closer))
		},
		end: func(int) error { out.Flush(); return out.Error() },
	}
}
