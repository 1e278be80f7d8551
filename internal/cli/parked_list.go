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

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/reconcile"
)

func newParkedListCmd(a *app) *cobra.Command {
	f := caseFlags{what: "trades parked", reasons: capture.ParkedReasons()}
	var output string
	var open bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the parked trades, with their money, or those that are open too long",
		Long: `Lists the trades that are parked, or with --open those that have no outcome for
longer than worker.attention_after (--older-than), why, and what comes next. That
reads the whole ledger, which takes long if it is large.`,
		Example: `  capture-worker parked list
  capture-worker parked list --open
  capture-worker parked list --reason unresolved --older-than 24h
  capture-worker parked list --currency EUR --amount-min 100 -o csv`,
		Args: cobra.NoArgs,
	}
	f.add(cmd, "reason")
	cmd.Flags().BoolVar(&f.dismissed, "dismissed", false, "also dismissed ones")
	cmd.Flags().BoolVar(&open, "open", false, "the trades that are open too long, instead of the parked ones")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`format`: table, csv or json")
	addSettings(cmd, "nats", "worker", "reconcile", "ledger", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		filter, err := f.filter()
		if err != nil {
			return err
		}
		if open && (f.reason != "" || f.dismissed) {
			return usageError("--reason and --dismissed select parked trades and cannot be combined with --open")
		}
		if open {
			return a.withLedger(cmd, func(ctx context.Context, o *ledgerDeps) error {
				return listOpen(ctx, o, cmd.OutOrStdout(), filter, output)
			})
		}
		return a.withLedger(cmd, func(ctx context.Context, o *ledgerDeps) error {
			list := newParkedList(cmd.OutOrStdout(), output)
			waiting, now := 0, time.Now()
			for trade, err := range o.recorder.Parked(ctx, reconcile.ParkedFilter{Dismissed: true}) {
				if err == nil && filter.Matches(trade, now) {
					err = list.add(trade)
				}
				if err != nil {
					return err
				}
				if !trade.Dismissed {
					waiting++
				}
			}
			return list.end(waiting)
		})
	})
	return cmd
}

func newParkedShowCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "show TRADE",
		Short:   "Show what happened to a trade, and the evidence; the same as show",
		Example: "  capture-worker parked show T-7",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	addSettings(cmd, showSettings...)
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error { return a.show(cmd, args[0], "", output) })
	return cmd
}

// parkedLine is a parked trade in JSON.
type parkedLine struct {
	TradeID   string     `json:"trade_id"`
	OrderID   string     `json:"order_id,omitempty"`
	Reason    string     `json:"reason"`
	Amount    string     `json:"amount"`
	Currency  string     `json:"currency"`
	Since     time.Time  `json:"parked_at"`
	Deadline  *time.Time `json:"capture_before,omitempty"`
	Dismissed bool       `json:"dismissed,omitempty"`
}

// parkedList writes trades as they are read, and at the end their sums.
type parkedList struct {
	add func(reconcile.ParkedTrade) error
	end func(waiting int) error // how many are parked and not dismissed, whatever the filter
}

func newParkedList(w io.Writer, output string) parkedList {
	switch output {
	case "csv":
		return parkedCSV(w)
	case "json":
		enc := jsonLines(w)
		return parkedList{
			add: func(t reconcile.ParkedTrade) error {
				line := parkedLine{
					TradeID: t.TradeID, OrderID: t.OrderID, Reason: t.Reason, Amount: t.Amount.Number(), Currency: t.Amount.Currency(),
					Since: t.Since.UTC(), Dismissed: t.Dismissed,
				}
				if !t.Deadline.IsZero() {
					line.Deadline = &t.Deadline
				}
				return enc.Encode(line)
			},
			end: func(int) error { return nil },
		}
	}
	return parkedTable(w)
}

func parkedTable(w io.Writer) parkedList {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	var money reconcile.Money
	n := 0
	return parkedList{
		add: func(p reconcile.ParkedTrade) error {
			if n++; n == 1 {
				fmt.Fprintln(t, "TRADE\tORDER\tREASON\tAMOUNT\tPARKED (UTC)\tCAPTURE BEFORE (UTC)")
			}
			money.Add(p.Amount)
			reason := p.Reason
			if p.Dismissed {
				reason += ", dismissed"
			}
			_, err := fmt.Fprint(t, printable.Row(p.TradeID, orDash(p.OrderID), reason, p.Amount,
				p.Since.UTC().Format(time.DateTime), timeOrDash(p.Deadline)))
			return err
		},
		end: func(waiting int) error {
			switch {
			case n == 0 && waiting > 0:
				fmt.Fprintf(t, "no parked trade matches the filter (parked: %d)\n", waiting)
			case n == 0:
				fmt.Fprintln(t, "no trade is parked")
			}
			if err := t.Flush(); err != nil || n == 0 {
				return err
			}
			fmt.Fprintln(w)
			return printMoney(w, "parked", money)
		},
	}
}

// printMoney writes a line for each currency.
func printMoney(w io.Writer, what string, money reconcile.Money) error {
	for _, sum := range money.Sums() {
		if _, err := fmt.Fprintf(w, "%s: %s\n", what, sum); err != nil {
			return err
		}
	}
	return nil
}

func parkedCSV(w io.Writer) parkedList {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"trade_id", "order_id", "reason", "amount", "currency", "parked_at", "capture_before", "dismissed"}) // csv keeps the error
	return parkedList{
		add: func(p reconcile.ParkedTrade) error {
			deadline := ""
			if !p.Deadline.IsZero() {
				deadline = p.Deadline.UTC().Format(time.RFC3339)
			}
			return out.Write(safeCells(p.TradeID, p.OrderID, p.Reason, p.Amount.Number(), p.Amount.Currency(),
				p.Since.UTC().Format(time.RFC3339), deadline, strconv.FormatBool(p.Dismissed)))
		},
		end: func(int) error { out.Flush(); return out.Error() },
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func timeOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}
