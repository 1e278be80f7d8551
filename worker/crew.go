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
// it runs any more. The error joins theirs.
func (c Crew) Run(ctx context.Context) error {
	gateCtx, closeGate := context.WithCancel(context.WithoutCancel(ctx))
	defer closeGate()
	var gate, workers sync.WaitGroup
	gate.Go(func() { c.Gate.Run(gateCtx) })
	errs := make([]error, len(c.Workers))
	for i, w := range c.Workers {
		workers.Go(func() { errs[i] = w.Run(ctx) })
	}
	workers.Wait()
	closeGate()
	gate.Wait()
	return errors.Join(errs...)
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
