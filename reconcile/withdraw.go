package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// WithdrawalResult is the result of a withdrawal for one trade. The values are labels
// of metrics.
type WithdrawalResult string

// The results of a withdrawal.
const (
	// WithdrawalInTime means that the trade is not captured and will not be, unless an
	// operator retries it. No capture call of it can take effect any more, or it failed
	// before.
	WithdrawalInTime WithdrawalResult = "in_time"
	// WithdrawalTooLate means that the trade is captured, which is never undone.
	WithdrawalTooLate WithdrawalResult = "too_late"
	// WithdrawalInDoubt means that a capture call was announced before. No further one
	// is made, and Order Query decides between captured and failed.
	WithdrawalInDoubt WithdrawalResult = "in_doubt"
	// WithdrawalParked means that the trade is parked, so that its money may be taken.
	// No further capture call is made; an operator settles it.
	WithdrawalParked WithdrawalResult = "parked"
	// WithdrawalRetried means that the trade was withdrawn by the same request before,
	// and that an operator has retried it since, so that it is captured.
	WithdrawalRetried WithdrawalResult = "retried"
)

// WithdrawalResults lists the results.
func WithdrawalResults() []WithdrawalResult {
	return []WithdrawalResult{WithdrawalInTime, WithdrawalTooLate, WithdrawalInDoubt, WithdrawalParked, WithdrawalRetried}
}

// Withdrawal is the result of a withdrawal for one trade.
type Withdrawal struct {
	TradeID string
	Result  WithdrawalResult
	// Repeated reports whether the trade was withdrawn before, so that nothing was
	// written.
	Repeated bool
	State    capture.State // after the withdrawal
}

// ErrOtherOrder is wrapped by the error of a withdrawal that names a trade and an
// order which is not the trade's. Nothing was written.
var ErrOtherOrder = errors.New("the trade belongs to another order")

// WithdrawalRequest says which trade is withdrawn, by whom and why.
type WithdrawalRequest struct {
	// ID identifies the request, if it may be repeated: a trade that has the event of
	// this request is not withdrawn again, for an operator may have retried it since.
	ID      string
	TradeID string
	OrderID string // if set, the order that the trade has to belong to, if that is known
	By      string
	Note    string
}

// Event drafts the withdrawn event of a trade. orderID is that of its job, if it is
// known.
func (w WithdrawalRequest) Event(trade, orderID string) *capture.Event {
	return &capture.Event{ID: w.eventID(trade), Type: capture.Withdrawn, OrderID: cmp.Or(w.OrderID, orderID), By: w.By, Note: w.Note}
}

func (w WithdrawalRequest) eventID(trade string) string {
	if w.ID == "" {
		return ""
	}
	return w.ID + "-" + capture.TradeKey(trade)
}

// Withdraw appends a withdrawn event to a trade, guarded like any other, unless the
// trade is captured or was withdrawn before. The trade may be unknown: its job is
// not called for then when it comes. The state that the result rests on includes
// everything written before the call.
func (r *Recorder) Withdraw(ctx context.Context, w WithdrawalRequest) (Withdrawal, error) {
	if err := r.check("reconcile.Recorder"); err != nil {
		return Withdrawal{}, err
	}
	key := capture.TradeKey(w.TradeID)
	for range maxRereads {
		loaded, err := r.Ledger.LoadLatest(ctx, key)
		if err != nil {
			return Withdrawal{}, fmt.Errorf("reading the ledger: %w", err)
		}
		if orders := capture.Orders(loaded.Events); w.OrderID != "" && len(orders) > 0 && !slices.Contains(orders, w.OrderID) {
			return Withdrawal{}, fmt.Errorf("trade %s is of order %s, not %s: %w", key, orders[0], w.OrderID, ErrOtherOrder)
		}
		trade := &Trade{ID: key, State: loaded.State(), Seq: loaded.Seq}
		repeated := trade.State.Withdrawn || w.isIn(loaded.Events)
		if repeated || trade.State.Phase == capture.PhaseCaptured {
			return withdrawal(trade, repeated, r.Clock()), nil
		}
		after, err := r.Record(ctx, trade, w.Event(key, trade.State.Job.OrderID))
		if err == nil {
			return withdrawal(after, false, r.Clock()), nil
		}
		if !errors.Is(err, ledger.ErrConflict) {
			return Withdrawal{}, err
		}
	}
	return Withdrawal{}, fmt.Errorf("trade %s: %w", key, ErrContended)
}

// isIn reports whether the events of a trade hold that of the request.
func (w WithdrawalRequest) isIn(events []capture.Event) bool {
	id := w.eventID(w.TradeID)
	return id != "" && slices.ContainsFunc(events, func(e capture.Event) bool { return e.ID == id })
}

// withdrawal sorts a trade that is withdrawn or captured.
func withdrawal(t *Trade, repeated bool, now time.Time) Withdrawal {
	s := t.State
	w := Withdrawal{TradeID: t.ID, Repeated: repeated, State: s, Result: WithdrawalInDoubt}
	switch {
	case s.Phase == capture.PhaseCaptured:
		w.Result = WithdrawalTooLate
	case s.Phase == capture.PhaseParked:
		w.Result = WithdrawalParked
	case !s.Withdrawn:
		w.Result = WithdrawalRetried
	case !s.NotifiedPaid.IsZero():
	case s.Phase == capture.PhaseFailed, s.Call == 0:
		w.Result = WithdrawalInTime
	case s.Unanswered && now.Before(s.LeaseUntil): // under way
	case !s.Doubted && !s.Unanswered && !s.Answer.Lost():
		// Each call was refused or never sent; Order Query confirms that before the
		// outcome is written.
		w.Result = WithdrawalInTime
	}
	return w
}
