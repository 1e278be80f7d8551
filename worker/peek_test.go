package worker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/worker"
)

// Whoever waits for another's call looks often, while that can still be under
// way. Behind the lease the schedule says when.
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
