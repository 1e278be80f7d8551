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

// lateGate has every call wait for its slot.
type lateGate struct {
	openGate
	wait time.Duration
}

func (g lateGate) Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	time.Sleep(g.wait)
	return call(ctx)
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
				p.Gate, p.Gateway, p.Lease, p.Inline = lateGate{wait: c.wait}, g, lease, 0
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
