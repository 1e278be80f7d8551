package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// keeper tells the broker about deliveries that take longer than a fraction of
// AckWait, so that a slow call is not taken for a dead worker.
type keeper struct {
	every time.Duration
	mu    sync.Mutex
	held  map[jetstream.Msg]time.Time
	beat  atomic.Int64 // when the loop last turned, in Unix nanoseconds
}

// keepersPerAckWait leaves room for two lost signals before a redelivery.
const keepersPerAckWait = 3

func newKeeper(ackWait time.Duration) *keeper {
	return &keeper{every: max(ackWait/keepersPerAckWait, 10*time.Millisecond), held: map[jetstream.Msg]time.Time{}}
}

func (k *keeper) hold(m jetstream.Msg) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[m] = time.Now()
}

func (k *keeper) drop(m jetstream.Msg) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, m)
}

// run signals until ctx ends.
func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	for {
		k.beat.Store(time.Now().UnixNano())
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, m := range k.due(now) {
				// A signal that is lost costs a redelivery, which the ledger absorbs.
				_ = m.InProgress()
			}
		}
	}
}

// due lists what was delivered before the last tick; younger ones have most of
// their AckWait ahead.
func (k *keeper) due(now time.Time) []jetstream.Msg {
	k.mu.Lock()
	defer k.mu.Unlock()
	var due []jetstream.Msg
	for m, since := range k.held {
		if now.Sub(since) >= k.every/2 {
			due = append(due, m)
		}
	}
	return due
}
