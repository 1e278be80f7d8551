package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/worker"
)

// slowTurns gives turns only after a long wait.
type slowTurns struct {
	openGate
	wait time.Duration
}

func (s slowTurns) Acquire(ctx context.Context) (func(), error) {
	time.Sleep(s.wait)
	return s.openGate.Acquire(ctx)
}

// What was decided before the wait for a turn must still be so after it: past
// the deadline no call is announced, let alone made.
func TestNoCallIsAnnouncedAfterTheDeadline(t *testing.T) {
	for _, test := range []struct {
		name string
		wait time.Duration
		want capture.EventType
	}{
		{"the turn comes before it", time.Hour - time.Second, capture.Attempted},
		{"the turn comes at it", time.Hour, capture.Failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.processor("w1")
				p.Gate = slowTurns{wait: test.wait}
				until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
				body := `{"trade_id":"T1","amount":"24.99","currency":"EUR","order_id":"A-1","capture_before":"` + until + `"}`
				p.Process(t.Context(), t.Context(), worker.Delivery{Body: []byte(body), First: true})
				if types := w.types("T1"); len(types) == 0 || types[0] != test.want {
					t.Errorf("the ledger holds %v, want first %s", types, test.want)
				}
			})
		})
	}
}

// A second job for a captured trade never reaches the gateway (rule 8), also
// where its deadline passes while it waits for its turn, and nothing was read.
func TestADeadlineInTheTurnAsksNothingOfACapturedTrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.processor("w1")
		until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
		again := worker.Delivery{First: true, Body: []byte(`{"trade_id":"T1","amount":"24.99","currency":"EUR","capture_before":"` + until + `"}`)}
		if d := p.Process(t.Context(), t.Context(), again); d.Do != worker.Ack {
			t.Fatalf("%+v, want an ack", d)
		}
		p.Gate = slowTurns{wait: time.Hour}
		if d := p.Process(t.Context(), t.Context(), again); d.Do != worker.Ack || w.gateway.queries != 0 {
			t.Errorf("%+v after %d queries, want an ack and none", d, w.gateway.queries)
		}
	})
}
