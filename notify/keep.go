package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
	book := h.cfg.Clerk.Ledger
	trade, err := book.Load(ctx, n.TradeID)
	if err == nil && trade.Seq == 0 {
		// A read may lag, and the intent is always there before the call that
		// leads to a notification.
		trade, err = book.LoadLatest(ctx, n.TradeID)
	}
	for range maxRereads {
		if err != nil {
			return err
		}
		s := trade.State()
		if done := h.passOver(ctx, trade, s, n); done {
			return nil
		}
		_, err = h.cfg.Clerk.Record(ctx, &reconcile.Trade{ID: trade.ID, State: s, Seq: trade.Seq}, event(s, n))
		if err == nil {
			h.kept(ctx, s, n)
			return nil
		}
		if !errors.Is(err, ledger.ErrConflict) {
			return err
		}
		trade, err = book.LoadLatest(ctx, n.TradeID)
	}
	return fmt.Errorf("trade %s: %w", n.TradeID, reconcile.ErrContended)
}

// passOver reports that a notification needs no event, and counts why.
func (h *Handler) passOver(ctx context.Context, trade ledger.Trade, s capture.State, n gateway.Notification) bool {
	said := content(n)
	last, count := notified(trade.Events)
	switch {
	case s.Events == 0:
		h.stats.NotOurs.Add(1)
		h.cfg.Log.InfoContext(ctx, "a genuine notification is about a trade that the ledger does not know", "trade_id", n.TradeID, "state", string(n.State))
	case count > 0 && last == said:
		h.stats.Duplicates.Add(1)
		h.seen.put(n.TradeID, digest(n))
		// We may have stopped between the event and the query.
		if unasked(s) {
			h.resolver.add(n.TradeID)
		}
	case confirms(s, n):
		h.stats.Redundant.Add(1)
	case count >= h.cfg.PerTrade:
		h.stats.Capped.Add(1)
		if s.Phase != capture.PhaseCaptured {
			h.resolver.add(n.TradeID)
		}
	default:
		return false
	}
	return true
}

// kept is what follows when the event is in the ledger.
func (h *Handler) kept(ctx context.Context, s capture.State, n gateway.Notification) {
	h.stats.Kept.Add(1)
	h.seen.put(n.TradeID, digest(n))
	if s.Phase == capture.PhaseCaptured {
		h.cfg.Log.WarnContext(ctx, "the gateway says something new about a captured trade; the outcome stands",
			"trade_id", n.TradeID, "type", n.Type, "state", string(n.State))
		return
	}
	h.resolver.add(n.TradeID)
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
	}
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

// confirms: what every captured trade's last notification says, or an older
// state that was overtaken on the way. It would add an event to each of them,
// and tell nothing. A risk review (verify) or a refund is news.
func confirms(s capture.State, n gateway.Notification) bool {
	if s.Phase != capture.PhaseCaptured || n.Type == "refund" {
		return false
	}
	switch n.State {
	case capture.OrderAuthorized, capture.OrderPending, capture.OrderProcessing:
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

// recent remembers, for a bounded number of trades, what their last kept
// notification said, so that a flood of copies costs no reads.
type recent struct {
	most       int
	mu         sync.Mutex
	young, old map[string]string
}

func newRecent(most int) *recent { return &recent{most: max(1, most/2), young: map[string]string{}} }

func digest(n gateway.Notification) string {
	return fmt.Sprintf("%q", []string{n.Type, n.OrderID, n.TransactionID, string(n.State), n.Amount.String()})
}

func (r *recent) has(trade, said string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.young[trade]; ok {
		return known == said
	}
	return r.old[trade] == said
}

func (r *recent) put(trade, said string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= r.most {
		r.old, r.young = r.young, map[string]string{}
	}
	r.young[trade] = said
}
