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

// turns hands out places, at most so many at a time and not faster than the
// rate: those of calls that are being prepared, and those of calls in flight.
// Where several lanes wait, each gets its share by weight; a lane that has
// nothing to do leaves its share to the others. It starts no goroutine but a
// timer's.
type turns struct {
	mu       sync.Mutex
	places   int
	free     int
	patience time.Duration // how long one waits; 0 is until its context ends
	limiter  *rate.Limiter
	lanes    []*lane
	waiting  int
	timer    *time.Timer // the next token, where the rate makes turns wait
	closed   bool
}

// lane is a queue of turns with a weight.
type lane struct {
	name   string
	weight int
	credit int // smooth weighted round robin
	queue  []*turn
}

// turn is one wait for a place.
type turn struct {
	lane    *lane
	granted chan struct{}
}

func newTurns(places int, limiter *rate.Limiter) *turns {
	return &turns{places: places, free: places, limiter: limiter}
}

// lane adds a lane.
func (t *turns) lane(name string, weight int) *lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &lane{name: name, weight: max(weight, 1)}
	t.lanes = append(t.lanes, l)
	return l
}

// errNoPlace is returned by enter where the patience was over.
var errNoPlace = errors.New("no place became free in time")

// enter waits for a place until ctx or the patience ends. Who got one gives it
// back by leave.
func (t *turns) enter(ctx context.Context, l *lane) error {
	if ctx.Err() != nil {
		return fmt.Errorf("waiting for a turn: %w", ctx.Err())
	}
	t.mu.Lock()
	if t.waiting == 0 && t.free > 0 && !t.closed && t.token() {
		t.free--
		t.mu.Unlock()
		return nil
	}
	own := &turn{lane: l, granted: make(chan struct{})}
	l.queue = append(l.queue, own)
	t.waiting++
	t.grant()
	t.mu.Unlock()
	var late <-chan time.Time
	if t.patience > 0 {
		timer := time.NewTimer(t.patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-own.granted:
		return nil
	case <-late:
		t.giveUp(own)
		return errNoPlace
	case <-ctx.Done():
		t.giveUp(own)
		return fmt.Errorf("waiting for a turn: %w", ctx.Err())
	}
}

// giveUp takes a turn back that is not waited for any more.
func (t *turns) giveUp(own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(own.lane.queue, own); i >= 0 {
		own.lane.queue = slices.Delete(own.lane.queue, i, i+1)
		t.waiting--
		return
	}
	// It was granted in the same moment: the place goes to the next.
	t.free++
	t.grant()
}

func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	t.grant()
}

// grant gives places to those who wait, as far as places and rate allow.
func (t *turns) grant() {
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

// token takes a token of the rate. Where there is none yet it has grant called
// again when there is.
func (t *turns) token() bool {
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

// next picks the lane whose turn it is, of those that wait.
func (t *turns) next() *lane {
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

// close stops the timer; who waits is left to its own context.
func (t *turns) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

func (t *turns) length() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}

// taken is how many places are held.
func (t *turns) taken() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.places - t.free
}
