package worker

import (
	"context"
	"errors"
	"sync"
)

// Crew is everything that works on jobs in one process: a gate, and a worker
// for each lane that goes through it.
type Crew struct {
	Gate    *Gate
	Workers []*Worker
}

// Run works until ctx ends, as each Worker does, and returns once nothing of
// it runs any more.
func (c Crew) Run(ctx context.Context) {
	gateCtx, closeGate := context.WithCancel(context.WithoutCancel(ctx))
	defer closeGate()
	var gate, workers sync.WaitGroup
	gate.Go(func() { c.Gate.Run(gateCtx) })
	for _, w := range c.Workers {
		workers.Go(func() { w.Run(ctx) })
	}
	workers.Wait()
	closeGate()
	gate.Wait()
}

// Alive reports whether the loops of all workers turn.
func (c Crew) Alive() bool {
	for _, w := range c.Workers {
		if !w.Alive() {
			return false
		}
	}
	return true
}

// Ready returns nil while all workers take jobs, else why they do not. Errors
// wrap ErrNotReady.
func (c Crew) Ready() error {
	var errs []error
	for _, w := range c.Workers {
		errs = append(errs, w.Ready())
	}
	return errors.Join(errs...)
}

// InHand is how many jobs are in hand or being pulled.
func (c Crew) InHand() int {
	n := 0
	for _, w := range c.Workers {
		n += w.InHand()
	}
	return n
}

// Waiting is how many jobs in hand wait for their next try.
func (c Crew) Waiting() int {
	n := 0
	for _, w := range c.Workers {
		if room, ok := w.cfg.Processor.Waiter.(interface{ Waiting() int }); ok {
			n += room.Waiting()
		}
	}
	return n
}
