package worker

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// inFlight counts the deliveries that a worker has in flight, so that it pulls
// what it can process and no more.
//
// Two limits hold. Deliveries that are being processed are limited because each
// takes memory and has its ack extended. Those that have not yet reached the
// gateway are limited more tightly, by a window: they are the stock from which
// free slots are filled, and more of them would only wait here instead of in the
// stream, where any other worker could have them.
type inFlight struct {
	mu      sync.Mutex
	active  int // being processed
	queued  int // of them, not yet at the gateway
	delayed int // waiting inside for their next try

	limit     int           // of active
	minWindow int           // of window
	window    int           // limit of queued; it follows the need
	wanted    bool          // the pull loop waits
	freed     chan struct{} // wakes it
}

// The window grows if a slot was free when a job came to it, and so had waited
// for one, and shrinks if jobs wait for slots. It follows how long the ledger
// takes: a job that is being written down fills no slot. Jobs come in waves, so
// that some always wait a few milliseconds: that alone is no reason to shrink.
const (
	slotIdle = 250 * time.Microsecond
	slotBusy = 5 * time.Millisecond
)

// newInFlight begins with the smallest window, which holds a wave of jobs.
func newInFlight(limit, slots int) *inFlight {
	least := max(slots/3, 1)
	return &inFlight{limit: limit, minWindow: least, window: least, freed: make(chan struct{}, 1)}
}

// prefetch returns how many deliveries may have come and not been dispatched.
// Half of it is a pull, which costs the broker as much as a few jobs do. Their
// acks are not extended: they are no more than two calls for each slot, and if
// the rate of calls is limited no more than this lane may make in a third of
// AckWait.
func prefetch(c *Config) int {
	slots, rate := c.Limiter.cfg.Concurrency, c.Limiter.cfg.Rate
	n := max(slots/2, min(32, 2*slots, c.MaxInFlight), 2)
	if rate > 0 {
		n = min(n, max(int(rate*cmp.Or(c.Share, 1)*c.AckWait.Seconds()/3), 2))
	}
	return n
}

func (f *inFlight) free() bool { return f.active < f.limit && f.queued < f.window }

// reached counts a delivery that has come to its slot after so long a wait.
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

// add changes the counts, and wakes the pull loop if that made room for it.
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

// all returns how many deliveries are in flight, the one being pulled included.
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

// delivery is one delivery in flight. It stands between the processor and the
// limiter and delay pool that the processor uses, and counts where the delivery
// is. It is used by one goroutine at a time.
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

// leave counts a delivery that goes on without a call, or had its call.
func (d *delivery) leave(delayed int) {
	queued := 0
	if d.queued {
		d.queued, queued = false, -1
	}
	d.inFlight.add(-1, queued, delayed)
}

// Wait implements Delayer. A delivery that waits is not active; when the wait is
// over it is, whatever the limit: a pull has to wait for it.
func (d *delivery) Wait(ctx context.Context, until time.Time) bool {
	d.leave(+1)
	waited := d.Delayer.Wait(ctx, until)
	d.inFlight.add(+1, 0, -1)
	return waited
}

// done ends it.
func (d *delivery) done() { d.leave(0) }
