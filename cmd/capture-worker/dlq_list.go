package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/worker"
)

// letterLine is a dead letter as it is listed.
type letterLine struct {
	Seq         uint64                `json:"seq"`
	Time        time.Time             `json:"time"`
	Reason      string                `json:"reason"`
	Trade       string                `json:"trade_id,omitempty"` // where the job can be read
	Subject     string                `json:"subject"`
	Detail      string                `json:"detail"`
	Republished *worker.Republication `json:"republished,omitempty"`
}

func newDLQListCmd(a *app) *cobra.Command {
	var output, reason string
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the dead letters that wait for a person",
		Example: `  capture-worker dlq list
  capture-worker dlq list --reason conflict --all -o csv`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`format`: table, csv or json")
	cmd.Flags().StringVar(&reason, "reason", "", "only letters with this reason, such as conflict")
	cmd.Flags().BoolVar(&all, "all", false, "also those that were published again")
	addSettings(cmd, "nats", "jobs", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		return a.withDesk(cmd, func(ctx context.Context, d *desk) error {
			list := newLetterList(cmd.OutOrStdout(), output)
			err := d.list(ctx, func(l letterLine) error {
				if reason != "" && l.Reason != reason || l.Republished != nil && !all {
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
			return list.end()
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

// list walks the letters with what was done about each.
func (d *desk) list(ctx context.Context, each func(letterLine) error) error {
	done, err := d.box.Republished(ctx)
	if err != nil {
		return err
	}
	for l, err := range d.box.Letters(ctx) {
		if err != nil {
			return err
		}
		line := letterLine{Seq: l.Seq, Time: l.Stored.UTC(), Reason: l.Reason, Subject: l.Subject, Detail: detailOf(l)}
		if job, err := d.job(l); err == nil {
			line.Trade = job.TradeID
		}
		if r, ok := done[l.Seq]; ok {
			line.Republished = &r
		}
		if err := each(line); err != nil {
			return err
		}
	}
	return nil
}

// letterList writes lines as they come.
type letterList struct {
	add func(letterLine) error
	end func() error
}

func newLetterList(w io.Writer, output string) letterList {
	switch output {
	case "csv":
		return letterCSV(w)
	case "json":
		enc := jsonLines(w)
		return letterList{add: func(l letterLine) error { return enc.Encode(l) }, end: func() error { return nil }}
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	n := 0
	return letterList{
		add: func(l letterLine) error {
			if n++; n == 1 {
				fmt.Fprintln(t, "SEQ\tTIME (UTC)\tREASON\tTRADE\tDONE\tWHAT")
			}
			trade := l.Trade
			if trade == "" {
				trade = "-"
			}
			_, err := fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", l.Seq, l.Time.Format(time.DateTime), l.Reason, trade, l.done(), l.Detail)
			return err
		},
		end: func() error {
			if n == 0 {
				fmt.Fprintln(t, "no dead letters wait")
			}
			return t.Flush()
		},
	}
}

// detailOf leaves out what stands in the column beside it.
func detailOf(l worker.Letter) string {
	return strings.TrimPrefix(l.Detail, "malformed job ("+l.Reason+"): ")
}

func (l letterLine) done() string {
	if l.Republished == nil {
		return "-"
	}
	return "republished by " + l.Republished.By
}

func letterCSV(w io.Writer) letterList {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"seq", "time", "reason", "trade_id", "subject", "detail", "republished", "republished_by"}) // csv keeps the error
	return letterList{
		add: func(l letterLine) error {
			at, by := "", ""
			if r := l.Republished; r != nil {
				at, by = r.Time.UTC().Format(time.RFC3339), r.By
			}
			return out.Write(safeCells(strconv.FormatUint(l.Seq, 10), l.Time.Format(time.RFC3339), l.Reason, l.Trade, l.Subject, l.Detail, at, by))
		},
		end: func() error { out.Flush(); return out.Error() },
	}
}
