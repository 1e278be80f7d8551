package ledger

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/capture-worker/capture-worker/capture"
)

// orderMember begins an order_id in a stored event: the shop's, or the gateway's in
// an answer.
var orderMember = []byte(`"order_id":"`)

// TradesOfOrders returns the trades of which an event after a sequence names one of
// the orders, and the sequence up to which it has read: the last one that was stored
// when it began, or, with an error, the last one before it. Nothing indexes orders,
// so the stream is read from there to its end, in pages; most events are not decoded.
// Events that cannot be decoded are left out.
func (l *JetStream) TradesOfOrders(ctx context.Context, orders map[string]bool, after uint64) (trades map[string][]string, upTo uint64, err error) {
	start, end, err := l.span(ctx, Filter{})
	if err != nil {
		return nil, after, wrap(err, "searching for the trades of orders")
	}
	trades, upTo = map[string][]string{}, after
	for msg, err := range l.messages(ctx, "", max(after+1, start), end) {
		if err != nil {
			return trades, upTo, wrap(err, "searching for the trades of orders")
		}
		upTo = msg.Sequence
		trade, ok := tradeOf(msg.Subject)
		if !ok || !mayName(msg.Data, orders) {
			continue
		}
		e, err := capture.DecodeEvent(msg.Data)
		if errors.Is(err, capture.ErrEvent) {
			continue
		}
		for _, order := range capture.Orders([]capture.Event{e}) {
			if orders[order] && !slices.Contains(trades[order], trade) {
				trades[order] = append(trades[order], trade)
			}
		}
	}
	return trades, max(upTo, end), nil
}

// mayName reports whether an event may name one of the orders. An order_id with an
// escape in it may be any.
func mayName(event []byte, orders map[string]bool) bool {
	for {
		_, rest, found := bytes.Cut(event, orderMember)
		if !found {
			return false
		}
		name, _, _ := bytes.Cut(rest, []byte(`"`))
		if orders[string(name)] || bytes.IndexByte(name, '\\') >= 0 {
			return true
		}
		event = rest
	}
}
