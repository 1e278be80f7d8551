// Package seldom keeps a log from saying the same again and again.
package seldom

import (
	"sync"
	"time"
)

// Log says when something is worth a line: where it is of another kind than
// what was logged last, and where the last line is long ago. Its methods may be
// called from several goroutines.
type Log struct {
	every time.Duration

	mu   sync.Mutex
	kind string
	at   time.Time // zero: nothing was logged
	more int       // of that kind since
}

// Every returns a Log that lets one kind through so often.
func Every(d time.Duration) *Log { return &Log{every: d} }

// Worth reports whether something of this kind is to be logged now, and how
// many of the last kind were not since its line.
func (l *Log) Worth(kind string) (unsaid int, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.at.IsZero() && kind == l.kind && now.Sub(l.at) < l.every {
		l.more++
		return 0, false
	}
	unsaid = l.more
	l.kind, l.at, l.more = kind, now, 0
	return unsaid, true
}
