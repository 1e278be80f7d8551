package worker

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// hands counts what a worker has in hand, so that it takes what it can see
// through and no more.
//
// Two limits hold. What is being worked on is limited because each of it takes
// memory and has a lease to keep. What has not yet reached the gateway is
// limited more tightly: it is the stock from which free slots are filled, and
// more of it would only wait here instead of in the stream, where any other
// worker could have it.
type hands struct {
	mu     sync.Mutex
	busy   int // worked on
	staged int // of them, not yet at the gateway
	away   int // waiting inside for their next try

	most   int           // of busy
	least  int           // of stock
	stock  int           // of staged; it follows the need
	wanted bool          // the pull loop waits
	freed  chan struct{} // tells it to look again
}

// The stock grows where a slot was free when a job came to it, and so had
// waited for one, and shrinks where jobs wait for slots. It follows how long
// the ledger takes: a job that is being written down fills no slot. Jobs come
// in waves, so that some of them always wait a few milliseconds: that alone is
// no reason to shrink.
const (
	slotIdle = 250 * time.Microsecond
	slotBusy = 5 * time.Millisecond
)

// newHands begins with a stock for a wave of jobs, and never has less.
func newHands(most, slots int) *hands {
	least := max(slots/3, 1)
	return &hands{most: most, least: least, stock: least, freed: make(chan struct{}, 1)}
}

// prefetch is how many deliveries may have come and met no hand yet. Half of
// it is a pull, which costs the broker as much as a few jobs do. Who lies there
// is not kept in progress: they are no more than two calls for each slot, and
// where the rate of calls is limited no more than this lane may make in a third
// of the time that a delivery has.
func prefetch(c *Config) int {
	slots, rate := c.Gate.cfg.Concurrency, c.Gate.cfg.Rate
	n := max(slots/2, min(32, 2*slots, c.Hands), 2)
	if rate > 0 {
		n = min(n, max(int(rate*cmp.Or(c.Share, 1)*c.AckWait.Seconds()/3), 2))
	}
	return n
}

func (h *hands) free() bool { return h.busy < h.most && h.staged < h.stock }

// reached counts a delivery that has come to its slot after so long a wait.
func (h *hands) reached(waited time.Duration) {
	h.mu.Lock()
	switch {
	case waited < slotIdle && h.wanted:
		h.stock = min(h.stock+1, max(h.most/2, 1))
	case waited > slotBusy:
		h.stock = max(h.stock-1, h.least)
	}
	h.mu.Unlock()
	h.change(0, -1, 0)
}

// take waits for a free hand. It returns false when ctx ends first.
func (h *hands) take(ctx context.Context) bool {
	for {
		h.mu.Lock()
		free := h.free()
		if free {
			h.busy++
			h.staged++
		}
		h.wanted = !free
		h.mu.Unlock()
		if free {
			return true
		}
		select {
		case <-h.freed:
		case <-ctx.Done():
			return false
		}
	}
}

// change counts, and wakes the pull loop where that made room for it.
func (h *hands) change(busy, staged, away int) {
	h.mu.Lock()
	h.busy += busy
	h.staged += staged
	h.away += away
	wake := h.wanted && h.free()
	if wake {
		h.wanted = false
	}
	h.mu.Unlock()
	if wake {
		select {
		case h.freed <- struct{}{}:
		default: // it has been told already
		}
	}
}

// all is how many deliveries are in hand, the one that is waited for included.
func (h *hands) all() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.busy + h.away
}

// full reports that no more can be taken.
func (h *hands) full() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.free()
}

// holding is one delivery in hand. It sits between the processor and the gate
// and room that the processor uses, and counts where the delivery stands. It
// is used by one goroutine at a time.
type holding struct {
	Turnstile
	Waiter
	hands  *hands
	staged bool
}

// Do implements Turnstile.
func (d *holding) Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	came := time.Now()
	return d.Turnstile.Do(ctx, func(ctx context.Context) capture.Answer {
		if d.staged {
			d.staged = false
			d.hands.reached(time.Since(came))
		}
		return call(ctx)
	})
}

// leave counts a delivery that goes on without a call, or had its call.
func (d *holding) leave(away int) {
	staged := 0
	if d.staged {
		d.staged, staged = false, -1
	}
	d.hands.change(-1, staged, away)
}

// Wait implements Waiter. Who waits needs no hand; when the wait is over it
// has one, without asking: a pull has to wait for it.
func (d *holding) Wait(ctx context.Context, until time.Time) bool {
	d.leave(+1)
	waited := d.Waiter.Wait(ctx, until)
	d.hands.change(+1, 0, -1)
	return waited
}

// drop ends it.
func (d *holding) drop() { d.leave(0) }
