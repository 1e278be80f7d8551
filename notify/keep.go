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

// maxRereads limits how often a trade is read again because of conflicts.
const maxRereads = 16

// record records a notification that adds something to the ledger, and queues its
// trade for resolving. If there is no error, the notification may be answered "ok".
func (h *Handler) record(ctx context.Context, n gateway.Notification) error {
	store, id := h.cfg.Recorder.Ledger, capture.TradeKey(n.TradeID)
	trade, err := store.Load(ctx, id)
	if err == nil && trade.Seq == 0 {
		// The trade should be in the ledger, because its intent is written before the
		// call that leads to a notification. The first read may have been of a replica
		// that lags.
		trade, err = store.LoadLatest(ctx, id)
	}
	for range maxRereads {
		if err != nil {
			return err
		}
		s := trade.State()
		if h.skip(ctx, trade, s, n) {
			return nil
		}
		_, err = h.cfg.Recorder.Record(ctx, &reconcile.Trade{ID: trade.ID, State: s, Seq: trade.Seq}, event(s, n))
		if err == nil {
			h.recorded(ctx, id, s, n)
			return nil
		}
		if !errors.Is(err, ledger.ErrConflict) {
			return err
		}
		trade, err = store.LoadLatest(ctx, id)
	}
	return fmt.Errorf("trade %s: %w", id, reconcile.ErrContended)
}

// skip reports whether a notification needs no event, and counts the reason.
func (h *Handler) skip(ctx context.Context, trade ledger.Trade, s capture.State, n gateway.Notification) bool {
	last, count := notified(trade.Events)
	switch {
	case s.Events == 0:
		h.stats.NotOurs.Add(1)
		h.cfg.Log.InfoContext(ctx, "verified notification for unknown trade", "trade_id", n.TradeID, "state", string(n.State))
	case count > 0 && sameContent(last, content(n)) && !blocksCalls(s, n):
		h.stats.Duplicates.Add(1)
		h.seen.put(trade.ID, digest(n), h.cfg.Recorder.Clock())
		// The process may have stopped between the event and the query.
		if needsQuery(s) {
			h.resolver.add(trade.ID)
		}
	case confirms(s, n):
		h.stats.Redundant.Add(1)
	case count >= h.cfg.PerTrade && !blocksCalls(s, n):
		h.stats.Capped.Add(1)
		if s.Phase != capture.PhaseCaptured {
			h.resolver.add(trade.ID)
		}
	default:
		return false
	}
	return true
}

// recorded continues after the event is in the ledger.
func (h *Handler) recorded(ctx context.Context, id string, s capture.State, n gateway.Notification) {
	h.stats.Kept.Add(1)
	h.seen.put(id, digest(n), h.cfg.Recorder.Clock())
	if s.Phase == capture.PhaseCaptured {
		h.cfg.Log.WarnContext(ctx, "notification for captured trade, outcome unchanged",
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

// sameContent reports whether two notifications are equal, regardless of how they
// were signed.
func sameContent(a, b capture.Notification) bool {
	a.Rendering, b.Rendering = "", ""
	return a == b
}

// notified returns the last notification among the events, and their number.
func notified(events []capture.Event) (last capture.Notification, count int) {
	for _, e := range events {
		if e.Type == capture.Notified && e.Notification != nil {
			last, count = *e.Notification, count+1
		}
	}
	return last, count
}

// blocksCalls reports whether a notification newly reports the trade as paid: it is
// not captured, and no notification since its last intent did so. It forbids capture
// calls and the outcome failed (rule 11). It is therefore recorded even as a copy of
// one before an operator's release, and beyond Config.PerTrade.
func blocksCalls(s capture.State, n gateway.Notification) bool {
	said := content(n)
	return said.SaysPaid() && s.Phase != capture.PhaseCaptured && s.NotifiedPaid.IsZero()
}

// confirms reports whether a notification only confirms a captured trade: it reports
// the captured amount as paid, or an earlier state that arrived late. Recording it
// would add an event without information to every trade. A risk review (verify) and a
// refund are recorded.
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

// needsQuery reports whether the last notification has not led to a query yet.
func needsQuery(s capture.State) bool {
	return s.Phase != capture.PhaseCaptured && s.NotifiedAt.After(s.LastQuery) &&
		(s.Outcome == nil || s.NotifiedAt.After(s.Outcome.Time))
}

// seenFor is how long copies are recognized without reading the ledger. After it the
// ledger is read: an operator may have sent the trade back to work meanwhile, which
// makes the copy new evidence.
const seenFor = time.Minute

// recent has the last recorded notification of a limited number of trades, so that
// copies are recognized without reading the ledger.
type recent struct {
	limit      int
	mu         sync.Mutex
	young, old map[string]seenAt
}

type seenAt struct {
	digest string
	at     time.Time
}

func newRecent(limit int) *recent { return &recent{limit: max(1, limit/2), young: map[string]seenAt{}} }

func digest(n gateway.Notification) string {
	return fmt.Sprintf("%q", []string{n.Type, n.OrderID, n.TransactionID, string(n.State), n.Amount.String(), n.AmountText, n.PaidTime})
}

func (r *recent) has(trade, digest string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.young[trade]
	if !ok {
		known = r.old[trade]
	}
	return known.digest == digest && now.Sub(known.at) < seenFor
}

func (r *recent) put(trade, digest string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= r.limit {
		r.old, r.young = r.young, map[string]seenAt{}
	}
	r.young[trade] = seenAt{digest, now}
}
