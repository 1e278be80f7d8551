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
