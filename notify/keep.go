package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// maxRereads bounds how often a trade that others write to is read again.
const maxRereads = 16

// keep puts a notification into the ledger where it says something new, and has
// its trade resolved. Without an error it may be answered with ok.
func (h *Handler) keep(ctx context.Context, n gateway.Notification) error {
	book, id := h.cfg.Recorder.Ledger, capture.TradeKey(n.TradeID)
	trade, err := book.Load(ctx, id)
	if err == nil && trade.Seq == 0 {
		// A read may lag, and the intent is always there before the call that
		// leads to a notification.
		trade, err = book.LoadLatest(ctx, id)
	}
	for range maxRereads {
		if err != nil {
			return err
		}
		s := trade.State()
		if done := h.passOver(ctx, trade, s, n); done {
			return nil
		}
		_, err = h.cfg.Recorder.Record(ctx, &reconcile.Trade{ID: trade.ID, State: s, Seq: trade.Seq}, event(s, n))
		if err == nil {
			h.kept(ctx, id, s, n)
			return nil
		}
		if !errors.Is(err, ledger.ErrConflict) {
			return err
		}
		trade, err = book.LoadLatest(ctx, id)
	}
	return fmt.Errorf("trade %s: %w", id, reconcile.ErrContended)
}

// passOver reports that a notification needs no event, and counts why.
func (h *Handler) passOver(ctx context.Context, trade ledger.Trade, s capture.State, n gateway.Notification) bool {
	last, count := notified(trade.Events)
	switch {
	case s.Events == 0:
		h.stats.NotOurs.Add(1)
		h.cfg.Log.InfoContext(ctx, "a genuine notification is about a trade that the ledger does not know", "trade_id", n.TradeID, "state", string(n.State))
	case count > 0 && sameWords(last, content(n)) && !forbids(s, n):
		h.stats.Duplicates.Add(1)
		h.seen.put(trade.ID, digest(n), h.cfg.Recorder.Clock())
		// We may have stopped between the event and the query.
		if unasked(s) {
			h.resolver.add(trade.ID)
		}
	case confirms(s, n):
		h.stats.Redundant.Add(1)
	case count >= h.cfg.PerTrade && !forbids(s, n):
		h.stats.Capped.Add(1)
		if s.Phase != capture.PhaseCaptured {
			h.resolver.add(trade.ID)
		}
	default:
		return false
	}
	return true
}

// kept is what follows when the event is in the ledger.
func (h *Handler) kept(ctx context.Context, id string, s capture.State, n gateway.Notification) {
	h.stats.Kept.Add(1)
	h.seen.put(id, digest(n), h.cfg.Recorder.Clock())
	if s.Phase == capture.PhaseCaptured {
		h.cfg.Log.WarnContext(ctx, "the gateway says something new about a captured trade; the outcome stands",
			"trade_id", id, "type", n.Type, "state", string(n.State))
		return
	}
	h.resolver.add(id)
}

func event(s capture.State, n gateway.Notification) *capture.Event {
	said := content(n)
	return &capture.Event{
		Type: capture.Notified, OrderID: s.Job.OrderID, Attempt: s.Attempt, Call: s.Call, RequestID: s.RequestID,
		Notification: &said,
	}
}

func content(n gateway.Notification) capture.Notification {
	return capture.Notification{
		Type: n.Type, OrderID: n.OrderID, TransactionID: n.TransactionID, State: n.State, Amount: n.Amount,
		AmountText: n.AmountText, PaidTime: n.PaidTime, Rendering: n.Rendering,
	}
}

// sameWords reports whether two notifications say the same, in whatever way each
// was signed.
func sameWords(a, b capture.Notification) bool {
	a.Rendering, b.Rendering = "", ""
	return a == b
}

// notified finds the last notification that the ledger holds, and how many.
func notified(events []capture.Event) (last capture.Notification, count int) {
	for _, e := range events {
		if e.Type == capture.Notified && e.Notification != nil {
			last, count = *e.Notification, count+1
		}
	}
	return last, count
}

// forbids reports a notification that says paid of a trade which is neither
// captured nor notified as paid since its last intent: capture calls and failed
// are forbidden from here on (rule 11), so that it is kept even as a copy of one
// before an operator's release, and beyond the number kept of one trade.
func forbids(s capture.State, n gateway.Notification) bool {
	said := content(n)
	return said.SaysPaid() && s.Phase != capture.PhaseCaptured && s.NotifiedPaid.IsZero()
}

// confirms: what every captured trade's last notification says, or an older
// state that was overtaken on the way. It would add an event to each of them,
// and tell nothing. A risk review (verify) or a refund is news.
func confirms(s capture.State, n gateway.Notification) bool {
	if s.Phase != capture.PhaseCaptured || n.Type == "refund" {
		return false
	}
	switch n.State {
	case capture.OrderNew, capture.OrderAuthorized, capture.OrderPending, capture.OrderProcessing:
		return true
	case capture.OrderPaid:
		return n.Amount == s.Outcome.Sum() || n.Amount == s.Job.AuthorizedAmount && !n.Amount.IsZero()
	}
	return false
}

// unasked: the last notification has not led to a query yet.
func unasked(s capture.State) bool {
	return s.Phase != capture.PhaseCaptured && s.NotifiedAt.After(s.LastQuery) &&
		(s.Outcome == nil || s.NotifiedAt.After(s.Outcome.Time))
}

// seenFor is how long a copy costs no read. After it the ledger is asked: an
// operator may have sent the trade back to work meanwhile, and the copy is new
// evidence then.
const seenFor = time.Minute

// recent remembers, for a bounded number of trades, what their last kept
// notification said, so that a flood of copies costs no reads.
type recent struct {
	most       int
	mu         sync.Mutex
	young, old map[string]saying
}

type saying struct {
	said string
	at   time.Time
}

func newRecent(most int) *recent { return &recent{most: max(1, most/2), young: map[string]saying{}} }

func digest(n gateway.Notification) string {
	return fmt.Sprintf("%q", []string{n.Type, n.OrderID, n.TransactionID, string(n.State), n.Amount.String(), n.AmountText, n.PaidTime})
}

func (r *recent) has(trade, said string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.young[trade]
	if !ok {
		known = r.old[trade]
	}
	return known.said == said && now.Sub(known.at) < seenFor
}

func (r *recent) put(trade, said string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= r.most {
		r.old, r.young = r.young, map[string]saying{}
	}
	r.young[trade] = saying{said, now}
}
