package withdrawals_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/withdrawals"
	"github.com/capture-worker/capture-worker/reconcile"
)

func TestWithdrawalsReachTheLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t, capture.Mapping{})
	w.seen("T2", "A-2")
	w.seen("T3", "A-2")
	w.seen("T4", `A-"4"`)
	w.run()
	w.publish(`{"trade_id":"T1","reason":"returned","by":"ann"}`)
	w.publish(`{"order_id":"A-2"}`)
	w.publish(text(capture.Withdrawal{OrderID: `A-"4"`}))
	w.publish(`{"trade_id":"T2","order_id":"A-2"}`)
	w.counted(string(reconcile.WithdrawalInTime), 5)
	w.done()
	for trade, want := range map[string]string{"T1": "withdrawn", "T2": "queried withdrawn", "T3": "queried withdrawn", "T4": "queried withdrawn"} {
		if got := w.types(trade); got != want {
			t.Errorf("the ledger of %s has %s, want %s", trade, got, want)
		}
	}
	trade, err := w.ledger.LoadLatest(t.Context(), "T1")
	if e := trade.Events[0]; err != nil || e.By != "ann" || e.Note != "returned" {
		t.Errorf("%+v, %v, want who and why", e, err)
	}
	trade, err = w.ledger.LoadLatest(t.Context(), "T3")
	if e := trade.Events[1]; err != nil || e.By != "capture.withdrawals.shop" || e.Note != "message 2 of stream CAPTURE_WITHDRAWALS" || e.OrderID != "A-2" {
		t.Errorf("%+v, %v, want the message as who and why", e, err)
	}
	if letters := w.letters(); len(letters) > 0 {
		t.Errorf("dead letters: %v", letters)
	}
}

// What is no withdrawal is a dead letter, or passed over if another event.
func TestWithdrawalsThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, capture.Mapping{
		Fields: map[string]capture.Field{"trade_id": capture.At("trade"), "order_id": capture.At("order")},
		Match:  []capture.Match{{Path: "kind", Value: "returned"}},
	})
	w.seen("T1", "A-1")
	passedOver := make(chan *capture.MatchError, 10)
	w.consumer.PassedOver = func(_ jetstream.Msg, unmet *capture.MatchError) { passedOver <- unmet }
	w.run()
	w.publish(`{"kind":"returned","trade":"T1","order":"A-2"}`) // of another order
	w.publish(`{"kind":"returned","trade":"no trade"}`)
	w.publish(`{"kind":"returned"}`)
	w.publish(`{"kind":"shipped","trade":"T1"}`)
	w.publish(`returned`)
	w.counted(withdrawals.DeadLetter, 4)
	w.counted(withdrawals.NotSelected, 1)
	if unmet := <-passedOver; len(passedOver) > 0 || unmet.Path != "kind" || unmet.Found != `"shipped"` {
		t.Errorf("passed over: %+v", unmet)
	}
	w.done()
	letters := w.letters()
	slices.Sort(letters)
	if want := []string{capture.MalformedTradeID, "conflict", capture.MalformedMissing, capture.MalformedNotJSON}; !slices.Equal(letters, want) {
		t.Errorf("dead letters: %v, want %v", letters, want)
	}
	if got := w.types("T1"); got != "queried" {
		t.Errorf("the ledger of T1 has %s, want no withdrawal", got)
	}
}

// The withdrawal of an order waits for a trade, as long as one can be captured.
func TestAnOrderWithoutATrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, capture.Mapping{})
	w.run()
	w.publish(`{"order_id":"A-1"}`)
	w.counted(withdrawals.Waiting, 2)
	w.seen("T1", "A-1")
	w.counted(string(reconcile.WithdrawalInTime), 1)
	w.done()
	if got := w.types("T1"); got != "queried withdrawn" || len(w.letters()) > 0 {
		t.Errorf("the ledger has %s, dead letters %v", got, w.letters())
	}
}

func TestAnOrderThatNeverGetsATrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, capture.Mapping{})
	w.consumer.For = 100 * time.Millisecond
	w.run()
	w.publish(`{"order_id":"A-1"}`)
	w.counted(withdrawals.DeadLetter, 1)
	w.done()
	if letters := w.letters(); !slices.Equal(letters, []string{"unknown_order"}) {
		t.Errorf("dead letters: %v", letters)
	}
}

// A trade whose orders cannot be looked up, or whose ledger cannot be written, is tried
// again. Nothing is acked before.
func TestWithdrawalsAreTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, capture.Mapping{})
	w.seen("T1", "A-1")
	w.consumer.Trades = &failing{Trades: w.consumer.Trades, left: 3}
	w.run()
	w.publish(`{"order_id":"A-1"}`)
	w.counted(withdrawals.Delayed, 3)
	w.counted(string(reconcile.WithdrawalInTime), 1)
	w.done()
	if got := w.types("T1"); got != "queried withdrawn" {
		t.Errorf("the ledger has %s", got)
	}
}

