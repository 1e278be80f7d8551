package cli

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// openTrade is a trade that has been open for too long, with the reason.
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
// longer than worker.attention_after. Which may be, the records tell, or the newest
// events of the ledger; whether one is, its own events.
func listOpen(ctx context.Context, o *ledgerDeps, found *lookup, w io.Writer, filter reconcile.ParkedFilter, output string, p paging) error {
	filter.OlderThan = cmp.Or(filter.OlderThan, o.c.Worker.AttentionAfter)
	list := newOpenList(w, output, filter.OlderThan)
	now := time.Now()
	candidates, note, err := found.open(ctx, now.Add(-filter.OlderThan), p.after)
	if err != nil {
		return err
	}
	listed, last, next := 0, "", ""
	for candidate, err := range candidates {
		var trade ledger.Trade
		if err == nil {
			trade, err = o.ledger.Load(ctx, candidate.TradeID)
		}
		if err != nil {
			return err
		}
		opened, open := openFor(trade, now, o.recorder.Policy)
		if !open || !filter.Matches(opened.ParkedTrade, now) {
			continue
		}
		if p.limit > 0 && listed == p.limit {
			next = last
			break
		}
		if err := list.add(opened); err != nil {
			return err
		}
		listed, last = listed+1, candidate.position
	}
	if err := list.end(); err != nil {
		return err
	}
	if note != "" {
		found.warn(note)
	}
	if next != "" {
		found.warn(p.more(next))
	}
	return nil
}

// open returns the trades that may be open since before a time, and what was looked
// at.
func (l *lookup) open(ctx context.Context, before time.Time, after string) (iter.Seq2[listedTrade, error], string, error) {
	if l.store != nil {
		walk, err := l.openRecords(ctx, before, after)
		return walk, l.asOf(), err
	}
	among, err := l.recent(ctx, ledger.MaxTail)
	if err != nil {
		return nil, "", err
	}
	trades, err := fromPosition(mayBeOpen(among.events, before), after)
	return func(yield func(listedTrade, error) bool) {
		for _, t := range trades {
			if !yield(listedTrade{reconcile.ParkedTrade{TradeID: t.id}, strconv.FormatUint(t.seq, 10)}, nil) {
				return
			}
		}
	}, among.note(), err
}

// mayBeOpen returns the trades that may be open since before a time, judged by some
// of the ledger's events, the newest first: those whose last event is no outcome,
// but for those whose first call is newer.
func mayBeOpen(events []ledger.Entry, before time.Time) []recentTrade {
	var trades []recentTrade
	seen, younger := map[string]bool{}, map[string]bool{}
	for _, e := range events {
		id := e.Event.TradeID
		if !seen[id] && !e.Event.Type.Outcome() && e.Event.Type != capture.Dismissed {
			trades = append(trades, recentTrade{id, e.Seq})
		}
		seen[id] = true
		if e.Event.Type == capture.Attempted && e.Event.Call <= 1 && e.Stored.After(before) {
			younger[id] = true
		}
	}
	return slices.DeleteFunc(trades, func(t recentTrade) bool { return younger[t.id] })
}

// openRecords yields the open trades of the records: those without an outcome, then
// failed ones that a notification contradicts.
func (l *lookup) openRecords(ctx context.Context, before time.Time, after string) (iter.Seq2[listedTrade, error], error) {
	kinds := []string{records.CaseOpen, records.CaseContradicted}
	position := ""
	if after != "" {
		var kind string
		if kind, position, _ = strings.Cut(after, "."); !slices.Contains(kinds, kind) {
			return nil, badPosition(after)
		}
		kinds = kinds[slices.Index(kinds, kind):]
	}
	return func(yield func(listedTrade, error) bool) {
		for _, kind := range kinds {
			q := records.CaseQuery{Kind: kind, OpenedBefore: before, ByAge: true}
			for t, err := range l.cases(ctx, q, position) {
				if !yield(listedTrade{reconcile.ParkedTrade{TradeID: t.Key}, kind + "." + q.After(t)}, err) || err != nil {
					return
				}
			}
			position = ""
		}
	}, nil
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
			_, err := fmt.Fprint(t, printable.Row(o.TradeID, orDash(o.OrderID), amountOrDash(o.Amount),
				o.Since.UTC().Format(time.DateTime), timeOrDash(o.Deadline), o.why, o.next))
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
