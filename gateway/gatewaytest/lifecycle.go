package gatewaytest

import (
	"sync"
	"time"
)

// maxTimers limits the waiting late captures and notifications; further ones are dropped
// and counted.
const maxTimers = 100_000

// lifecycle tracks everything that runs in the background: calls in progress, timers and
// workers. Nothing new starts after stop.
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

// enter registers work that must call running.Done when it ends. It returns false after
// stop.
func (l *lifecycle) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.running.Add(1)
	return true
}

// after runs f after d, unless stop is called first. It returns false if f will not run.
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

// stop stops the timers and waits for running work, at most for the timeout. It reports
// whether all has ended.
func (l *lifecycle) stop(timeout time.Duration) bool {
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
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	select {
	case <-ended:
		return true
	case <-limit.C:
		return false
	}
}
