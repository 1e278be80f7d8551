package reconcile

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// ParkedTrade is a parked trade, which needs an operator, or a failed one.
type ParkedTrade struct {
	TradeID   string
	OrderID   string // the shop's order number
	Reason    string
	Amount    capture.Amount // the amount requested
	Since     time.Time      // when it was parked, or failed
	Deadline  time.Time      // of the authorization, zero if unknown
	Dismissed bool           // an operator has closed the case
}

// ParkedFilter selects parked or failed trades. The zero value selects all that are
// not dismissed.
type ParkedFilter struct {
	Reason    string
	OlderThan time.Duration // ended at least this long ago
	Since     time.Time     // ended at this time or later
	Currency  string
	Min, Max  capture.Amount // inclusive, in one currency; selects trades in it only
	Dismissed bool           // select dismissed trades too
}

// Matches reports whether the filter selects the trade.
func (f ParkedFilter) Matches(t ParkedTrade, now time.Time) bool {
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

// Parked yields those of some trades that are parked and that the filter selects,
// in their order. The trades are those that may be parked, such as ledger.Cases or
// ledger.TradesWith list; whether one is, its events say. It only reads. An error
// ends the walk.
func (r *Recorder) Parked(ctx context.Context, trades iter.Seq2[string, error], f ParkedFilter) iter.Seq2[ParkedTrade, error] {
	return r.walkEnded(ctx, trades, capture.Parked, f)
}

// Failed yields the failed trades that the filter selects, the oldest first. It
// reads the whole ledger.
func (r *Recorder) Failed(ctx context.Context, f ParkedFilter) iter.Seq2[ParkedTrade, error] {
	return r.walkEnded(ctx, ledger.TradesWith(ctx, r.Ledger, capture.Failed), capture.Failed, f)
}

func (r *Recorder) walkEnded(ctx context.Context, trades iter.Seq2[string, error], outcome capture.EventType, f ParkedFilter) iter.Seq2[ParkedTrade, error] {
	return func(yield func(ParkedTrade, error) bool) {
		if err := r.check("reconcile.Recorder"); err != nil {
			yield(ParkedTrade{}, err)
			return
		}
		for id, err := range trades {
			var trade *Trade
			if err == nil {
				trade, err = r.Open(ctx, id)
			}
			if err != nil {
				yield(ParkedTrade{}, err)
				return
			}
			found, ok := r.ended(trade, capture.Phase(outcome))
			if ok && f.Matches(found, r.Clock()) && !yield(found, nil) {
				return
			}
		}
	}
}

// ended describes a trade if it has ended in the phase.
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

// deadline returns the end of the time to capture a trade, zero if unknown.
func (r *Recorder) deadline(s *capture.State) time.Time {
	return s.Deadline(r.Policy.OrDefault().Window)
}

// NotFailedError reports that a trade cannot be retried because it has not failed.
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
	return fmt.Sprintf("trade %s has not failed; it is open, and a worker continues with its job", e.TradeID)
}

// NotParkedError reports that a trade cannot be released or dismissed because it is
// not parked.
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
	return fmt.Sprintf("trade %s is not parked; it is open, and a worker continues with its job", e.TradeID)
}

// Dismiss closes the case of a parked trade that was settled by other means. It
// appends a dismissed event with the operator (by) and the reason (note), without
// asking the gateway. The trade stays parked, is no longer listed, and is still
// corrected if the gateway shows another outcome. A dismissed trade is left
// unchanged. The error is the ledger's, or a [*NotParkedError].
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
