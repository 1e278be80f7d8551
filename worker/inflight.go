package worker

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// inFlight counts the deliveries that a worker has in flight, so that it pulls only
// as many as it can process. There are two limits. Deliveries that are being
// processed are limited because each takes memory and has its ack extended. Those
// that have not yet reached the gateway have a lower limit, the window: they fill
// free slots, and more of them would wait here instead of in the stream, where
// another worker could take them.
type inFlight struct {
	mu      sync.Mutex
	active  int // being processed
	queued  int // the active ones that have not reached the gateway
	delayed int // waiting in the delay pool

	limit     int           // limit of active
	minWindow int           // limit of window
	window    int           // limit of queued; it adapts
	wanted    bool          // the pull loop waits
	freed     chan struct{} // wakes it
}

// The window grows if a job finds its slot free, since then the slot had waited for
// a job, and shrinks if jobs wait for slots. It adapts to the latency of the
// ledger, because a job occupies no slot during an append. Jobs arrive in waves, so
// waits of a few milliseconds are normal and do not shrink it.
const (
	slotIdle = 250 * time.Microsecond
	slotBusy = 5 * time.Millisecond
)

// newInFlight returns an inFlight with the smallest window, which holds a wave of
// jobs.
func newInFlight(limit, slots int) *inFlight {
	least := max(slots/3, 1)
	return &inFlight{limit: limit, minWindow: least, window: least, freed: make(chan struct{}, 1)}
}

// prefetch returns how many deliveries may be pulled and not yet dispatched. A pull
// asks for half of it, because a pull costs the broker as much as a few jobs. The
// acks of these deliveries are not extended, so they are at most two calls for each
// slot and, with a limited rate of calls, at most what this lane may call in a
// third of AckWait.
func prefetch(c *Config) int {
	slots, rate := c.Limiter.cfg.Concurrency, c.Limiter.cfg.Rate
	n := max(slots/2, min(32, 2*slots, c.MaxInFlight), 2)
	if rate > 0 {
		n = min(n, max(int(rate*cmp.Or(c.Share, 1)*c.AckWait.Seconds()/3), 2))
	}
	return n
}

func (f *inFlight) free() bool { return f.active < f.limit && f.queued < f.window }

// reached counts a delivery that got its slot after a wait.
func (f *inFlight) reached(waited time.Duration) {
	f.mu.Lock()
	switch {
	case waited < slotIdle && f.wanted:
		f.window = min(f.window+1, max(f.limit/2, 1))
	case waited > slotBusy:
		f.window = max(f.window-1, f.minWindow)
	}
	f.mu.Unlock()
	f.add(0, -1, 0)
}

// reserve waits until one more may be pulled, and counts it. It returns false if
// ctx ends first.
func (f *inFlight) reserve(ctx context.Context) bool {
	for {
		f.mu.Lock()
		free := f.free()
		if free {
			f.active++
			f.queued++
		}
		f.wanted = !free
		f.mu.Unlock()
		if free {
			return true
		}
		select {
		case <-f.freed:
		case <-ctx.Done():
			return false
		}
	}
}

// add changes the counts, and wakes the pull loop if there is room.
func (f *inFlight) add(active, queued, delayed int) {
	f.mu.Lock()
	f.active += active
	f.queued += queued
	f.delayed += delayed
	wake := f.wanted && f.free()
	if wake {
		f.wanted = false
	}
	f.mu.Unlock()
	if wake {
		select {
		case f.freed <- struct{}{}:
		default: // it is awake already
		}
	}
}

// all returns how many deliveries are in flight, including the one being pulled.
func (f *inFlight) all() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.active + f.delayed
}

// full reports whether no more can be pulled.
func (f *inFlight) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.free()
}

// delivery is one delivery in flight. It wraps the limiter and the delay pool of
// the processor and counts in which of them the delivery is. One goroutine uses it
// at a time.
type delivery struct {
	Limiter
	Delayer
	inFlight *inFlight
	queued   bool
}

// Begin implements Limiter.
func (d *delivery) Begin(ctx context.Context) (end func(capture.Answer), err error) {
	came := time.Now()
	end, err = d.Limiter.Begin(ctx)
	if err == nil && d.queued {
		d.queued = false
		d.inFlight.reached(time.Since(came))
	}
	return end, err
}

// leave counts a delivery that continues without a call, or after its call.
func (d *delivery) leave(delayed int) {
	queued := 0
	if d.queued {
		d.queued, queued = false, -1
	}
	d.inFlight.add(-1, queued, delayed)
}

// Wait implements Delayer. A waiting delivery is not active. After the wait it is
// active again even above the limit; then no more is pulled.
func (d *delivery) Wait(ctx context.Context, until time.Time) bool {
	d.leave(+1)
	waited := d.Delayer.Wait(ctx, until)
	d.inFlight.add(+1, 0, -1)
	return waited
}

// done removes the delivery from the counts.
func (d *delivery) done() { d.leave(0) }
