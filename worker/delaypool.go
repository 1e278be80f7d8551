package worker

import (
	"context"
	"time"
)

// DelayPool holds the deliveries that wait inside the worker. It has a limited
// number of places, so that waiting jobs never prevent the pulling of others: if it
// is full, a job waits in the stream.
type DelayPool struct {
	places chan struct{}
	now    func() time.Time
}

// NewDelayPool returns a pool with that many places.
func NewDelayPool(places int, now func() time.Time) *DelayPool {
	return &DelayPool{places: make(chan struct{}, places), now: now}
}

// Wait implements Delayer.
func (p *DelayPool) Wait(ctx context.Context, until time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		return false
	}
	timer := time.NewTimer(until.Sub(p.now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Waiting returns how many deliveries wait.
func (p *DelayPool) Waiting() int { return len(p.places) }

// noDelay is the Delayer of a job that must not wait inside the worker.
type noDelay struct{}

// Wait implements Delayer.
func (noDelay) Wait(context.Context, time.Time) bool { return false }
