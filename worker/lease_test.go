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

func (g lateGate) Call(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	time.Sleep(g.wait)
	return call(ctx)
}

// boundGateway notes how long a capture call may take.
type boundGateway struct {
	*tinyGateway
	called  bool
	bounded bool
	left    time.Duration
}

func (g *boundGateway) Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer {
	var end time.Time
	g.called = true
	end, g.bounded = ctx.Deadline()
	g.left = time.Until(end)
	return g.tinyGateway.Capture(ctx, r)
}

// However long a call waited for its slot, it is over when its lease is: by the
// client's own bound, by the lease, or by not being made.
func TestCallEndsWithItsLease(t *testing.T) {
	t.Parallel()
	const lease, bound = 65 * time.Second, 30 * time.Second
	for name, c := range map[string]struct {
		wait, bound     time.Duration
		called, bounded bool
	}{
		"a slot at once":                {0, bound, true, false},
		"just in time for a whole call": {lease - bound, bound, true, false},
		"too late for a whole call":     {lease - bound + 1, bound, true, true},
		"at the last moment":            {lease - 1, bound, true, true},
		"the lease is over":             {lease, bound, false, false},
		"a client with no bound":        {0, 0, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				g := &boundGateway{tinyGateway: w.gateway}
				p := w.processor("w1")
				p.Gate, p.Gateway, p.Lease, p.CallBound, p.Inline = lateGate{wait: c.wait}, g, lease, c.bound, 0
				p.Process(t.Context(), t.Context(), worker.Delivery{Body: []byte(`{"trade_id":"T1","amount":"24.99","currency":"EUR"}`), First: true})
				if g.called != c.called || g.bounded != c.bounded {
					t.Errorf("called %v, with a bound %v; want %v, %v", g.called, g.bounded, c.called, c.bounded)
				}
				if want := lease - c.wait; g.bounded && g.left != want {
					t.Errorf("%s are left for the call, want %s", g.left, want)
				}
			})
		})
	}
}
