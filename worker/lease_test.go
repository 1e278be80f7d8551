package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/worker"
)

// lateSlots has every call wait for its slot.
type lateSlots struct {
	passAll
	wait time.Duration
}

func (g lateSlots) Begin(ctx context.Context) (func(capture.Answer), error) {
	time.Sleep(g.wait)
	return g.passAll.Begin(ctx)
}

// boundGateway notes how long a capture call may take.
type boundGateway struct {
	*tinyGateway
	called bool
	left   time.Duration
}

func (g *boundGateway) Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer {
	g.called, g.left = true, time.Until(r.Until)
	return g.tinyGateway.Capture(ctx, r)
}

// However long a call waited for its slot, it is over when its lease is, or is
// not made.
func TestCallEndsWithItsLease(t *testing.T) {
	t.Parallel()
	const lease = 65 * time.Second
	for name, c := range map[string]struct {
		wait   time.Duration
		called bool
	}{
		"a slot at once":     {0, true},
		"a slot late":        {lease / 2, true},
		"at the last moment": {lease - 1, true},
		"the lease is over":  {lease, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				g := &boundGateway{tinyGateway: w.gateway}
				p := w.processor("w1")
				p.Limiter, p.Gateway, p.Lease, p.Inline = lateSlots{wait: c.wait}, g, lease, 0
				p.Process(t.Context(), t.Context(), worker.Delivery{Body: []byte(`{"trade_id":"T1","amount":"24.99","currency":"EUR"}`), First: true})
				if g.called != c.called {
					t.Errorf("called %v, want %v", g.called, c.called)
				}
				if want := lease - c.wait; g.called && g.left != want {
					t.Errorf("%s are left for the call, want %s", g.left, want)
				}
			})
		})
	}
}

// slowTurns gives turns only after a long wait.
type slowTurns struct {
	passAll
	wait time.Duration
}

func (s slowTurns) Acquire(ctx context.Context) (func(), error) {
	time.Sleep(s.wait)
	return s.passAll.Acquire(ctx)
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
				p.Limiter = slowTurns{wait: test.wait}
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
// whose deadline passes while it waits for its turn, and nothing was read.
func TestADeadlineInTheTurnAsksNothingOfACapturedTrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.processor("w1")
		until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
		again := worker.Delivery{First: true, Body: []byte(`{"trade_id":"T1","amount":"24.99","currency":"EUR","capture_before":"` + until + `"}`)}
		if d := p.Process(t.Context(), t.Context(), again); d.Do != worker.Ack {
			t.Fatalf("%+v, want an ack", d)
		}
		p.Limiter = slowTurns{wait: time.Hour}
		if d := p.Process(t.Context(), t.Context(), again); d.Do != worker.Ack || w.gateway.queries != 0 {
			t.Errorf("%+v after %d queries, want an ack and none", d, w.gateway.queries)
		}
	})
}
