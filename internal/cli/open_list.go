package cli

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// openTrade is a trade that has been open for too long, and why.
type openTrade struct {
	reconcile.ParkedTrade
	why, next string
}

// openLine is an open trade in JSON.
type openLine struct {
	TradeID  string     `json:"trade_id"`
	OrderID  string     `json:"order_id,omitempty"`
	Amount   string     `json:"amount,omitempty"`
	Currency string     `json:"currency,omitempty"`
	Since    time.Time  `json:"open_since"`
	Deadline *time.Time `json:"capture_before,omitempty"`
	Why      string     `json:"why"`
	Next     string     `json:"next"`
}

// listOpen prints the trades that are open longer than the filter allows, or else
// longer than worker.attention_after, in the order of the ledger.
func listOpen(ctx context.Context, o *ledgerDeps, w io.Writer, filter reconcile.ParkedFilter, output string) error {
	filter.OlderThan = cmp.Or(filter.OlderThan, o.c.Worker.AttentionAfter)
	list := newOpenList(w, output, filter.OlderThan)
	now := time.Now()
	for id, err := range o.ledger.Trades(ctx, ledger.Filter{}) {
		var trade ledger.Trade
		if err == nil {
			trade, err = o.ledger.Load(ctx, id)
		}
		if err != nil {
			return err
		}
		if found, open := openFor(trade, now, o.recorder.Policy); open && filter.Matches(found.ParkedTrade, now) {
			if err := list.add(found); err != nil {
				return err
			}
		}
	}
	return list.end()
}

// openFor returns the trade if it is open: it has no outcome, or a failed one that
// a later job or notification contradicts.
func openFor(t ledger.Trade, now time.Time, p capture.Policy) (openTrade, bool) {
	s := t.State()
	since := s.OpenedAt
	if s.Phase == capture.PhaseFailed && !s.NotifiedPaid.IsZero() {
		since = s.NotifiedPaid
	}
	noJob := s.Withdrawn && s.Job.TradeID == "" // withdrawn before a job came: there is nothing to settle
	if since.IsZero() || noJob || s.Phase == capture.PhaseCaptured || s.Phase == capture.PhaseParked {
		return openTrade{}, false
	}
	h := history.Summarize(t.Events, s, now, p)
	return openTrade{
		ParkedTrade: reconcile.ParkedTrade{
			TradeID: t.ID, OrderID: s.Job.OrderID, Amount: s.Job.Amount, Since: since, Deadline: s.Deadline(p.OrDefault().Window),
		},
		why: h.Why, next: h.Next,
	}, true
}

// openList writes trades as they are read.
type openList struct {
	add func(openTrade) error
	end func() error
}

func newOpenList(w io.Writer, output string, olderThan time.Duration) openList {
	switch output {
	case "csv":
		return openCSV(w)
	case "json":
		enc := jsonLines(w)
		return openList{
			add: func(t openTrade) error {
				line := openLine{
					TradeID: t.TradeID, OrderID: t.OrderID, Since: t.Since.UTC(), Why: t.why, Next: t.next,
				}
				if !t.Amount.IsZero() {
					line.Amount, line.Currency = t.Amount.Number(), t.Amount.Currency()
				}
				if !t.Deadline.IsZero() {
					line.Deadline = &t.Deadline
				}
				return enc.Encode(line)
			},
			end: func() error { return nil },
		}
	}
	return openTable(w, olderThan)
}

func openTable(w io.Writer, olderThan time.Duration) openList {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	var money reconcile.Money
	n := 0
	return openList{
		add: func(o openTrade) error {
			if n++; n == 1 {
				fmt.Fprintln(t, "TRADE\tORDER\tAMOUNT\tOPEN SINCE (UTC)\tCAPTURE BEFORE (UTC)\tWHY\tNEXT")
			}
			money.Add(o.Amount)
			_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", o.TradeID, orDash(o.OrderID), amountOrDash(o.Amount),
				o.Since.UTC().Format(time.DateTime), timeOrDash(o.Deadline), o.why, o.next)
			return err
		},
		end: func() error {
			if n == 0 {
				fmt.Fprintf(t, "no trade is open longer than %s\n", config.FormatDuration(olderThan))
			}
			if err := t.Flush(); err != nil || n == 0 {
				return err
			}
			fmt.Fprintln(w)
			return printMoney(w, "open", money)
		},
	}
}

func openCSV(w io.Writer) openList {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"trade_id", "order_id", "amount", "currency", "open_since", "capture_before", "why", "next"}) // csv keeps the error
	return openList{
		add: func(t openTrade) error {
			deadline := ""
			if !t.Deadline.IsZero() {
				deadline = t.Deadline.UTC().Format(time.RFC3339)
			}
			return out.Write(safeCells(t.TradeID, t.OrderID, t.Amount.Number(), t.Amount.Currency(),
				t.Since.UTC().Format(time.RFC3339), deadline, t.why, t.next))
		},
		end: func() error { out.Flush(); return out.Error() },
	}
}
