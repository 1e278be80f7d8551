// Package ratelog limits how often messages of one kind are logged.
package ratelog

import (
	"sync"
	"time"
)

// Limiter allows a message if it is of another kind than the last one logged,
// or if the last one was logged long enough ago. Its methods may be called
// concurrently.
type Limiter struct {
	interval time.Duration

	mu         sync.Mutex
	kind       string
	at         time.Time // of the last allowed message; zero: there was none
	suppressed int       // messages of that kind since
}

// New returns a Limiter that allows one message of a kind per interval.
func New(interval time.Duration) *Limiter { return &Limiter{interval: interval} }

// Allow reports whether a message of this kind is to be logged now, and how
// many messages were suppressed since the last one that was logged.
func (l *Limiter) Allow(kind string) (suppressed int, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.at.IsZero() && kind == l.kind && now.Sub(l.at) < l.interval {
		l.suppressed++
		return 0, false
	}
	suppressed = l.suppressed
	l.kind, l.at, l.suppressed = kind, now, 0
	return suppressed, true
}
