package worker

import (
	"context"
	"time"
)

// Room is where deliveries wait inside the worker. Its places are bounded, so
// that waiting jobs never keep healthy ones from being pulled: where it is
// full, a job waits in the stream instead.
type Room struct {
	places  chan struct{}
	longest time.Duration
	now     func() time.Time
}

// NewRoom returns a room with that many places for waits of at most longest.
func NewRoom(places int, longest time.Duration, now func() time.Time) *Room {
	return &Room{places: make(chan struct{}, places), longest: longest, now: now}
}

// Wait implements Waiter.
func (r *Room) Wait(ctx context.Context, until time.Time) bool {
	left := until.Sub(r.now())
	if left > r.longest || ctx.Err() != nil {
		return false
	}
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	default:
		return false
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
