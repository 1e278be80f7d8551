package reconcile

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// ParkedTrade is a trade that waits for an operator, or one that has failed.
type ParkedTrade struct {
	TradeID   string
	OrderID   string // the shop's
	Reason    string
	Amount    capture.Amount // that was asked for
	Since     time.Time      // when it was parked, or failed
	Deadline  time.Time      // of the authorization, zero if none is known
	Dismissed bool           // an operator has closed the case
}

// ParkedFilter selects parked trades, or failed ones. The zero value selects all
// that nobody has dismissed.
type ParkedFilter struct {
	Reason    string
	OlderThan time.Duration // ended at least so long ago
	Since     time.Time     // ended at this time or later
	Currency  string
	Min, Max  capture.Amount // of one currency; only trades of it are selected
	Dismissed bool           // also the dismissed ones
}

// Takes reports whether the filter selects the trade.
func (f ParkedFilter) Takes(t ParkedTrade, now time.Time) bool {
	switch {
	case f.Reason != "" && t.Reason != f.Reason,
		f.OlderThan > 0 && t.Since.After(now.Add(-f.OlderThan)),
		t.Since.Before(f.Since),
		f.Currency != "" && t.Amount.Currency() != f.Currency,
		t.Dismissed && !f.Dismissed,
		!within(t.Amount, f.Min, f.Max):
		return false
	}
	return true
}

func within(a, least, most capture.Amount) bool {
	if !least.IsZero() {
		if c, err := a.Cmp(least); err != nil || c < 0 {
			return false
		}
	}
	if !most.IsZero() {
		if c, err := a.Cmp(most); err != nil || c > 0 {
			return false
		}
	}
	return true
}

// Parked walks the parked trades that the filter selects, those parked first
// first. It only reads. An error ends the walk.
func (r *Recorder) Parked(ctx context.Context, f ParkedFilter) iter.Seq2[ParkedTrade, error] {
	return r.walkEnded(ctx, capture.Parked, f)
}

// Failed walks the failed trades that the filter selects, as Parked does.
func (r *Recorder) Failed(ctx context.Context, f ParkedFilter) iter.Seq2[ParkedTrade, error] {
	return r.walkEnded(ctx, capture.Failed, f)
}

func (r *Recorder) walkEnded(ctx context.Context, outcome capture.EventType, f ParkedFilter) iter.Seq2[ParkedTrade, error] {
	return func(yield func(ParkedTrade, error) bool) {
		if err := r.check("reconcile.Recorder"); err != nil {
			yield(ParkedTrade{}, err)
			return
		}
		for id, err := range ledger.TradesWith(ctx, r.Ledger, outcome) {
			var trade *Trade
			if err == nil {
				trade, err = r.Open(ctx, id)
			}
			if err != nil {
				yield(ParkedTrade{}, err)
				return
			}
			found, ok := r.ended(trade, capture.Phase(outcome))
			if ok && f.Takes(found, r.Clock()) && !yield(found, nil) {
				return
			}
		}
	}
}

// ended describes a trade that has ended in a phase.
func (r *Recorder) ended(t *Trade, phase capture.Phase) (ParkedTrade, bool) {
	s := t.State
	if s.Phase != phase || s.Outcome == nil {
		return ParkedTrade{TradeID: t.ID}, false
	}
	return ParkedTrade{
		TradeID: t.ID, OrderID: s.Outcome.OrderID, Reason: s.Outcome.Reason, Amount: s.Outcome.Sum(),
		Since: s.Outcome.Time, Deadline: r.deadline(&s), Dismissed: s.Dismissed,
	}, true
}

// deadline is the end of the time to capture a trade, zero if none is known.
func (r *Recorder) deadline(s *capture.State) time.Time {
	return s.Deadline(r.Policy.OrDefault().Window)
}

// NotFailedError says that there is nothing to retry.
type NotFailedError struct {
	TradeID string
	Phase   capture.Phase
	Known   bool // the ledger knows the trade
}

func (e *NotFailedError) Error() string {
	if !e.Known {
		return fmt.Sprintf("trade %s: the ledger does not know it", e.TradeID)
	}
	switch e.Phase {
	case capture.PhaseCaptured:
		return fmt.Sprintf("trade %s has not failed; it is captured", e.TradeID)
	case capture.PhaseParked:
		return fmt.Sprintf("trade %s has not failed; it is parked: `capture-worker parked release %s`", e.TradeID, e.TradeID)
	}
	return fmt.Sprintf("trade %s has not failed; it is open, and a worker that has its job goes on with it by itself", e.TradeID)
}

// NotParkedError says that there is no case to act on.
type NotParkedError struct {
	TradeID string
	Phase   capture.Phase
	Known   bool // the ledger knows the trade
}

func (e *NotParkedError) Error() string {
	if !e.Known {
		return fmt.Sprintf("trade %s: the ledger does not know it", e.TradeID)
	}
	switch e.Phase {
	case capture.PhaseCaptured, capture.PhaseFailed:
		return fmt.Sprintf("trade %s is not parked; it is %s", e.TradeID, e.Phase)
	}
	return fmt.Sprintf("trade %s is not parked; it is open, and a worker that has its job goes on with it by itself", e.TradeID)
}

// Dismiss closes the case of a parked trade by hand: it appends a dismissed
// event, and nothing is asked and nothing claimed about the money. The trade
// stays parked, leaves the list of parked trades, and is still corrected when
// the gateway tells the truth. A trade that is dismissed already is left as it
// is. The error is the ledger's, or a *NotParkedError.
func (r *Recorder) Dismiss(ctx context.Context, tradeID, by, note string) error {
	trade, err := r.Reopen(ctx, tradeID)
	if err != nil {
		return err
	}
	if trade.State.Phase != capture.PhaseParked {
		return &NotParkedError{TradeID: tradeID, Phase: trade.State.Phase, Known: trade.State.Events > 0}
	}
	if trade.State.Dismissed {
		return nil
	}
	_, err = r.Record(ctx, trade, &capture.Event{Type: capture.Dismissed, By: by, Note: note})
	return err
}
