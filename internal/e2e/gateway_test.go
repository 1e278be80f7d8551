//go:build unix

package e2e

import (
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// TestHaltsWhenTheGatewayRefusesUs is an acceptance test: wrong secret key: the worker halts, says so and
// fails no job; started again with the right key, all jobs are captured. The
// same for a user that the gateway does not know.
func TestHaltsWhenTheGatewayRefusesUs(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, variable, code string }{
		{"wrong secret key", "CAPTURE_GATEWAY_SECRET_KEY=not-the-right-key-at-all", capture.CodeSignature},
		{"wrong user", "CAPTURE_GATEWAY_USER=999999", capture.CodeUser},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, s := startBroker(t), startSim(t)
			orders := plain(t, "halt", 150)
			w := startWorker(t, "wrong", workerEnv(b, s, c.variable))
			place(b, s, orders[:100])
			w.Says(saysHalted, 1, patience)
			w.Says("refuses our signature or user (code "+c.code+")", 1, patience)
			takesNoMore(b, s, w, orders[100:])
			w.Stop(patience)
			nothingEnded(b)
			startWorker(t, "right", workerEnv(b, s))
			b.waitDone(patience)
			allCaptured(b, s, orders)
		})
	}
}

// takesNoMore publishes jobs to a worker that has halted, and holds it to
// leaving them alone while it probes.
func takesNoMore(b *broker, s *sim, w *processtest.Process, orders []order) {
	b.t.Helper()
	b.waitNotPulling()
	untouched := b.pending()
	place(b, s, orders)
	w.Says(saysProbed, 1, patience) // by then the calls that it had under way are over
	met := s.met()
	processtest.WaitFor(b.t, patience, "three probes more", func() bool { return s.met() >= met+3 })
	if got, want := b.pending(), untouched+len(orders); got != want {
		b.t.Errorf("%d jobs wait untouched, want %d: the worker took some while the gateway was unusable", got, want)
	}
}

// nothingEnded checks that no outcome was written and no job was given up.
func nothingEnded(b *broker) {
	b.t.Helper()
	types := b.eventTypes()
	for _, outcome := range []capture.EventType{capture.Captured, capture.Failed, capture.Parked} {
		if types[outcome] > 0 {
			b.t.Errorf("%d trades are %s though the gateway did nothing", types[outcome], outcome)
		}
	}
	if letters := b.messages(dlqStream); len(letters) > 0 {
		b.t.Errorf("%d jobs were dead-lettered, the first as %s", len(letters), letters[0].Subject)
	}
}

// TestGatewayDownAndBack is an acceptance test: while the gateway is down nothing is failed or parked and no more
// jobs are taken; when it is back, the worker continues.
func TestGatewayDownAndBack(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSim(t)
	w := startWorker(t, "w", workerEnv(b, s))
	orders := plain(t, "down", 150)
	place(b, s, orders[:20])
	b.waitDone(patience)
	s.down(gatewaytest.DownReset)
	place(b, s, orders[20:100])
	w.Says(saysHalted, 1, patience)
	takesNoMore(b, s, w, orders[100:])
	if n := b.eventTypes(); n[capture.Failed]+n[capture.Parked] > 0 {
		t.Errorf("the outage failed %d trades and parked %d", n[capture.Failed], n[capture.Parked])
	}
	s.down(gatewaytest.Up)
	w.Says(saysResumed, 1, patience)
	b.waitDone(patience)
	allCaptured(b, s, orders)
	w.Stop(patience)
}
