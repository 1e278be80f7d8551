package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// fairSemaphore grants a limited number of places at a limited rate, for calls that
// are being prepared or for calls in flight. If several lanes wait, each gets its
// share by weight; an idle lane leaves its share to the others. It starts no
// goroutine except that of a timer.
type fairSemaphore struct {
	mu      sync.Mutex
	places  int
	free    int
	maxWait time.Duration // longest wait for a place; 0 is until the context ends
	limiter *rate.Limiter
	lanes   []*lane
	waiting int
	timer   *time.Timer // fires at the next token, if waiters wait for one
	closed  bool
}

// lane is a queue of waiters with a weight.
type lane struct {
	name   string
	weight int
	credit int // smooth weighted round robin
	queue  []*waiter
}

// waiter waits for one place.
type waiter struct {
	lane    *lane
	granted chan struct{}
}

func newFairSemaphore(places int, limiter *rate.Limiter) *fairSemaphore {
	return &fairSemaphore{places: places, free: places, limiter: limiter}
}

// lane adds a lane.
func (t *fairSemaphore) lane(name string, weight int) *lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &lane{name: name, weight: max(weight, 1)}
	t.lanes = append(t.lanes, l)
	return l
}

// errNoPlace is returned by acquire if maxWait was over.
var errNoPlace = errors.New("no place became free in time")

// acquire waits for a slot until ctx ends or maxWait has elapsed. The caller
// returns the slot with release.
func (t *fairSemaphore) acquire(ctx context.Context, l *lane) error {
	if ctx.Err() != nil {
		return fmt.Errorf("waiting for a turn: %w", ctx.Err())
	}
	t.mu.Lock()
	if t.waiting == 0 && t.free > 0 && !t.closed && t.token() {
		t.free--
		t.mu.Unlock()
		return nil
	}
	own := &waiter{lane: l, granted: make(chan struct{})}
	l.queue = append(l.queue, own)
	t.waiting++
	t.grant()
	t.mu.Unlock()
	var late <-chan time.Time
	if t.maxWait > 0 {
		timer := time.NewTimer(t.maxWait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-own.granted:
		return nil
	case <-late:
		t.cancel(own)
		return errNoPlace
	case <-ctx.Done():
		t.cancel(own)
		return fmt.Errorf("waiting for a turn: %w", ctx.Err())
	}
}

// cancel removes a waiter from its queue.
func (t *fairSemaphore) cancel(own *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(own.lane.queue, own); i >= 0 {
		own.lane.queue = slices.Delete(own.lane.queue, i, i+1)
		t.waiting--
		return
	}
	// A place was granted at the same moment: it goes to the next waiter.
	t.free++
	t.grant()
}

func (t *fairSemaphore) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	t.grant()
}

// grant gives places to waiters, as far as places and rate allow.
func (t *fairSemaphore) grant() {
	for t.free > 0 && t.waiting > 0 && !t.closed {
		if !t.token() {
			return
		}
		l := t.next()
		first := l.queue[0]
		l.queue = slices.Delete(l.queue, 0, 1)
		t.free--
		t.waiting--
		close(first.granted)
	}
}

// token takes a token of the rate. If there is none, grant is called again at the
// next token.
func (t *fairSemaphore) token() bool {
	if t.timer != nil {
		return false // already on its way
	}
	if t.limiter.Limit() == rate.Inf {
		return true
	}
	reservation := t.limiter.Reserve()
	delay := reservation.Delay()
	if delay == 0 {
		return true
	}
	reservation.Cancel()
	t.timer = time.AfterFunc(delay, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.timer = nil
		t.grant()
	})
	return false
}

// next returns the lane to serve next, among those with waiters.
func (t *fairSemaphore) next() *lane {
	var best *lane
	total := 0
	for _, l := range t.lanes {
		if len(l.queue) == 0 {
			continue
		}
		l.credit += l.weight
		total += l.weight
		if best == nil || l.credit > best.credit {
			best = l
		}
	}
	best.credit -= total
	return best
}

// close stops the timer; waiters wait until their contexts end.
func (t *fairSemaphore) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// length returns the number of waiters.
func (t *fairSemaphore) length() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}

// taken returns the number of places held.
func (t *fairSemaphore) taken() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.places - t.free
}
