package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNotReady is wrapped by every error of Ready.
var ErrNotReady = errors.New("not ready")

// pullSilence is the time after which a worker whose pulls fail is not ready.
const pullSilence = 5 * pullWait

// health is the state of a worker for its probes.
type health struct {
	lastPull atomic.Int64 // when a pull last succeeded, in Unix nanoseconds
	draining atomic.Bool
}

func (h *health) pulled() { h.lastPull.Store(time.Now().UnixNano()) }

// Alive reports whether the worker's own loop runs. It does not depend on the
// broker or the gateway, because a restart of the worker would not help them.
func (w *Worker) Alive() bool {
	return time.Since(time.Unix(0, w.acks.beat.Load())) < 3*w.acks.every
}

// Ready returns nil while the worker takes jobs, otherwise why it does not. Errors
// wrap ErrNotReady. It does not check the connection to the broker, which has
// another owner.
func (w *Worker) Ready() error {
	if w.health.draining.Load() {
		return fmt.Errorf("%w: stopping", ErrNotReady)
	}
	if reason := w.cfg.Limiter.PausedFor(); reason != "" {
		return fmt.Errorf("%w: %s", ErrNotReady, reason)
	}
	last := w.health.lastPull.Load()
	if last == 0 {
		return fmt.Errorf("%w: no pull has succeeded yet", ErrNotReady)
	}
	if silent := time.Since(time.Unix(0, last)); silent > pullSilence && !w.inFlight.full() {
		return fmt.Errorf("%w: no pull has succeeded for %s", ErrNotReady, silent.Round(time.Second))
	}
	return nil
}

// InFlight returns how many jobs are in flight, the one being pulled included.
func (w *Worker) InFlight() int { return w.inFlight.all() }

// Pool holds the limiter of a process and a worker for each lane.
type Pool struct {
	Limiter *GatewayLimiter
	Workers []*Worker
}

// Run runs the limiter and the workers until ctx ends. When it returns, all their
// goroutines have ended.
func (p Pool) Run(ctx context.Context) {
	limiterCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var limiter, workers sync.WaitGroup
	limiter.Go(func() { p.Limiter.Run(limiterCtx) })
	for _, w := range p.Workers {
		workers.Go(func() { w.Run(ctx) })
	}
	workers.Wait()
	stop()
	limiter.Wait()
}

// Alive reports whether the loops of all workers run.
func (p Pool) Alive() bool {
	for _, w := range p.Workers {
		if !w.Alive() {
			return false
		}
	}
	return true
}

// Ready returns nil while all workers take jobs, otherwise why they do not. Errors
// wrap ErrNotReady.
func (p Pool) Ready() error {
	var errs []error
	for _, w := range p.Workers {
		errs = append(errs, w.Ready())
	}
	return errors.Join(errs...)
}

// InFlight returns how many jobs are in flight or being pulled.
func (p Pool) InFlight() int {
	n := 0
	for _, w := range p.Workers {
		n += w.InFlight()
	}
	return n
}

// Delayed returns how many jobs in flight wait for their next try.
func (p Pool) Delayed() int {
	n := 0
	for _, w := range p.Workers {
		if pool, ok := w.cfg.Processor.Delayer.(*DelayPool); ok {
			n += pool.Waiting()
		}
	}
	return n
}
