package gatewaytest

import (
	"sync"
	"time"
)

// maxTimers bounds the late landings and notifications that wait; what comes
// on top is dropped and counted.
const maxTimers = 100_000

// lifecycle owns everything that runs on its own: calls being answered, timers
// and workers. After stop nothing of it starts any more.
type lifecycle struct {
	mu      sync.Mutex
	closed  bool
	done    chan struct{}
	running sync.WaitGroup // Add only under mu and before closed
	timers  map[uint64]*time.Timer
	next    uint64
}

func newLifecycle() *lifecycle {
	return &lifecycle{done: make(chan struct{}), timers: map[uint64]*time.Timer{}}
}

// enter registers a piece of work that calls running.Done when it ends. It
// returns false once stop was called.
func (l *lifecycle) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.running.Add(1)
	return true
}

// after runs f once d has passed, unless stop comes first. It returns false if
// it will never run.
func (l *lifecycle) after(d time.Duration, f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.timers) >= maxTimers {
		return false
	}
	l.next++
	id := l.next
	l.running.Add(1)
	l.timers[id] = time.AfterFunc(d, func() {
		defer l.running.Done()
		l.mu.Lock()
		delete(l.timers, id)
		closed := l.closed
		l.mu.Unlock()
		if !closed {
			f()
		}
	})
	return true
}

// stop ends what waits and waits for what runs, no longer than bound. It
// reports whether all has ended.
func (l *lifecycle) stop(bound time.Duration) bool {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.done)
	}
	for id, t := range l.timers {
		if t.Stop() {
			delete(l.timers, id)
			l.running.Done()
		}
	}
	l.mu.Unlock()

	ended := make(chan struct{})
	go func() { l.running.Wait(); close(ended) }()
	limit := time.NewTimer(bound)
	defer limit.Stop()
	select {
	case <-ended:
		return true
	case <-limit.C:
		return false
	}
}
