package worker

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrNotReady is what every error of Ready wraps.
var ErrNotReady = errors.New("not ready")

// pullSilence is how long pulls may fail before a worker calls itself not
// ready.
const pullSilence = 5 * pullWait

// health is what a worker knows of itself.
type health struct {
	lastPull atomic.Int64 // when a pull last came back well, in Unix nanoseconds
	draining atomic.Bool
}

func (h *health) pulled() { h.lastPull.Store(time.Now().UnixNano()) }

// Alive reports whether the worker's own loop turns. It says nothing about the
// broker or the gateway: restarting us would not help them.
func (w *Worker) Alive() bool {
	return time.Since(time.Unix(0, w.keeper.beat.Load())) < 3*w.keeper.every
}

// Ready returns nil while the worker takes jobs, else why it does not. Errors
// wrap ErrNotReady. Whether the broker is connected is for the owner of the
// connection to say.
func (w *Worker) Ready() error {
	if w.health.draining.Load() {
		return fmt.Errorf("%w: stopping", ErrNotReady)
	}
	if reason := w.cfg.Gate.Shut(); reason != "" {
		return fmt.Errorf("%w: %s", ErrNotReady, reason)
	}
	last := w.health.lastPull.Load()
	if last == 0 {
		return fmt.Errorf("%w: no pull has come back yet", ErrNotReady)
	}
	if silent := time.Since(time.Unix(0, last)); silent > pullSilence && !w.hands.full() {
		return fmt.Errorf("%w: no pull has come back for %s", ErrNotReady, silent.Round(time.Second))
	}
	return nil
}

// InHand is how many jobs are in hand, the next one included.
func (w *Worker) InHand() int { return w.hands.all() }
