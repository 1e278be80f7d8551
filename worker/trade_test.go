package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

// lagging does not show the last events of a trade until it is asked for the
// latest.
type lagging struct {
	ledger.Ledger
	shows int // events
}

func (l lagging) Load(ctx context.Context, tradeID string) (ledger.Trade, error) {
	trade, err := l.Ledger.Load(ctx, tradeID)
	if err != nil || len(trade.Events) <= l.shows {
		return trade, err
	}
	return ledger.Trade{ID: tradeID, Events: trade.Events[:l.shows], Seq: uint64(l.shows)}, nil
}

// An operator released a parked trade and published its job again. A read that
// does not show the release yet must not end the job. Found by sim.
func TestReleaseIsNotOverlooked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		history := []capture.Event{
			{ID: "p", Type: capture.Parked, TradeID: "T1", Reason: capture.ReasonUnresolved, Amount: "24.99", Currency: "EUR"},
			{ID: "r", Type: capture.Released, TradeID: "T1", By: "Ada", Note: "asked the bank"},
		}
		for i, e := range history {
			if _, err := w.ledger.Append(t.Context(), e, uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		w.ledger = lagging{Ledger: w.ledger, shows: 1}
		d := w.processor("w1").Process(t.Context(), t.Context(), worker.Delivery{Body: []byte(job)})
		types := w.types("T1")
		if d.Do == worker.Ack && types[len(types)-1] != capture.Captured {
			t.Errorf("the job ended as %+v, and its trade has the events %v", d, types)
		}
	})
}

// A delivery that waits for another worker's call reads often while the call may
// be under way. After the lease the schedule decides.
func TestBehindTheLeaseTheScheduleCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		amount, err := capture.ParseAmount("24.99", "EUR")
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		job := capture.Job{TradeID: "T1", Amount: amount}
		pending := &capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{TradeID: "T1", State: capture.OrderProcessing}}
		for i, e := range []capture.Event{
			{ID: "a", Type: capture.Attempted, Time: begun.Add(-time.Hour), LeaseUntil: begun.Add(-time.Hour + time.Minute), Attempt: 1, Call: 1, RequestID: "r", Job: &job},
			{ID: "q", Type: capture.Queried, Time: begun, Via: capture.ViaQuery, Answer: pending, RetryAt: begun.Add(15 * time.Minute)},
		} {
			e.TradeID = "T1"
			if _, err := w.ledger.Append(t.Context(), e, uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		p, deliveries := w.processor("B"), 0
		for ; time.Since(begun) < 14*time.Minute; deliveries++ {
			d := p.Process(t.Context(), t.Context(), worker.Delivery{Body: []byte(`{"trade_id":"T1","amount":"24.99","currency":"EUR"}`)})
			if d.Do != worker.Retry {
				t.Fatalf("it is to wait, and is %+v", d)
			}
			time.Sleep(max(time.Until(d.At), 0))
		}
		if deliveries > 2 {
			t.Errorf("%d deliveries in the fourteen minutes in which nothing is due", deliveries)
		}
	})
}
