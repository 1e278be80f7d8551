package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ackExtender extends the acks of deliveries that take longer than a fraction of
// AckWait, so that the broker does not take a slow call for a dead worker.
type ackExtender struct {
	every time.Duration
	mu    sync.Mutex
	held  map[jetstream.Msg]time.Time
	beat  atomic.Int64 // when the loop last ran, in Unix nanoseconds
}

// extensionsPerAckWait is high enough that two lost extensions cause no redelivery.
const extensionsPerAckWait = 3

func newAckExtender(ackWait time.Duration) *ackExtender {
	return &ackExtender{every: max(ackWait/extensionsPerAckWait, 10*time.Millisecond), held: map[jetstream.Msg]time.Time{}}
}

func (x *ackExtender) add(m jetstream.Msg) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held[m] = time.Now()
}

func (x *ackExtender) remove(m jetstream.Msg) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.held, m)
}

// run extends acks until ctx ends.
func (x *ackExtender) run(ctx context.Context) {
	tick := time.NewTicker(x.every)
	defer tick.Stop()
	for {
		x.beat.Store(time.Now().UnixNano())
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, m := range x.due(now) {
				// A lost extension costs a redelivery, which the ledger absorbs.
				_ = m.InProgress()
			}
		}
	}
}

// due returns the deliveries from before the last tick; newer ones have most of
// their AckWait left.
func (x *ackExtender) due(now time.Time) []jetstream.Msg {
	x.mu.Lock()
	defer x.mu.Unlock()
	var due []jetstream.Msg
	for m, since := range x.held {
		if now.Sub(since) >= x.every/2 {
			due = append(due, m)
		}
	}
	return due
}
