package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/reconcile"
)

func newParkedListCmd(a *app) *cobra.Command {
	f := caseFlags{what: "trades parked", reasons: capture.ParkedReasons()}
	var p paging
	var output string
	var open bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the parked trades, with their money, or those that are open too long",
		Long: `Lists the trades that are parked, or with --open those that have no outcome for
longer than worker.attention_after (--older-than), why, and what comes next.

It reads the records (records.dsn) if there are any, and says how far they are
behind the ledger. Without them, parked trades are read from ledger.cases_stream,
which JetStream copies from the ledger: if the copy is behind, the command says
so. Open trades are then only those with an event among the newest 10,000 of the
ledger.`,
		Example: `  capture-worker parked list
  capture-worker parked list --open
  capture-worker parked list --reason unresolved --older-than 24h
  capture-worker parked list --currency EUR --amount-min 100 -o csv
  capture-worker parked list --limit 50`,
		Args: cobra.NoArgs,
	}
	f.add(cmd, "reason")
	p.add(cmd, "trades")
	cmd.Flags().BoolVar(&f.dismissed, "dismissed", false, "also dismissed ones")
	cmd.Flags().BoolVar(&open, "open", false, "the trades that are open too long, instead of the parked ones")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`format`: table, csv or json")
	addSettings(cmd, "nats", "worker", "reconcile", "ledger", "gateway", "records", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := errors.Join(checkOutput(output), p.check()); err != nil {
			return err
		}
		filter, err := f.filter()
		if err != nil {
			return err
		}
		if open && (f.reason != "" || f.dismissed) {
			return usageError("--reason and --dismissed select parked trades and cannot be combined with --open")
		}
		return a.withLedger(cmd, func(ctx context.Context, o *ledgerDeps) error {
			found := openLookup(ctx, o.js, o.c, func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) })
			defer found.close()
			if open {
				return listOpen(ctx, o, found, cmd.OutOrStdout(), filter, output, p)
			}
			return listParked(ctx, o, found, cmd.OutOrStdout(), filter, output, p)
		})
	})
	return cmd
}

// listedTrade is a trade of a list, and the position to continue after it.
type listedTrade struct {
	reconcile.ParkedTrade
	position string
}

// listParked prints the parked trades that the filter selects.
func listParked(ctx context.Context, o *ledgerDeps, found *lookup, w io.Writer, filter reconcile.ParkedFilter, output string, p paging) error {
	walk, note := o.parkedInCases(ctx, p.after), o.casesBehind
	if found.store != nil {
		walk, note = found.parked(ctx, filter, p.after), func(context.Context) string { return found.asOf() }
	}
	list := newParkedList(w, output)
	waiting, listed, now, last, next := 0, 0, time.Now(), "", ""
	for trade, err := range walk {
		if err != nil {
			return err
		}
		if !trade.Dismissed {
			waiting++
		}
		if !filter.Matches(trade.ParkedTrade, now) {
			continue
		}
		if p.limit > 0 && listed == p.limit {
			next = last
			break
		}
		if err := list.add(trade.ParkedTrade); err != nil {
			return err
		}
		listed, last = listed+1, trade.position
	}
	if err := list.end(waiting); err != nil {
		return err
	}
	if text := note(ctx); text != "" {
		found.warn(text)
	}
	if next != "" {
		found.warn(p.more(next))
	}
	return nil
}

// mayBeParked lists the trades that may be parked, as the stream of cases names
// them.
func (o *ledgerDeps) mayBeParked(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for trade, err := range o.cases.Parked(ctx, 0) {
			if !yield(trade.TradeID, err) {
				return
			}
		}
	}
}

// parkedInCases yields the parked trades, dismissed ones included, in the order of
// the stream of cases.
func (o *ledgerDeps) parkedInCases(ctx context.Context, after string) iter.Seq2[listedTrade, error] {
	return func(yield func(listedTrade, error) bool) {
		seq, err := uint64(0), error(nil)
		if after != "" {
			seq, err = strconv.ParseUint(after, 10, 64)
		}
		if err != nil {
			yield(listedTrade{}, badPosition(after))
			return
		}
		at := uint64(0)
		trades := func(yield func(string, error) bool) {
			for trade, err := range o.cases.Parked(ctx, seq) {
				if at = trade.Seq; !yield(trade.TradeID, err) {
					return
				}
			}
		}
		for trade, err := range o.recorder.Parked(ctx, trades, reconcile.ParkedFilter{Dismissed: true}) {
			if !yield(listedTrade{trade, strconv.FormatUint(at, 10)}, err) {
				return
			}
		}
	}
}

// casesBehind returns a warning if the stream of cases may lack parked trades.
func (o *ledgerDeps) casesBehind(ctx context.Context) string {
	lag, err := o.cases.Lag(ctx)
	switch {
	case err != nil:
		return fmt.Sprintf("how far stream %s is behind the ledger could not be read: %v", o.c.Ledger.Cases, err)
	case lag.Behind():
		return fmt.Sprintf("stream %s is behind the ledger, trades that were parked lately may be missing: %s", o.c.Ledger.Cases, lag)
	}
	return ""
}

// parked yields the parked trades of the records, the oldest first, and the
// dismissed ones among them if the filter selects these.
func (l *lookup) parked(ctx context.Context, f reconcile.ParkedFilter, after string) iter.Seq2[listedTrade, error] {
	q := records.CaseQuery{Kind: records.CaseParked, Reason: f.Reason, Currency: f.Currency, Dismissed: f.Dismissed, ByAge: true}
	return func(yield func(listedTrade, error) bool) {
		for t, err := range l.cases(ctx, q, after) {
			p := listedTrade{reconcile.ParkedTrade{
				TradeID: t.Key, OrderID: t.OrderID, Reason: t.Reason, Amount: t.Asked, Since: t.LearnedAt, Deadline: t.Deadline, Dismissed: t.Dismissed,
			}, q.After(t)}
			if !yield(p, err) {
				return
			}
		}
	}
}

// cases yields the cases of a query, page after page.
func (l *lookup) cases(ctx context.Context, q records.CaseQuery, after string) iter.Seq2[records.Trade, error] {
	return func(yield func(records.Trade, error) bool) {
		page := records.Page{Limit: records.MaxLimit, Cursor: after}
		for {
			got, err := l.store.ListCases(ctx, q, page)
			if errors.Is(err, records.ErrCursor) {
				err = badPosition(after)
			}
			if err != nil {
				yield(records.Trade{}, err)
				return
			}
			for _, t := range got.Items {
				if !yield(t, nil) {
					return
				}
			}
			if page.Cursor = got.Next; page.Cursor == "" {
				return
			}
		}
	}
}

func newParkedShowCmd(a *app) *cobra.Command {
	var output string
	var p paging
	cmd := &cobra.Command{
		Use:     "show TRADE",
		Short:   "Show what happened to a trade, and the evidence; the same as show",
		Example: "  capture-worker parked show T-7",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	cmd.Flags().IntVar(&p.limit, "limit", 0, "only the newest so many events; 0 is all")
	addSettings(cmd, showSettings...)
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		return a.show(cmd, args[0], "", output, p, history.DefaultDoneJobs)
	})
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