// failing is a look-up that fails a number of times.
type failing struct {
	withdrawals.Trades
	left int
}

func (f *failing) TradesOf(ctx context.Context, orders []string) (map[string][]string, error) {
	if f.left > 0 && len(orders) > 0 {
		f.left--
		return nil, errors.New("the database is away")
	}
	return f.Trades.TradesOf(ctx, orders)
}

// A message that comes again after an operator has retried its trade does not withdraw
// it again: a lost ack, or a consumer that was created again.
func TestAMessageThatComesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, capture.Mapping{})
	w.seen("T1", "A-1")
	w.publish(`{"order_id":"A-1"}`)
	w.publish(`{"trade_id":"T2"}`)
	first, err := w.consumer.Messages.Fetch(2)
	if err != nil {
		t.Fatal(err)
	}
	for m := range first.Messages() { // a worker that dies before the ack
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := w.consumer.Decoder.Decode(m.Headers(), m.Data())
		if err != nil {
			t.Fatal(err)
		}
		request := withdrawals.Origin{Stream: meta.Stream, Subject: m.Subject(), Sequence: meta.Sequence.Stream, Stored: meta.Timestamp}.Request(decoded)
		if request.TradeID == "" {
			request.TradeID = "T1"
		}
		if _, err := w.recorder.Withdraw(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		w.write(request.TradeID, &capture.Event{Type: capture.Retried, By: "ann", Note: "by mistake"})
		if err := m.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	w.run()
	w.counted(string(reconcile.WithdrawalRetried), 2)
	w.done()
	if got := w.types("T1") + ", " + w.types("T2"); got != "queried withdrawn retried, withdrawn retried" {
		t.Errorf("the ledger has %s", got)
	}
}

func TestOrdersAreKnownToEveryWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, capture.Mapping{})
	w.publish(`{"order_id":"A-before","reason":"returned","by":"ann"}`)
	w.run()
	r, ok := w.orders.Withdrawn("A-before")
	if !ok || r.By != "ann" || r.Note != "returned" || r.ID == "" {
		t.Errorf("%+v, %t: want what was withdrawn before the worker started", r, ok)
	}
	w.publish(`{"trade_id":"T1","order_id":"A-trade"}`) // names one trade, not the order
	w.publish(`{"order_id":"A-after"}`)
	processtest.WaitFor(t, processtest.Patience, "the worker knows the order", func() bool {
		_, known := w.orders.Withdrawn("A-after")
		return known
	})
	for _, order := range []string{"A-trade", "A-other", ""} {
		if _, ok := w.orders.Withdrawn(order); ok {
			t.Errorf("order %q is withdrawn", order)
		}
	}
}

func TestOrdersCountAsLongAsATradeCanBeCaptured(t *testing.T) {
	t.Parallel()
	w := newWorld(t, capture.Mapping{})
	w.orders.For = 100 * time.Millisecond
	w.publish(`{"order_id":"A-1"}`)
	w.run()
	processtest.WaitFor(t, processtest.Patience, "the withdrawal is over", func() bool {
		_, ok := w.orders.Withdrawn("A-1")
		return !ok
	})
}

// The ledger is read once for an order, and then what came since.
func TestLedgerTradesReadsWhatCameSince(t *testing.T) {
	t.Parallel()
	w := newWorld(t, capture.Mapping{})
	var from []uint64
	lookup := &withdrawals.LedgerTrades{Search: func(ctx context.Context, orders map[string]bool, after uint64) (map[string][]string, uint64, error) {
		from = append(from, after)
		return w.ledger.TradesOfOrders(ctx, orders, after)
	}}
	of := func(orders ...string) string {
		found, err := lookup.TradesOf(t.Context(), orders)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(found)
	}
	w.seen("T1", "A-1")
	w.seen("T2", "A-2")
	if got := of("A-1", "A-3"); got != "map[A-1:[T1]]" {
		t.Errorf("found %s", got)
	}
	w.seen("T3", "A-3")
	w.seen("T4", "A-1")
	if got := of("A-1", "A-3"); got != "map[A-1:[T1 T4] A-3:[T3]]" {
		t.Errorf("found %s", got)
	}
	if got := of("A-2"); got != "map[A-2:[T2]]" {
		t.Errorf("found %s", got)
	}
	if !slices.Equal(from, []uint64{0, 2, 0}) {
		t.Errorf("the ledger was read after %v", from)
	}
	lookup.Known = func(_ context.Context, orders []string) (map[string][]string, uint64) {
		return map[string][]string{orders[0]: {"T2"}}, 3 // an index that lacks the last event
	}
	w.seen("T5", "A-5")
	if got := of("A-5", "A-1"); got != "map[A-1:[T1 T4] A-5:[T2 T5]]" || from[len(from)-1] != 3 {
		t.Errorf("with an index: found %s, the ledger was read after %v", got, from)
	}
}
