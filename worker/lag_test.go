package worker_test

import (
	"context"
	"testing"
	"testing/synctest"

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

// A person released a parked trade and published its job again. A read that
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
