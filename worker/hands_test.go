package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// What lies in a worker and met no hand is not kept in progress. Where calls
// may go out but slowly it has to be little, or it is delivered to others while
// it waits here.
func TestNoMoreAreTakenThanTheRateLetsOut(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.rate, s.streams.AckWait = 1, 30*time.Second
	w := s.worker(nil)
	var ids []string
	for i := range 64 {
		ids = append(ids, fmt.Sprintf("T%d", i))
	}
	s.authorize(ids...)
	stop := s.start(w)
	defer stop()
	s.until("the first call", func() bool { return s.sim.Stats().Captures > 0 })
	consumer, err := s.js.Consumer(t.Context(), s.streams.Jobs, s.streams.Consumers[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	// Ten seconds' worth, and those in hand.
	if taken := consumer.CachedInfo().NumAckPending; taken > 20 {
		t.Errorf("%d jobs were taken, at one call a second and %s for each", taken, s.streams.AckWait)
	}
}

// Where calls take long, those that wait for a slot are few too: what lies here
// is kept from workers with free slots.
func TestNoMoreAreTakenThanTwoCallsForEachSlot(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{Latency: 2 * time.Second})
	s.streams.AckWait = 30 * time.Second
	w := s.worker(nil) // with eight slots
	var ids []string
	for i := range 64 {
		ids = append(ids, fmt.Sprintf("T%d", i))
	}
	s.authorize(ids...)
	stop := s.start(w)
	defer stop()
	s.until("eight calls in flight", func() bool { return w.Gate.Calls() == 8 })
	consumer, err := s.js.Consumer(t.Context(), s.streams.Jobs, s.streams.Consumers[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	// In the slots, for each slot two, and the stock.
	if taken := consumer.CachedInfo().NumAckPending; taken > 8+16+5 {
		t.Errorf("%d jobs were taken by eight slots", taken)
	}
}
