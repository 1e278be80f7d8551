package worker

import (
	"context"
	"time"
)

// Room is where deliveries wait inside the worker. Its places are bounded, so
// that waiting jobs never keep healthy ones from being pulled: where it is
// full, a job waits in the stream instead.
type Room struct {
	places chan struct{}
	now    func() time.Time
}

// NewRoom returns a room with that many places.
func NewRoom(places int, now func() time.Time) *Room {
	return &Room{places: make(chan struct{}, places), now: now}
}

// Wait implements Waiter.
func (r *Room) Wait(ctx context.Context, until time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	default:
		return false
	}
	timer := time.NewTimer(until.Sub(r.now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Waiting is how many deliveries wait.
func (r *Room) Waiting() int { return len(r.places) }
