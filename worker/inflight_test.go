package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/worker"
)

// taken publishes 64 jobs, and is how many of them a worker has taken when
// something holds.
func taken(t *testing.T, s *shop, when string, holds func(worker.Pool) bool) int {
	t.Helper()
	s.streams.AckWait = 30 * time.Second
	w := s.worker(nil)
	var ids []string
	for i := range 64 {
		ids = append(ids, fmt.Sprintf("T%d", i))
	}
	s.authorize(ids...)
	stop := s.start(w)
	defer stop()
	s.until(when, func() bool { return holds(w) })
	consumer, err := s.js.Consumer(t.Context(), s.streams.Jobs, s.streams.Consumers[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	return consumer.CachedInfo().NumAckPending
}

// The acks of prefetched deliveries are not extended. If calls
// may go out but slowly it has to be little, or it is delivered to others while
// it waits here.
func TestNoMoreArePulledThanTheRateLetsOut(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.rate = 1
	n := taken(t, s, "the first call", func(worker.Pool) bool { return s.sim.Stats().Captures > 0 })
	// Ten seconds' worth, and those in flight.
	if n > 20 {
		t.Errorf("%d jobs were taken, at one call a second and %s for each", n, s.streams.AckWait)
	}
}

// Where calls take long, those that wait for a slot are few too: what lies here
// is kept from workers with free slots.
func TestNoMoreArePulledThanTwoCallsForEachSlot(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{Latency: 2 * time.Second})
	n := taken(t, s, "eight calls in flight", func(w worker.Pool) bool { return w.Limiter.Calls() == 8 })
	// In the slots, for each slot two, and the stock.
	if n > 8+16+5 {
		t.Errorf("%d jobs were taken by eight slots", n)
	}
}
