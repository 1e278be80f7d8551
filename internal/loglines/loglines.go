// Package loglines has log lines that come close together written together.
package loglines

import (
	"io"
	"sync"
	"time"
)

const (
	// gatherFor is how long a line waits for more to go out with it, where
	// another went out just before; and so what a process that is killed at work
	// may keep to itself.
	gatherFor = 5 * time.Millisecond
	// gatherMost is how much may wait: more is written by whoever brings it.
	gatherMost = 64 << 10
)

// Writer writes at once while it is calm. Of a line for every job, one system
// call for each is more than what formatting it takes, and who logs at the same
// time waits for it. It is safe for concurrent use.
type Writer struct {
	to io.Writer

	mu      sync.Mutex // of what follows; never held during a write
	waiting []byte
	woken   bool      // a timer will write what waits
	last    time.Time // when a write began

	turn  chan struct{} // has room for whoever writes, so that lines keep their order
	spare []byte        // the buffer of the write before
}

// New makes a writer in front of to. Close it, or the last lines are lost.
func New(to io.Writer) *Writer { return &Writer{to: to, turn: make(chan struct{}, 1)} }

// Write takes one or more whole lines. It returns no error of a write that
// comes later: there is nobody to tell.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	w.waiting = append(w.waiting, lines...)
	now := !w.woken && time.Since(w.last) > gatherFor || len(w.waiting) > gatherMost
	if !now && !w.woken {
		w.woken = true
		time.AfterFunc(gatherFor, w.wake)
	}
	w.mu.Unlock()
	if now {
		return len(lines), w.flush()
	}
	return len(lines), nil
}

func (w *Writer) wake() {
	w.mu.Lock()
	w.woken = false
	w.mu.Unlock()
	_ = w.flush()
}

// Close writes what waits. What is written after it waits as before.
func (w *Writer) Close() error { return w.flush() }

func (w *Writer) flush() error {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	w.mu.Lock()
	lines := w.waiting
	w.waiting = w.spare[:0]
	w.last = time.Now()
	w.mu.Unlock()
	w.spare = lines
	if len(lines) == 0 {
		return nil
	}
	_, err := w.to.Write(lines)
	return err
}
